use crate::usage::Delta;
use memlife_core::Key;
use memlife_core::record::ReclaimClass;
use memlife_core::store::{DueEntry, Locator};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The page of due entries that was read last.
///
/// A sweep reads a page and erases it. While the store's change number is the one the page was read at, nothing
/// was committed in between, and the page is what a transaction would read again.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Option<RecentPage>>);

#[derive(Debug)]
pub(crate) struct RecentPage {
    pub(crate) seq: u64,
    pub(crate) class: ReclaimClass,
    pub(crate) entries: Vec<RecentEntry>,
}

/// What erasing an entry needs to know of it.
#[derive(Debug)]
pub(crate) struct RecentEntry {
    pub(crate) key: Key,
    pub(crate) locator: Locator,
    pub(crate) reclaim_at: i64,
    pub(crate) group: i64,
    pub(crate) delta: Delta,
}

impl Recent {
    pub(crate) fn remember(&self, page: RecentPage) {
        *self.lock() = Some(page);
    }

    /// The page, if it was read at change `seq`. It is forgotten either way.
    pub(crate) fn take(&self, seq: u64) -> Option<RecentPage> {
        self.lock().take().filter(|page| page.seq == seq)
    }

    fn lock(&self) -> MutexGuard<'_, Option<RecentPage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentPage {
    /// The entries that stand in the page just as they do in `run`, without a gap.
    pub(crate) fn part<'p, 'r>(
        &'p self,
        run: impl ExactSizeIterator<Item = (&'r Key, Locator)>,
    ) -> Option<&'p [RecentEntry]> {
        let mut run = run.peekable();
        let first = run.peek()?.1;
        let start = self.entries.iter().position(|entry| entry.locator == first)?;
        let part = self.entries.get(start..start.checked_add(run.len())?)?;
        let is_same =
            part.iter().zip(run).all(|(entry, (key, locator))| entry.locator == locator && entry.key == *key);
        is_same.then_some(part)
    }
}

impl RecentEntry {
    pub(crate) fn new(entry: &DueEntry, reclaim_at: i64, group: i64, delta: Delta) -> Self {
        RecentEntry { key: entry.key.clone(), locator: entry.locator, reclaim_at, group, delta }
    }
}
