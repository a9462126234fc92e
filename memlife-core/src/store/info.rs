use crate::ReplicaId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing beyond this process: the write was accepted.
    Memory,
    /// The end of the process, `kill -9` included. A power cut may take the last moments.
    #[default]
    Process,
    /// A power cut.
    Disk,
    /// The loss of the server: this many replicas have it.
    Replicated(u8),
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Memory => f.write_str("memory"),
            Durability::Process => f.write_str("process"),
            Durability::Disk => f.write_str("disk"),
            Durability::Replicated(replicas) => write!(f, "replicated({replicas})"),
        }
    }
}

/// What a store refuses to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one body as stored.
    pub body_bytes: usize,
    /// The most writes of one batch.
    pub batch_writes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_bytes: 512 << 20, batch_writes: 10_000 }
    }
}

/// Something about a store that works and should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

/// Who a store is and what it can do.
#[derive(Clone, Debug)]
pub struct StoreInfo {
    /// The backend's name, as in URLs: `sqlite`, `fs`, `memory`.
    pub backend: &'static str,
    /// Where it is, for people.
    pub location: String,
    /// The replica that local writes are stamped with.
    pub replica: ReplicaId,
    /// Changes when the store is not the one a cursor was made for: a copy, a restored backup.
    pub incarnation: u64,
    /// The level that writes have unless they ask for more.
    pub durability: Durability,
    /// The highest level a write can ask for.
    pub max_durability: Durability,
    /// Whether the store can only be read.
    pub read_only: bool,
    /// Whether the store has a wall clock of its own, one for all who use it: then no caller's clock counts.
    pub keeps_time: bool,
    /// Whether memlife's own entries are as safe here as the users', so that values may depend on a dictionary among
    /// them.
    pub keeps_dictionaries: bool,
    /// Limits.
    pub limits: Limits,
    /// What to tell the user once.
    pub warnings: Vec<Warning>,
}
