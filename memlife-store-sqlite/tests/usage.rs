//! Usage is right wherever it is kept, and in stores from before it could be kept beside its rows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Repair, Tally};
use memlife_testkit::Session;
use memlife_testkit::draft::{delete, put};
use rusqlite::Connection;
use support::Place;

/// More namespaces than a store keeps beside their rows.
const MANY: usize = 600;

/// What the groups come to, which is what the totals and a new count say.
async fn usage(session: &Session) -> (usize, Tally) {
    let (groups, totals) = session.usage().await;
    let mut sum = Tally::default();
    for (group, tally) in &groups {
        assert!(tally.entries > 0, "{group:?} has {tally:?}");
        sum.entries += tally.entries;
        sum.stored_bytes += tally.stored_bytes;
        sum.raw_bytes += tally.raw_bytes;
        sum.compressed += tally.compressed;
    }
    assert_eq!(sum, totals.tally);
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
    (groups.len(), sum)
}

fn rows(place: &Place) -> i64 {
    let count = "SELECT count(*) FROM ledger WHERE id > 0";
    Connection::open(&place.path).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn many_namespaces_come_and_go() {
    let place = Place::new();
    let session = place.session();
    for n in 0..MANY {
        session.apply(put(&format!("a/{n}/x"), "1")).await;
        session.apply(put(&format!("a/{}/y", n / 2), "22")).await;
    }
    let (count, before) = usage(&session).await;
    assert_eq!((count, before.entries), (MANY, 3 * MANY as u64 / 2));
    for n in 0..MANY {
        session.apply(put(&format!("a/{n}/x"), "\"longer\"")).await;
    }
    let (count, after) = usage(&session).await;
    assert_eq!((count, after.entries), (MANY, before.entries));
    assert_eq!(after.stored_bytes, before.stored_bytes + 7 * MANY as u64);
    for n in 0..MANY {
        session.apply(delete(&format!("a/{n}/x"))).await;
    }
    assert_eq!(usage(&session).await.0, MANY / 2);
    for n in 0..MANY / 2 {
        session.apply(delete(&format!("a/{n}/y"))).await;
    }
    assert_eq!(usage(&session).await, (0, Tally::default()));
    assert!(rows(&place) < MANY as i64, "rows of namespaces that are gone stay for ever");
}

#[tokio::test]
async fn a_namespace_that_comes_and_goes_leaves_nothing() {
    let place = Place::new();
    let session = place.session();
    for n in 0..MANY {
        session.apply(put(&format!("a/{n}/x"), "1")).await;
        session.apply(delete(&format!("a/{n}/x"))).await;
    }
    assert_eq!(usage(&session).await, (0, Tally::default()));
    assert!(rows(&place) < MANY as i64 / 2);
}

#[tokio::test]
async fn two_handles_count_together() {
    let place = Place::new();
    let (one, other) = (place.session(), place.session());
    for n in 0..100 {
        for (session, key) in [(&one, "x"), (&other, "y")] {
            session.apply(put(&format!("a/{n}/{key}"), "1")).await;
        }
        other.apply(delete(&format!("a/{n}/x"))).await;
    }
    assert_eq!(usage(&one).await, usage(&other).await);
    assert_eq!(usage(&one).await.0, 100);
}

#[tokio::test]
async fn damaged_usage_is_counted_anew() {
    let place = Place::new();
    let session = place.session();
    for n in 0..10 {
        session.apply(put(&format!("a/{n}/x"), "1")).await;
    }
    let before = usage(&session).await;
    let damage = "UPDATE ledger SET pending = zeroblob(length(pending)) WHERE id = 0";
    Connection::open(&place.path).unwrap().execute_batch(damage).unwrap();
    assert_eq!(session.value("a/1/x").await.as_deref(), Some("1"));
    session.apply(put("a/1/x", "2")).await;
    assert!(session.store().verify(Repair::Yes).await.unwrap().problems > 0);
    assert_eq!(usage(&session).await, before);
}

#[tokio::test]
async fn what_is_expected_to_be_new_and_is_not_keeps_its_place() {
    let place = Place::new();
    let session = place.session();
    session.apply(put("a/b/old", "1")).await;
    for n in 0..3 {
        session.apply(put(&format!("a/b/{n}"), "1")).await;
    }
    // The one before was new, and so is the first of these.
    let batch = ["a/b/new", "a/b/old", "a/b/new", "b/b/first", "a/b/last"];
    let writes = batch.iter().map(|key| put(key, "22").build()).collect();
    let outcomes = session.batch(writes).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    session.apply(put("a/b/if", "1").if_absent()).await;
    session.refused(put("a/b/if", "2").if_absent()).await;
    session.apply(put("a/b/other", "1")).await;
    session.refused(put("a/b/none", "2").if_visible()).await;
    assert_eq!(session.value("a/b/old").await.as_deref(), Some("22"));
    let (count, tally) = usage(&session).await;
    assert_eq!((count, tally.entries, tally.raw_bytes), (2, 9, 13));
}

#[tokio::test]
async fn a_store_of_the_first_format_goes_on() {
    let place = Place::new();
    Connection::open(&place.path).unwrap().execute_batch(include_str!("data/format-1.sql")).unwrap();
    let session = place.session();
    assert_eq!(session.value("memory/facts/answer").await.as_deref(), Some("42"));
    let (count, before) = usage(&session).await;
    assert_eq!((count, before.entries), (4, 4));
    session.apply(put("memory/facts/answer", "43")).await;
    session.apply(put("memory/facts/question", "\"?\"")).await;
    session.apply(delete("memory/facts/answer")).await;
    session.apply(put("memory/more/question", "\"?\"")).await;
    let (_, after) = usage(&session).await;
    assert_eq!(after.entries, 5);
    drop(session);
    assert_eq!(usage(&place.session()).await.1, after);
}
