use memlife_core::Key;
use memlife_core::record::ReclaimClass;
use xxhash_rust::xxh3::xxh3_64;

/// The names of a store's keys on the server.
///
/// Everything of one shard has one hash tag, `{PREFIX:NN}`, so that one script call can touch it in a cluster, too:
///
/// | key | holds |
/// |---|---|
/// | `{PREFIX}:cfg` | hash: format, replica, incarnation, number of shards |
/// | `TAG:m` | hash: the ledger with its grace, the epoch of the server, the floor of the feed, counts of removals |
/// | `TAG:k` | sorted set by name: all keys |
/// | `TAG:c` | sorted set by `seq`: the users' keys, by their latest change |
/// | `TAG:g` | sorted set by `seq`: removals |
/// | `TAG:u` | hash: tallies per rule and namespace |
/// | `TAG:x0` to `x4` | sorted sets by instant: due index of each class; locator, key |
/// | `TAG:o:SESSION` | the last reply to a session |
/// | `TAG:r:KEY` | a record |
/// | `TAG:l:KEY` | a damaged record that a repair set aside |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    prefix: String,
    /// The hash tag of each shard.
    tags: Vec<String>,
}

/// One shard's number, below the number of shards.
pub(crate) type Shard = u16;

/// Bits of a locator that hold the number of the entry; the shard is above them.
const NUMBER_BITS: u32 = 53;
/// What stands between the tag and the key in the name of a record.
const RECORD: &str = ":r:";
/// Bytes of a due member before the key.
const DUE_BYTES: usize = 7;
/// Bytes of a removal before the key.
pub(crate) const REMOVAL_BYTES: usize = 14;

impl Layout {
    pub(crate) fn new(prefix: &str, shards: u16) -> Self {
        let tags = (0..shards.max(1)).map(|shard| format!("{{{prefix}:{shard:02}}}")).collect();
        Layout { prefix: prefix.to_owned(), tags }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        // There are no more of them than were asked for.
        0..self.tags.len() as Shard
    }

    pub(crate) fn count(&self) -> usize {
        self.tags.len()
    }

    pub(crate) fn shard_of(&self, key: &Key) -> Shard {
        // A remainder below their count is the number of one.
        (xxh3_64(key.as_str().as_bytes()) % self.tags.len() as u64) as Shard
    }

    pub(crate) fn settings(prefix: &str) -> String {
        format!("{{{prefix}}}:cfg")
    }

    /// The channel on which every commit is told.
    pub(crate) fn channel(&self) -> String {
        format!("{{{}}}:changed", self.prefix)
    }

    fn tag(&self, shard: Shard) -> &str {
        &self.tags[usize::from(shard)]
    }

    pub(crate) fn ledger(&self, shard: Shard) -> String {
        format!("{}:m", self.tag(shard))
    }

    pub(crate) fn ordered(&self, shard: Shard) -> String {
        format!("{}:k", self.tag(shard))
    }

    pub(crate) fn changes(&self, shard: Shard) -> String {
        format!("{}:c", self.tag(shard))
    }

    pub(crate) fn removals(&self, shard: Shard) -> String {
        format!("{}:g", self.tag(shard))
    }

    pub(crate) fn usage(&self, shard: Shard) -> String {
        format!("{}:u", self.tag(shard))
    }

    pub(crate) fn due(&self, shard: Shard, class: ReclaimClass) -> String {
        format!("{}:x{}", self.tag(shard), class.code())
    }

    /// Where a session's last reply is; a lane is taken out of service while the fate of its last call is unknown.
    pub(crate) fn last_reply(&self, shard: Shard, session: u64, lane: u32) -> String {
        format!("{}:o:{session:016x}.{lane:x}", self.tag(shard))
    }

    /// What the names of a shard's records begin with.
    pub(crate) fn record_prefix(&self, shard: Shard) -> String {
        [self.tag(shard), RECORD].concat()
    }

    /// A pattern of the names of all records; a prefix has no wildcards.
    pub(crate) fn every_record(&self) -> String {
        format!("{{{}:*}}:r:*", self.prefix)
    }

    /// The shard whose record has this name, and the bytes before the key.
    pub(crate) fn shard_of_record(&self, name: &[u8]) -> Option<(Shard, usize)> {
        let shard = name.strip_prefix(format!("{{{}:", self.prefix).as_bytes())?;
        let digits: &[u8] = shard.split(|byte| *byte == b'}').next()?;
        let shard: Shard = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if usize::from(shard) >= self.tags.len() {
            return None;
        }
        let prefix = self.record_prefix(shard);
        name.starts_with(prefix.as_bytes()).then_some((shard, prefix.len()))
    }

    pub(crate) fn record(&self, shard: Shard, key: &Key) -> String {
        [self.tag(shard), RECORD, key.as_str()].concat()
    }

    pub(crate) fn set_aside(&self, shard: Shard, key: &str) -> String {
        format!("{}:l:{key}", self.tag(shard))
    }
}

/// What the due index says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DueMember {
    pub number: u64,
    pub key: Key,
}

impl DueMember {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (front, key) = bytes.split_at_checked(DUE_BYTES)?;
        let key = Key::from_stored(std::str::from_utf8(key).ok()?).ok()?;
        Some(DueMember { number: number(front), key })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.number.to_be_bytes()[8 - DUE_BYTES..], self.key.as_str().as_bytes()].concat()
    }
}

/// The locator of the entry with this number in its shard.
pub(crate) fn locator(shard: Shard, number: u64) -> u64 {
    u64::from(shard) << NUMBER_BITS | number
}

/// Shard and number of a locator.
pub(crate) fn unlocate(locator: u64) -> (u64, u64) {
    (locator >> NUMBER_BITS, locator & ((1 << NUMBER_BITS) - 1))
}

/// A number written in up to 8 bytes, the highest first.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
