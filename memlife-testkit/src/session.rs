use crate::Subject;
use memlife_core::record::{ReclaimClass, Record};
use memlife_core::resolver::native;
use memlife_core::store::{
    Batch, Cause, Changes, Cursor, Due, DueEntry, Feed, FeedItem, FeedPage, Group, Outcome, Page, Scan,
    Tally, Totals, UsageQuery, Want, Write,
};
use memlife_core::{ErrorKind, Key, Result, Stamp, Store, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the wall clock of a session begins: some time in 2027.
pub const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);
/// Small, so that every listing of a test goes over several pages.
const PAGE: usize = 7;
/// No test lists more pages than this; a store that never ends its pages fails instead of hanging.
const MAX_PAGES: usize = 10_000;

/// A store in the hands of a test, with a wall clock that moves when told.
///
/// Its methods panic where the store answers something else than their names say.
pub struct Session {
    store: Arc<dyn Store>,
    wall_ms: AtomicU64,
}

/// What a write that was applied answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version of the content.
    pub version: u64,
    /// The stamp of the content.
    pub stamp: Stamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The siblings that the cap dropped.
    pub dropped: u32,
    /// The record, where it was asked for.
    pub record: Option<Box<Record>>,
}

impl Session {
    /// Opens the subject's store, at [`START`].
    pub async fn open(subject: &dyn Subject) -> Self {
        Session::on(subject.open().await)
    }

    /// A session on this handle, at [`START`].
    pub fn on(store: Arc<dyn Store>) -> Self {
        Session { store, wall_ms: AtomicU64::new(START.ms()) }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.wall_ms.load(Ordering::SeqCst))
    }

    /// Lets so many milliseconds pass.
    pub fn pass(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Steps the wall clock back.
    pub fn step_back(&self, ms: u64) {
        self.wall_ms.fetch_sub(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock.
    pub fn step_to(&self, now: Timestamp) {
        self.wall_ms.store(now.ms(), Ordering::SeqCst);
    }

    /// Submits the writes as one batch.
    pub async fn batch(&self, writes: Vec<Write>) -> Vec<Result<Outcome>> {
        let sent = writes.len();
        let outcomes = self.try_batch(writes).await.unwrap();
        assert_eq!(outcomes.len(), sent, "one outcome per write");
        outcomes
    }

    /// Submits the writes as one batch, which may fail as a whole.
    pub async fn try_batch(&self, writes: Vec<Write>) -> Result<Vec<Result<Outcome>>> {
        let durability = self.store.info().durability;
        self.store.apply(&Batch { now: self.now(), durability, token: None, writes }).await
    }

    /// Submits one write, which may fail.
    pub async fn try_write(&self, write: impl Into<Write>) -> Result<Outcome> {
        self.batch(vec![write.into()]).await.remove(0)
    }

    /// Submits one write that is applied.
    pub async fn apply(&self, write: impl Into<Write>) -> Applied {
        applied(self.try_write(write).await.unwrap())
    }

    /// Submits one write that is refused; what it shows.
    pub async fn refused(&self, write: impl Into<Write>) -> Option<Box<Record>> {
        match self.try_write(write).await.unwrap() {
            Outcome::Refused { current } => current,
            other => panic!("a refusal was expected, not {other:?}"),
        }
    }

    /// Submits one write that has nothing to do; what it shows.
    pub async fn unchanged(&self, write: impl Into<Write>) -> Option<Box<Record>> {
        match self.try_write(write).await.unwrap() {
            Outcome::Unchanged { current } => current,
            other => panic!("nothing should have changed, not {other:?}"),
        }
    }

    /// Submits one write that the store leaves to the engine; what it shows.
    pub async fn not_native(&self, write: impl Into<Write>) -> Option<Box<Record>> {
        match self.try_write(write).await.unwrap() {
            Outcome::NotNative { current } => current,
            other => panic!("the store should not have decided this: {other:?}"),
        }
    }

    /// Submits one write that fails; how.
    pub async fn fails(&self, write: impl Into<Write>) -> ErrorKind {
        self.try_write(write).await.unwrap_err().kind()
    }

    /// The record as stored.
    pub async fn record(&self, key: &str) -> Option<Record> {
        self.fetch(&Key::new(key).unwrap(), Want::Whole).await
    }

    /// The record of any key as stored.
    pub async fn fetch(&self, key: &Key, want: Want) -> Option<Record> {
        let fetched = self.store.get(std::slice::from_ref(key), want).await.unwrap();
        assert_eq!(fetched.slots.len(), 1, "one slot per key");
        fetched.slots.into_iter().next().unwrap()
    }

    /// The store's clock.
    pub async fn clock(&self) -> Timestamp {
        self.store.get(&[], Want::Head).await.unwrap().clock
    }

    /// The values that a user sees, newest first; empty where nothing is visible.
    pub async fn values(&self, key: &str) -> Vec<String> {
        let fetched = self.store.get(&[Key::new(key).unwrap()], Want::Whole).await.unwrap();
        let now = self.now().max(fetched.clock);
        match fetched.slots.into_iter().next().unwrap() {
            Some(record) if record.head.is_visible(now) => held(&record),
            _ => Vec::new(),
        }
    }

    /// The newest value that a user sees.
    pub async fn value(&self, key: &str) -> Option<String> {
        self.values(key).await.into_iter().next()
    }

    /// Everything a scan gives, page by page.
    pub async fn scan(&self, query: Scan) -> Vec<Record> {
        let mut records = Vec::new();
        let mut query = Scan { limit: if query.limit == 0 { PAGE } else { query.limit }, ..query };
        for _ in 0..MAX_PAGES {
            let Page { records: page, next, .. } = self.store.scan(&query).await.unwrap();
            assert!(page.len() <= query.limit, "a page of {} where {} is the limit", page.len(), query.limit);
            records.extend(page.into_iter().map(|record| record.unwrap()));
            match next {
                Some(next) => query.after = Some(next),
                None => return records,
            }
        }
        panic!("a scan does not end");
    }

    /// The users' keys that are stored at or below a prefix, in the order of the scan.
    pub async fn keys(&self, within: &str) -> Vec<String> {
        let within = (!within.is_empty()).then(|| within.into());
        let records = self.scan(Scan { within, want: Want::Head, ..Scan::default() }).await;
        records.into_iter().map(|record| record.key.to_string()).collect()
    }

    /// Everything that is due in a class at an instant, page by page.
    pub async fn due(&self, class: ReclaimClass, until: Timestamp) -> Vec<DueEntry> {
        let mut entries: Vec<DueEntry> = Vec::new();
        for _ in 0..MAX_PAGES {
            let after = entries.last().map(|entry| (entry.reclaim_at, entry.locator));
            let page = self.store.due(&Due { class, until, after, limit: PAGE }).await.unwrap().entries;
            assert!(page.len() <= PAGE, "a page of {} where {PAGE} is the limit", page.len());
            let is_last = page.is_empty();
            entries.extend(page);
            if is_last {
                return entries;
            }
        }
        panic!("a list of due entries does not end");
    }

    /// The keys that are due.
    pub async fn due_keys(&self, class: ReclaimClass, until: Timestamp) -> Vec<String> {
        self.due(class, until).await.into_iter().map(|entry| entry.key.to_string()).collect()
    }

    /// The cursor after everything up to now.
    pub async fn head_cursor(&self) -> Cursor {
        let page = self.feed_page(None, 1).await;
        assert!(page.items.is_empty(), "a feed from now on begins empty");
        page.next
    }

    /// One page of the feed, which must not be a gap.
    pub async fn feed_page(&self, after: Option<Cursor>, limit: usize) -> FeedPage {
        let feed = Feed { after, limit, wait: Duration::ZERO, want: Want::Whole };
        match self.store.changes(&feed).await.unwrap() {
            Changes::Page(page) => {
                assert!(
                    page.items.len() <= limit,
                    "a page of {} where {limit} is the limit",
                    page.items.len()
                );
                page
            }
            Changes::Gap(cursor) => panic!("a gap up to {cursor} where nothing was forgotten"),
        }
    }

    /// Everything after a cursor, page by page.
    pub async fn feed(&self, after: &Cursor) -> Vec<FeedItem> {
        let mut items = Vec::new();
        let mut after = after.clone();
        for _ in 0..MAX_PAGES {
            let page = self.feed_page(Some(after), PAGE).await;
            if page.items.is_empty() {
                return items;
            }
            items.extend(page.items);
            after = page.next;
        }
        panic!("a feed without writers does not end");
    }

    /// The feed after a cursor in words: `key=value`, `key deleted`, or `key removed: cause`.
    pub async fn news(&self, after: &Cursor) -> Vec<String> {
        self.feed(after).await.iter().map(told).collect()
    }

    /// Every group of usage, page by page, and the totals.
    pub async fn usage(&self) -> (Vec<(Group, Tally)>, Totals) {
        let mut groups = Vec::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let page = self.store.usage(&UsageQuery { after, limit: PAGE }).await.unwrap();
            assert!(page.groups.len() <= PAGE, "a page of {} where {PAGE} is the limit", page.groups.len());
            groups.extend(page.groups);
            match page.next {
                Some(next) => after = Some(next),
                None => return (groups, page.totals),
            }
        }
        panic!("usage does not end");
    }

    /// The totals.
    pub async fn totals(&self) -> Totals {
        self.store.usage(&UsageQuery { after: None, limit: 0 }).await.unwrap().totals
    }

    /// How many living entries went by this cause.
    pub async fn removed(&self, cause: Cause) -> u64 {
        self.totals().await.removed[usize::from(cause.code())]
    }
}

/// What an outcome says that must be `Applied`.
pub(crate) fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Outcome::Applied { version, stamp, expires_at, dropped, record } => {
            Applied { version, stamp, expires_at, dropped, record }
        }
        other => panic!("the write should have been applied, not {other:?}"),
    }
}

/// The values that a living record holds, newest first; bytes that are no text come as hexadecimal digits.
pub(crate) fn held(record: &Record) -> Vec<String> {
    let resolver = native(&record.head.kind).unwrap();
    let held = resolver.read(&record.head, record.body().unwrap(), 1 << 30).unwrap();
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    held.iter().map(|one| text(&one.value.bytes)).collect()
}

fn told(item: &FeedItem) -> String {
    match item {
        FeedItem::Record(record) if record.head.alive => format!("{}={}", record.key, held(record).join("|")),
        FeedItem::Record(record) => format!("{} deleted", record.key),
        FeedItem::Removed(removal) => format!("{} removed: {}", removal.key, removal.cause),
    }
}
