//! The store in memory keeps the contract, and is right by a map of what users should see.

use memlife_core::store::{Cause, Changes, Cursor, Feed, Want};
use memlife_core::{InMemoryStore, KEEP_MS, ReplicaId, Store};
use memlife_testkit::draft::{erase, put};
use memlife_testkit::{InMemorySubject, Session, model};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

memlife_testkit::conformance!(memory, || async { InMemorySubject::new() });

#[test]
fn the_model_of_stores_agrees_with_a_map_of_visible_values() {
    model::check_reference(model::DEFAULT_CASES);
}

#[test]
fn two_stores_in_memory_agree_on_everything() {
    model::check(|| async { InMemorySubject::new() }, model::DEFAULT_CASES);
}

/// A removal is forgotten once it is both older than a day and beyond the newest 100,000; its readers get a gap.
#[tokio::test]
async fn removals_that_are_old_and_many_are_forgotten() {
    const KEPT: usize = 100_000;
    let session = Session::open(&InMemorySubject::new()).await;
    let gap = async |after: &Cursor| {
        let feed = Feed { after: Some(after.clone()), limit: 1, wait: Duration::ZERO, want: Want::Head };
        matches!(session.store().changes(&feed).await.unwrap(), Changes::Gap(_))
    };
    for _ in 0..KEPT / 1_000 {
        let remove = |_| [put("a", "1").build(), erase("a", Cause::Purged).build()];
        session.batch((0..1_000).flat_map(remove).collect()).await;
    }
    let remove_one = async || {
        session.apply(put("a", "1")).await;
        session.apply(erase("a", Cause::Purged)).await;
    };
    let beginning = Cursor::default();
    remove_one().await;
    assert!(!gap(&beginning).await, "many, but not old");
    session.pass(KEEP_MS + 1);
    let recent = session.head_cursor().await;
    remove_one().await;
    assert!(gap(&beginning).await, "old and many");
    assert!(!gap(&recent).await);
    assert_eq!(session.news(&recent).await, ["a removed: purged"]);
}

/// Removals that are old and few are kept.
#[tokio::test]
async fn removals_that_are_old_and_few_are_kept() {
    let session = Session::open(&InMemorySubject::new()).await;
    session.apply(put("a", "1")).await;
    session.apply(erase("a", Cause::Evicted)).await;
    session.pass(10 * KEEP_MS);
    session.apply(put("b", "1")).await;
    session.apply(erase("b", Cause::Purged)).await;
    let news = session.news(&Cursor::default()).await;
    assert_eq!(news, ["a removed: evicted", "b removed: purged"]);
}

/// A plain program has no runtime: it asks without waiting.
#[test]
fn a_wait_without_a_runtime_comes_back_at_once() {
    let store = InMemoryStore::with_replica(ReplicaId(1));
    let feed = Feed { after: None, limit: 1, wait: Duration::from_secs(3_600), want: Want::Head };
    let mut asking = std::pin::pin!(store.changes(&feed));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(asking.as_mut().poll(&mut context), Poll::Ready(Ok(Changes::Page(_)))));
}
