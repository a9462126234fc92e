//! Full disks, failing disks and damaged pages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::record::ReclaimClass;
use memlife_core::store::Repair;
use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::Session;
use memlife_testkit::SmallDisk;
use memlife_testkit::draft::{delete, put};
use memlife_testkit::one_file::{self, child_folder, run_child};
use rusqlite::Connection;
use std::fs;
use std::sync::Arc;
use support::{Place, session};

#[tokio::test]
async fn a_full_disk_takes_deletes_and_sweeps_and_recovers() {
    one_file::a_full_disk_takes_deletes_and_sweeps_and_recovers("store.db", support::open).await;
}

#[tokio::test]
async fn an_io_error_latches_the_handle_and_loses_nothing() {
    let place = Place::new();
    // A file-size limit makes writes fail with an error that is not about space.
    run_child("trap '' XFSZ; ulimit -f 256", "write_until_it_fails", place.folder.path());
    one_file::nothing_that_was_acknowledged_is_lost(&place.session(), place.folder.path()).await;
}

#[test]
#[ignore = "a part of an_io_error_latches_the_handle_and_loses_nothing"]
fn write_until_it_fails() {
    let Some(folder) = child_folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let session = session(SqliteConfig::new(folder.join("store.db")).reserve_bytes(0));
        one_file::write_until_it_fails(&session, &folder, 2_000, ErrorKind::Indeterminate).await;
    });
}

fn damage(place: &Place, sql: &str) {
    let other = Connection::open(&place.path).unwrap();
    assert_eq!(other.execute(sql, []).unwrap(), 1, "{sql}");
}

#[tokio::test]
async fn a_damaged_entry_is_named_and_the_others_are_served() {
    let place = Place::new();
    let session = place.session();
    for key in ["a/1", "a/2", "a/3", "a/4"] {
        session.apply(put(key, "\"value\"")).await;
    }
    damage(&place, "UPDATE entry SET body = zeroblob(length(body)) WHERE key = 'a/2'");
    damage(&place, "UPDATE entry SET head = (SELECT head FROM entry WHERE key = 'a/1') WHERE key = 'a/3'");
    one_file::a_damaged_entry_is_named_and_the_others_are_served(&session).await;
}

#[tokio::test]
async fn repair_rebuilds_what_is_derived_and_sets_damage_aside() {
    let place = Place::new();
    let session = place.session();
    for key in ["a/1", "a/2", "a/3", "b/4"] {
        session.apply(put(key, "\"value\"").ttl_ms(1_000)).await;
    }
    damage(&place, "UPDATE entry SET body = zeroblob(length(body)) WHERE key = 'a/2'");
    damage(&place, "UPDATE entry SET reclaim_at = NULL, class = 4, grp = 77 WHERE key = 'a/3'");
    damage(&place, "UPDATE ledger SET entries = 50 WHERE id = 0");
    let found = session.store().verify(Repair::No).await.unwrap();
    assert!(found.problems >= 3 && found.unrepaired() == found.problems, "{:?}", found.findings);
    let mended = session.store().verify(Repair::Yes).await.unwrap();
    assert_eq!(mended.unrepaired(), 0, "{:?}", mended.findings);
    let after = session.store().verify(Repair::No).await.unwrap();
    assert_eq!((after.checked, after.findings), (3, vec![]));
    assert_eq!(session.keys("").await, ["a/1", "a/3", "b/4"]);
    session.pass(2_000);
    assert_eq!(session.due_keys(ReclaimClass::Scheduled, session.now()).await, ["a/1", "a/3", "b/4"]);
    let kept: i64 = Connection::open(&place.path)
        .unwrap()
        .query_row("SELECT count(*) FROM lost_found WHERE key = 'a/2'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn no_flipped_bit_is_served_as_a_value() {
    let place = Place::new();
    let session = place.session();
    for n in 0..20 {
        session.apply(put(&format!("a/{n}"), "\"the value as it was written\"")).await;
    }
    drop(session);
    let whole = fs::read(&place.path).unwrap();
    for bit in (0..whole.len() * 8).step_by(4_099) {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&place.path, &bad).unwrap();
        let Ok(store) = SqliteStore::open(place.config()) else { continue };
        let session = Session::on(Arc::new(store));
        for n in 0..20 {
            let keys = [memlife_core::Key::new(&format!("a/{n}")).unwrap()];
            // Missing or refused, as an index tells; never another value.
            if let Ok(fetched) = session.store().get(&keys, Default::default()).await
                && let Some(record) = &fetched.slots[0]
            {
                assert_eq!(record.body().unwrap().payload(), "\"the value as it was written\"", "bit {bit}");
            }
        }
        let _ = session.try_write(put("a/new", "1")).await;
        let _ = session.store().verify(Repair::Yes).await;
        drop(session);
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(place.beside(suffix));
        }
    }
}

/// Writes small entries, 500 at once, until the disk is full; the keys of those that are acknowledged.
async fn fill_in_batches(mut open: impl FnMut() -> Session) -> Vec<String> {
    let mut session = open();
    let mut acknowledged = Vec::new();
    for n in (0..1_000_000).step_by(500) {
        let keys: Vec<String> = (n..n + 500).map(|n| format!("a/{n}")).collect();
        let writes = keys.iter().map(|key| put(key, &"7".repeat(100)).build()).collect();
        for (key, outcome) in keys.into_iter().zip(session.try_batch(writes).await.unwrap()) {
            match outcome {
                Ok(_) => acknowledged.push(key),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                    return acknowledged;
                }
            }
        }
        session = open();
    }
    panic!("the disk does not fill up");
}

/// What is in the log has to fit into the file, too: on a disk without room for that nothing could be freed.
#[tokio::test]
async fn a_disk_full_of_small_entries_is_freed_by_deletes() {
    for (mib, opens_each_time) in [(12, false), (24, true)] {
        let Some(disk) = SmallDisk::mount(mib << 20) else { return };
        let path = disk.path().join("store.db");
        let open = || session(SqliteConfig::new(&path).checkpoint_on_close(false));
        let keys = if opens_each_time {
            fill_in_batches(open).await
        } else {
            let kept = open();
            fill_in_batches(|| Session::on(Arc::clone(kept.store()))).await
        };
        assert!(keys.len() > 5_000, "{} entries fit {mib} MiB", keys.len());
        let session = open();
        for keys in keys.chunks(500) {
            for outcome in session.batch(keys.iter().map(|key| delete(key).build()).collect()).await {
                outcome.unwrap();
            }
        }
        session.apply(put("b", "1")).await;
        assert_eq!(session.value("b").await.as_deref(), Some("1"));
        assert_eq!(session.value("a/7").await, None);
        assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
    }
}
