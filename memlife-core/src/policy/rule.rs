use super::pattern::Pattern;
use crate::Ttl;
use crate::record::{Compression, Kind, ReclaimClass};
use std::sync::Arc;

/// When the bytes of dead entries go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanupStrategy {
    /// On access, and at any sweep.
    Lazy,
    /// At sweeps.
    #[default]
    Scheduled,
    /// At forced sweeps only.
    Manual,
}

impl CleanupStrategy {
    /// The class that entries under this strategy are reclaimed in.
    pub const fn class(self) -> ReclaimClass {
        match self {
            CleanupStrategy::Lazy => ReclaimClass::Lazy,
            CleanupStrategy::Scheduled => ReclaimClass::Scheduled,
            CleanupStrategy::Manual => ReclaimClass::Manual,
        }
    }
}

/// What starts the TTL anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing: an entry lives for its TTL from its creation.
    Never,
    /// Every write.
    #[default]
    OnWrite,
    /// Every write and, at intervals of at least 1/8 of the TTL, reading.
    OnRead,
}

/// What a policy says for the keys of one pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The keys it is for.
    pub pattern: Pattern,
    /// How long an entry lives; `None` is permanent.
    pub ttl: Option<Ttl>,
    /// The shortest TTL a caller may ask for.
    pub min_ttl: Option<Ttl>,
    /// The longest TTL a caller may ask for; permanent counts as longer.
    pub max_ttl: Option<Ttl>,
    /// Lengthens each TTL by a random 0 to this many percent, so that entries do not all expire at once.
    pub jitter_percent: u8,
    /// What starts the TTL anew.
    pub refresh: Refresh,
    /// When dead bytes go.
    pub cleanup: CleanupStrategy,
    /// How concurrent writes merge.
    pub conflict: Kind,
    /// How values are compressed.
    pub compression: Compression,
    /// The most values a put leaves beside each other under `multi_value`.
    pub max_siblings: u32,
}

/// The most siblings per key where a policy does not say.
pub const DEFAULT_MAX_SIBLINGS: u32 = 32;

impl Rule {
    /// The built-in default for keys that no rule matches: permanent, last write wins, compressed from 1 KiB.
    pub fn fallback() -> Self {
        Rule {
            pattern: Pattern::everything(),
            ttl: None,
            min_ttl: None,
            max_ttl: None,
            jitter_percent: 0,
            refresh: Refresh::OnWrite,
            cleanup: CleanupStrategy::Scheduled,
            conflict: Kind::Lww,
            compression: Compression::DEFAULT,
            max_siblings: DEFAULT_MAX_SIBLINGS,
        }
    }

    /// The name that entries carry for it: the pattern's text.
    pub fn id(&self) -> &Arc<str> {
        self.pattern.text()
    }
}
