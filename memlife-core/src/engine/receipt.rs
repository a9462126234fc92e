use super::Entry;
use crate::{Stamp, Timestamp};

/// What a done write is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The version of the content now; a fencing token.
    pub version: u64,
    /// Its stamp.
    pub stamp: Stamp,
    /// When it expires; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Whether the rule's limits changed the TTL that was asked for.
    pub clamped: bool,
    /// Siblings that the cap dropped.
    pub dropped_siblings: u32,
}

/// What became of a write that may not happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// It is done.
    Applied(Receipt),
    /// Something newer is there and stays.
    Superseded,
    /// The guard did not hold; this is what is there.
    Refused(Option<Box<Entry>>),
}

impl Written {
    /// The receipt, where the write was done.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Written::Applied(receipt) => Some(receipt),
            Written::Superseded | Written::Refused(_) => None,
        }
    }
}
