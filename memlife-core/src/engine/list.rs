use super::{Entry, ListContent, ListOptions, Memory, Show};
use crate::key::IntoKey;
use crate::policy::Pattern;
use crate::record::Record;
use crate::store::{Guard, Op, Outcome, Page, Scan, Want, Write};
use crate::{Key, Result, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most records a page reads; with bodies, the page also ends once they pass [`PAGE_BYTES`].
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;

/// Entries in key order, read page by page. Made by [`Memory::list`].
pub struct Listing {
    memory: Memory,
    options: ListOptions,
    prefix: Option<Arc<str>>,
    page: VecDeque<Result<Record>>,
    clock: Timestamp,
    next: Option<Key>,
    given: u64,
    /// Records of the next page: no more than were asked for, and twice as many each time that they were not enough,
    /// since not all of them may be shown.
    page_records: usize,
    exhausted: bool,
    failed: bool,
}

impl Memory {
    /// Entries in key order. Memory stays bounded however many there are; no snapshot spans pages, so that an
    /// entry written meanwhile may or may not be among them.
    pub fn list(&self, options: ListOptions) -> Listing {
        let prefix = options.pattern.as_ref().and_then(Pattern::literal_prefix).map(Into::into);
        let most = options.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        Listing {
            memory: self.clone(),
            next: options.after.clone(),
            page_records: most.clamp(1, PAGE),
            options,
            prefix,
            page: VecDeque::new(),
            clock: Timestamp::EPOCH,
            given: 0,
            exhausted: false,
            failed: false,
        }
    }

    /// Deletes `prefix` itself and everything below it, and returns how many entries went.
    ///
    /// # Errors
    /// The store's; what was deleted before the error stays deleted.
    pub async fn delete_within(&self, prefix: impl IntoKey) -> Result<u64> {
        let prefix = prefix.into_key()?;
        self.delete_scanned(Some(prefix.as_str().into()))
            .await
            .map_err(|error| error.during("delete").on(&prefix))
    }

    /// Deletes every entry, and returns how many went.
    ///
    /// # Errors
    /// The store's; what was deleted before the error stays deleted.
    pub async fn delete_all(&self) -> Result<u64> {
        self.delete_scanned(None).await.map_err(|error| error.during("delete"))
    }

    async fn delete_scanned(&self, within: Option<Arc<str>>) -> Result<u64> {
        let mut deleted = 0;
        let mut after = None;
        loop {
            let scan =
                Scan { within: within.clone(), after, limit: PAGE, want: Want::Head, ..Scan::default() };
            let page = self.inner.store.scan(&scan).await?;
            deleted += self.delete_page(&page).await?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(deleted),
            }
        }
    }

    async fn delete_page(&self, page: &Page) -> Result<u64> {
        let now = self.inner.now(page.clock);
        let alive = page.records.iter().flatten();
        let writes: Vec<Write> = alive
            .filter(|record| self.is_visible(&record.key, &record.head, now))
            .map(|record| self.operation(&record.key, Guard::Any, Op::Delete))
            .collect();
        if writes.is_empty() {
            return Ok(0);
        }
        let mut deleted = 0;
        for outcome in self.submit_all(writes).await? {
            deleted += u64::from(matches!(outcome?, Outcome::Applied { .. }));
        }
        Ok(deleted)
    }
}

impl Listing {
    /// The next entry; `None` at the end. A damaged entry is an error of its own, and the listing goes on after it.
    ///
    /// # Errors
    /// `Corrupt` for one entry; the store's own when a page cannot be read.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        let record = self.next_record().await?;
        record.map(|record| self.memory.to_entry(record)).transpose()
    }

    /// The same as it is stored.
    pub(super) async fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            if self.options.limit.is_some_and(|limit| self.given >= limit) {
                return Ok(None);
            }
            while let Some(record) = self.page.pop_front() {
                let record = record?;
                if self.shows(&record) {
                    self.given += 1;
                    return Ok(Some(record));
                }
            }
            if self.exhausted || self.failed {
                return Ok(None);
            }
            if let Err(error) = self.read_page().await {
                // Whoever passes over errors would ask for the same page for ever.
                self.failed = true;
                return Err(error.during("list"));
            }
        }
    }

    /// Asks once more for a page that could not be read.
    pub(super) fn retry(&mut self) {
        self.failed = false;
    }

    fn shows(&self, record: &Record) -> bool {
        let head = &record.head;
        if self.options.pattern.as_ref().is_some_and(|pattern| !pattern.matches(&record.key)) {
            return false;
        }
        match self.options.show {
            _ if !head.alive => self.options.content == ListContent::State,
            Show::Visible => self.memory.is_visible(&record.key, head, self.memory.inner.now(self.clock)),
            Show::Expired => true,
        }
    }

    async fn read_page(&mut self) -> Result<()> {
        let want = match self.options.content {
            ListContent::Heads => Want::Head,
            ListContent::Values | ListContent::State => Want::Whole,
        };
        let scan = Scan {
            within: self.prefix.clone(),
            after: self.next.clone(),
            limit: self.page_records,
            want,
            bytes: PAGE_BYTES,
            system: false,
        };
        let page = self.memory.inner.store.scan(&scan).await?;
        self.page_records = (self.page_records * 2).min(PAGE);
        self.clock = page.clock;
        self.exhausted = page.next.is_none();
        self.next = page.next;
        self.page = page.records.into();
        Ok(())
    }
}
