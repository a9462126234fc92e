//! Several tasks on one handle, and what they wait for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Batch, Cause, Changes, Feed, Repair, Want};
use memlife_testkit::Session;
use memlife_testkit::draft::{add, delete, erase, put};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Place, USAGE, damage};

const HOUR_MS: u64 = 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_of_many_tasks_are_all_there() {
    let place = Place::new();
    let session = Arc::new(place.session());
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let session = Arc::clone(&session);
            tokio::spawn(async move {
                for m in 0..50 {
                    session.apply(add("all/count", 1)).await;
                    session.apply(put(&format!("own/{n}/{m}"), "1")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(session.value("all/count").await.as_deref(), Some("800"));
    assert_eq!(session.keys("own").await.len(), 800);
    let verification = session.store().verify(Repair::Yes).await.unwrap();
    assert_eq!((verification.checked, verification.problems), (801, 0), "{:?}", verification.findings);
}

#[test]
fn a_waiting_feed_needs_no_runtime_and_ends_in_time() {
    let place = Place::new();
    let session = place.session();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let after = Some(runtime.block_on(session.head_cursor()));
    let feed = Feed { after, limit: 10, wait: Duration::from_millis(30), want: Want::Whole };
    let began = now();
    // The runtime has no timer.
    match runtime.block_on(session.store().changes(&feed)).unwrap() {
        Changes::Page(page) => assert!(page.items.is_empty()),
        Changes::Gap(_) => panic!("nothing is missing"),
    }
    assert!(began.elapsed() >= feed.wait, "it waits");
}

#[allow(clippy::disallowed_methods, reason = "a caller's patience is real elapsed time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_while_a_repair_replaces_the_file() {
    let place = Place::new();
    let session = place.session();
    for n in 0..500 {
        session.apply(put(&format!("a/{n}"), "1")).await;
    }
    drop(session);
    damage(&place, |transaction| {
        let mut usage = transaction.open_table(USAGE).unwrap();
        usage.insert(&b"r\x1fn"[..], &[1; 32][..]).unwrap();
    });
    let session = Arc::new(place.session());
    let file = || std::fs::metadata(&place.path).unwrap().ino();
    let before = file();
    let repairing = Arc::clone(&session);
    let repair = tokio::spawn(async move { repairing.store().verify(Repair::Yes).await.unwrap() });
    let mut reads = 0;
    while !repair.is_finished() {
        assert_eq!(session.value(&format!("a/{}", reads % 500)).await.as_deref(), Some("1"));
        reads += 1;
    }
    let mended = repair.await.unwrap();
    assert!(mended.problems > 0 && mended.unrepaired() == 0, "{:?}", mended.findings);
    assert_ne!(file(), before, "the file was replaced");
    assert!(reads > 10, "only {reads} reads meanwhile");
    session.apply(put("a/new", "1")).await;
    assert_eq!(session.keys("a").await.len(), 501);
}

#[tokio::test]
async fn old_removals_are_forgotten_and_their_readers_told() {
    let place = Place::new();
    let session = place.session();
    let beginning = session.head_cursor().await;
    let churn = |from: usize, to: usize| (from..to).map(|n| format!("a/b/{n}")).collect::<Vec<_>>();
    let mut early = None;
    for start in (0..104_000).step_by(8_000) {
        let keys = churn(start, start + 8_000);
        session.batch(keys.iter().map(|key| put(key, "1").build()).collect()).await;
        session.batch(keys.iter().map(|key| erase(key, Cause::Purged).build()).collect()).await;
        early.get_or_insert(session.head_cursor().await);
    }
    let late = session.head_cursor().await;
    assert!(!is_gap(&session, &beginning).await, "young removals are kept however many there are");
    session.pass(25 * HOUR_MS);
    for keys in [churn(0, 5_000), churn(5_000, 10_000), churn(10_000, 15_000)] {
        session.batch(keys.iter().map(|key| put(key, "1").build()).collect()).await;
        session.batch(keys.iter().map(|key| erase(key, Cause::Purged).build()).collect()).await;
    }
    assert!(is_gap(&session, &beginning).await);
    assert!(is_gap(&session, early.as_ref().unwrap()).await);
    assert!(!is_gap(&session, &late).await);
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
}

async fn is_gap(session: &Session, after: &memlife_core::store::Cursor) -> bool {
    let feed = Feed { after: Some(after.clone()), limit: 1, wait: Duration::ZERO, want: Want::Head };
    matches!(session.store().changes(&feed).await.unwrap(), Changes::Gap(_))
}

#[tokio::test]
async fn a_batch_that_changes_nothing_writes_nothing() {
    let place = Place::new();
    let session = place.session();
    session.apply(put("a/b", "1")).await;
    let file = || std::fs::metadata(&place.path).unwrap().modified().unwrap();
    let (before, cursor) = (file(), session.head_cursor().await);
    let writes = vec![delete("a/none").build(), put("a/b", "2").if_absent().build()];
    let batch =
        Batch { now: session.now(), durability: session.store().info().durability, token: None, writes };
    session.store().apply(&batch).await.unwrap();
    assert_eq!((file(), session.head_cursor().await), (before, cursor));
}
