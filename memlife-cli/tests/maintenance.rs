//! cleanup, stats, verify and policy.
#![cfg(feature = "sqlite")]

mod support;

use serde_json::json;
use support::Place;

const PAST: &str = "2001-01-01T00:00:00Z";
const ORIGINAL_POLICIES: &str = r#"
namespaces:
  - {namespace: "coordination/*", ttl_seconds: 3600, cleanup_strategy: lazy, conflict_strategy: lww}
  - {namespace: "knowledge/*", ttl_seconds: 0, cleanup_strategy: manual, conflict_strategy: multi_value}
logging:
  level: INFO
  log_cleanup_operations: true
  log_compression_stats: true
"#;

fn with_expired() -> Place {
    let place = Place::new();
    for key in ["a/1", "a/2", "b/1", "knowledge/1"] {
        place.done(&["put", key, "old", "--expires-at", PAST]);
    }
    place.done(&["put", "a/3", "alive"]);
    place
}

#[test]
fn cleanup_has_the_field_names_of_the_original() {
    let place = with_expired();
    let swept = place.json(&["cleanup"]);
    assert_eq!(swept["deleted_count"], 3);
    assert_eq!((&swept["entries_before"], &swept["entries_after"]), (&json!(5), &json!(2)));
    assert!(swept["elapsed_seconds"].as_f64().unwrap() >= 0.0);
    let timestamp = swept["timestamp"].as_f64().unwrap();
    assert!((1e9..1e11).contains(&timestamp), "Unix seconds: {timestamp}");
    assert_eq!((&swept["stopped"], &swept["dry_run"]), (&json!(null), &json!(false)));
    assert_eq!(place.json(&["cleanup"])["deleted_count"], 0);
}

#[test]
fn cleanup_takes_no_more_than_it_is_told() {
    let place = with_expired();
    assert_eq!(place.json(&["cleanup", "--dry-run", "--force"])["deleted_count"], 4);
    assert_eq!(place.json(&["cleanup", "--namespace", "b"])["deleted_count"], 1);
    let limited = place.json(&["cleanup", "--limit", "1"]);
    assert_eq!((&limited["deleted_count"], &limited["stopped"]), (&json!(1), &json!("limit")));
    assert_eq!(place.json(&["cleanup"])["deleted_count"], 1);
    assert_eq!(place.json(&["cleanup", "--force"])["deleted_count"], 1);
    assert!(place.done(&["cleanup"]).starts_with("removed 0 of 1 entries"));
    place.run(&["cleanup", "--budget", "long"]).fails(2, "long");
    place.run(&["cleanup", "--namespace", ""]).fails(2, "pattern");
}

#[test]
fn stats_have_the_field_names_of_the_original_and_more() {
    let place = with_expired();
    let stats = place.json(&["stats"]);
    assert_eq!(stats["total_entries"], 1);
    assert_eq!(stats["compressed_entries"], 0);
    assert_eq!(stats["policies_count"], 5);
    assert_eq!(stats["namespace_counts"]["a/3"], 1);
    let path = place.path().join(".memlife/store.db");
    assert_eq!((&stats["storage_path"], &stats["db_path"]), (&json!(path), &json!(path)));
    assert_eq!(stats["expired"], json!({"at_least": 4, "or_more": false}));
    assert_eq!(stats["stored"]["entries"], 5);
    assert_eq!(stats["rules"]["(default)"]["entries"], 1);
    assert!(place.done(&["stats"]).contains("entries     1 (4 expired"));
}

#[test]
fn a_healthy_store_verifies() {
    let place = with_expired();
    let found = place.json(&["verify"]);
    assert_eq!((&found["problems"], &found["findings"]), (&json!(0), &json!([])));
    assert!(found["checked"].as_u64().unwrap() >= 5);
    assert!(place.done(&["verify", "--repair"]).contains(" 0 problems, 0 left"));
}

#[cfg(feature = "fs")]
#[test]
fn damage_is_told_and_the_rest_goes_on() {
    let place = Place::new();
    let directory = place.path().join("memory");
    let store = format!("fs:{}", directory.display());
    for key in ["a", "b", "c"] {
        place.done(&["--store", &store, "put", key, "value"]);
    }
    let damaged = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && std::fs::read_to_string(path).unwrap().contains("\"b\""))
        .unwrap();
    let text = std::fs::read_to_string(&damaged).unwrap();
    std::fs::write(&damaged, &text[..text.len() / 2]).unwrap();
    for command in ["export", "list"] {
        let ran = place.run(&["--store", &store, "--output", "json", command]);
        ran.fails(2, "verify");
        let keys: Vec<_> = ran.lines().iter().map(|line| line["key"].clone()).collect();
        assert_eq!(keys, ["a", "c"], "{command}");
    }
    let ran = place.run(&["--store", &store, "--output", "json", "verify"]);
    ran.fails(1, "--repair");
    assert!(ran.lines()[0]["unrepaired"].as_u64().unwrap() >= 1);
    assert_eq!(place.run(&["--store", &store, "verify", "--repair"]).code, 0);
    assert_eq!(place.run(&["--store", &store, "export"]).code, 0);
}

#[test]
fn a_policy_file_is_shown_and_explained() {
    let place = Place::new();
    place.write(".claude/memory-retention-policies.yaml", ORIGINAL_POLICIES);
    let shown = place.json(&["policy", "show"]);
    assert_eq!(shown["rules"][0]["pattern"], "coordination/*");
    assert_eq!(shown["rules"][0]["ttl"], "1h");
    assert_eq!(shown["rules"][1]["conflict_strategy"], "multi_value");
    assert_eq!(shown["logging"]["log_compression_stats"], true);
    let explained = place.json(&["policy", "explain", "coordination/x"]);
    assert_eq!((&explained["rule"], &explained["line"]), (&json!("coordination/*"), &json!(3)));
    let ttl = explained["values"].as_array().unwrap().iter().find(|one| one["name"] == "ttl").unwrap();
    assert_eq!(ttl["value"], "1h");
    assert!(place.done(&["policy", "explain", "elsewhere"]).contains("(default)"));
}

#[test]
fn lint_tells_rules_in_vain() {
    let place = Place::new();
    assert_eq!(place.run(&["policy", "lint"]).code, 0);
    let vain = "namespaces:\n  - {namespace: \"x/*\", ttl: 1h, max_siblings: 3}\n";
    let file = place.write("vain.yaml", vain);
    let ran = place.run(&["--policies", file.to_str().unwrap(), "--output", "json", "policy", "lint"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!((&ran.lines()[0]["severity"], &ran.lines()[0]["line"]), (&json!("warning"), &json!(2)));
    let broken = place.write("broken.yaml", "namespcaes: []\n");
    place.run(&["--policies", broken.to_str().unwrap(), "policy", "lint"]).fails(2, "namespaces");
    place.run(&["--policies", "no-such-file.yaml", "get", "k"]).fails(2, "no-such-file.yaml");
}

#[test]
fn a_changed_policy_reaches_entries_when_it_is_applied() {
    let place = Place::new();
    place.done(&["put", "notes/1", "x"]);
    place.write(".memlife/policies.yaml", "namespaces:\n  - {namespace: \"notes/*\", ttl: 1h}\n");
    let ran = place.run(&["stats"]);
    ran.fails(0, "policy apply");
    let applied = place.json(&["policy", "apply"]);
    assert_eq!((&applied["restamped"], &applied["failed"]), (&json!(1), &json!(0)));
    assert!(place.json(&["get", "notes/1", "--meta"])["expires_at"].is_string());
    assert_eq!(place.json(&["stats"])["policy_pending"], false);
}

#[test]
fn the_logging_of_the_policy_file_is_honoured() {
    let place = with_expired();
    assert_eq!(place.run(&["cleanup", "--dry-run"]).stderr, "");
    place.write(".memlife/policies.yaml", ORIGINAL_POLICIES);
    let told = place.run(&["cleanup", "--dry-run"]).stderr;
    assert!(told.contains("swept") && told.contains("compression"), "{told}");
    assert_eq!(place.run(&["-q", "cleanup", "--dry-run"]).stderr, "");
    let silent = ORIGINAL_POLICIES.replace("operations: true", "operations: false");
    place.write(".memlife/policies.yaml", silent);
    assert!(!place.run(&["cleanup", "--dry-run"]).stderr.contains("swept"));
}

#[test]
fn values_are_packed_with_a_dictionary_once_it_is_trained() {
    let place = Place::new();
    place.write(".memlife/policies.yaml", "namespaces: [{namespace: 'session/**', ttl: 24h}]");
    let value = |i: u32| {
        json!({
            "task": i * 7_919, "status": "running", "owner": format!("agent{}", i % 13),
            "notes": "waits for the merge of the other branch and then runs the whole suite again",
        })
        .to_string()
    };
    let lines: String = (0..300).fold(String::new(), |lines, i| {
        lines + &format!("{{\"key\":\"session/{i}\",\"value\":{}}}\n", value(i))
    });
    assert_eq!(place.run_with(&["import"], lines).code, 0);
    let trained = |args: &[&str]| {
        let mut all = vec!["policy", "train", "--rule", "session/**"];
        all.extend(args);
        place.json(&all)[0].clone()
    };
    for (args, result) in [(&["--dry-run"][..], "gain"), (&[], "gain"), (&[], "no_gain")] {
        let training = trained(args);
        assert_eq!((&training["result"], &training["values"]), (&json!(result), &json!(300)), "{training}");
    }
    place.done(&["put", "session/new", &value(1_000)]);
    assert_eq!(place.done(&["get", "session/new"]).trim_end(), value(1_000));
    let stored = place.json(&["get", "session/new", "--meta"]);
    assert_eq!(stored["compression"], "zstd");
    assert!(
        stored["stored_bytes"].as_u64().unwrap() * 2 <= stored["raw_bytes"].as_u64().unwrap(),
        "{stored}"
    );
    place.done(&["verify"]);
    // An export and a copy are whole without the store that they were made from.
    let other = Place::new();
    assert_eq!(other.run_with(&["import"], place.done(&["export", "--state"])).code, 0);
    assert_eq!(other.done(&["get", "session/new"]).trim_end(), value(1_000));
    place.done(&["copy", "sqlite:.memlife/store.db", "fs:copied"]);
    std::fs::remove_file(place.path().join(".memlife/store.db")).unwrap();
    assert_eq!(place.done(&["--store", "fs:copied", "get", "session/new"]).trim_end(), value(1_000));
    let all = place.done(&["policy", "train", "--dry-run"]);
    assert!(all.contains("session/**: 0 values, too few to train on"), "{all}");
    place.run(&["policy", "train", "--rule", "nothing/**"]).fails(2, "no rule has the pattern");
}
