//! From store to store: records are read from one and joined into the other.
//!
//! Joins are idempotent, so that everything here may be stopped, repeated and done in any order. How far a store has read
//! another is kept in the reading one: a restored copy of it reads anew what it has forgotten.

mod peer;
mod refused;
mod run;

use super::{Memory, Progress};
use crate::decide::{GRACE_MS, MAX_DRIFT_MS};
use crate::policy::Pattern;
use crate::{Error, ErrorKind, Result};
use run::{Mode, Run};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stores that have not met for longer than this may each have forgotten what the other still holds: what was deleted
/// is kept for the grace, by clocks that may differ.
pub const HORIZON_MS: u64 = GRACE_MS - 2 * MAX_DRIFT_MS;

/// What goes from one memory to another.
#[derive(Clone, Default)]
pub struct ReplicateOptions {
    pattern: Option<Pattern>,
    progress: Option<Progress>,
}

impl ReplicateOptions {
    /// Everything that the rules of both sides let go.
    pub fn new() -> Self {
        ReplicateOptions::default()
    }

    /// Only keys that match.
    ///
    /// # Errors
    /// `Invalid` when it is no pattern.
    pub fn pattern(self, pattern: &str) -> Result<Self> {
        Ok(ReplicateOptions { pattern: Some(Pattern::parse(pattern)?), ..self })
    }

    /// Tells after every page how many records were sent.
    #[must_use]
    pub fn progress(self, progress: Progress) -> Self {
        ReplicateOptions { progress: Some(progress), ..self }
    }
}

impl fmt::Debug for ReplicateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicateOptions").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

/// What went one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationReport {
    /// Records sent, deletions among them.
    pub sent: u64,
    /// Of these, what changed the other side.
    pub joined: u64,
    /// Of these, what the other side had already.
    pub unchanged: u64,
    /// Of these, what waits because its stamp lies too far in the future.
    pub quarantined: u64,
    /// What the other side removed while the two had not met for long: set aside and removed here, too.
    pub gone: u64,
    /// What could not be read here, or was refused by the other side. The next run tries it again.
    pub refused: u64,
    /// The first refusals, each with the key and the reason.
    pub refusals: Vec<String>,
}

impl ReplicationReport {
    /// Adds what came along when one's own entries came back.
    fn add_echo(&mut self, echo: ReplicationReport) {
        self.sent += echo.joined + echo.quarantined;
        self.joined += echo.joined;
        self.quarantined += echo.quarantined;
        self.gone += echo.gone;
        // Each run tells all refusals again.
        let new: Vec<String> =
            echo.refusals.into_iter().filter(|refusal| !self.refusals.contains(refusal)).collect();
        self.refused += new.len() as u64;
        self.refusals.extend(new);
    }
}

/// What went both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// From the other side.
    pub received: ReplicationReport,
    /// To the other side.
    pub sent: ReplicationReport,
}

impl Memory {
    /// Joins all that is here into `to`, once: neither side remembers the other.
    ///
    /// # Errors
    /// `Invalid` for a store and itself; those of both stores. What was joined before the error stays.
    pub async fn copy_to(&self, to: &Memory, options: &ReplicateOptions) -> Result<ReplicationReport> {
        check_apart(self, to)?;
        let run = Run::new(self, to, options, Mode::Copy);
        run.go().await.map_err(|error| error.during("copy"))
    }

    /// Joins what has changed here since the last time into `to`, the first time all of it.
    ///
    /// From the first time on both sides keep what is deleted or expired for [`GRACE_MS`] longer.
    ///
    /// # Errors
    /// As [`Memory::copy_to`].
    pub async fn replicate_to(&self, to: &Memory, options: &ReplicateOptions) -> Result<ReplicationReport> {
        check_apart(self, to)?;
        let run = Run::new(self, to, options, Mode::Follow);
        run.go().await.map_err(|error| error.during("replicate"))
    }

    /// [`Memory::replicate_to`] both ways, so that both sides hold the same afterwards.
    ///
    /// What is sent comes back once, which is not told: only what this side has read from the other is known to have
    /// been there, should it be missing one day.
    ///
    /// # Errors
    /// As [`Memory::copy_to`].
    pub async fn sync_with(&self, other: &Memory, options: &ReplicateOptions) -> Result<SyncReport> {
        let mut received = other.replicate_to(self, options).await?;
        let sent = self.replicate_to(other, options).await?;
        if sent.joined > 0 || received.gone > 0 {
            received.add_echo(other.replicate_to(self, options).await?);
        }
        Ok(SyncReport { received, sent })
    }
}

fn check_apart(from: &Memory, to: &Memory) -> Result<()> {
    if from.inner.store.info().replica != to.inner.store.info().replica {
        return Ok(());
    }
    let message = "both sides are one store: name another";
    Err(Error::new(ErrorKind::Invalid, message))
}
