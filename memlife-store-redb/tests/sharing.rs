//! Several tasks on one handle, and what they wait for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Batch, Durability, Repair};
use memlife_testkit::draft::{delete, put};
use memlife_testkit::one_file;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use support::{Place, USAGE, damage, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_of_many_tasks_are_all_there() {
    let place = Place::new();
    one_file::writes_of_many_tasks_are_all_there(&[Arc::new(place.session())]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_shows_what_a_feed_told_of() {
    let place = Place::new();
    one_file::a_get_shows_what_a_feed_told_of(&Arc::new(place.session())).await;
    let config = place.config().durability(Durability::Memory);
    one_file::a_get_shows_what_a_feed_told_of(&Arc::new(session(config))).await;
}

#[test]
fn a_waiting_feed_needs_no_runtime_and_ends_in_time() {
    one_file::a_waiting_feed_needs_no_runtime_and_ends_in_time(&Place::new().session());
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
    one_file::old_removals_are_forgotten_and_their_readers_told(&Place::new().session()).await;
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
