//! What a crash leaves between a file and its row, made by hand, and how it mends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Cause, Repair};
use memlife_core::{Clock, ErrorKind, SystemClock};
use memlife_testkit::Session;
use memlife_testkit::draft::{add, delete, put};
use std::path::Path;
use support::{copy_all, names, open, original, own_files, problems};

/// Lets `write` happen in a copy of the folder, and brings its file back without its row.
async fn unfinished(folder: &Path, name: &str, write: memlife_testkit::Draft) {
    let copy = tempfile::tempdir().unwrap();
    copy_all(folder, copy.path());
    open(copy.path()).apply(write).await;
    match std::fs::read(copy.path().join(name)) {
        Ok(text) => std::fs::write(folder.join(name), text).unwrap(),
        Err(_) => std::fs::remove_file(folder.join(name)).unwrap(),
    }
}

async fn is_whole(session: &Session, keys: &[&str]) {
    assert_eq!(problems(session, Repair::No).await, [""; 0]);
    assert_eq!(session.keys("").await, keys);
    let totals = session.totals().await.tally;
    assert_eq!(totals.entries, keys.len() as u64);
    let mut bytes = 0;
    for key in keys {
        bytes += u64::from(session.record(key).await.unwrap().head.stored_len);
    }
    assert_eq!(totals.stored_bytes, bytes);
}

#[tokio::test]
async fn a_file_without_a_row_is_read_and_taken_in_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    unfinished(folder.path(), "a.json", put("a", "1")).await;
    let session = open(folder.path());
    assert_eq!(session.values("a").await, ["1"]);
    is_whole(&session, &["a"]).await;
}

#[tokio::test]
async fn a_file_newer_than_its_row_is_taken_in_by_the_next_write() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).apply(put("a", "1")).await.version;
    unfinished(folder.path(), "a.json", put("a", "[2, 2]")).await;
    let session = open(folder.path());
    let crashed = session.record("a").await.unwrap().head.version;
    session.refused(put("a", "3").if_version(first)).await;
    let next = session.apply(put("a", "3").if_version(crashed)).await.version;
    assert!(next > crashed, "{next} after {crashed}");
    is_whole(&session, &["a"]).await;
}

#[tokio::test]
async fn versions_never_repeat_though_the_row_was_behind() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(put("a", "1")).await;
    unfinished(folder.path(), "a.json", put("a", "2")).await;
    let session = open(folder.path());
    let crashed = session.record("a").await.unwrap().head.version;
    session.apply(put("b", "1")).await;
    let next = session.apply(put("a", "3")).await.version;
    assert!(next > crashed, "{next} after {crashed}");
    session.refused(put("a", "4").if_version(crashed)).await;
    is_whole(&session, &["a", "b"]).await;
}

#[tokio::test]
async fn a_file_newer_than_its_row_is_taken_in_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(add("a", 1)).await;
    unfinished(folder.path(), "a.json", add("a", 1_000_000)).await;
    let session = open(folder.path());
    is_whole(&session, &["a"]).await;
    session.apply(add("a", 1)).await;
    assert_eq!(session.values("a").await, ["1000002"]);
}

#[tokio::test]
async fn a_row_without_its_file_is_an_entry_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(put("a", "1")).await;
    unfinished(folder.path(), "a.json", delete("a")).await;
    let session = open(folder.path());
    assert_eq!(session.values("a").await, [""; 0]);
    session.unchanged(delete("a")).await;
    is_whole(&session, &[]).await;
    session.apply(put("a", "2").if_absent()).await;
    is_whole(&session, &["a"]).await;
}

#[tokio::test]
async fn a_file_that_a_person_removed_is_an_entry_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    session.apply(put("b", "1")).await;
    let cursor = session.head_cursor().await;
    std::fs::remove_file(folder.path().join("a.json")).unwrap();
    is_whole(&session, &["b"]).await;
    let news = session.news(&cursor).await;
    assert!(news.len() == 1 && news[0].starts_with("a "), "{news:?}");
    assert_eq!(session.removed(Cause::Expired).await, 0);
}

#[tokio::test]
async fn a_put_over_a_tombstone_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    session.apply(delete("a")).await;
    drop(session);
    unfinished(folder.path(), "a.json", put("a", "2")).await;
    let session = open(folder.path());
    assert_eq!(session.values("a").await, ["2"]);
    is_whole(&session, &["a"]).await;
}

#[tokio::test]
async fn a_file_that_came_back_after_its_delete_goes_again() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    let text = std::fs::read(folder.path().join("a.json")).unwrap();
    session.apply(delete("a")).await;
    std::fs::write(folder.path().join("a.json"), text).unwrap();
    is_whole_without(&session, "a").await;
    assert_eq!(names(folder.path()), [""; 0]);
}

async fn is_whole_without(session: &Session, key: &str) {
    assert_eq!(problems(session, Repair::No).await, [""; 0]);
    assert_eq!(session.values(key).await, [""; 0]);
    assert!(!session.record(key).await.unwrap().head.alive);
}

#[tokio::test]
async fn both_names_of_a_half_moved_entry_become_one() {
    let folder = original();
    let old = std::fs::read(folder.path().join("metrics_task_count.json")).unwrap();
    open(folder.path()).apply(put("metrics/task/count", "1").counter()).await;
    std::fs::write(folder.path().join("metrics_task_count.json"), old).unwrap();
    let session = open(folder.path());
    assert_eq!(session.values("metrics/task/count").await, ["9"]);
    assert_eq!(problems(&session, Repair::No).await, [""; 0]);
    assert!(!folder.path().join("metrics_task_count.json").exists());
    session.apply(delete("metrics/task/count")).await;
    assert_eq!(open(folder.path()).values("metrics/task/count").await, [""; 0]);
}

#[tokio::test]
async fn unfinished_files_of_dead_writers_are_cleared_at_opening() {
    let folder = tempfile::tempdir().unwrap();
    let alive = open(folder.path());
    alive.apply(put("a", "1")).await;
    let dead = folder.path().join(".memlife/tmp/0123456789abcdef");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("0"), "half").unwrap();
    let session = open(folder.path());
    assert!(!dead.exists());
    alive.apply(put("a", "2")).await;
    is_whole(&session, &["a"]).await;
    drop((alive, session));
    assert_eq!(own_files(folder.path(), "tmp"), [""; 0].map(Path::new));
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    // The clock is learnt from files as far as the machine's own clock bears them out.
    session.step_to(SystemClock.now());
    session.apply(put("a", "1").ttl_ms(60_000).writer("ann")).await;
    session.apply(add("metrics/count", 5)).await;
    session.apply(put("a", "2").writer("bob")).await;
    session.apply(put("b", "3").multi_value()).await;
    let mut before = Vec::new();
    for key in ["a", "b", "metrics/count"] {
        before.push(session.record(key).await.unwrap());
    }
    drop(session);
    for file in own_files(folder.path(), "index.db") {
        std::fs::remove_file(file).unwrap();
    }
    let session = open(folder.path());
    session.step_to(before[0].head.stamp.at().minus_ms(5_000));
    is_whole(&session, &["a", "b", "metrics/count"]).await;
    let mut highest = 0;
    for before in &before {
        let after = session.record(before.key.as_str()).await.unwrap();
        highest = highest.max(before.head.seq);
        assert_eq!((&after.body, after.head.version), (&before.body, before.head.version));
        assert_eq!((after.head.life, &after.head.writer), (before.head.life, &before.head.writer));
        assert_eq!((after.head.stamp, &after.head.kind), (before.head.stamp, &before.head.kind));
    }
    assert!(session.apply(put("c", "4")).await.version > highest);
    assert!(session.apply(put("a", "5")).await.stamp > before[0].head.stamp);
}

#[tokio::test]
async fn a_damaged_index_is_named_and_rebuilt_once_it_is_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).apply(put("a", "1")).await;
    let index = folder.path().join(".memlife/index.db");
    std::fs::write(&index, "not a database at all, and longer than the header of one".repeat(100)).unwrap();
    let error = support::try_open(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("index.db"), "{error}");
    for file in own_files(folder.path(), "index.db") {
        std::fs::rename(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let session = open(folder.path());
    assert_eq!(session.values("a").await, ["1"]);
    is_whole(&session, &["a"]).await;
}

#[tokio::test]
async fn two_processes_may_build_the_index_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..2_000 {
        let entry = support::original_entry(&format!("many/{i}"), &serde_json::json!(i), 5.0 + f64::from(i));
        std::fs::write(folder.path().join(format!("many_{i}.json")), entry).unwrap();
    }
    let opened: Vec<Session> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| open(folder.path()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for session in &opened {
        assert_eq!(session.totals().await.tally.entries, 2_000);
        assert_eq!(session.keys("").await.len(), 2_000);
    }
    assert_eq!(problems(&opened[0], Repair::No).await, [""; 0]);
    let one = opened[0].record("many/7").await.unwrap();
    assert_eq!(opened[3].record("many/7").await.unwrap(), one);
}

#[tokio::test]
async fn an_index_that_was_half_built_is_built_to_the_end() {
    let folder = original();
    drop(open(folder.path()));
    for marker in own_files(folder.path(), "built") {
        std::fs::remove_file(marker).unwrap();
    }
    std::fs::write(
        folder.path().join("late_entry.json"),
        support::original_entry("late/entry", &serde_json::json!(1), 9.0),
    )
    .unwrap();
    let session = open(folder.path());
    assert_eq!(session.keys("").await.len(), 5);
    assert_eq!(session.values("late/entry").await, ["1"]);
}
