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

    /// The name as policy files write it.
    pub const fn name(self) -> &'static str {
        match self {
            CleanupStrategy::Lazy => "lazy",
            CleanupStrategy::Scheduled => "scheduled",
            CleanupStrategy::Manual => "manual",
        }
    }
}

/// What starts the TTL anew, where the writer says nothing else.
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

impl Refresh {
    /// The name as policy files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Refresh::Never => "never",
            Refresh::OnWrite => "on_write",
            Refresh::OnRead => "on_read",
        }
    }
}

/// What a policy says for the keys of one pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The keys it is for; empty for the default, which takes every key that no rule matches.
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
    /// Whether entries are sent to other stores and taken from them.
    pub replicates: bool,
}

/// The most siblings per key where a policy does not say.
pub const DEFAULT_MAX_SIBLINGS: u32 = 32;
/// The most siblings per key that a policy file may allow.
pub const MAX_MAX_SIBLINGS: u32 = 1_000;

impl Rule {
    /// The built-in default for keys that no rule matches: permanent, last write wins, compressed from 1 KiB.
    pub fn fallback() -> Self {
        Rule {
            pattern: Pattern::of_default(),
            ttl: None,
            min_ttl: None,
            max_ttl: None,
            jitter_percent: 0,
            refresh: Refresh::OnWrite,
            cleanup: CleanupStrategy::Scheduled,
            conflict: Kind::Lww,
            compression: Compression::DEFAULT,
            max_siblings: DEFAULT_MAX_SIBLINGS,
            replicates: true,
        }
    }

    /// The name that entries carry for it: the pattern's text, which is empty for the default and for no other
    /// rule, so that entries of a rule `*` and entries that no rule matched stay apart.
    pub fn id(&self) -> &Arc<str> {
        self.pattern.text()
    }

    /// Whether it is the default, for keys that no rule matches.
    pub fn is_default(&self) -> bool {
        self.id().is_empty()
    }

    /// How to show the id of a rule to people: the pattern, or `(default)`.
    pub fn title(id: &str) -> &str {
        if id.is_empty() { "(default)" } else { id }
    }
}
