//! Folders that the Python original left behind.

mod support;

use memlife_core::ErrorKind;
use memlife_core::record::{ExpiryOrigin, Kind, ReclaimClass};
use memlife_core::store::{Limits, Repair};
use memlife_testkit::draft::{add, assign, delete, put};
use serde_json::json;
use support::{names, open, original, original_entry, problems, read};

#[tokio::test]
async fn every_value_reads_back() {
    let folder = original();
    let session = open(folder.path());
    assert_eq!(session.values("coordination/agent1/status").await, ["{\"task\":\"running\"}"]);
    let api: serde_json::Value =
        serde_json::from_str(&session.value("knowledge/patterns/api").await.unwrap()).unwrap();
    assert_eq!((&api["pattern"], api["notes"].as_str().unwrap().len()), (&json!("RESTful"), 5_000));
    assert_eq!(session.values("swarm/shared/decisions").await, ["\"option_b\"", "\"option_a\""]);
    assert_eq!(session.values("metrics/task/count").await, ["8"]);
}

#[tokio::test]
async fn opening_and_reading_changes_no_file() {
    let folder = original();
    let before: Vec<Vec<u8>> =
        names(folder.path()).iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
    let session = open(folder.path());
    session.values("metrics/task/count").await;
    assert_eq!(session.keys("").await.len(), 4);
    assert_eq!(problems(&session, Repair::Yes).await, [""; 0]);
    let after: Vec<Vec<u8>> =
        names(folder.path()).iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn entries_are_listed_and_counted_without_having_been_judged() {
    let folder = original();
    let session = open(folder.path());
    let record = session.record("metrics/task/count").await.unwrap();
    assert_eq!(record.head.origin, ExpiryOrigin::Unjudged);
    assert_eq!(record.head.class, ReclaimClass::Unjudged);
    assert!(record.head.version > 0 && record.head.version == record.head.seq);
    assert_eq!(
        session.keys("").await,
        [
            "coordination/agent1/status",
            "knowledge/patterns/api",
            "metrics/task/count",
            "swarm/shared/decisions"
        ]
    );
    let totals = session.totals().await.tally;
    assert_eq!((totals.entries, totals.compressed), (4, 1));
    assert_eq!(session.due(ReclaimClass::Unjudged, session.now()).await.len(), 4);
}

#[tokio::test]
async fn numbers_outlive_the_handle() {
    let folder = original();
    let first = open(folder.path()).record("metrics/task/count").await.unwrap();
    assert_eq!(open(folder.path()).record("metrics/task/count").await.unwrap(), first);
    let session = open(folder.path());
    session.apply(assign("metrics/task/count", "9").if_version(first.head.version)).await;
    assert_eq!(session.values("metrics/task/count").await, ["9"]);
}

#[tokio::test]
async fn the_first_write_moves_an_entry_to_its_own_name() {
    let folder = original();
    let session = open(folder.path());
    session.apply(put("coordination/agent1/status", "{\"task\": \"done\"}")).await;
    let names = names(folder.path());
    assert!(names.contains(&"coordination+agent1+status.json".to_owned()), "{names:?}");
    assert!(!names.contains(&"coordination_agent1_status.json".to_owned()), "{names:?}");
    assert_eq!(open(folder.path()).values("coordination/agent1/status").await, ["{\"task\": \"done\"}"]);
    session.apply(delete("metrics/task/count")).await;
    assert_eq!(session.values("metrics/task/count").await, [""; 0]);
    assert_eq!(support::names(folder.path()).len(), 3);
}

#[tokio::test]
async fn rules_decide_what_an_entry_was() {
    let folder = original();
    let session = open(folder.path());
    session.apply(put("metrics/task/count", "3").counter()).await;
    assert_eq!(session.values("metrics/task/count").await, ["11"]);
    session.apply(add("metrics/task/count", 1)).await;
    assert_eq!(support::json(folder.path(), "metrics+task+count.json")["value"], 12);
    session.apply(put("knowledge/patterns/api", "\"second\"").multi_value()).await;
    let record = session.record("knowledge/patterns/api").await.unwrap();
    assert_eq!((record.head.kind, record.head.siblings), (Kind::MultiValue, 2));
    session.apply(put("swarm/shared/decisions", "\"option_c\"").multi_value()).await;
    assert_eq!(
        session.values("swarm/shared/decisions").await,
        ["\"option_c\"", "\"option_b\"", "\"option_a\""]
    );
}

#[tokio::test]
async fn two_keys_that_shared_a_name_come_apart() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a_b.json"), original_entry("a/b", &json!("slash"), 5.0)).unwrap();
    let session = open(folder.path());
    assert_eq!(session.values("a/b").await, ["\"slash\""]);
    assert_eq!(read(&session, "a_b").await.unwrap(), None);
    session.apply(put("a_b", "\"line\"")).await;
    assert_eq!(session.values("a/b").await, ["\"slash\""]);
    assert_eq!(session.values("a_b").await, ["\"line\""]);
    assert_eq!(names(folder.path()), ["a+b.json", "a_b.json"]);
    session.apply(delete("a_b")).await;
    assert_eq!(session.values("a/b").await, ["\"slash\""]);
    assert_eq!(problems(&session, Repair::No).await, [""; 0]);
}

#[tokio::test]
async fn deleting_one_key_leaves_the_other_that_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a_b.json"), original_entry("a/b", &json!("slash"), 5.0)).unwrap();
    let session = open(folder.path());
    session.unchanged(delete("a_b")).await;
    assert_eq!(session.values("a/b").await, ["\"slash\""]);
    session.apply(delete("a/b")).await;
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn files_that_are_no_entries_are_left_alone_and_named() {
    let folder = original();
    let foreign = [
        ("package.json", "{\"name\": \"x\"}"),
        ("broken.json", "{"),
        ("time.json", "{\"key\": \"t\", \"value\": 1, \"timestamp\": -1.0}"),
        ("nan.json", "{\"key\": \"n\", \"value\": NaN, \"timestamp\": 1.0}"),
        ("huge.json", "{\"key\": \"h\", \"value\": 1, \"timestamp\": 1e300}"),
        ("badkey.json", "{\"key\": \"a//b\", \"value\": 1, \"timestamp\": 1.0}"),
        ("README.md", "# not JSON at all"),
    ];
    for (name, text) in foreign {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::create_dir(folder.path().join("folder.json")).unwrap();
    let session = open(folder.path());
    assert_eq!(session.keys("").await.len(), 4);
    let found = problems(&session, Repair::No).await;
    for name in ["package", "broken", "time", "nan", "huge", "badkey", "folder"] {
        assert_eq!(
            found.iter().filter(|line| line.contains(&format!("{name}.json"))).count(),
            1,
            "{found:?}"
        );
    }
    assert_eq!(found.len(), 7, "{found:?}");
    for (name, text) in foreign {
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text);
    }
    let warnings =
        session.store().info().warnings.iter().map(|warning| warning.0.clone()).collect::<Vec<_>>();
    assert!(warnings.iter().any(|warning| warning.contains("7 files")), "{warnings:?}");
}

#[tokio::test]
async fn a_gzip_bomb_is_refused_and_harms_nobody() {
    let folder = original();
    let bomb = include_str!("data/bomb.json");
    std::fs::write(folder.path().join("bomb.json"), bomb).unwrap();
    let config = memlife_store_fs::FsConfig::new(folder.path())
        .limits(Limits { body_bytes: 1 << 20, ..Limits::default() });
    let store = memlife_store_fs::FsStore::open(&config).unwrap();
    let session = memlife_testkit::Session::on(std::sync::Arc::new(store));
    assert_eq!(read(&session, "bomb").await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(session.values("metrics/task/count").await, ["8"]);
    assert_eq!(problems(&session, Repair::Yes).await.len(), 1);
    assert!(folder.path().join("bomb.json").exists(), "what is only too large is not damaged");
}

#[tokio::test]
async fn an_entry_that_the_original_wrote_again_is_read_anew() {
    let folder = original();
    let session = open(folder.path());
    let before = session.record("metrics/task/count").await.unwrap();
    let again = original_entry("metrics/task/count", &json!(21), 1_795_349_000.0);
    std::fs::write(folder.path().join("metrics_task_count.json"), again).unwrap();
    assert_eq!(session.values("metrics/task/count").await, ["21"]);
    session.apply(put("metrics/task/count", "1").counter()).await;
    assert_eq!(session.values("metrics/task/count").await, ["22"]);
    assert!(session.record("metrics/task/count").await.unwrap().head.version > before.head.version);
}

#[tokio::test]
async fn copies_of_one_folder_do_not_count_twice() {
    let (here, there) = (original(), original());
    let (here, there) = (open(here.path()), open(there.path()));
    for session in [&here, &there] {
        session.apply(put("metrics/task/count", "0").counter()).await;
        session.apply(put("swarm/shared/decisions", "\"c\"").writer("w").multi_value()).await;
    }
    for key in ["metrics/task/count", "swarm/shared/decisions"] {
        let theirs = there.record(key).await.unwrap();
        here.apply(memlife_testkit::draft::join(&theirs)).await;
    }
    assert_eq!(here.values("metrics/task/count").await, ["8"]);
    assert_eq!(here.values("swarm/shared/decisions").await.len(), 4, "option_a, option_b and c of each side");
}
