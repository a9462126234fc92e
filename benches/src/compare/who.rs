use clap::ValueEnum;
use memlife::Durability;
use serde::{Serialize, Serializer};
use std::fmt;

/// A store of memlife.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Store {
    /// This process only
    Memory,
    /// One SQLite file
    Sqlite,
    /// A folder of JSON files
    Fs,
    /// One redb file
    Redb,
    /// A Redis server
    Redis,
}

/// What could be used instead of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Other {
    /// The cache moka, in this process
    Moka,
    /// The same tables in plain SQL
    RawSqlite,
    /// A plain file per key
    RawFiles,
    /// The same tables in plain redb
    RawRedb,
    /// The plain commands of a Redis server
    RawRedis,
    /// The disk cache of the crate cached
    Cached,
    /// The Python original
    Python,
    /// Python's diskcache
    Diskcache,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// One of ours.
    Store(Store),
    /// A peer.
    Peer(Other),
}

/// What an acknowledged write survives, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Nothing beyond the process
    Memory,
    /// The end of the process, `kill -9` included
    Process,
    /// A power cut
    Disk,
}

impl Who {
    /// As the command line names it.
    pub fn name(self) -> String {
        let value = match self {
            Who::Store(store) => store.to_possible_value(),
            Who::Peer(peer) => peer.to_possible_value(),
        };
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Who> {
        let stores = Store::value_variants().iter().map(|&store| Who::Store(store));
        let peers = Other::value_variants().iter().map(|&peer| Who::Peer(peer));
        stores.chain(peers).find(|who| who.name() == name)
    }

    /// Whether it is one of ours.
    pub fn is_store(self) -> bool {
        matches!(self, Who::Store(_))
    }

    /// Whether it keeps nothing when it is closed.
    pub fn is_in_memory(self) -> bool {
        matches!(self, Who::Store(Store::Memory) | Who::Peer(Other::Moka))
    }

    /// Whether it is on a server.
    pub fn has_server(self) -> bool {
        matches!(self, Who::Store(Store::Redis) | Who::Peer(Other::RawRedis))
    }

    /// The levels that it can give, from the least on.
    fn levels(self) -> &'static [Level] {
        use Level::{Disk, Memory, Process};
        match self {
            Who::Store(Store::Memory) | Who::Peer(Other::Moka) => &[Memory],
            Who::Store(Store::Sqlite | Store::Fs) | Who::Peer(Other::RawSqlite | Other::RawFiles) => {
                &[Process, Disk]
            }
            // Above `memory` each commit is synced.
            Who::Store(Store::Redb) | Who::Peer(Other::RawRedb | Other::Cached) => &[Memory, Disk],
            Who::Store(Store::Redis) | Who::Peer(Other::RawRedis) => &[Memory, Process, Disk],
            Who::Peer(Other::Python | Other::Diskcache) => &[Process],
        }
    }

    /// The level it is measured at where `asked` is asked for: that, or the next above it, or the most there is.
    pub fn level(self, asked: Level) -> Level {
        let levels = self.levels();
        let found = levels.iter().find(|level| **level >= asked).or(levels.last());
        found.copied().unwrap_or(asked)
    }

    /// What it is, for people.
    pub fn about(self) -> &'static str {
        match self {
            Who::Store(Store::Memory) => "memlife in the memory of this process",
            Who::Store(Store::Sqlite) => "memlife in one SQLite file",
            Who::Store(Store::Fs) => "memlife in a folder of JSON files with an index",
            Who::Store(Store::Redb) => "memlife in one redb file",
            Who::Store(Store::Redis) => "memlife on a Redis server of its own, on loopback",
            Who::Peer(Other::Moka) => {
                "the crate moka: its sync cache with `time_to_live`, unbounded; for sweeps an expiry per entry"
            }
            Who::Peer(Other::RawSqlite) => {
                "the crate rusqlite on the tables, indexes and pragmas of memlife's store, one writing connection and \
                 two that read: no checksums, no change numbers, no usage"
            }
            Who::Peer(Other::RawFiles) => {
                "the standard library: a file per key, put by a write beside it and a rename; its first bytes tell \
                 when it expires"
            }
            Who::Peer(Other::RawRedb) => {
                "the crate redb on the five tables of memlife's store, one transaction per write"
            }
            Who::Peer(Other::RawRedis) => {
                "`SET PX`, `GET`, `INCR`, `SCAN` and a script of four lines on a Redis server of its own, one \
                 connection; `SCAN` knows no order and no expiry"
            }
            Who::Peer(Other::Cached) => {
                "the crate cached: `RedbCache`, its cache on disk, with one time to live for all entries"
            }
            Who::Peer(Other::Python) => {
                "the Python original: a JSON file and a row in SQLite per key, JSON parsed on both ways, one task"
            }
            Who::Peer(Other::Diskcache) => "Python's diskcache, one task",
        }
    }

    /// The store's limit: the same work on what it is built on, or its like, and nothing else.
    pub fn raw_limit(self) -> Option<Who> {
        match self {
            Who::Store(Store::Memory) => Some(Who::Peer(Other::Moka)),
            Who::Store(Store::Sqlite) => Some(Who::Peer(Other::RawSqlite)),
            Who::Store(Store::Fs) => Some(Who::Peer(Other::RawFiles)),
            Who::Store(Store::Redb) => Some(Who::Peer(Other::RawRedb)),
            Who::Store(Store::Redis) => Some(Who::Peer(Other::RawRedis)),
            Who::Peer(_) => None,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Level {
    /// As memlife calls it.
    pub fn durability(self) -> Durability {
        match self {
            Level::Memory => Durability::Memory,
            Level::Process => Durability::Process,
            Level::Disk => Durability::Disk,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.durability().fmt(f)
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_give_a_level_is_measured_at_one_it_has() {
        let level = |name: &str, asked| Who::named(name).unwrap().level(asked);
        assert_eq!(level("sqlite", Level::Process), Level::Process);
        assert_eq!(level("sqlite", Level::Memory), Level::Process);
        assert_eq!(level("redb", Level::Process), Level::Disk);
        assert_eq!(level("moka", Level::Disk), Level::Memory);
        assert_eq!(level("diskcache", Level::Disk), Level::Process);
    }

    #[test]
    fn names_lead_back() {
        for &store in Store::value_variants() {
            assert_eq!(Who::named(&Who::Store(store).name()), Some(Who::Store(store)));
            // Each can be held to its limit at some level.
            let limit = Who::Store(store).raw_limit().unwrap();
            assert_eq!(limit.level(Level::Process), Who::Store(store).level(Level::Process));
        }
        assert_eq!(Who::named("tape"), None);
    }
}
