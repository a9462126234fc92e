//! What opening does with files that are ours, were ours, or never were.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::store::{Repair, Verify};
use memlife_core::{ErrorKind, Store};
use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::draft::put;
use memlife_testkit::one_file::{self, child_folder, run_child};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Barrier};
use support::{Place, session};

fn refusal(path: &Path) -> (ErrorKind, String) {
    let error = SqliteStore::open(SqliteConfig::new(path)).unwrap_err();
    assert!(error.to_string().contains("store.db"), "{error} names the file");
    (error.kind(), error.to_string())
}

#[test]
fn a_missing_store_is_created_only_when_asked() {
    let place = Place::new();
    let error = SqliteStore::open(place.config().create(false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!place.path.exists());
    let deep = place.folder.path().join("a/b/store.db");
    SqliteStore::open(SqliteConfig::new(&deep)).unwrap();
    assert_eq!(fs::metadata(deep.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_database_of_another_program_stays_as_it_is() {
    for mode in ["delete", "wal"] {
        let place = Place::new();
        let other = Connection::open(&place.path).unwrap();
        other.pragma_update(None, "journal_mode", mode).unwrap();
        other.execute_batch("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)").unwrap();
        drop(other);
        let before = fs::read(&place.path).unwrap();
        assert_eq!(refusal(&place.path).0, ErrorKind::Invalid);
        assert_eq!(fs::read(&place.path).unwrap(), before, "{mode}");
        let names: Vec<_> =
            fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["store.db"], "nothing was put beside a database in {mode} mode");
    }
}

#[test]
fn what_is_no_database_stays_as_it_is() {
    one_file::what_is_no_database_stays_as_it_is(&[b"hello", &[b'x'; 10_000]], support::open);
}

#[tokio::test]
async fn a_store_that_was_cut_off_is_refused() {
    one_file::a_store_that_was_cut_off_is_refused(support::open).await;
}

#[test]
fn a_store_of_a_newer_memlife_asks_for_an_upgrade() {
    let place = Place::new();
    drop(place.session());
    Connection::open(&place.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let (kind, message) = refusal(&place.path);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("upgrade"), "{message}");
}

#[tokio::test]
async fn a_migration_under_an_open_store_stops_its_writes() {
    let place = Place::new();
    let session = place.session();
    session.apply(put("a/b", "1")).await;
    let newer = Connection::open(&place.path).unwrap();
    newer.execute_batch("UPDATE ledger SET format = 99 WHERE id = 0").unwrap();
    let error = session.try_write(put("a/b", "2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("upgrade"));
    assert_eq!(session.value("a/b").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_copied_store_is_another_replica_and_the_moved_one_is_not() {
    one_file::a_copied_store_is_another_replica_and_the_moved_one_is_not(support::open).await;
}

fn session_at(path: &Path) -> memlife_testkit::Session {
    session(SqliteConfig::new(path))
}

#[test]
fn racing_to_create_a_store_harms_nobody() {
    for _ in 0..20 {
        let place = Place::new();
        let barrier = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (config, barrier) = (place.config(), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    SqliteStore::open(config).unwrap().info().replica
                })
            })
            .collect();
        let replicas: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(replicas.windows(2).all(|pair| pair[0] == pair[1]), "{replicas:?}");
    }
}

#[tokio::test]
async fn a_store_on_a_read_only_disk_can_be_read() {
    one_file::a_store_on_a_read_only_disk_can_be_read(support::open).await;
}

#[test]
fn files_are_their_owners_alone_whatever_the_umask() {
    let place = Place::new();
    run_child("umask 000", "create_a_store_in_a_new_folder", place.folder.path());
    let folder = place.folder.path().join("new");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 4, "the database, its log, its shared memory and the reserve");
}

#[test]
#[ignore = "a part of files_are_their_owners_alone_whatever_the_umask"]
fn create_a_store_in_a_new_folder() {
    let Some(folder) = child_folder() else { return };
    let config = SqliteConfig::new(folder.join("new/store.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let session = session(config);
    runtime.block_on(session.apply(put("a/b", "1")));
    // A process that is killed leaves all files behind.
    std::mem::forget(session);
}

#[test]
fn a_folder_open_to_others_is_warned_about() {
    one_file::a_folder_open_to_others_is_warned_about(support::open);
}

#[tokio::test]
async fn names_that_mean_something_in_a_uri_are_names() {
    let place = Place::new();
    let path = place.folder.path().join("a %41?mode=ro#b.db");
    session_at(&path).apply(put("a/b", "1")).await;
    assert!(path.exists());
    assert_eq!(session_at(&path).value("a/b").await.as_deref(), Some("1"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn opening_reads_no_entries() {
    let place = Place::new();
    let session = place.session();
    for n in 0..20 {
        let writes = (0..5_000).map(|m| put(&format!("a/{n}/{m}"), "1").build()).collect();
        session.batch(writes).await;
    }
    drop(session);
    let file = fs::metadata(&place.path).unwrap().len();
    let before = one_file::bytes_read();
    let store = SqliteStore::open(place.config()).unwrap();
    let read = one_file::bytes_read() - before;
    assert!((4_096..128 << 10).contains(&read), "{read} bytes of {file} were read");
    assert!(file > 100 * read);
    assert_eq!(store.verify(Repair::No).await.unwrap().problems, 0);
    let other = Connection::open(&place.path).unwrap();
    let count = other.query_row("SELECT sum(length(head)) FROM entry", [], |row| row.get::<_, i64>(0));
    assert!(
        count.unwrap() > 0 && one_file::bytes_read() - before > file / 4,
        "reading entries would be noticed"
    );
}
