//! Folders in which somebody placed what should not be there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::store::Repair;
use memlife_testkit::draft::put;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{names, open, problems, read, try_open};

const CANARY: &str = "{\"key\": \"a\", \"value\": \"stolen\", \"timestamp\": 1.0}";

/// A folder with the intact entries `a` and `b`, and a canary outside of it.
async fn prepared() -> (tempfile::TempDir, tempfile::TempDir) {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("canary"), CANARY).unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    session.apply(put("b", "2")).await;
    (folder, outside)
}

async fn is_refused(folder: &Path) {
    let session = open(folder);
    assert_eq!(read(&session, "a").await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(session.try_write(put("a", "3")).await.is_err());
    assert_eq!(session.values("b").await, ["2"]);
    let found = problems(&session, Repair::No).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a.json"), "{found:?}");
}

#[tokio::test]
async fn a_link_in_place_of_an_entry_is_not_followed() {
    let (folder, outside) = prepared().await;
    let canary = outside.path().join("canary");
    std::fs::remove_file(folder.path().join("a.json")).unwrap();
    symlink(&canary, folder.path().join("a.json")).unwrap();
    is_refused(folder.path()).await;
    problems(&open(folder.path()), Repair::Yes).await;
    assert_eq!(std::fs::read_to_string(canary).unwrap(), CANARY);
}

#[tokio::test]
async fn a_hard_link_is_not_read() {
    let (folder, outside) = prepared().await;
    std::fs::hard_link(folder.path().join("a.json"), outside.path().join("copy")).unwrap();
    is_refused(folder.path()).await;
}

#[tokio::test]
async fn a_fifo_does_not_make_anybody_wait() {
    let (folder, _outside) = prepared().await;
    let path = folder.path().join("a.json");
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    is_refused(folder.path()).await;
}

#[tokio::test]
async fn a_folder_in_place_of_an_entry_is_not_removed() {
    let (folder, _outside) = prepared().await;
    std::fs::remove_file(folder.path().join("a.json")).unwrap();
    std::fs::create_dir(folder.path().join("a.json")).unwrap();
    is_refused(folder.path()).await;
    assert!(folder.path().join("a.json").is_dir());
}

#[tokio::test]
async fn an_open_store_stays_in_its_folder_when_the_path_is_swapped() {
    let base = tempfile::tempdir().unwrap();
    let (folder, moved, trap) =
        (base.path().join("store"), base.path().join("moved"), base.path().join("trap"));
    let session = open(&folder);
    session.apply(put("a", "1")).await;
    std::fs::create_dir(&trap).unwrap();
    std::fs::write(trap.join("a.json"), CANARY).unwrap();
    std::fs::rename(&folder, &moved).unwrap();
    symlink(&trap, &folder).unwrap();
    assert_eq!(session.values("a").await, ["1"]);
    let _ = session.try_write(put("a", "2")).await;
    let _ = session.try_write(put("c", "2")).await;
    assert_eq!(names(&trap), ["a.json"]);
    assert_eq!(std::fs::read_to_string(trap.join("a.json")).unwrap(), CANARY);
}

#[tokio::test]
async fn a_linked_memlife_folder_is_refused() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), folder.path().join(".memlife")).unwrap();
    let error = try_open(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn swapping_entries_for_links_never_reaches_what_they_point_to() {
    let (folder, outside) = prepared().await;
    let canary = outside.path().join("canary");
    let path = folder.path().join("a.json");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let attacker = std::thread::spawn({
        let (stop, canary) = (stop.clone(), canary.clone());
        move || {
            let link = path.with_extension("link");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = symlink(&canary, &link);
                let _ = std::fs::rename(&link, &path);
                let _ = std::fs::remove_file(&path);
            }
        }
    });
    let session = open(folder.path());
    for _ in 0..500 {
        let _ = session.try_write(put("a", "3")).await;
        let body = read(&session, "a").await.ok().flatten().and_then(|record| record.body);
        assert!(body.is_none_or(|body| body.open(1 << 20).unwrap() != "\"stolen\""));
        let _ = session.try_write(memlife_testkit::draft::delete("a")).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    attacker.join().unwrap();
    assert_eq!(std::fs::read_to_string(canary).unwrap(), CANARY);
}

#[tokio::test]
async fn an_entry_under_the_name_of_another_is_nobodys() {
    let (folder, _outside) = prepared().await;
    std::fs::copy(folder.path().join("b.json"), folder.path().join("a.json")).unwrap();
    is_refused(folder.path()).await;
}
