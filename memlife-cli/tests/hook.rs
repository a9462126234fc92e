//! Hooks fail open: whatever goes wrong, the agent goes on.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]
#![allow(clippy::disallowed_methods, reason = "whether a process hangs shows in real time")]

mod support;

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Place, Ran, run};

const PAST: &str = "2001-01-01T00:00:00Z";

/// Far more than a hook takes: only something that hangs is told by it.
const HANGS: Duration = Duration::from_secs(20);

fn wait(mut child: Child) -> Ran {
    let started = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        assert!(started.elapsed() < HANGS, "the hook hangs");
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Ran { code, stdout, stderr }
}

/// A run whose standard input stays open after `text`.
fn with_open_input(place: &Place, args: &[&str], text: &[u8]) -> Ran {
    let mut command = place.command();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(text).unwrap();
    pipe.flush().unwrap();
    let ran = wait(child);
    drop(pipe);
    ran
}

fn session(place: &Place) {
    for key in
        ["session/s1", "session/s1/a/b", "session/s10", "coordination/s1/x", "coordination/s2", "session/x*"]
    {
        place.done(&["put", key, "1"]);
    }
}

#[test]
fn the_end_of_a_session_removes_what_was_its_own() {
    let place = Place::new();
    session(&place);
    place.done(&["put", "other", "old", "--expires-at", PAST]);
    let ran = place.run(&["--output", "json", "hook", "session-end", "--session-id", "s1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = &ran.lines()[0];
    assert_eq!((&report["hook"], &report["session_id"]), (&json!("session-end"), &json!("s1")));
    assert!(report["timestamp"].as_f64().unwrap() > 1e9);
    let cleanup = &report["cleanup_stats"];
    assert_eq!(cleanup["deleted_count"], 4);
    assert_eq!((&cleanup["entries_before"], &cleanup["entries_after"]), (&json!(7), &json!(3)));
    for (part, fields) in [
        (
            "cleanup_stats",
            &["deleted_count", "entries_before", "entries_after", "elapsed_seconds", "timestamp"][..],
        ),
        (
            "memory_stats",
            &[
                "total_entries",
                "compressed_entries",
                "namespace_counts",
                "policies_count",
                "storage_path",
                "db_path",
            ],
        ),
    ] {
        let Value::Object(object) = &report[part] else { panic!("{part} is no object") };
        let mut told: Vec<_> = object.keys().map(String::as_str).collect();
        let mut expected = fields.to_vec();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }
    assert_eq!(report["memory_stats"]["total_entries"], 3);
    assert_eq!(place.done(&["list", "--keys"]), "coordination/s2\nsession/s10\nsession/x*\n");
}

#[test]
fn nothing_is_printed_unless_asked_for() {
    let place = Place::new();
    for name in ["session-end", "pre-task", "memory-cleanup"] {
        let ran = place.run(&["hook", name, "--session-id", "s1"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{name}");
    }
}

#[test]
fn an_id_that_is_not_one_segment_removes_nothing() {
    let place = Place::new();
    session(&place);
    for id in ["", ".", "..", "s1/a", "/", "s1\n", "*/"] {
        let ran = place.run(&["hook", "session-end", "--session-id", id]);
        ran.fails(0, "session id");
        assert_eq!(ran.stdout, "");
    }
    for id in ["*", "**", "s%", "s_"] {
        assert_eq!(place.run(&["hook", "session-end", "--session-id", id]).code, 0, "{id}");
    }
    place.run(&["hook", "session-end", "--session-id", "s1/a", "--strict"]).fails(2, "session id");
    place.run(&["hook", "session-end"]).fails(0, "--session-id");
    assert_eq!(place.done(&["list", "--keys"]).lines().count(), 6);
}

#[test]
fn each_hook_sweeps_its_part() {
    let place = Place::new();
    for key in ["coordination/x", "other", "knowledge/k"] {
        place.done(&["put", key, "old", "--expires-at", PAST]);
    }
    let deleted = |args: &[&str]| {
        let ran = place.run_with(&[&["--output", "json", "hook"], args].concat(), "{}");
        ran.lines()[0]["cleanup_stats"]["deleted_count"].clone()
    };
    assert_eq!(deleted(&["pre-task"]), 1);
    assert_eq!(deleted(&["memory-cleanup"]), 1);
    assert_eq!(deleted(&["memory-cleanup", "--force"]), 1);
}

#[test]
fn input_is_read_without_waiting_for_its_end() {
    let place = Place::new();
    session(&place);
    let text = br#"{"session_id":"s1","hook_event_name":"SessionEnd","transcript_path":"/etc/passwd"}"#;
    let ran = with_open_input(&place, &["--output", "json", "hook", "session-end"], text);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.lines()[0]["cleanup_stats"]["deleted_count"], 3);
    let ran = with_open_input(&place, &["hook", "session-end"], b"");
    ran.fails(0, "needs a session");
    let ran = with_open_input(&place, &["hook", "pre-task"], b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = with_open_input(&place, &["hook", "pre-task"], b"{\"session_id\":");
    ran.fails(0, "did not end");
    let ran = with_open_input(&place, &["hook", "session-end", "--session-id", "s10"], b"garbage");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn garbage_as_input_is_told_and_nothing_more() {
    let place = Place::new();
    let deep = "{\"a\":".repeat(100_000);
    let long = format!("{{\"session_id\":\"{}\"}}", "x".repeat(9 << 20));
    for input in [
        "garbage".as_bytes(),
        b"[]",
        b"\xff\xfe",
        b"{\"session_id\":17}",
        b"{\"session_id\":\"s1\"",
        b"{\"session_id\":\"\\ud800\"}",
        deep.as_bytes(),
        long.as_bytes(),
    ] {
        for name in ["session-end", "pre-task"] {
            let ran = place.run_with(&["--output", "json", "hook", name], input);
            assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
            assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        }
        assert_eq!(place.run_with(&["hook", "session-end", "--strict"], input).code, 2);
    }
}

#[test]
fn the_working_directory_of_the_agent_finds_the_store() {
    let (place, elsewhere) = (Place::new(), Place::new());
    session(&place);
    let inner = place.path().join("src/deep");
    std::fs::create_dir_all(&inner).unwrap();
    let input = json!({"session_id": "s1", "cwd": inner}).to_string();
    let ran = elsewhere.run_with(&["--output", "json", "hook", "session-end"], input);
    assert_eq!(ran.lines()[0]["cleanup_stats"]["deleted_count"], 3, "{ran:?}");
    for cwd in ["relative", "/no/such/directory", "../..", "\u{0}", "/etc/passwd"] {
        let input = json!({"session_id": "s9", "cwd": cwd}).to_string();
        let ran = elsewhere.run_with(&["--output", "json", "hook", "session-end"], input);
        assert_eq!(ran.lines()[0]["memory_stats"]["total_entries"], 0, "{cwd:?}: {ran:?}");
        assert!(!elsewhere.path().join(".memlife").exists(), "a hook leaves no store where there was none");
    }
}

#[test]
fn arguments_that_are_wrong_stop_no_agent() {
    let place = Place::new();
    for args in [
        &["hook"][..],
        &["hook", "no-such-hook"],
        &["hook", "pre-task", "--no-such-flag"],
        &["--no-such-flag", "hook", "pre-task"],
        &["hook", "pre-task", "--session-id"],
        &["--output", "xml", "hook", "pre-task"],
        &["hook", "pre-task", "--memory-dir", "x", "--store", "memory:"],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{args:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {ran:?}");
        assert_eq!(place.run(&[args, &["--strict"]].concat()).code, 2, "{args:?}");
    }
    let mut command = place.command();
    let ran = run(command.args(["hook", "session-end", "--session-id"]).arg(OsStr::from_bytes(b"\xff")), b"");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    assert!(place.run(&["hook", "--help"]).stdout.contains("memlife hook session-end"));
}

#[test]
fn a_store_that_cannot_be_opened_stops_no_agent() {
    let place = Place::new();
    let file = place.write("file", "this is not a store, and it is long enough to look like something else");
    let broken = place.write("broken.yaml", "nonsense: 1\n");
    for args in [
        &["--store", &format!("sqlite:{}", file.display())][..],
        &["--store", &format!("sqlite:{}/store.db", file.display())],
        &["--store", "nonsense"],
        &["--store", "sqlite:/proc/no/store.db"],
        &["--policies", broken.to_str().unwrap()],
        &["--policies", "no-such-file.yaml"],
    ] {
        let ran =
            place.run(&[args, &["--output", "json", "hook", "memory-cleanup", "--session-id", "s"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{args:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {ran:?}");
    }
    let mut command = place.command();
    let ran = run(command.env_clear().args(["hook", "pre-task"]), b"{}");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[cfg(feature = "fs")]
#[test]
fn the_flags_of_the_original_name_store_and_policies() {
    let place = Place::new();
    let policies = place.write("p.yaml", "namespaces:\n  - {namespace: \"coordination/*\", ttl: 1h}\n");
    let ran = place.run(&[
        "--output",
        "json",
        "hook",
        "pre-task",
        "--session-id",
        "s",
        "--memory-dir",
        "memory",
        "--policy-file",
        policies.to_str().unwrap(),
    ]);
    let stats = &ran.lines()[0]["memory_stats"];
    assert_eq!((&stats["policies_count"], &stats["storage_path"]), (&json!(1), &json!("memory")), "{ran:?}");
    assert_eq!(stats["db_path"], "memory/.memlife/index.db");
    assert!(place.path().join("memory/.memlife/index.db").is_file());
}

#[test]
fn a_store_that_others_hold_stops_no_agent() {
    let place = Place::new();
    session(&place);
    let holder = rusqlite::Connection::open(place.path().join(".memlife/store.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    for name in ["session-end", "pre-task", "memory-cleanup"] {
        let ran = with_open_input(&place, &["hook", name, "--session-id", "s1"], b"");
        ran.fails(0, "locked");
        assert_eq!(ran.stdout, "", "{name}");
    }
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(place.done(&["list", "--keys"]).lines().count(), 6);
    assert_eq!(place.run(&["hook", "session-end", "--session-id", "s1"]).stderr, "");
    assert_eq!(place.done(&["list", "--keys"]).lines().count(), 3);
}

#[test]
fn many_hooks_at_once_leave_no_lock_behind() {
    let place = Place::new();
    session(&place);
    let spawn = || {
        let mut command = place.command();
        command.args(["hook", "session-end", "--session-id", "s1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..24).map(|_| spawn()).collect();
    for child in children {
        let ran = wait(child);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    }
    place.done(&["put", "after", "1"]);
    assert_eq!(place.run(&["hook", "session-end", "--session-id", "s1"]).stderr, "");
    assert_eq!(place.run(&["list", "session/s1", "--keys", "--expired"]).code, 1);
}
