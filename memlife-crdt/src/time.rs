use serde::{Deserialize, Serialize};
use std::fmt;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, at most 2^48 - 1 (the year 10889).
///
/// Arithmetic saturates, so no instant is ever out of range.
///
/// ```
/// use memlife_crdt::Timestamp;
///
/// let written = Timestamp::from_ms(1_000);
/// assert_eq!(written.plus_ms(500).since(written), 500);
/// assert_eq!(Timestamp::MAX.plus_ms(1), Timestamp::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The last instant that can be told.
    pub const MAX: Timestamp = Timestamp((1 << 48) - 1);

    /// The instant `ms` milliseconds after 1970, saturating at [`Timestamp::MAX`].
    pub const fn from_ms(ms: u64) -> Self {
        if ms > Self::MAX.0 { Self::MAX } else { Timestamp(ms) }
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// This instant moved `ms` milliseconds on, saturating.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// This instant moved `ms` milliseconds back, saturating.
    pub const fn minus_ms(self, ms: u64) -> Self {
        Timestamp(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to this instant; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if ms > Self::MAX.0 {
            return Err(serde::de::Error::custom("a timestamp is at most 2^48 - 1 ms"));
        }
        Ok(Timestamp(ms))
    }
}
