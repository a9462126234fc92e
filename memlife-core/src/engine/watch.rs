//! Following what happens, from a snapshot or a cursor on.

use super::{Entry, Event, Events, ListContent, ListOptions, Listing, Memory};
use crate::policy::Pattern;
use crate::store::{Cause, Cursor};
use crate::{KEEP_MS, Key, Result, Timestamp};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Changes that are asked for at once.
const PAGE: usize = 200;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    pattern: Option<Pattern>,
    since: Option<Cursor>,
    snapshot: bool,
}

impl WatchOptions {
    /// Every key, from now on.
    pub fn new() -> Self {
        WatchOptions::default()
    }

    /// Only keys that match.
    ///
    /// # Errors
    /// `Invalid` when it is no pattern.
    pub fn pattern(self, pattern: &str) -> Result<Self> {
        Ok(WatchOptions { pattern: Some(Pattern::parse(pattern)?), ..self })
    }

    /// Goes on after what an earlier watch has told.
    #[must_use]
    pub fn since(self, cursor: Cursor) -> Self {
        WatchOptions { since: Some(cursor), ..self }
    }

    /// Tells first what is there, unless the watch goes on from a cursor; and again after a gap.
    #[must_use]
    pub fn snapshot(self) -> Self {
        WatchOptions { snapshot: true, ..self }
    }
}

/// One thing that a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// The key holds this now.
    Put(Box<Entry>),
    /// Nothing is visible at the key any more.
    Removed {
        /// The key.
        key: Key,
        /// Why.
        cause: Cause,
    },
    /// What was there has been told; what follows is new.
    SnapshotEnd,
    /// Some of what happened is not known any more: whoever keeps a copy makes a new one.
    Gap,
}

/// What a look at the feed found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// As much as a page takes: there may be more.
    Full,
    /// All that happened.
    Moved,
    /// Nothing, for as long as it waited.
    Idle,
}

/// A watch in progress. Made by [`Memory::watch`].
pub struct Watch {
    memory: Memory,
    options: WatchOptions,
    /// From where a consumer that has had everything so far would go on; none before the first look.
    cursor: Option<Cursor>,
    snapshot: Option<Listing>,
    pending: VecDeque<Watched>,
    /// The cursor after what is pending and the snapshot.
    next: Option<Cursor>,
    /// When everything up to then was read.
    caught_up_at: Option<Timestamp>,
}

impl Memory {
    /// Starts to follow what happens. It begins with the first call of [`Watch::next`].
    pub fn watch(&self, options: WatchOptions) -> Watch {
        Watch {
            memory: self.clone(),
            cursor: options.since.clone(),
            options,
            snapshot: None,
            pending: VecDeque::new(),
            next: None,
            caught_up_at: None,
        }
    }
}

impl Watch {
    /// From where a later watch goes on after all that was told; `None` before the first call of [`Watch::next`], and
    /// until the end of the first snapshot: whoever stops before begins anew.
    ///
    /// Amid a page of changes, or a snapshot after a gap, it stands before that, so that nothing is missed; some may be
    /// told again.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The next thing that happens; `None` when nothing does for `wait`.
    ///
    /// Tells the latest state of each key, not every step on the way.
    ///
    /// # Errors
    /// The store's; the watch can be asked again.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Watched>> {
        let clock = self.memory.clock().clone();
        let deadline = clock.monotonic().saturating_add(wait);
        loop {
            if let Some(told) = self.pending.pop_front() {
                self.advance();
                return Ok(Some(told));
            }
            if let Some(listing) = &mut self.snapshot {
                return match listing.next().await {
                    Ok(Some(entry)) => Ok(Some(Watched::Put(Box::new(entry)))),
                    Ok(None) => {
                        self.snapshot = None;
                        self.advance();
                        Ok(Some(Watched::SnapshotEnd))
                    }
                    Err(error) => {
                        // The end is told only when everything before it was read.
                        listing.retry();
                        Err(error.during("watch"))
                    }
                };
            }
            let Some(cursor) = self.cursor.clone() else {
                self.begin().await?;
                continue;
            };
            let left = deadline.saturating_sub(clock.monotonic());
            let is_over = match self.read(cursor, left).await? {
                Look::Full => false,
                Look::Moved => clock.monotonic() >= deadline,
                Look::Idle => true,
            };
            if is_over && self.pending.is_empty() && self.snapshot.is_none() {
                return Ok(None);
            }
        }
    }

    /// Learns where now is, before the snapshot is read: what changes meanwhile is told after it.
    async fn begin(&mut self) -> Result<()> {
        let at = self.memory.clock().now();
        let (Events::Page(_, now) | Events::Gap(now)) = self.memory.changes(None, 1, Duration::ZERO).await?;
        self.start_from(now, at);
        Ok(())
    }

    /// Goes on from `now`, once the snapshot has been told where one is wanted.
    fn start_from(&mut self, now: Cursor, at: Timestamp) {
        (self.next, self.caught_up_at) = (Some(now), Some(at));
        if self.options.snapshot {
            let mut options = ListOptions::new().content(ListContent::Values);
            options.pattern = self.options.pattern.clone();
            self.snapshot = Some(self.memory.list(options));
        }
        self.advance();
    }

    /// Moves the cursor on, once all before it was told.
    fn advance(&mut self) {
        if self.pending.is_empty()
            && self.snapshot.is_none()
            && let Some(next) = self.next.take()
        {
            self.cursor = Some(next);
        }
    }

    /// Reads a page of changes, of which only some may be wanted.
    async fn read(&mut self, cursor: Cursor, wait: Duration) -> Result<Look> {
        let begin = self.memory.clock().now();
        match self.memory.changes(Some(cursor.clone()), PAGE, wait).await? {
            Events::Gap(now) => {
                self.pending.push_back(Watched::Gap);
                self.start_from(now, begin);
                Ok(Look::Moved)
            }
            Events::Page(events, next) => {
                let look = if events.len() >= PAGE {
                    Look::Full
                } else if next != cursor {
                    Look::Moved
                } else {
                    Look::Idle
                };
                self.pending =
                    events.into_iter().filter(|event| self.wants(event)).map(Watched::from).collect();
                self.next = Some(next);
                self.advance();
                if look != Look::Full {
                    self.caught_up_at = Some(begin);
                }
                Ok(look)
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        if matches!(event, Event::Removed { cause: Cause::Purged, .. }) {
            // The deletion was told, unless this watch was away for as long as tombstones are kept.
            let now = self.memory.clock().now();
            if self.caught_up_at.is_some_and(|at| now.since(at) <= KEEP_MS) {
                return false;
            }
        }
        self.options.pattern.as_ref().is_none_or(|pattern| pattern.matches(event.key()))
    }
}

impl From<Event> for Watched {
    fn from(event: Event) -> Self {
        match event {
            Event::Put(entry) => Watched::Put(entry),
            Event::Removed { key, cause } => Watched::Removed { key, cause },
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("options", &self.options).field("cursor", &self.cursor).finish()
    }
}
