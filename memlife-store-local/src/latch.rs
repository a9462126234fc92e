use crate::error::poisoned;
use memlife_core::Result;
use std::sync::OnceLock;

/// Why this handle refuses to write until the store is opened anew; empty while all is well.
///
/// After a failed write or sync nobody knows what the disk holds, and trying again can report success for data
/// that is gone (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
#[derive(Debug, Default)]
pub struct Latch(OnceLock<String>);

impl Latch {
    /// Whether the handle may write.
    ///
    /// # Errors
    /// `Poisoned`, with the reason.
    pub fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |reason| Err(poisoned(reason)))
    }

    /// Ends all writing.
    pub fn set(&self, reason: String) {
        tracing::error!(reason, "the store refuses further writes until it is opened anew");
        // Of several reasons the first is the cause.
        let _ = self.0.set(reason);
    }
}
