//! Erasing in sets does what erasing key by key does, and leaves what the feed needs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::Result;
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Batch, Cause, Change, Guard, Locator, Outcome, Repair, Write};
use memlife_testkit::Session;
use memlife_testkit::draft::{Draft, delete, put};
use memlife_testkit::one_file;
use support::Place;

async fn filled(place: &Place) -> Session {
    let session = place.session();
    for n in 0..40 {
        let write = put(&format!("a/{}/{n}", n % 3), &"9".repeat(n + 1));
        // A dozen end at one instant.
        session.apply(write.ttl_ms(1_000 + n as u64 / 12)).await;
    }
    session.apply(put("a/0/stays", "1").ttl_ms(3_600_000)).await;
    session.apply(delete("a/1/1")).await;
    session.pass(10_000);
    session
}

fn erasure(key: &str, locator: Locator) -> Write {
    Draft::new(key, Change::Erase(Cause::Expired)).guard(Guard::Due(locator)).build()
}

/// What two stores with different stamps have in common.
fn told(outcomes: &[Result<Outcome>]) -> Vec<(bool, u64)> {
    outcomes
        .iter()
        .map(|outcome| match outcome.as_ref().unwrap() {
            Outcome::Applied { version, .. } => (true, *version),
            _ => (false, 0),
        })
        .collect()
}

/// Sweeps with locators and without, each in a store of its own, and compares everything.
async fn compare(change: impl Fn(&mut Vec<Write>)) -> Vec<(bool, u64)> {
    let (place, other) = (Place::new(), Place::new());
    let mut seen = Vec::new();
    for (place, is_located) in [(&place, true), (&other, false)] {
        let session = filled(place).await;
        let cursor = session.head_cursor().await;
        let entries = session.due(ReclaimClass::Scheduled, session.now()).await;
        let mut writes = entries
            .iter()
            .map(|entry| erasure(entry.key.as_str(), if is_located { entry.locator } else { Locator(0) }))
            .collect();
        change(&mut writes);
        let outcomes = session.batch(writes).await;
        let verification = session.store().verify(Repair::No).await.unwrap();
        assert_eq!(verification.findings, []);
        seen.push((
            told(&outcomes),
            session.news(&cursor).await,
            session.usage().await,
            session.keys("").await,
            session.head_cursor().await.parts[0].seq,
        ));
    }
    assert_eq!(seen[0], seen[1]);
    seen.remove(0).0
}

#[tokio::test]
async fn a_set_is_what_its_members_are() {
    let outcomes = compare(|_| {}).await;
    assert_eq!(outcomes.len(), 39);
    assert!(outcomes.iter().all(|(is_applied, _)| *is_applied));
}

#[tokio::test]
async fn a_set_may_begin_and_end_within_an_instant() {
    for part in [2..37, 1..10, 14..23, 30..39] {
        let outcomes = compare(|writes| *writes = writes[part.clone()].to_vec()).await;
        assert_eq!(outcomes.len(), part.len());
        assert!(outcomes.iter().all(|(is_applied, _)| *is_applied), "{part:?}");
    }
}

#[tokio::test]
async fn a_set_with_a_member_that_is_not_due_spares_it() {
    let outcomes = compare(|writes| writes.push(erasure("a/0/stays", Locator(41)))).await;
    assert_eq!(outcomes.iter().filter(|(is_applied, _)| *is_applied).count(), 39);
}

#[tokio::test]
async fn a_set_with_a_member_twice_or_missing_counts_each_once() {
    let outcomes = compare(|writes| {
        writes.push(writes[0].clone());
        writes.push(erasure("a/0/never", Locator(1_000)));
    })
    .await;
    assert_eq!(outcomes.iter().filter(|(is_applied, _)| *is_applied).count(), 39);
}

#[tokio::test]
async fn a_locator_of_another_key_erases_nothing_else() {
    let place = Place::new();
    let session = filled(&place).await;
    let stays = session.record("a/0/stays").await.unwrap();
    let due = session.due(ReclaimClass::Scheduled, session.now()).await;
    // Every locator is wrong; the keys decide.
    let writes = due.iter().map(|entry| erasure(entry.key.as_str(), Locator(stays.head.seq))).collect();
    session.batch(writes).await;
    assert_eq!(session.record("a/0/stays").await, Some(stays));
    assert_eq!(session.due_keys(ReclaimClass::Scheduled, session.now()).await, [""; 0]);
}

#[tokio::test]
async fn old_removals_are_forgotten_and_their_readers_told() {
    let place = Place::new();
    one_file::old_removals_are_forgotten_and_their_readers_told(&place.session()).await;
    let kept: i64 = rusqlite::Connection::open(&place.path)
        .unwrap()
        .query_row("SELECT sum(count) FROM removed", [], |row| row.get(0))
        .unwrap();
    assert!((100_000..109_000).contains(&kept), "{kept} removals are kept");
}

#[tokio::test]
async fn a_batch_that_changes_nothing_writes_nothing() {
    let place = Place::new();
    let session = place.session();
    session.apply(put("a/b", "1")).await;
    let log = || std::fs::metadata(place.beside("-wal")).unwrap().len();
    let (before, cursor) = (log(), session.head_cursor().await);
    let writes = vec![delete("a/none").build(), put("a/b", "2").if_absent().build()];
    let batch =
        Batch { now: session.now(), durability: session.store().info().durability, token: None, writes };
    session.store().apply(&batch).await.unwrap();
    assert_eq!((log(), session.head_cursor().await), (before, cursor));
}
