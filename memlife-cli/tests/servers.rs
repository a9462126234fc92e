//! The command on a Redis server.
#![cfg(all(unix, feature = "redis"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_testkit::RedisServer;
use serde_json::{Value, json};
use std::process::Stdio;
use support::Place;

/// Waits until the server has so many keys; one that has just started may not tell yet.
fn wait_for_keys(server: &RedisServer, count: u64) {
    for _ in 0..3_000 {
        let told = server.command(&["DBSIZE"]);
        let keys = told.lines().next().and_then(|line| line.trim_start_matches(':').parse().ok());
        if keys.is_some_and(|keys: u64| keys >= count) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("there are never {count} keys");
}

#[test]
fn what_is_acknowledged_before_the_server_is_killed_is_kept() {
    let Some(mut server) = RedisServer::start(&["--appendfsync", "always"]) else { return };
    let place = Place::new();
    let mut command = place.command();
    command.args(["--store", &server.url(), "--output", "json", "torture"]);
    command.args(["--processes", "3", "--writes", "300", "--kills", "3"]);
    let torture = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for count in [100, 300, 500, 700] {
        wait_for_keys(&server, count);
        server.kill();
        server.restart();
    }
    let ran = support::ran(torture.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let proof: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&proof["acknowledged"], &proof["kept"]), (&json!(900), &json!(900)));
    assert_eq!(proof["lost"], 0);
}
