//! Following what happens, from a snapshot or a cursor on.

use super::{Entry, Event, Events, ListContent, ListOptions, Listing, Memory};
use crate::policy::Pattern;
use crate::store::{Cause, Cursor};
use crate::{Key, Result};
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

    /// Tells first what is there, and again after a gap.
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

/// A watch in progress. Made by [`Memory::watch`].
pub struct Watch {
    memory: Memory,
    options: WatchOptions,
    /// From where a consumer that has had everything so far would go on; none before the first look.
    cursor: Option<Cursor>,
    snapshot: Option<Listing>,
    pending: VecDeque<Watched>,
    /// The cursor after what is pending.
    next: Option<Cursor>,
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
        }
    }
}

impl Watch {
    /// From where a later watch goes on after all that was told; `None` before the first call of [`Watch::next`].
    ///
    /// Amid a page of changes it stands before the page, so that nothing is missed; some may be told again.
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
        if self.cursor.is_none() {
            self.begin().await?;
        }
        if let Some(listing) = &mut self.snapshot {
            if let Some(entry) = listing.next().await.map_err(|error| error.during("watch"))? {
                return Ok(Some(Watched::Put(Box::new(entry))));
            }
            self.snapshot = None;
            return Ok(Some(Watched::SnapshotEnd));
        }
        if self.pending.is_empty() {
            self.read(wait).await?;
        }
        let told = self.pending.pop_front();
        if self.pending.is_empty()
            && let Some(next) = self.next.take()
        {
            self.cursor = Some(next);
        }
        Ok(told)
    }

    /// Learns where now is, before the snapshot is read: what changes meanwhile is told after it.
    async fn begin(&mut self) -> Result<()> {
        let (Events::Page(_, now) | Events::Gap(now)) = self.memory.changes(None, 1, Duration::ZERO).await?;
        self.cursor = Some(now);
        self.list();
        Ok(())
    }

    fn list(&mut self) {
        if self.options.snapshot {
            let mut options = ListOptions::new().content(ListContent::Values);
            options.pattern = self.options.pattern.clone();
            self.snapshot = Some(self.memory.list(options));
        }
    }

    async fn read(&mut self, wait: Duration) -> Result<()> {
        match self.memory.changes(self.cursor.clone(), PAGE, wait).await? {
            Events::Gap(now) => {
                self.cursor = Some(now);
                self.pending.push_back(Watched::Gap);
                self.list();
            }
            Events::Page(events, next) => {
                let wanted = |event: &Event| {
                    self.options.pattern.as_ref().is_none_or(|pattern| pattern.matches(event.key()))
                };
                self.pending = events.into_iter().filter(wanted).map(Watched::from).collect();
                if self.pending.is_empty() {
                    self.cursor = Some(next);
                } else {
                    self.next = Some(next);
                }
            }
        }
        Ok(())
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
