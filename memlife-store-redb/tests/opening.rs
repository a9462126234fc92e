//! What opening does with files that are ours, were ours, or never were.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::store::{Durability, Repair};
use memlife_store_redb::{RedbConfig, RedbStore};
use memlife_testkit::Session;
use memlife_testkit::draft::put;
use memlife_testkit::one_file::{self, child, child_folder, run_child};
use redb::{Database, ReadableTable, TableDefinition};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;
use support::{OWN, Place, session};

fn refusal(path: &Path) -> (ErrorKind, String) {
    let error = RedbStore::open(RedbConfig::new(path)).unwrap_err();
    assert!(error.to_string().contains("store.redb"), "{error} names the file");
    (error.kind(), error.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_missing_store_is_created_only_when_asked() {
    let place = Place::new();
    let error = RedbStore::open(place.config().create(false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!place.path.exists());
    let deep = place.folder.path().join("a/b/store.redb");
    RedbStore::open(RedbConfig::new(&deep)).unwrap();
    assert_eq!(fs::metadata(deep.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names(deep.parent().unwrap()), ["store.redb", "store.redb-reserve"]);
}

#[test]
fn an_empty_file_becomes_a_store_and_one_that_was_emptied_does_not() {
    let place = Place::new();
    fs::write(&place.path, "").unwrap();
    drop(place.session());
    fs::write(&place.path, "").unwrap();
    assert_eq!(refusal(&place.path).0, ErrorKind::Corrupt);
    assert_eq!(fs::metadata(&place.path).unwrap().len(), 0, "left as it was");
}

#[test]
fn a_database_of_another_program_stays_as_it_is() {
    let place = Place::new();
    let other = Database::create(&place.path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    assert_eq!(refusal(&place.path).0, ErrorKind::Locked, "while that program has it open");
    drop(other);
    let before = fs::read(&place.path).unwrap();
    assert_eq!(refusal(&place.path).0, ErrorKind::Invalid);
    assert!(fs::read(&place.path).unwrap() == before, "it was changed");
    assert_eq!(names(place.folder.path()), ["store.redb"], "nothing was put beside it");
}

#[test]
fn what_is_no_database_stays_as_it_is() {
    one_file::what_is_no_database_stays_as_it_is(&[b"hello", &[b'x'; 10_000], &[0; 4_096]], support::open);
}

#[tokio::test]
async fn a_store_that_was_cut_off_is_refused() {
    one_file::a_store_that_was_cut_off_is_refused(support::open).await;
}

#[test]
fn a_store_of_a_newer_memlife_asks_for_an_upgrade() {
    let place = Place::new();
    drop(place.session());
    let database = Database::open(&place.path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut own = transaction.open_table(OWN).unwrap();
        let mut row = own.get(0).unwrap().unwrap().value().to_vec();
        row[0] = 2;
        // A later format may be of any length: it begins with its number and ends with its checksum.
        row.truncate(16);
        row.extend(crc32fast::hash(&row).to_le_bytes());
        own.insert(0, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(&place.path).unwrap();
    let (kind, message) = refusal(&place.path);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("upgrade"), "{message}");
    assert!(fs::read(&place.path).unwrap() == before, "it was changed");
}

#[tokio::test]
async fn a_copied_store_is_another_replica_and_the_moved_one_is_not() {
    one_file::a_copied_store_is_another_replica_and_the_moved_one_is_not(support::open).await;
}

/// Opens the store in four threads at once.
fn race(config: &RedbConfig) -> Vec<memlife_core::Result<RedbStore>> {
    let barrier = Arc::new(Barrier::new(4));
    let open = |_| {
        let (config, barrier) = (config.clone(), Arc::clone(&barrier));
        std::thread::spawn(move || {
            barrier.wait();
            RedbStore::open(config)
        })
    };
    let threads: Vec<_> = (0..4).map(open).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[tokio::test]
async fn of_those_that_race_to_create_a_store_one_has_it() {
    for round in 0..40 {
        let place = Place::new();
        if round % 2 == 0 {
            fs::write(&place.path, "").unwrap();
        }
        let (opened, refused): (Vec<_>, Vec<_>) = race(&place.config()).into_iter().partition(Result::is_ok);
        assert!(refused.iter().flat_map(|refused| refused.as_ref().err()).all(is_locked), "{refused:?}");
        assert_eq!(refused.len(), 3);
        let winner = Session::on(Arc::new(opened.into_iter().next().unwrap().unwrap()));
        winner.apply(put("a/b", "1")).await;
        assert_eq!(names(place.folder.path()), ["store.redb", "store.redb-reserve"]);
        drop(winner);
        assert_eq!(place.session().value("a/b").await.as_deref(), Some("1"), "it is its store that is there");
    }
}

fn is_locked(error: &memlife_core::Error) -> bool {
    error.kind() == ErrorKind::Locked
}

#[test]
fn those_that_lose_the_race_and_can_wait_have_it_later() {
    for is_empty in [false, true] {
        let place = Place::new();
        if is_empty {
            fs::write(&place.path, "").unwrap();
        }
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let config = place.config().busy_timeout(Duration::from_secs(60));
                std::thread::spawn(move || RedbStore::open(config).map(drop))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }
}

#[test]
fn drafts_that_killed_processes_left_go_and_those_in_use_stay() {
    let place = Place::new();
    let (left, held) = (place.beside("-new-0123456789abcdef"), place.beside("-new-fedcba9876543210"));
    let other = place.beside("-new-notes");
    for path in [&left, &held, &other] {
        fs::write(path, "half").unwrap();
    }
    let holder = fs::File::open(&held).unwrap();
    holder.lock().unwrap();
    drop(place.session());
    let all = ["store.redb", "store.redb-new-fedcba9876543210", "store.redb-new-notes", "store.redb-reserve"];
    assert_eq!(names(place.folder.path()), all);
    drop(holder);
    leave_open(&place.path);
    drop(place.session());
    assert_eq!(names(place.folder.path()), ["store.redb", "store.redb-new-notes", "store.redb-reserve"]);
}

/// Makes the file look as one that a killed process had open.
fn leave_open(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[9] |= 2;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn no_number_of_a_commit_that_a_kill_took_is_given_out_again() {
    let place = Place::new();
    for _ in 0..2 {
        let output = child("true", "write_without_syncing_until_killed", place.folder.path());
        let told = fs::read_to_string(place.folder.path().join("given")).unwrap();
        fs::remove_file(place.folder.path().join("given")).unwrap();
        let given: u64 = told.parse().unwrap();
        assert!(!output.status.success(), "it was killed");
        // Opened and closed in between: what was lost must not be forgotten by that.
        drop(place.session());
        let session = place.session();
        assert!(session.keys("a").await.len() < 20, "nothing was lost");
        let version = session.apply(put("b", "1")).await.version;
        assert!(version > given, "{version} was given out before {given}");
        assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
    }
}

#[test]
#[ignore = "a part of no_number_of_a_commit_that_a_kill_took_is_given_out_again"]
fn write_without_syncing_until_killed() {
    let Some(folder) = child_folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = RedbConfig::new(folder.join("store.redb")).durability(Durability::Memory);
    let session = session(config);
    let mut last = 0;
    for n in 0..20 {
        last = runtime.block_on(session.apply(put(&format!("a/{n}"), "1"))).version;
    }
    fs::write(folder.join("given"), last.to_string()).unwrap();
    std::process::abort();
}

#[test]
fn a_second_process_is_told_what_to_do() {
    let place = Place::new();
    let session = place.session();
    run_child("true", "open_what_another_process_has", place.folder.path());
    drop(session);
    place.session();
}

#[test]
#[ignore = "a part of a_second_process_is_told_what_to_do"]
fn open_what_another_process_has() {
    let Some(folder) = child_folder() else { return };
    let (kind, message) = refusal(&folder.join("store.redb"));
    assert_eq!(kind, ErrorKind::Locked);
    assert!(message.contains("close it there") && message.contains("sqlite:"), "{message}");
}

#[test]
fn opening_waits_for_the_other_as_long_as_asked() {
    let place = Place::new();
    let other = RedbStore::open(place.config()).unwrap();
    let impatient = place.config().busy_timeout(Duration::from_millis(30));
    assert_eq!(RedbStore::open(impatient).unwrap_err().kind(), ErrorKind::Locked);
    let patient = place.config().busy_timeout(Duration::from_secs(60));
    let (begins, begun) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        begins.send(()).unwrap();
        RedbStore::open(patient).map(drop)
    });
    begun.recv().unwrap();
    // Long enough for the thread to meet the lock; nothing tells from outside that it did.
    std::thread::sleep(Duration::from_millis(200));
    drop(other);
    waiting.join().unwrap().unwrap();
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
    for name in ["store.redb", "store.redb-reserve"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

#[test]
#[ignore = "a part of files_are_their_owners_alone_whatever_the_umask"]
fn create_a_store_in_a_new_folder() {
    let Some(folder) = child_folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(session(RedbConfig::new(folder.join("new/store.redb"))).apply(put("a/b", "1")));
}

#[test]
fn a_folder_open_to_others_is_warned_about() {
    one_file::a_folder_open_to_others_is_warned_about(support::open);
}

#[tokio::test]
async fn the_level_memory_is_told_and_an_orderly_close_keeps_it() {
    let place = Place::new();
    let config = place.config().durability(Durability::Memory);
    let session = session(config);
    assert!(session.store().info().warnings.iter().any(|warning| warning.0.contains("memory")));
    for n in 0..200 {
        session.apply(put(&format!("a/{n}"), "1")).await;
    }
    drop(session);
    assert_eq!(place.session().keys("a").await.len(), 200);
    let error = RedbStore::open(place.config().durability(Durability::Replicated(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn opening_reads_no_entries() {
    let place = Place::new();
    let session = place.session();
    for n in 0..4 {
        let writes = (0..5_000).map(|m| put(&format!("a/{n}/{m}"), "1").build()).collect();
        session.batch(writes).await;
    }
    drop(session);
    let file = fs::metadata(&place.path).unwrap().len();
    let before = one_file::bytes_read();
    let store = RedbStore::open(place.config()).unwrap();
    let read = one_file::bytes_read() - before;
    assert!(read < 256 << 10 && file > 20 * read, "{read} bytes of {file} were read");
    drop(store);
}
