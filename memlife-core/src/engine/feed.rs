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

impl Memory {
    /// What happened after `cursor`, at most `limit` items; waits up to `wait` for the first.
    ///
    /// Tells the latest state of each key, not every step on the way. `None` starts from now and answers with the
    /// cursor to go on from.
    ///
    /// # Errors
    /// The store's.
    pub async fn changes(&self, cursor: Option<Cursor>, limit: usize, wait: Duration) -> Result<Events> {
        let feed = Feed { after: cursor, limit: limit.max(1), wait, want: Want::Whole };
        match self.inner.store.changes(&feed).await.map_err(|error| error.during("changes"))? {
            Changes::Gap(cursor) => Ok(Events::Gap(cursor)),
            Changes::Page(page) => {
                let now = self.inner.now(page.clock);
                let events: Result<Vec<Event>> =
                    page.items.into_iter().map(|item| self.event(item, now)).collect();
                Ok(Events::Page(events?, page.next))
            }
        }
    }

    fn event(&self, item: FeedItem, now: Timestamp) -> Result<Event> {
        match item {
            FeedItem::Removed(removal) => Ok(Event::Removed { key: removal.key, cause: removal.cause }),
            FeedItem::Record(record) => self.record_event(*record, now),
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
