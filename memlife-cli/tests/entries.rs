//! put, get, delete, list, touch, counter and conflicts.
#![cfg(feature = "sqlite")]

mod support;

use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use support::{Place, run};

const PAST: &str = "2001-01-01T00:00:00Z";

#[test]
fn json_stays_json_and_other_text_is_a_string() {
    let place = Place::new();
    for (key, value, text, json) in [
        ("a/object", r#"{"b":[1, 2]}"#, r#"{"b":[1, 2]}"#, json!({"b": [1, 2]})),
        ("a/number", "-5", "-5", json!(-5)),
        ("a/null", "null", "null", json!(null)),
        ("a/string", r#""quoted \"text\"""#, "quoted \"text\"", json!("quoted \"text\"")),
        ("a/word", "running", "running", json!("running")),
        ("a/broken", "{half", "{half", json!("{half")),
        ("a/empty", "", "", json!("")),
    ] {
        assert_eq!(place.done(&["put", key, value]), "");
        assert_eq!(place.done(&["get", key]), format!("{text}\n"), "{key}");
        assert_eq!(place.json(&["get", key]), json, "{key}");
    }
}

#[test]
fn long_numbers_and_the_order_of_fields_stay() {
    let place = Place::new();
    let file = place.write("v.json", "{\n \"z\": 123456789012345678901234567890,\n \"a\": 1\n}\n");
    place.done(&["put", "k", &format!("@{}", file.display())]);
    let printed = place.done(&["--output", "json", "get", "k"]);
    assert_eq!(printed.lines().count(), 1);
    let z = printed.find("123456789012345678901234567890").unwrap();
    assert!(z < printed.find("\"a\"").unwrap(), "{printed}");
}

#[test]
fn values_come_from_standard_input_and_files() {
    let place = Place::new();
    let file = place.write("value.txt", "from a file");
    place.done(&["put", "k/file", &format!("@{}", file.display())]);
    assert_eq!(place.run_with(&["put", "k/dash", "-"], "[1]\n").code, 0);
    assert_eq!(place.run_with(&["put", "k/none"], "typed").code, 0);
    assert_eq!(place.json(&["get", "k/file"]), "from a file");
    assert_eq!(place.json(&["get", "k/dash"]), json!([1]));
    assert_eq!(place.json(&["get", "k/none"]), "typed");
    place.run(&["put", "k", "@no/such/file"]).fails(2, "no/such/file");
}

#[test]
fn bytes_are_kept_as_they_are() {
    let place = Place::new();
    let bytes = [0, 159, 146, 150, 10];
    place.run_with(&["put", "k", "-"], bytes).fails(2, "--bytes");
    assert_eq!(place.run_with(&["put", "k", "-", "--bytes"], bytes).code, 0);
    let output = place.command().args(["get", "k"]).output().unwrap();
    assert_eq!(output.stdout, bytes);
    assert_eq!(place.json(&["get", "k"]), "AJ+Slgo=");
    let entry = place.json(&["get", "k", "--meta"]);
    assert_eq!((&entry["value"], &entry["encoding"]), (&json!("AJ+Slgo="), &json!("base64")));
    let line = place.json(&["list"]);
    assert_eq!(line, json!({"key": "k", "value": "AJ+Slgo=", "encoding": "base64"}));
}

#[test]
fn a_value_past_the_limit_is_refused_without_reading_it_all() {
    let place = Place::new();
    let huge = place.write("huge", "");
    // Sparse: nobody could read it in the time of a test, let alone hold it.
    std::fs::File::options().write(true).open(&huge).unwrap().set_len(1 << 40).unwrap();
    let value = format!("@{}", huge.display());
    place.run(&["put", "k", &value, "--bytes"]).fails(2, "--max-value-bytes");
    place.run_with(&["--max-value-bytes", "10", "put", "k"], "12345678901").fails(2, "10 bytes");
    assert_eq!(place.run_with(&["--max-value-bytes", "10", "put", "k"], "1234567890").code, 0);
    place.run(&["get", "other"]).fails(1, "other");
}

#[test]
fn bad_input_is_told() {
    let place = Place::new();
    for key in ["", "a//b", "/a", "../a", "a/", "a\nb"] {
        assert_eq!(place.run(&["put", key, "v"]).code, 2, "{key:?}");
        assert_eq!(place.run(&["get", key]).code, 2, "{key:?}");
    }
    place.run(&["put", "k", "v", "--ttl", "0"]).fails(2, "permanent");
    place.run(&["put", "k", "v", "--ttl", "soon"]).fails(2, "soon");
    place.run(&["put", "k", "v", "--expires-at", "soon"]).fails(2, "no instant");
    place.run(&["put", "k", "v", "--ttl", "1h", "--permanent"]).fails(2, "cannot be used with");
    place.run(&["put", "k", "v", "--if-absent", "--if-version", "1"]).fails(2, "cannot be used with");
    place.run(&["--store", "nonsense", "get", "k"]).fails(2, "nonsense");
    place.run(&["--store", "ftp:x", "get", "k"]).fails(2, "ftp");
    let deep = place.write("deep.json", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    place.run(&["put", "k", &format!("@{}", deep.display())]).fails(2, "deep");
    place.run(&["get", "k"]).fails(1, "nothing");
    let mut command = place.command();
    run(command.args(["get"]).arg(OsStr::from_bytes(b"\xff")), b"").fails(2, "UTF-8");
    let mut command = place.command();
    run(command.args(["where"]).env("MEMLIFE_STORE", OsStr::from_bytes(b"\xff")), b"")
        .fails(2, "MEMLIFE_STORE");
}

#[test]
fn the_expiry_is_what_was_asked_for() {
    let place = Place::new();
    let put = place.json(&["put", "k", "1", "--expires-at", "4102444800"]);
    assert_eq!(put["expires_at"], "2100-01-01T00:00:00Z");
    let put = place.json(&["put", "k", "2", "--keep-ttl"]);
    assert_eq!(put["expires_at"], "2100-01-01T00:00:00Z");
    assert_eq!(place.json(&["put", "k", "3", "--permanent"])["expires_at"], json!(null));
    assert!(place.json(&["put", "coordination/k", "4"])["expires_at"].is_string());
    assert_eq!(place.json(&["get", "k", "--meta"])["expiry_by"], "caller");
}

#[test]
fn an_expired_entry_is_seen_only_when_asked_for() {
    let place = Place::new();
    place.done(&["put", "k", "old", "--expires-at", PAST]);
    place.run(&["get", "k"]).fails(1, "nothing is at \"k\"");
    assert_eq!(place.run(&["list"]).code, 1);
    assert_eq!(place.done(&["get", "k", "--expired"]), "old\n");
    assert_eq!(place.done(&["list", "--expired", "--keys"]), "k\n");
    place.run(&["touch", "k", "--ttl", "1h"]).fails(1, "nothing is at");
}

#[test]
fn an_expired_entry_under_a_lazy_rule_goes_when_it_is_asked_for() {
    let place = Place::new();
    place.done(&["put", "coordination/k", "old", "--expires-at", PAST]);
    assert_eq!(place.run(&["get", "coordination/k"]).code, 1);
    assert_eq!(place.run(&["get", "coordination/k", "--expired"]).code, 1);
    assert_eq!(place.json(&["stats"])["removed"]["expired"], 1);
}

#[test]
fn conditions_hold_or_nothing_is_written() {
    let place = Place::new();
    let version = place.json(&["put", "k", "1", "--if-absent"])["version"].as_u64().unwrap();
    let ran = place.run(&["--output", "json", "--as", "b", "put", "k", "2", "--if-absent"]);
    ran.fails(1, &format!("version {version}"));
    let refused = &ran.lines()[0];
    assert_eq!((&refused["written"], &refused["reason"]), (&json!(false), &json!("exists")));
    assert_eq!(refused["current"]["version"], version);
    place.done(&["put", "k", "3", "--if-version", &version.to_string()]);
    place.run(&["put", "k", "4", "--if-version", &version.to_string()]).fails(1, "was not done");
    place.run(&["put", "absent", "4", "--if-version", "9"]).fails(1, "--if-absent");
    assert_eq!(place.json(&["get", "k"]), 3);
}

#[test]
fn an_older_timestamp_is_superseded() {
    let place = Place::new();
    place.done(&["put", "k", "new", "--timestamp", "2000.5"]);
    let ran = place.run(&["--output", "json", "put", "k", "old", "--timestamp", "1000"]);
    ran.fails(1, "superseded");
    assert_eq!(ran.lines()[0]["reason"], "superseded");
    assert_eq!(place.json(&["get", "k"]), "new");
}

#[test]
fn deleting_counts_what_went() {
    let place = Place::new();
    for key in ["a/b", "a/b/c", "a/bc", "x", "y"] {
        place.done(&["put", key, "1"]);
    }
    assert_eq!(place.json(&["delete", "--prefix", "a/b"]), json!({"deleted": 2}));
    assert_eq!(place.done(&["list", "--keys"]), "a/bc\nx\ny\n");
    place.run(&["delete", "--all"]).fails(2, "--yes");
    assert_eq!(place.done(&["delete", "x", "gone"]), "deleted 1\n");
    place.run(&["delete", "x"]).fails(1, "nothing is at \"x\"");
    place.run(&["delete", "y", "--if-version", "999"]).fails(1, "version");
    place.run(&["delete"]).fails(2, "required");
    assert_eq!(place.done(&["delete", "--all", "--yes"]), "deleted 2\n");
    assert_eq!(place.run(&["delete", "--all", "--yes"]).code, 1);
}

#[test]
fn a_version_guards_one_key_only() {
    let place = Place::new();
    let version = place.json(&["put", "k", "1"])["version"].to_string();
    place.run(&["delete", "k", "j", "--if-version", &version]).fails(2, "one key");
    assert_eq!(place.done(&["delete", "k", "--if-version", &version]), "deleted 1\n");
}

#[test]
fn lists_are_sorted_and_paged() {
    let place = Place::new();
    for key in ["task/2/status", "task/10/status", "task/1/status", "task/1/owner", "tasks"] {
        place.done(&["put", key, "{\"v\":\"x\"}"]);
    }
    assert_eq!(
        place.done(&["list", "--keys", "task/*/status"]),
        "task/1/status\ntask/10/status\ntask/2/status\n"
    );
    assert_eq!(place.done(&["list", "--keys", "--limit", "2"]), "task/1/owner\ntask/1/status\n");
    assert_eq!(place.done(&["list", "--keys", "--after", "task/10/status"]), "task/2/status\ntasks\n");
    assert_eq!(place.done(&["list", "tasks"]), "tasks\t{\"v\":\"x\"}\n");
    let line = place.json(&["list", "tasks", "--long"]);
    assert_eq!((&line["key"], &line["value"]), (&json!("tasks"), &json!({"v": "x"})));
    for field in ["version", "stamp", "expires_at", "writer", "siblings", "raw_bytes", "stored_bytes", "rule"]
    {
        assert!(line.get(field).is_some(), "{field}");
    }
    assert_eq!(place.json(&["list", "tasks", "--keys"]), json!({"key": "tasks"}));
    assert_eq!(place.run(&["list", "nothing"]).code, 1);
    assert_eq!(place.run(&["list", "a//b"]).code, 2);
}

#[test]
fn touching_changes_the_expiry_alone() {
    let place = Place::new();
    let version = place.json(&["put", "k", "1", "--ttl", "1h"])["version"].clone();
    let touched = place.json(&["touch", "k", "--expires-at", "2100-01-01T00:00:00Z"]);
    assert_eq!(
        touched,
        json!({"key": "k", "changed": true, "version": version,
        "expires_at": "2100-01-01T00:00:00Z", "clamped": false})
    );
    assert_eq!(place.json(&["touch", "k", "--ttl", "1h", "--only-extend"])["changed"], false);
    assert_eq!(place.json(&["touch", "k", "--ttl", "1h", "--only-shorten"])["changed"], true);
    assert_eq!(place.json(&["touch", "k", "--permanent"])["expires_at"], json!(null));
    assert_eq!(place.run(&["--output", "json", "touch", "absent", "--ttl", "1h"]).code, 1);
    place.run(&["touch", "k"]).fails(2, "required");
}

#[test]
fn counters_add_up() {
    let place = Place::new();
    place.write(
        ".memlife/policies.yaml",
        "namespaces:\n  - namespace: metrics/*\n    conflict_strategy: counter\n",
    );
    assert_eq!(place.run(&["counter", "get", "metrics/c"]).code, 1);
    assert_eq!(place.done(&["counter", "add", "metrics/c", "5"]), "5\n");
    assert_eq!(place.done(&["counter", "add", "metrics/c"]), "6\n");
    assert_eq!(place.done(&["counter", "add", "metrics/c", "-10"]), "-4\n");
    assert_eq!(place.json(&["counter", "get", "metrics/c"]), -4);
    place.done(&["put", "word", "x"]);
    place.run(&["counter", "get", "word"]).fails(2, "word");
    place.run(&["counter", "add", "word"]).fails(2, "word");
    place.run(&["counter", "add", "metrics/c", "many"]).fails(2, "many");
}

#[test]
fn conflicts_show_who_wrote_what() {
    let place = Place::new();
    assert_eq!(place.run(&["conflicts"]).code, 1);
    place.done(&["--as", "ann", "put", "swarm/shared/d", "A"]);
    run(place.command().env("MEMLIFE_WRITER", "bob").args(["put", "swarm/shared/d", "B"]), b"");
    place.done(&["put", "swarm/shared/one", "1"]);
    assert_eq!(place.json(&["conflicts"]), json!({"key": "swarm/shared/d", "siblings": 2}));
    let siblings = place.run(&["--output", "json", "conflicts", "swarm/shared/d"]).lines();
    let told: Vec<_> = siblings.iter().map(|one| (&one["value"], &one["writer"], &one["sibling"])).collect();
    assert_eq!(told, [(&json!("B"), &json!("bob"), &json!(1)), (&json!("A"), &json!("ann"), &json!(2))]);
    let ran = place.run(&["get", "swarm/shared/d"]);
    assert_eq!(ran.stdout, "B\n");
    ran.fails(0, "holds 2 values");
    assert_eq!(place.run(&["conflicts", "absent"]).code, 1);
    assert_eq!(place.run(&["conflicts", "swarm/shared/one"]).code, 0);
}

#[test]
fn a_conflict_is_resolved_without_a_person() {
    let place = Place::new();
    let key = "swarm/shared/d";
    let resolve = |args: &[&str]| place.run(&[&["conflicts", "resolve", key], args].concat());
    assert_eq!(resolve(&["--pick", "1"]).code, 1, "nothing is there");
    for writer in ["ann", "bob"] {
        place.done(&["--as", writer, "put", key, writer]);
    }
    resolve(&["--pick", "3"]).fails(2, "pick one of 1 to 2");
    resolve(&["--pick", "0"]).fails(2, "pick one of 1 to 2");
    resolve(&[]).fails(2, "required");
    let version = place.run(&["--output", "json", "conflicts", key]).lines()[0]["version"].to_string();
    assert_eq!(resolve(&["--pick", "2", "--if-version", &version]).code, 0);
    assert_eq!(place.done(&["get", key]), "ann\n");
    assert_eq!(place.run(&["conflicts"]).code, 1, "no key holds several values any more");
    resolve(&["--value", "cid", "--if-version", &version]).fails(1, "written meanwhile");
    assert_eq!(resolve(&["--value", "[1, 2]"]).code, 0);
    assert_eq!(place.json(&["get", key]), json!([1, 2]));
}

#[test]
fn sets_hold_what_was_added_and_not_removed() {
    let place = Place::new();
    place.write(
        ".memlife/policies.yaml",
        "namespaces:\n  - {namespace: a/*, conflict_strategy: or_set}\n  - {namespace: r/*, conflict_strategy: rw_set}\n",
    );
    place.done(&["put", "word", "x"]);
    for key in ["a/members", "r/members"] {
        assert_eq!(place.run(&["set", "members", key]).code, 1);
        place.done(&["set", "add", key, "bob", "alice", "7"]);
        place.done(&["set", "add", key, "bob"]);
        place.done(&["set", "remove", key, "7", "nobody"]);
        assert_eq!(place.json(&["set", "members", key]), json!(["alice", "bob"]));
        assert_eq!(place.done(&["set", "members", key]), "alice\nbob\n");
        place.run(&["counter", "add", key]).fails(2, key);
    }
    place.run(&["set", "add", "word", "x"]).fails(2, "word");
    place.run(&["set", "members", "word"]).fails(2, "word");
    place.run(&["set", "add", "a/members"]).fails(2, "required");
}

#[test]
fn flags_are_on_or_off() {
    let place = Place::new();
    place.write(
        ".memlife/policies.yaml",
        "namespaces:\n  - {namespace: e/*, conflict_strategy: flag_ew}\n  - {namespace: d/*, conflict_strategy: flag_dw}\n",
    );
    place.done(&["put", "word", "x"]);
    for key in ["e/paused", "d/paused"] {
        assert_eq!(place.run(&["flag", "get", key]).code, 1);
        for (turn, shown) in [("on", "true\n"), ("off", "false\n"), ("on", "true\n")] {
            place.done(&["flag", turn, key]);
            assert_eq!(place.done(&["flag", "get", key]), shown);
        }
        place.run(&["set", "add", key, "x"]).fails(2, key);
    }
    place.run(&["flag", "on", "word"]).fails(2, "word");
    place.run(&["flag", "get", "word"]).fails(2, "word");
}

#[test]
fn a_reader_waits_for_no_writer() {
    let place = Place::new();
    place.done(&["put", "k", "value"]);
    place.done(&["put", "coordination/k", "old", "--expires-at", PAST]);
    let holder = rusqlite::Connection::open(place.path().join(".memlife/store.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(place.done(&["get", "k"]), "value\n");
    assert_eq!(place.done(&["list", "--keys"]), "k\n");
    // What a lazy rule lets go stays until somebody can remove it; whoever asked is answered all the same.
    place.run(&["get", "coordination/k"]).fails(1, "nothing is at");
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(place.done(&["list", "--keys", "--expired"]), "coordination/k\nk\n");
}

#[test]
fn reaching_the_cap_of_siblings_is_told() {
    let place = Place::new();
    let policy = "namespaces:\n  - {namespace: d, conflict_strategy: multi_value, max_siblings: 2}\n";
    place.write(".memlife/policies.yaml", policy);
    let told = |writer: &str| {
        let ran = place.run(&["--as", writer, "put", "d", writer]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr.contains("the oldest values went") && ran.stderr.contains("key=d")
    };
    assert_eq!(["ann", "bob", "cid"].map(told), [false, false, true]);
    assert_eq!(place.json(&["conflicts"]), json!({"key": "d", "siblings": 2}));
}
