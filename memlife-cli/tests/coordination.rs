//! claim, renew, release and watch, between processes.
#![cfg(all(unix, feature = "sqlite", feature = "fs"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use support::Place;

const STORES: [&str; 2] = ["sqlite:s.db", "fs:folder"];

#[test]
fn one_process_holds_a_claim() {
    let place = Place::new();
    let claim = ["claim", "task/1", "--ttl", "1h"];
    place.run(&claim).fails(2, "--as");
    for store in STORES {
        let by = |name, args: &[&str]| place.run(&[&["--store", store, "--as", name], args].concat());
        let won = by("ann", &claim);
        let token = won.stdout.trim();
        assert_eq!(won.code, 0, "{won:?}");
        by("bob", &claim).fails(1, "ann holds \"task/1\" until ");
        let told = by("bob", &[&["--output", "json"], &claim[..]].concat()).lines().remove(0);
        assert_eq!((&told["held"], &told["owner"]), (&json!(false), &json!("ann")));
        assert_eq!(by("ann", &["renew", "task/1", "--token", token, "--ttl", "2h"]).stdout.trim(), token);
        by("bob", &["release", "task/1", "--token", "1"]).fails(1, "lost");
        assert_eq!(by("ann", &["release", "task/1", "--token", token]).code, 0);
        by("ann", &["renew", "task/1", "--token", token, "--ttl", "2h"]).fails(1, "lost");
        assert_eq!(by("bob", &claim).code, 0);
        // Ann goes on as if nothing had happened.
        assert_eq!(by("ann", &["put", "task/1", "late", "--if-version", token]).code, 1);
    }
}

/// A watch in a process of its own.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut child = place.command().args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Watch { child, lines }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_watch_follows_other_processes() {
    for store in STORES {
        let place = Place::new();
        let done = |args: &[&str]| place.done(&[&["--store", store], args].concat());
        done(&["put", "a/1", "1"]);
        let mut watch = Watch::start(&place, &["--store", store, "watch", "a", "--snapshot"]);
        let first = watch.next();
        assert_eq!(
            (&first["event"], &first["key"], &first["value"]),
            (&json!("put"), &json!("a/1"), &json!(1))
        );
        let end = watch.next();
        assert_eq!(end["event"], "snapshot_end");
        done(&["put", "b/1", "1"]);
        done(&["put", "a/2", "2"]);
        assert_eq!(watch.next()["key"], "a/2");
        done(&["delete", "a/1"]);
        let gone = watch.next();
        assert_eq!(
            (&gone["event"], &gone["key"], &gone["cause"]),
            (&json!("removed"), &json!("a/1"), &json!("deleted"))
        );
        drop(watch);
        // Another one goes on where the snapshot ended.
        let since = end["cursor"].as_str().unwrap();
        let mut watch = Watch::start(&place, &["--store", store, "watch", "a", "--since", since]);
        let keys = [watch.next(), watch.next()].map(|told| told["key"].clone());
        assert_eq!(keys, [json!("a/2"), json!("a/1")]);
    }
}

#[test]
fn what_is_acknowledged_before_a_kill_is_kept() {
    let place = Place::new();
    for store in STORES {
        let args = [
            "--store",
            store,
            "--output",
            "json",
            "torture",
            "--processes",
            "4",
            "--writes",
            "1500",
            "--kills",
            "6",
        ];
        let proof: Value = serde_json::from_str(&place.done(&args)).unwrap();
        assert_eq!((&proof["acknowledged"], &proof["kept"]), (&json!(6_000), &json!(6_000)));
        assert_eq!(proof["lost"], 0);
        assert!(proof["kills"].as_u64().unwrap() > 0, "{proof}");
        assert_eq!(place.run(&["--store", store, "list"]).code, 1, "nothing is left");
    }
}

/// The first process that `parent` started, once there is one.
#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> String {
    for _ in 0..3_000 {
        for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            if let Some(child) = children.split_whitespace().next() {
                return child.to_owned();
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no process was started");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_somebody_else_kills_is_an_error_that_leaves_nothing() {
    let place = Place::new();
    let mut command = place.command();
    command.args(["torture", "--processes", "1", "--writes", "100000000", "--kills", "0"]);
    let torture = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let worker = child_of(torture.id());
    assert!(std::process::Command::new("kill").args(["-9", &worker]).status().unwrap().success());
    let ran = support::ran(torture.wait_with_output().unwrap());
    ran.fails(2, "signal");
    assert_eq!(place.run(&["list"]).code, 1, "nothing is left");
}

#[test]
fn a_store_for_one_process_is_not_tortured() {
    let place = Place::new();
    for store in ["memory:", "redb:one.redb"] {
        place.run(&["--store", store, "torture"]).fails(2, "one process alone");
    }
    assert!(!place.path().join("one.redb").exists());
}

#[test]
fn what_is_no_cursor_is_told() {
    let place = Place::new();
    place.run(&["watch", "--since", "yesterday"]).fails(2, "cursor");
    let told = Watch::start(&place, &["watch", "--since", "7-1"]).next();
    assert_eq!(told["event"], "gap");
}
