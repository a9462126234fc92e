use super::{Cause, Locator};
use crate::record::{Codec, Head, ReclaimClass, Record};
use crate::{Key, Timestamp};
use std::sync::Arc;

/// How much of a record to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// The head.
    Head,
    /// Head and body.
    #[default]
    Whole,
}

/// What a `get` found.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// One slot per key asked for, in order.
    pub slots: Vec<Option<Record>>,
    /// The store's clock: what was expired at any commit stays expired though the wall steps back.
    pub clock: Timestamp,
}

/// Asks for one page of records in key order.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The key itself and all below it; `None` is every user's key.
    pub within: Option<Arc<str>>,
    /// Start behind this key.
    pub after: Option<Key>,
    /// The most records of the page, at least 1.
    pub limit: usize,
    /// How much of each.
    pub want: Want,
    /// End the page once its bodies pass this many bytes; 0 is no such end. A page has at least one record.
    pub bytes: usize,
    /// Scan memlife's own keys instead of users'.
    pub system: bool,
}

/// The first text behind every system key.
const FIRST_USER_KEY: &str = "\u{2}";

impl Scan {
    /// Whether the prefix is for the other sort of keys, and nothing is there to scan.
    pub fn is_of_other_keys(&self) -> bool {
        self.within.as_ref().is_some_and(|within| within.starts_with('\u{1}') != self.system)
    }

    /// The prefix itself, where the page begins before it. It comes apart from the keys below it: between `a/b` and
    /// `a/b/` stand keys such as `a/b-x`.
    pub fn first(&self) -> Option<Key> {
        let after = self.after.as_ref().map(Key::as_str);
        let within = self.within.as_deref().filter(|within| after.is_none_or(|after| after < *within))?;
        // A prefix need not be a key.
        Key::from_stored(within).ok()
    }

    /// A text before all other keys of the scan, and the first behind them.
    pub fn bounds(&self) -> (String, Option<String>) {
        match self.within.as_deref() {
            // `0` follows `/`.
            Some(within) => (format!("{within}/"), Some(format!("{within}0"))),
            None if self.system => (String::new(), Some(FIRST_USER_KEY.to_owned())),
            None => (FIRST_USER_KEY.to_owned(), None),
        }
    }
}

/// What still fits a page.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    /// All of a page.
    pub fn of(query: &Scan) -> Self {
        // No page is as large as that.
        let bytes = if query.bytes == 0 { usize::MAX } else { query.bytes };
        Room { records: query.limit.max(1), bytes }
    }

    /// Counts a record in.
    pub fn take(&mut self, record: &crate::Result<Record>) {
        let body = record.as_ref().ok().and_then(|record| record.body.as_ref());
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(body.map_or(0, |body| body.as_bytes().len()));
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }
}

/// One page of a scan.
#[derive(Debug)]
pub struct Page {
    /// The records in key order; a damaged one is its error.
    pub records: Vec<crate::Result<Record>>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Key>,
    /// The store's clock.
    pub clock: Timestamp,
}

/// Asks for entries whose bytes may go.
#[derive(Clone, Debug)]
pub struct Due {
    /// Of this class.
    pub class: ReclaimClass,
    /// At this instant: `reclaim_at <= until`.
    pub until: Timestamp,
    /// Start behind this one, for entries that a sweep decided to keep.
    pub after: Option<(Timestamp, Locator)>,
    /// The most entries of the page, at least 1.
    pub limit: usize,
}

/// A page of due entries.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// Oldest first; equal instants in locator order.
    pub entries: Vec<DueEntry>,
    /// The store's clock.
    pub clock: Timestamp,
}

/// An entry whose bytes may go, with what a sweep needs to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEntry {
    /// Its key.
    pub key: Key,
    /// From when.
    pub reclaim_at: Timestamp,
    /// Where the store found it.
    pub locator: Locator,
    /// Bytes as stored.
    pub stored_len: u32,
}

/// Asks for usage, group by group.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// Start behind this group.
    pub after: Option<Group>,
    /// The most groups of the page; 0 asks for the totals alone.
    pub limit: usize,
}

/// Entries of one rule in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The rule's pattern.
    pub rule: Arc<str>,
    /// The first two segments of the keys.
    pub namespace: Arc<str>,
}

impl Group {
    /// Stands between rule and namespace in a tag: less than any character of either, so that tags sort as groups.
    pub const SEPARATOR: char = '\u{1f}';

    /// The group as one text, as stores keep it.
    pub fn tag(&self) -> String {
        format!("{}{}{}", self.rule, Group::SEPARATOR, self.namespace)
    }

    /// The group with this tag.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let (rule, namespace) = tag.split_once(Group::SEPARATOR)?;
        Some(Group { rule: rule.into(), namespace: namespace.into() })
    }

    /// The tag of the group that counts an entry, if one does.
    pub fn tag_of_entry(key: &Key, head: &Head) -> Option<String> {
        let tag = || format!("{}{}{}", head.rule, Group::SEPARATOR, key.namespace());
        (head.alive && !key.is_system()).then(tag)
    }
}

/// How much of something there is. Tombstones do not count; expired entries do until they are swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries.
    pub entries: u64,
    /// Their bodies' bytes as stored.
    pub stored_bytes: u64,
    /// The same before compression.
    pub raw_bytes: u64,
    /// Entries whose body is compressed.
    pub compressed: u64,
}

impl Tally {
    /// What one entry counts for: nothing once it is a tombstone.
    pub fn of(head: &Head) -> Self {
        if !head.alive {
            return Tally::default();
        }
        Tally {
            entries: 1,
            stored_bytes: u64::from(head.stored_len),
            raw_bytes: u64::from(head.raw_len),
            compressed: u64::from(head.codec != Codec::None),
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Tally) {
        self.entries += other.entries;
        self.stored_bytes += other.stored_bytes;
        self.raw_bytes += other.raw_bytes;
        self.compressed += other.compressed;
    }

    /// Takes another tally off this one; never below zero.
    pub fn subtract(&mut self, other: Tally) {
        self.entries = self.entries.saturating_sub(other.entries);
        self.stored_bytes = self.stored_bytes.saturating_sub(other.stored_bytes);
        self.raw_bytes = self.raw_bytes.saturating_sub(other.raw_bytes);
        self.compressed = self.compressed.saturating_sub(other.compressed);
    }
}

/// A tally of the whole store, and what was ever removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What is there.
    pub tally: Tally,
    /// Live entries that went, by cause, each counted once: in the order of [`Cause::ALL`].
    pub removed: [u64; Cause::ALL.len()],
}

/// A page of usage.
#[derive(Clone, Debug, Default)]
pub struct UsagePage {
    /// Groups in order.
    pub groups: Vec<(Group, Tally)>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Group>,
    /// The whole store.
    pub totals: Totals,
    /// The store's clock.
    pub clock: Timestamp,
}
