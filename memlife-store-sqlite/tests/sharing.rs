//! Several handles on one file, as several processes have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Cause, Changes, Durability, Feed, Repair, Want};
use memlife_testkit::draft::{delete, erase, put};
use memlife_testkit::one_file;
use std::sync::Arc;
use std::time::Duration;
use support::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_of_several_handles_are_all_there() {
    let place = Place::new();
    let handles: Vec<_> = (0..4).map(|_| Arc::new(place.session())).collect();
    one_file::writes_of_many_tasks_are_all_there(&handles).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_shows_what_a_feed_told_of() {
    one_file::a_get_shows_what_a_feed_told_of(&Arc::new(Place::new().session())).await;
}

#[tokio::test]
async fn a_group_that_another_handle_emptied_counts_again() {
    let place = Place::new();
    let (mine, theirs) = (place.session(), place.session());
    mine.apply(put("a/b/c", "1")).await;
    theirs.apply(erase("a/b/c", Cause::Evicted)).await;
    assert_eq!(mine.usage().await.0, []);
    // Another group in between, so that a row number that was used twice would be noticed.
    theirs.apply(put("x/y/z", "1")).await;
    mine.apply(put("a/b/c", "1")).await;
    mine.apply(put("a/b/d", "1")).await;
    let (groups, totals) = theirs.usage().await;
    let counts: Vec<_> = groups.iter().map(|(group, tally)| (&*group.namespace, tally.entries)).collect();
    assert_eq!(counts, [("a/b", 2), ("x/y", 1)]);
    assert_eq!(totals.tally.entries, 3);
    assert_eq!(mine.store().verify(Repair::No).await.unwrap().findings, []);
}

#[tokio::test]
async fn a_waiting_feed_hears_of_other_handles() {
    let place = Place::new();
    let (mine, theirs) = (place.session(), Arc::new(place.session()));
    let after = mine.head_cursor().await;
    let writer = Arc::clone(&theirs);
    let feed = Feed { after: Some(after), limit: 10, wait: Duration::from_secs(20), want: Want::Whole };
    let (changes, _) = tokio::join!(mine.store().changes(&feed), async move {
        tokio::task::yield_now().await;
        writer.apply(put("a/b", "1")).await;
    });
    match changes.unwrap() {
        Changes::Page(page) => assert_eq!(page.items.len(), 1),
        Changes::Gap(_) => panic!("nothing is missing"),
    }
}

#[test]
fn a_waiting_feed_needs_no_runtime_and_ends_in_time() {
    one_file::a_waiting_feed_needs_no_runtime_and_ends_in_time(&Place::new().session());
}

#[tokio::test]
async fn a_synced_write_and_a_plain_one_take_turns() {
    let place = Place::new();
    let plain = place.session();
    let synced = support::session(place.config().durability(Durability::Disk));
    for n in 0..5 {
        plain.apply(put("a/b", &n.to_string())).await;
        assert_eq!(synced.value("a/b").await, Some(n.to_string()));
        synced.apply(delete("a/b")).await;
        assert_eq!(plain.value("a/b").await, None);
    }
}
