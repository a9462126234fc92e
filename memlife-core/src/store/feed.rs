use crate::record::Record;
use crate::{Error, ErrorKind, Key, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

/// Why a living entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Somebody deleted it.
    Deleted,
    /// It made room for others.
    Evicted,
    /// It was removed for good, past its tombstone.
    Purged,
}

impl Cause {
    /// Every cause, in the order of their codes.
    pub const ALL: [Cause; 4] = [Cause::Expired, Cause::Deleted, Cause::Evicted, Cause::Purged];

    /// A small number for a store; never changes its meaning.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The cause of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Cause::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Expired => "expired",
            Cause::Deleted => "deleted",
            Cause::Evicted => "evicted",
            Cause::Purged => "purged",
        })
    }
}

/// How far a consumer has read, per shard. Opaque text outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// One part per shard, in shard order; empty is the beginning.
    pub parts: Vec<CursorPart>,
}

/// How far one shard was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorPart {
    /// The incarnation of the store it was read from.
    pub incarnation: u64,
    /// The last `seq` read.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{:x}-{:x}", part.incarnation, part.seq)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = |text: &str| -> Option<CursorPart> {
            let (incarnation, seq) = text.split_once('-')?;
            // Whatever is wrong inside, the whole is told to be no cursor.
            let hex = |digits| u64::from_str_radix(digits, 16).ok();
            Some(CursorPart { incarnation: hex(incarnation)?, seq: hex(seq)? })
        };
        if text.is_empty() {
            return Ok(Cursor::default());
        }
        let parts: Option<Vec<CursorPart>> = text.split('.').map(part).collect();
        parts.map(|parts| Cursor { parts }).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("{text:?} is not a cursor: use one that memlife printed"))
        })
    }
}

/// Asks for what changed.
#[derive(Clone, Debug)]
pub struct Feed {
    /// After this; `None` is after everything up to now.
    pub after: Option<Cursor>,
    /// The most items, at least 1.
    pub limit: usize,
    /// How long to wait for the first item; zero answers at once.
    pub wait: Duration,
    /// Whether records come with their bodies.
    pub want: super::Want,
}

/// What changed, or that the consumer has to start over.
#[derive(Clone, Debug)]
pub enum Changes {
    /// Items in the order of their `seq`.
    Page(FeedPage),
    /// The cursor is older than what is kept, or from another store: scan, then follow from this cursor.
    Gap(Cursor),
}

/// Items after a cursor.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The items.
    pub items: Vec<FeedItem>,
    /// Where to go on.
    pub next: Cursor,
    /// The store's clock.
    pub clock: Timestamp,
}

/// Where the feed of a store is that counts its changes in one row, in one snapshot.
#[derive(Clone, Copy, Debug)]
pub struct FeedState {
    /// Whose numbers they are.
    pub incarnation: u64,
    /// The last change number.
    pub seq: u64,
    /// Removals up to this number may have been forgotten.
    pub floor: u64,
    /// The store's clock.
    pub clock: Timestamp,
}

impl FeedState {
    /// The number after which the query asks for changes; breaks with the answer where none have to be looked for.
    pub fn position(&self, query: &Feed) -> ControlFlow<Changes, u64> {
        match query.after.as_ref().map(|after| after.parts.as_slice()) {
            None => ControlFlow::Break(self.up_to(Vec::new(), self.seq)),
            Some([]) if self.floor == 0 => ControlFlow::Continue(0),
            Some([part])
                if part.incarnation == self.incarnation && (self.floor..=self.seq).contains(&part.seq) =>
            {
                ControlFlow::Continue(part.seq)
            }
            Some(_) => ControlFlow::Break(Changes::Gap(self.cursor(self.seq))),
        }
    }

    /// The page of `items`, in any order: of records and of removals the first `limit` each, or all.
    pub fn page(&self, mut items: Vec<(u64, FeedItem)>, limit: usize) -> Changes {
        items.sort_unstable_by_key(|(seq, _)| *seq);
        items.truncate(limit);
        let next = match items.last() {
            Some((seq, _)) if items.len() == limit => *seq,
            _ => self.seq,
        };
        self.up_to(items.into_iter().map(|(_, item)| item).collect(), next)
    }

    fn up_to(&self, items: Vec<FeedItem>, seq: u64) -> Changes {
        Changes::Page(FeedPage { items, next: self.cursor(seq), clock: self.clock })
    }

    fn cursor(&self, seq: u64) -> Cursor {
        Cursor { parts: vec![CursorPart { incarnation: self.incarnation, seq }] }
    }
}

/// One item of the feed.
#[derive(Clone, Debug)]
pub enum FeedItem {
    /// The latest state of a key: a value, a tombstone, or an entry that has expired meanwhile.
    Record(Box<Record>),
    /// The bytes of a key are gone.
    Removed(Removal),
}

/// A removal, kept for consumers that were away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The change number.
    pub seq: u64,
    /// The key.
    pub key: Key,
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
}
