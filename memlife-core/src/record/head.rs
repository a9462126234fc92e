use super::body::Body;
use super::{Codec, codec};
use crate::{Error, ErrorKind, Key, Result, Timestamp, Ttl};
use memlife_crdt::{Hlc, Life, Stamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How the states of an entry merge: its conflict strategy, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kind {
    /// The last write wins.
    Lww,
    /// Concurrent values stand beside each other.
    MultiValue,
    /// Integers that add up.
    Counter,
    /// A strategy that the program registered under this name.
    Custom(Arc<str>),
}

impl Kind {
    /// The name as policy files write it.
    pub fn name(&self) -> &str {
        match self {
            Kind::Lww => "lww",
            Kind::MultiValue => "multi_value",
            Kind::Counter => "counter",
            Kind::Custom(name) => name,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When the bytes of an entry that nobody can see any more are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReclaimClass {
    /// On access and at any sweep.
    Lazy,
    /// At sweeps.
    Scheduled,
    /// At forced sweeps only.
    Manual,
    /// A deleted entry, at any sweep after its keep.
    Tombstone,
    /// Written by the Python original and not yet judged by any rule: the sweep asks the present one.
    Unjudged,
}

impl ReclaimClass {
    /// Every class, in the order of their codes.
    pub const ALL: [ReclaimClass; 5] = [
        ReclaimClass::Lazy,
        ReclaimClass::Scheduled,
        ReclaimClass::Manual,
        ReclaimClass::Tombstone,
        ReclaimClass::Unjudged,
    ];

    /// A small number for a store's index; never changes its meaning.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        ReclaimClass::ALL.get(usize::from(code)).copied()
    }
}

/// Where an entry's expiry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExpiryOrigin {
    /// The rule; a changed rule reaches the entry when the policy is applied.
    Rule,
    /// Whoever wrote or touched it; a changed rule does not.
    Caller,
    /// Nobody yet: the Python original wrote the entry, and its present rule judges it.
    Unjudged,
}

/// Everything about an entry but its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How its states merge.
    pub kind: Kind,
    /// When a policy last decided the kind; the later decision wins between replicas.
    pub kind_epoch: Hlc,
    /// False for a tombstone.
    pub alive: bool,
    /// The store's change number of the last change of any sort.
    pub seq: u64,
    /// The `seq` of the last change of content: the token for compare-and-swap and fencing.
    pub version: u64,
    /// The stamp of the last change of content.
    pub stamp: Stamp,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When it stops being visible.
    pub life: Life,
    /// Where the expiry came from.
    pub origin: ExpiryOrigin,
    /// The TTL of the rule it was last written or applied under; `None` is permanent.
    pub rule_ttl: Option<Ttl>,
    /// How long a tombstone is kept.
    pub keep_until: Timestamp,
    /// How its bytes are reclaimed once it is dead.
    pub class: ReclaimClass,
    /// The pattern of the rule it was last written or applied under; empty for the default.
    pub rule: Arc<str>,
    /// Who wrote the last change, where the writer gave a name.
    pub writer: Option<Arc<str>>,
    /// How many values it holds at once; 0 for a tombstone.
    pub siblings: u32,
    /// Bytes of the payload before compression.
    pub raw_len: u32,
    /// Bytes of the body as stored.
    pub stored_len: u32,
    /// How the payload is compressed.
    pub codec: Codec,
}

impl Head {
    /// Whether users can see the entry at `now`.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.alive && self.life.lasts(now)
    }

    /// The instant from which the bytes may go; `None` is never.
    pub fn reclaim_at(&self) -> Option<Timestamp> {
        match self.class {
            ReclaimClass::Tombstone => Some(self.keep_until),
            ReclaimClass::Unjudged => Some(self.stamp.at()),
            _ => self.life.expires_at,
        }
    }

    /// Takes the sizes of `body`.
    pub fn measure(&mut self, body: Option<&Body>) {
        self.raw_len = body.map_or(0, |body| body.raw_len() as u32);
        self.stored_len = body.map_or(0, |body| body.as_bytes().len() as u32);
        self.codec = body.map_or(Codec::None, Body::codec);
    }

    /// The stored form: the fields by the codec, then a CRC-32 of them and of `key`.
    ///
    /// # Errors
    /// `Internal` when the codec fails.
    pub fn encode(&self, key: &Key) -> Result<Vec<u8>> {
        let mut bytes = codec::encode(self)?;
        let check = checksum(key, &bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        Ok(bytes)
    }

    /// Reads the stored form of the head of `key`.
    ///
    /// # Errors
    /// `Corrupt` when any byte is not as it was written, or was written for another key.
    pub fn decode(key: &Key, bytes: &[u8]) -> Result<Self> {
        let corrupt = |message| Err(Error::new(ErrorKind::Corrupt, message).on(key));
        let Some((fields, check)) = bytes.split_last_chunk::<4>() else {
            return corrupt("the stored metadata is cut short");
        };
        if u32::from_le_bytes(*check) != checksum(key, fields) {
            return corrupt("the stored metadata does not match its checksum");
        }
        codec::decode(fields).map_err(|error| error.on(key))
    }
}

fn checksum(key: &Key, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(fields);
    hasher.finalize()
}
