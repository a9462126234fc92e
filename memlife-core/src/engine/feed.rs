use super::memory::Inner;
use super::{Entry, Memory};
use crate::record::Record;
use crate::store::{Cause, Changes, Cursor, Feed, FeedItem, Want};
use crate::{Key, Result, Timestamp};
use std::time::Duration;

/// One thing that happened to a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The key holds this now.
    Put(Box<Entry>),
    /// Nothing is visible at the key any more.
    Removed {
        /// The key.
        key: Key,
        /// Why.
        cause: Cause,
    },
}

impl Event {
    /// The key concerned.
    pub fn key(&self) -> &Key {
        match self {
            Event::Put(entry) => &entry.key,
            Event::Removed { key, .. } => key,
        }
    }
}

/// What happened after a cursor.
#[derive(Clone, Debug, PartialEq)]
pub enum Events {
    /// These, in order; go on from the cursor.
    Page(Vec<Event>, Cursor),
    /// More than is kept: list everything, then go on from the cursor.
    Gap(Cursor),
}

impl Inner {
    /// Where the feed of the store stands now.
    pub(super) async fn head(&self) -> Result<Cursor> {
        let feed = Feed { after: None, limit: 1, wait: Duration::ZERO, want: Want::Head };
        match self.store.changes(&feed).await? {
            Changes::Page(page) => Ok(page.next),
            Changes::Gap(cursor) => Ok(cursor),
        }
    }
}

impl Memory {
    /// What happened after `cursor`, at most `limit` items; waits up to `wait` for the first.
    ///
    /// Tells the latest state of each key, not every step on the way. `None` starts from now and answers with the
    /// cursor to go on from. An entry that is damaged is left out, with a warning.
    ///
    /// # Errors
    /// The store's.
    pub async fn changes(&self, cursor: Option<Cursor>, limit: usize, wait: Duration) -> Result<Events> {
        self.read_changes(cursor, limit, wait).await.map_err(|error| error.during("changes"))
    }

    async fn read_changes(&self, cursor: Option<Cursor>, limit: usize, wait: Duration) -> Result<Events> {
        let after = match cursor {
            Some(cursor) => cursor,
            // Stores answer at once where now is, whether they were asked to wait or not.
            None => match self.inner.head().await? {
                now if wait.is_zero() => return Ok(Events::Page(Vec::new(), now)),
                now => now,
            },
        };
        let feed = Feed { after: Some(after), limit: limit.max(1), wait, want: Want::Whole };
        match self.inner.store.changes(&feed).await? {
            Changes::Gap(cursor) => Ok(Events::Gap(cursor)),
            Changes::Page(page) => {
                let now = self.inner.now(page.clock);
                let events = page.items.into_iter().filter_map(|item| self.event(item, now)).collect();
                Ok(Events::Page(events, page.next))
            }
        }
    }

    /// What an item tells; `None` for an entry that cannot be read, which holds up no other.
    fn event(&self, item: FeedItem, now: Timestamp) -> Option<Event> {
        match item {
            FeedItem::Removed(removal) => Some(Event::Removed { key: removal.key, cause: removal.cause }),
            FeedItem::Record(record) => {
                let key = record.key.clone();
                let event = self.record_event(*record, now);
                event.inspect_err(|error| tracing::warn!(%error, %key, "a change cannot be told")).ok()
            }
        }
    }

    fn record_event(&self, record: Record, now: Timestamp) -> Result<Event> {
        if !record.head.alive {
            return Ok(Event::Removed { key: record.key, cause: Cause::Deleted });
        }
        if !self.is_visible(&record.key, &record.head, now) {
            return Ok(Event::Removed { key: record.key, cause: Cause::Expired });
        }
        self.to_entry(record).map(|entry| Event::Put(Box::new(entry)))
    }
}
