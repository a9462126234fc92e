use crate::policy::Pattern;
use crate::store::{Durability, Expiry, Guard};
use crate::{Key, Result, Timestamp, Ttl};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How to put.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    pub(super) expiry: Option<Expiry>,
    pub(super) guard: Guard,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) writer: Option<Arc<str>>,
    pub(super) durability: Option<Durability>,
}

impl PutOptions {
    /// What the rule of the key says, whatever is there.
    pub fn new() -> Self {
        PutOptions::default()
    }

    /// Expires this long after the write.
    #[must_use]
    pub fn ttl(self, ttl: Ttl) -> Self {
        PutOptions { expiry: Some(Expiry::After(ttl)), ..self }
    }

    /// Expires at this instant. One that is past is accepted: the entry is expired at once.
    #[must_use]
    pub fn expires_at(self, at: Timestamp) -> Self {
        PutOptions { expiry: Some(Expiry::At(at)), ..self }
    }

    /// Never expires.
    #[must_use]
    pub fn permanent(self) -> Self {
        PutOptions { expiry: Some(Expiry::Never), ..self }
    }

    /// Keeps the expiry of the entry there; a new entry gets what the rule says.
    #[must_use]
    pub fn keep_ttl(self) -> Self {
        PutOptions { expiry: Some(Expiry::Keep), ..self }
    }

    /// Happens only if the guard holds. Naming a version replaces all that version held, whatever the kind.
    #[must_use]
    pub fn guard(self, guard: Guard) -> Self {
        PutOptions { guard, ..self }
    }

    /// Writes as of this instant: under `lww` anything newer stays.
    #[must_use]
    pub fn timestamp(self, at: Timestamp) -> Self {
        PutOptions { timestamp: Some(at), ..self }
    }

    /// Names the writer of this write.
    #[must_use]
    pub fn writer(self, writer: impl Into<Arc<str>>) -> Self {
        PutOptions { writer: Some(writer.into()), ..self }
    }

    /// Asks for more than the store's own durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        PutOptions { durability: Some(durability), ..self }
    }
}

/// Whether a read may renew what it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renewal {
    /// As the rule says.
    #[default]
    ByRule,
    /// Never.
    Off,
}

/// Which entries a read shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Those that live.
    #[default]
    Visible,
    /// Expired ones whose bytes are still there, too. The one exception from "expired is never returned".
    Expired,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    pub(super) renewal: Renewal,
    pub(super) show: Show,
}

impl ReadOptions {
    /// Visible entries, renewed as their rules say.
    pub fn new() -> Self {
        ReadOptions::default()
    }

    /// Whether reading renews.
    #[must_use]
    pub fn renewal(self, renewal: Renewal) -> Self {
        ReadOptions { renewal, ..self }
    }

    /// Whether expired entries are shown. Showing them renews nothing.
    #[must_use]
    pub fn show(self, show: Show) -> Self {
        ReadOptions { show, ..self }
    }
}

/// How to list and export.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub(super) pattern: Option<Pattern>,
    pub(super) after: Option<Key>,
    pub(super) limit: Option<u64>,
    pub(super) show: Show,
    pub(super) content: ListContent,
}

/// How much of each entry a list reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListContent {
    /// Metadata only.
    #[default]
    Heads,
    /// Metadata and values.
    Values,
    /// Everything that a merge needs: deleted entries, too. For exports; a list of entries shows those as any other.
    State,
}

impl ListOptions {
    /// Every visible entry, without values.
    pub fn new() -> Self {
        ListOptions::default()
    }

    /// Only keys that match: a prefix of whole segments, or a pattern with wildcards as in policy files.
    ///
    /// # Errors
    /// `Invalid` when it is no pattern.
    pub fn pattern(self, pattern: &str) -> Result<Self> {
        Ok(ListOptions { pattern: Some(Pattern::parse(pattern)?), ..self })
    }

    /// Only keys behind this one.
    #[must_use]
    pub fn after(self, key: Key) -> Self {
        ListOptions { after: Some(key), ..self }
    }

    /// At most this many.
    #[must_use]
    pub fn limit(self, limit: u64) -> Self {
        ListOptions { limit: Some(limit), ..self }
    }

    /// Whether expired entries are listed.
    #[must_use]
    pub fn show(self, show: Show) -> Self {
        ListOptions { show, ..self }
    }

    /// How much to read of each.
    #[must_use]
    pub fn content(self, content: ListContent) -> Self {
        ListOptions { content, ..self }
    }
}

/// What a sweep may remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// What lazy and scheduled rules let go.
    #[default]
    Due,
    /// What manual rules hold, too; and it does not pause after a clock jump.
    Forced,
}

/// Whether a sweep removes or only plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Removes.
    #[default]
    Remove,
    /// Counts what it would remove.
    DryRun,
}

/// Told how far a long operation is: done so far, and the total where it is known.
pub type Progress = Arc<dyn Fn(u64, Option<u64>) + Send + Sync>;

/// How to sweep.
#[derive(Clone, Default)]
pub struct SweepOptions {
    pub(super) reach: Reach,
    pub(super) effort: Effort,
    pub(super) scope: Option<Pattern>,
    pub(super) limit: Option<u64>,
    pub(super) budget: Option<Duration>,
    pub(super) progress: Option<Progress>,
}

impl SweepOptions {
    /// Everything that is due, without limits.
    pub fn new() -> Self {
        SweepOptions::default()
    }

    /// What may be removed.
    #[must_use]
    pub fn reach(self, reach: Reach) -> Self {
        SweepOptions { reach, ..self }
    }

    /// Whether to remove or only to plan.
    #[must_use]
    pub fn effort(self, effort: Effort) -> Self {
        SweepOptions { effort, ..self }
    }

    /// Only keys that match.
    ///
    /// # Errors
    /// `Invalid` when it is no pattern.
    pub fn scope(self, pattern: &str) -> Result<Self> {
        Ok(SweepOptions { scope: Some(Pattern::parse(pattern)?), ..self })
    }

    /// Removes at most this many entries; the rest waits for the next sweep.
    #[must_use]
    pub fn limit(self, limit: u64) -> Self {
        SweepOptions { limit: Some(limit), ..self }
    }

    /// Stops after about this long; the rest waits for the next sweep.
    #[must_use]
    pub fn budget(self, budget: Duration) -> Self {
        SweepOptions { budget: Some(budget), ..self }
    }

    /// Tells how far it is after every page.
    #[must_use]
    pub fn progress(self, progress: Progress) -> Self {
        SweepOptions { progress: Some(progress), ..self }
    }
}

impl fmt::Debug for SweepOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepOptions")
            .field("reach", &self.reach)
            .field("effort", &self.effort)
            .field("limit", &self.limit)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
