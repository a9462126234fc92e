use super::Codec;
use super::body::Body;
use super::codec::{self, Fields};
use crate::{Error, ErrorKind, Key, Result, Timestamp, Ttl};
use memlife_crdt::{Hlc, Life, ReplicaId, Stamp};
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
    /// Integers that only add up.
    GCounter,
    /// A set in which concurrent insertions win.
    OrSet,
    /// A set in which concurrent removals win.
    RwSet,
    /// The greatest number offered.
    Max,
    /// The least number offered.
    Min,
    /// A flag that is on when any concurrent write says so.
    FlagEw,
    /// A flag that is off when any concurrent write says so.
    FlagDw,
    /// An object whose fields merge each for itself.
    Map,
}

impl Kind {
    /// Every kind that memlife merges itself.
    pub const BUILT_IN: [Kind; 11] = [
        Kind::Lww,
        Kind::MultiValue,
        Kind::Counter,
        Kind::GCounter,
        Kind::OrSet,
        Kind::RwSet,
        Kind::Max,
        Kind::Min,
        Kind::FlagEw,
        Kind::FlagDw,
        Kind::Map,
    ];

    /// The name as policy files write it.
    pub fn name(&self) -> &str {
        match self {
            Kind::Lww => "lww",
            Kind::MultiValue => "multi_value",
            Kind::Counter => "counter",
            Kind::Custom(name) => name,
            Kind::GCounter => "g_counter",
            Kind::OrSet => "or_set",
            Kind::RwSet => "rw_set",
            Kind::Max => "max",
            Kind::Min => "min",
            Kind::FlagEw => "flag_ew",
            Kind::FlagDw => "flag_dw",
            Kind::Map => "map",
        }
    }

    /// Whether every write adds to what is there, so that it also renews its life: all but registers, whose writes
    /// replace.
    pub fn accumulates(&self) -> bool {
        !matches!(self, Kind::Lww | Kind::MultiValue | Kind::Custom(_))
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
        let mut fields = Fields(fields);
        match read(&mut fields) {
            Some(head) if fields.is_empty() => Ok(head),
            _ => corrupt("the stored metadata does not decode"),
        }
    }
}

/// The fields in the order of [`Head`], as serde writes them.
fn read(fields: &mut Fields<'_>) -> Option<Head> {
    Some(Head {
        kind: kind(fields)?,
        kind_epoch: hlc(fields)?,
        alive: fields.flag()?,
        seq: fields.number()?,
        version: fields.number()?,
        stamp: stamp(fields)?,
        created_at: timestamp(fields)?,
        life: Life::new(stamp(fields)?, fields.option(timestamp)?),
        origin: match fields.narrow::<u32>()? {
            0 => ExpiryOrigin::Rule,
            1 => ExpiryOrigin::Caller,
            2 => ExpiryOrigin::Unjudged,
            _ => return None,
        },
        rule_ttl: fields.option(|fields| Ttl::from_ms(fields.number()?).ok())?,
        keep_until: timestamp(fields)?,
        class: ReclaimClass::from_code(fields.narrow::<u32>()?.try_into().ok()?)?,
        rule: fields.text()?.into(),
        writer: fields.option(|fields| fields.text().map(Into::into))?,
        siblings: fields.narrow()?,
        raw_len: fields.narrow()?,
        stored_len: fields.narrow()?,
        codec: match fields.narrow::<u32>()? {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Zstd,
            _ => return None,
        },
    })
}

fn kind(fields: &mut Fields<'_>) -> Option<Kind> {
    Some(match fields.narrow::<u32>()? {
        0 => Kind::Lww,
        1 => Kind::MultiValue,
        2 => Kind::Counter,
        3 => Kind::Custom(fields.text()?.into()),
        4 => Kind::GCounter,
        5 => Kind::OrSet,
        6 => Kind::RwSet,
        7 => Kind::Max,
        8 => Kind::Min,
        9 => Kind::FlagEw,
        10 => Kind::FlagDw,
        11 => Kind::Map,
        _ => return None,
    })
}

fn stamp(fields: &mut Fields<'_>) -> Option<Stamp> {
    Some(Stamp::new(hlc(fields)?, ReplicaId(fields.number()?)))
}

fn hlc(fields: &mut Fields<'_>) -> Option<Hlc> {
    Some(Hlc { at: timestamp(fields)?, counter: fields.narrow()? })
}

fn timestamp(fields: &mut Fields<'_>) -> Option<Timestamp> {
    fields.number().filter(|ms| *ms <= Timestamp::MAX.ms()).map(Timestamp::from_ms)
}

fn checksum(key: &Key, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(fields);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn stamps() -> impl Strategy<Value = Stamp> {
        let time = (prop_oneof![0..400_u64, any::<u64>()], any::<u16>());
        let time = time.prop_map(|(ms, counter)| Hlc { at: Timestamp::from_ms(ms), counter });
        (time, any::<u64>()).prop_map(|(time, replica)| Stamp::new(time, ReplicaId(replica)))
    }

    fn heads() -> impl Strategy<Value = Head> {
        let kind = prop_oneof![
            (0..Kind::BUILT_IN.len()).prop_map(|at| Kind::BUILT_IN[at].clone()),
            "[a-z]{0,9}".prop_map(|name| Kind::Custom(name.into())),
        ];
        let origin =
            prop_oneof![Just(ExpiryOrigin::Rule), Just(ExpiryOrigin::Caller), Just(ExpiryOrigin::Unjudged)];
        let codec = prop_oneof![Just(Codec::None), Just(Codec::Gzip), Just(Codec::Zstd)];
        let class = (0..5_usize).prop_map(|at| ReclaimClass::ALL[at]);
        let numbers = (any::<u64>(), 0..70_000_u64, any::<u32>(), 0..300_u32, 0..70_000_u32);
        let ttl = prop::option::of((1..u64::from(u32::MAX)).prop_map(|ms| Ttl::from_ms(ms).unwrap()));
        let end = prop::option::of(any::<u64>().prop_map(Timestamp::from_ms));
        let texts = ("[a-z*/ü]{0,40}", prop::option::of("[a-z ]{0,20}"));
        (
            kind,
            [stamps(), stamps(), stamps()],
            any::<bool>(),
            origin,
            codec,
            class,
            numbers,
            (ttl, end),
            texts,
        )
            .prop_map(
                |(kind, stamps, alive, origin, codec, class, numbers, (rule_ttl, end), texts)| Head {
                    kind,
                    kind_epoch: stamps[0].time,
                    alive,
                    seq: numbers.0,
                    version: numbers.1,
                    stamp: stamps[1],
                    created_at: stamps[0].at(),
                    life: Life::new(stamps[2], end),
                    origin,
                    rule_ttl,
                    keep_until: stamps[2].at(),
                    class,
                    rule: texts.0.as_str().into(),
                    writer: texts.1.as_deref().map(Into::into),
                    siblings: numbers.3,
                    raw_len: numbers.2,
                    stored_len: numbers.4,
                    codec,
                },
            )
    }

    /// What the hand-written reader makes of `bytes`.
    fn by_hand(bytes: &[u8]) -> Option<Head> {
        let mut fields = Fields(bytes);
        read(&mut fields).filter(|_| fields.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn heads_are_read_as_serde_reads_them(
            head in heads(),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = codec::encode(&head).unwrap();
            prop_assert_eq!(by_hand(&bytes), Some(head));
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
            prop_assert_eq!(by_hand(&bytes), codec::decode::<Head>(&bytes).ok());
        }
    }
}
