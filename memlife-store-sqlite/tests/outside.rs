//! An index whose records live elsewhere: what is there is the truth, and rows follow it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::record::{Kind, ReclaimClass, Record};
use memlife_core::store::{
    Batch, Cause, Durability, Feed, FeedItem, Guard, Outcome, Repair, Scan, UsageQuery, Want, Write,
};
use memlife_core::store::{Changes, Cursor, Due};
use memlife_core::{Error, ErrorKind, Key, Result, Timestamp};
use memlife_store_sqlite::{Bodies, Home, Index, SqliteStore};
use memlife_testkit::draft::{Draft, add, delete, erase, json_body, put};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use support::Place;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// Records in a map. Tombstones without a body stay in their row, as files of theirs would be removed.
#[derive(Debug, Default)]
struct Map(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Record>,
    refused: Option<Key>,
    settled: u32,
}

impl Map {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn edit(&self, key: &str, edit: impl FnOnce(&mut Record)) {
        edit(self.state().records.get_mut(key).unwrap());
    }
}

impl Bodies for Map {
    fn load(&self, key: &Key, row: Option<Record>, want: Want) -> Result<Option<Record>> {
        match self.state().records.get(key) {
            Some(record) if want == Want::Head => Ok(Some(record.without_body())),
            Some(record) => Ok(Some(record.clone())),
            None => Ok(row.filter(|row| !row.head.alive)),
        }
    }

    fn put(&self, record: &Record, _durability: Durability) -> Result<Home> {
        let mut state = self.state();
        if state.refused.as_ref() == Some(&record.key) {
            return Err(Error::new(ErrorKind::Full, "no room"));
        }
        if record.body.is_none() {
            state.records.remove(&record.key);
            return Ok(Home::Row);
        }
        state.records.insert(record.key.clone(), record.clone());
        Ok(Home::Outside)
    }

    fn erase(&self, key: &Key, _durability: Durability) -> Result<()> {
        self.state().records.remove(key);
        Ok(())
    }

    fn settle(&self, _durability: Durability) -> Result<()> {
        self.state().settled += 1;
        Ok(())
    }
}

struct Subject {
    place: Place,
    map: Arc<Map>,
    index: Index,
}

impl Subject {
    fn open() -> Self {
        let (place, map) = (Place::new(), Arc::<Map>::default());
        let index = Index::open(&place.config(), "map", "a map".to_owned(), Some(map.clone())).unwrap();
        Subject { place, map, index }
    }

    async fn batch(&self, writes: Vec<Write>) -> Vec<Result<Outcome>> {
        let batch = Batch { now: NOW, durability: Durability::Process, token: None, writes };
        self.index.apply(&batch).await.unwrap()
    }

    async fn write(&self, draft: Draft) -> Outcome {
        self.batch(vec![draft.build()]).await.remove(0).unwrap()
    }

    async fn rows(&self) -> Vec<Record> {
        let page = self.index.scan(&Scan { limit: 100, want: Want::Head, ..Scan::default() }).await.unwrap();
        page.records.into_iter().map(Result::unwrap).collect()
    }

    async fn feed(&self) -> Vec<String> {
        let feed =
            Feed { after: Some(Cursor::default()), limit: 100, wait: Duration::ZERO, want: Want::Whole };
        let Changes::Page(page) = self.index.changes(&feed).await.unwrap() else { panic!("a gap") };
        let told = |item: &FeedItem| match item {
            FeedItem::Record(record) if record.head.alive => format!("{} is", record.key),
            FeedItem::Record(record) => format!("{} deleted", record.key),
            FeedItem::Removed(removal) => format!("{} {}", removal.key, removal.cause),
        };
        page.items.iter().map(told).collect()
    }

    async fn entries(&self) -> u64 {
        let usage = self.index.usage(&UsageQuery { after: None, limit: 0 }).await.unwrap();
        usage.totals.tally.entries
    }

    async fn assert_sound(&self) {
        let verification = self.index.verify(Repair::No).await.unwrap();
        assert_eq!(verification.findings, []);
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[tokio::test]
async fn bodies_are_elsewhere_and_everything_works() {
    let subject = Subject::open();
    subject.write(put("a/1", "1").ttl_ms(10)).await;
    subject.write(add("a/n", 5)).await;
    subject.write(add("a/n", 3)).await;
    subject.write(put("a/2", "2")).await;
    subject.write(delete("a/2")).await;
    assert_eq!(subject.map.state().records.len(), 2);
    assert_eq!(subject.map.state().settled, 5);
    let fetched = subject.index.get(&[key("a/1"), key("a/2"), key("a/3")], Want::Whole).await.unwrap();
    assert!(fetched.slots[0].as_ref().unwrap().body.is_some());
    assert!(!fetched.slots[1].as_ref().unwrap().head.alive);
    assert!(fetched.slots[2].is_none());
    assert_eq!(subject.feed().await, ["a/1 is", "a/n is", "a/2 deleted"]);
    assert_eq!(subject.entries().await, 2);
    subject.assert_sound().await;
    // System keys are rows here as anywhere.
    subject.write(put("x", "1").to_system_key("x")).await;
    assert_eq!(subject.map.state().records.len(), 2);
}

#[tokio::test]
async fn neither_opens_as_the_other() {
    let subject = Subject::open();
    let error = SqliteStore::open(subject.place.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let place = Place::new();
    drop(SqliteStore::open(place.config()).unwrap());
    let error = Index::open(&place.config(), "map", String::new(), Some(Arc::<Map>::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_record_ahead_of_its_row_is_what_the_next_write_meets() {
    let subject = Subject::open();
    subject.write(add("a/n", 5)).await;
    subject.write(put("a/2", "2")).await;
    // As a crash between the put and the commit of another addition leaves it.
    let other = Subject::open();
    other.write(add("a/n", 5)).await;
    other.write(put("a/2", "2")).await;
    other.write(add("a/n", 3)).await;
    let ahead = other.map.state().records[&key("a/n")].clone();
    assert_eq!(ahead.head.seq, 3);
    subject.map.edit("a/n", |record| *record = ahead);
    subject.write(add("a/n", 1)).await;
    let record = subject.map.state().records[&key("a/n")].clone();
    assert_eq!(record.head.seq, 4, "the number that was taken is not given again");
    let held = memlife_core::resolver::native(&Kind::Counter)
        .unwrap()
        .read(&record.head, record.body().unwrap(), 100)
        .unwrap();
    assert_eq!(held[0].value.as_integer(), Some(9));
    subject.assert_sound().await;
}

#[tokio::test]
async fn a_record_with_a_number_that_others_have_gets_a_new_one() {
    let subject = Subject::open();
    subject.write(put("a/1", "1")).await;
    subject.write(put("a/2", "2")).await;
    // What the first transaction left undone had the number that the second one gave out again.
    subject.map.edit("a/1", |record| {
        record.head.seq = 2;
        record.body = Some(json_body("111"));
        record.head.measure(record.body.as_ref());
    });
    subject.index.reindex(NOW, &[key("a/1")]).await.unwrap();
    let head = subject.map.state().records[&key("a/1")].head.clone();
    assert_eq!((head.seq, head.version), (3, 1), "written anew under its new number");
    assert_eq!(subject.rows().await[0].head, head);
    assert_eq!(subject.feed().await, ["a/2 is", "a/1 is"]);
    subject.assert_sound().await;
}

#[tokio::test]
async fn records_without_rows_and_rows_without_records_are_put_right() {
    let subject = Subject::open();
    subject.write(put("a/1", "1")).await;
    let mut foreign = subject.map.state().records[&key("a/1")].clone();
    foreign.key = key("b/foreign");
    (foreign.head.seq, foreign.head.version) = (0, 0);
    {
        let mut state = subject.map.state();
        state.records.clear();
        state.records.insert(foreign.key.clone(), foreign);
    }
    subject.index.reindex(NOW, &[key("a/1"), key("b/foreign"), key("c/none")]).await.unwrap();
    let rows = subject.rows().await;
    let numbered: Vec<_> =
        rows.iter().map(|row| (row.key.as_str(), row.head.seq, row.head.version)).collect();
    assert_eq!(numbered, [("b/foreign", 3, 3)]);
    assert_eq!(subject.map.state().records[&key("b/foreign")].head.seq, 0, "not written for a number");
    assert_eq!(subject.feed().await, ["a/1 purged", "b/foreign is"]);
    assert_eq!(subject.entries().await, 1);
    // Met again, it keeps the numbers it was given.
    subject.index.reindex(NOW, &[key("b/foreign")]).await.unwrap();
    assert_eq!(subject.rows().await, rows);
}

#[tokio::test]
async fn a_put_that_fails_fails_alone() {
    let subject = Subject::open();
    subject.map.state().refused = Some(key("a/2"));
    let writes = ["a/1", "a/2", "a/3"].map(|key| put(key, "1").build()).to_vec();
    let outcomes = subject.batch(writes).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Full, Some(&key("a/2"))));
    let seqs: Vec<u64> = subject.rows().await.iter().map(|row| row.head.seq).collect();
    assert_eq!(seqs, [1, 2], "no number is lost");
    subject.assert_sound().await;
}

#[tokio::test]
async fn a_sweep_erases_outside_and_spares_what_is_newer_there() {
    let subject = Subject::open();
    for n in 0..20 {
        subject.write(put(&format!("a/{n:02}"), "1").ttl_ms(10)).await;
    }
    let until = NOW.plus_ms(1_000);
    // Renewed outside, by a writer that died before its commit.
    subject.map.edit("a/07", |record| {
        record.head.seq = 21;
        record.head.life.expires_at = Some(NOW.plus_ms(1_000_000));
    });
    let due = Due { class: ReclaimClass::Scheduled, until, after: None, limit: 100 };
    let entries = subject.index.due(&due).await.unwrap().entries;
    let writes: Vec<Write> = entries
        .iter()
        .map(|entry| erase(entry.key.as_str(), Cause::Expired).guard(Guard::Due(entry.locator)).build())
        .collect();
    let batch = Batch { now: until, durability: Durability::Process, token: None, writes };
    let outcomes = subject.index.apply(&batch).await.unwrap();
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Applied { .. }))).count();
    assert_eq!((entries.len(), applied), (20, 19));
    assert_eq!(subject.map.state().records.len(), 1);
    assert_eq!(subject.rows().await[0].key, key("a/07"));
    assert_eq!(subject.entries().await, 1);
    subject.assert_sound().await;
}
