//! What people and other programs find in the folder.

mod support;

use memlife_core::record::{Body, Codec, Compression};
use memlife_core::store::{Cause, Change, Durability, Op, Repair, Retouch};
use memlife_core::{ErrorKind, Value};
use memlife_store_fs::{FsConfig, FsStore};
use memlife_testkit::draft::{add, delete, erase, put, put_bytes, touch};
use memlife_testkit::{Draft, Session};
use serde_json::json;
use std::sync::Arc;
use support::{copy_all, json, names, open, problems};

#[tokio::test]
async fn every_entry_is_a_json_file_that_shows_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("coordination/agent1/status", "{\"task\": \"running\"}")).await;
    session.apply(put("knowledge/Open Points", "[1, 2,\n 3]").multi_value()).await;
    session.apply(put("knowledge/Open Points", "\"later\"").multi_value()).await;
    session.apply(add("metrics/count", 5)).await;
    session.apply(put_bytes("raw", b"\x00\xff")).await;
    assert_eq!(
        names(folder.path()),
        [
            "coordination+agent1+status.json",
            "knowledge+%4fpen%20%50oints.json",
            "metrics+count.json",
            "raw.json"
        ]
    );
    let status = json(folder.path(), "coordination+agent1+status.json");
    assert_eq!(
        (&status["value"], &status["namespace"]),
        (&json!({"task": "running"}), &json!("coordination/agent1"))
    );
    let points = json(folder.path(), "knowledge+%4fpen%20%50oints.json");
    assert_eq!((&points["value"], &points["conflicted"]), (&json!("later"), &json!(true)));
    assert_eq!(points["conflict_values"][0][0], json!([1, 2, 3]));
    assert_eq!(json(folder.path(), "metrics+count.json")["value"], 5);
    assert_eq!(json(folder.path(), "raw.json")["value"], "AP8=");
}

#[tokio::test]
async fn compressed_values_are_read_as_the_original_did() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    let gzip = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 512, dictionary: 0 };
    let text = format!("\"{}\"", "x".repeat(5_000));
    let body = Body::of_value(&Value::json_text(text.clone()).unwrap(), gzip).unwrap();
    session.apply(Draft::new("a", Change::Op(Op::Put(body)))).await;
    // A lattice state is compressed when it is written, so its shown value is, too.
    session.apply(put("b", &text).multi_value().compression(gzip)).await;
    for name in ["a.json", "b.json"] {
        let file = json(folder.path(), name);
        assert_eq!(file["compressed"], true);
        assert!(file["value"].as_str().unwrap().starts_with("H4sI"), "{}", file["value"]);
        assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() < 2_000);
    }
    assert_eq!(open(folder.path()).values("b").await, [text]);
}

#[tokio::test]
async fn a_file_goes_with_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    session.apply(put("b", "1")).await;
    session.apply(delete("a")).await;
    session.apply(erase("b", Cause::Purged)).await;
    assert_eq!(names(folder.path()), [""; 0]);
    session.apply(put("a", "2")).await;
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[tokio::test]
async fn memlifes_own_entries_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("sweeps/1", "{}").to_system_key("sweeps/1")).await;
    assert_eq!(names(folder.path()), [""; 0]);
    let key = memlife_core::Key::system("sweeps/1").unwrap();
    assert!(open(folder.path()).fetch(&key, Default::default()).await.is_some());
}

#[tokio::test]
async fn a_touch_is_in_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    let version = session.apply(put("a", "1").ttl_ms(1_000)).await.version;
    session.apply(touch("a", Retouch::Set(memlife_core::store::Expiry::Never))).await;
    let record = open(folder.path()).record("a").await.unwrap();
    assert_eq!((record.head.life.expires_at, record.head.version), (None, version));
    assert!(record.head.seq > version);
}

#[tokio::test]
async fn names_are_found_again_whatever_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    let long = format!("long/{}", "\u{e9}".repeat(500));
    let keys = ["CON", "con", "-rf", ".hidden", "a/b", "a_b", "a+b", "a:b", "%41", "A", "100%", " ", &long];
    for (i, key) in keys.iter().enumerate() {
        session.apply(put(key, &i.to_string())).await;
    }
    let again = open(folder.path());
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(again.values(key).await, [i.to_string()], "{key}");
    }
    assert_eq!(names(folder.path()).len(), keys.len());
    assert!(names(folder.path()).iter().all(|name| name.len() <= 200));
    assert_eq!(problems(&again, Repair::No).await, [""; 0]);
}

#[tokio::test]
async fn what_is_written_to_the_disk_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = FsConfig::new(folder.path().join("deep/down")).durability(Durability::Disk);
    let session = Session::on(Arc::new(FsStore::open(&config).unwrap()));
    assert_eq!(session.store().info().durability, Durability::Disk);
    session.apply(put("a", "1")).await;
    session.apply(put("a", "2")).await;
    session.apply(put("b", "3")).await;
    session.apply(delete("b")).await;
    let again = open(&folder.path().join("deep/down"));
    assert_eq!((again.values("a").await, again.values("b").await), (vec!["2".to_owned()], vec![]));
}

#[tokio::test]
async fn a_missing_folder_is_created_only_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = FsStore::open(&FsConfig::new(&missing).create(false)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!missing.exists());
    assert!(FsStore::open(&FsConfig::new(folder.path()).create(false)).is_ok());
}

#[tokio::test]
async fn two_handles_lose_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let handles = [open(folder.path()), open(folder.path())];
    let mut tasks = Vec::new();
    for session in handles {
        tasks.push(tokio::spawn(async move {
            for _ in 0..100 {
                session.apply(add("count", 1)).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let session = open(folder.path());
    assert_eq!(session.values("count").await, ["200"]);
    assert_eq!(problems(&session, Repair::No).await, [""; 0]);
}

#[tokio::test]
async fn a_version_holds_across_handles() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    let version = one.apply(put("a", "1")).await.version;
    assert_eq!(other.record("a").await.unwrap().head.version, version);
    other.apply(put("a", "2").if_version(version)).await;
    one.refused(put("a", "3").if_version(version)).await;
    assert_eq!(one.values("a").await, ["2"]);
}

#[tokio::test]
async fn a_copied_folder_is_another_replica_and_gives_out_versions_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    let before = session.apply(put("a", "1")).await;
    let original = session.store().info().clone();
    drop(session);
    let copied = tempfile::tempdir().unwrap();
    copy_all(folder.path(), copied.path());
    let copy = open(copied.path());
    assert_ne!(copy.store().info().replica, original.replica);
    assert_eq!(copy.value("a").await.as_deref(), Some("1"));
    let version = copy.apply(put("a", "2")).await.version;
    assert!(version > before.version + (1 << 32), "{version} may be one that the original gives out");
    assert_eq!(open(folder.path()).apply(put("a", "3")).await.version, before.version + 1);
}
