use super::Memory;
use crate::store::{Cause, Change, Guard, Locator, Placement, Write};
use crate::{Key, Result};
use std::sync::{Arc, Mutex};

/// Keys whose expired bytes a read came across, waiting to be erased.
#[derive(Default)]
pub(super) struct ReclaimQueue(Mutex<Vec<Key>>);

/// What the queue holds at most; a key that finds no room is left to the next sweep.
const MAX_QUEUED: usize = 1_024;
/// How many make an erasure worth a commit of its own.
const WORTH_A_COMMIT: usize = 64;

impl ReclaimQueue {
    fn push(&self, key: &Key) -> usize {
        let Ok(mut queue) = self.0.lock() else { return 0 };
        if queue.len() < MAX_QUEUED && !queue.contains(key) {
            queue.push(key.clone());
        }
        queue.len()
    }

    pub fn take(&self) -> Vec<Key> {
        self.0.lock().map(|mut queue| std::mem::take(&mut *queue)).unwrap_or_default()
    }
}

impl Memory {
    /// Notes that the bytes of an expired entry under a lazy rule can go. Never an error to the reader.
    pub(super) async fn reclaim_later(&self, key: &Key) {
        if self.inner.store.info().read_only {
            return;
        }
        if self.inner.reclaim.push(key) >= WORTH_A_COMMIT
            && let Err(error) = Box::pin(self.flush_reclaims()).await
        {
            tracing::debug!(%error, "expired entries were left to the next sweep");
        }
    }

    /// Erases what reads came across. Each erasure is guarded: what was written or touched meanwhile stays.
    pub(super) async fn flush_reclaims(&self) -> Result<()> {
        let keys = self.inner.reclaim.take();
        if keys.is_empty() {
            return Ok(());
        }
        let erasure =
            |key: Key| Memory::erasure(self.inner.placement(&key), key, Locator::default(), Cause::Expired);
        let writes = keys.into_iter().map(erasure).collect();
        self.inner.store.apply(&self.inner.batch(writes, None)).await.map(drop)
    }

    /// A guarded erasure of an entry that is dead.
    pub(super) fn erasure(placement: Arc<Placement>, key: Key, locator: Locator, cause: Cause) -> Write {
        Write::new(key, Guard::Due(locator), Change::Erase(cause), placement)
    }
}
