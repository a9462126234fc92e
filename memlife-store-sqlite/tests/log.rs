//! The write-ahead log: how long it gets, and that nothing is lost when it starts anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::Repair;
use memlife_testkit::draft::put;
use std::sync::Arc;
use support::{Place, session};

/// At 16,000 pages commits wait for the log to be folded; one commit comes on top.
const MOST_BYTES: u64 = 70 << 20;
/// From 2,000 pages on, each run folds what it finds.
const SHORT_BYTES: u64 = 12 << 20;

/// Bytes of the log, which keeps its length when it starts anew.
fn log_bytes(place: &Place) -> u64 {
    std::fs::metadata(place.beside("-wal")).map_or(0, |metadata| metadata.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_writers_leave_a_short_log_and_every_write() {
    let place = Place::new();
    let store = Arc::new(place.session());
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for at in 0..2_500 {
                    store.apply(put(&format!("own/{task}/{}", at % 500), &at.to_string())).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(log_bytes(&place) < MOST_BYTES, "the log has {} bytes", log_bytes(&place));
    drop(store);
    let again = place.session();
    for task in 0..8 {
        for at in 0..500 {
            let value = again.value(&format!("own/{task}/{at}")).await;
            assert_eq!(value, Some((2_000 + at).to_string()));
        }
    }
    assert_eq!(again.store().verify(Repair::No).await.unwrap().findings, []);
}

#[tokio::test]
async fn short_runs_that_fold_nothing_on_closing_leave_a_short_log() {
    let place = Place::new();
    for run in 0..250 {
        let store = session(place.config().checkpoint_on_close(false));
        for at in 0..4 {
            store.apply(put(&format!("run/{at}"), &run.to_string())).await;
        }
    }
    assert!(log_bytes(&place) > 0, "no run was to fold the log");
    assert!(log_bytes(&place) < SHORT_BYTES, "the log has {} bytes", log_bytes(&place));
    assert_eq!(place.session().value("run/3").await.as_deref(), Some("249"));
}

#[tokio::test]
async fn a_run_with_much_to_write_leaves_no_log() {
    let place = Place::new();
    let store = session(place.config().checkpoint_on_close(false));
    for at in 0..2_000 {
        store.apply(put(&format!("run/{at}"), &at.to_string())).await;
    }
    assert!(log_bytes(&place) > SHORT_BYTES / 2, "there was little to write");
    drop(store);
    assert_eq!(log_bytes(&place), 0);
    assert_eq!(place.session().value("run/1999").await.as_deref(), Some("1999"));
}
