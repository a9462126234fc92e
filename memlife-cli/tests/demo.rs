//! The demonstration runs, checks itself, and says the same each time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};

const WALKS: [&str; 6] = ["basics", "compression", "expiry", "conflicts", "coordination", "persistence"];

fn demo(output: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_memlife"));
    for variable in ["MEMLIFE_STORE", "MEMLIFE_POLICIES", "MEMLIFE_WRITER"] {
        command.env_remove(variable);
    }
    let output = command.current_dir(folder.path()).args(["demo", "--output", output]).output().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "the demonstration touches no store but its own: {left:?}");
    output
}

#[test]
fn every_walk_through_holds() {
    let output = demo("json");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], true);
    let walks = told["walk_throughs"].as_array().unwrap();
    let names: Vec<&str> = walks.iter().map(|walk| walk["name"].as_str().unwrap()).collect();
    assert_eq!(names, WALKS);
    for walk in walks {
        assert_eq!((&walk["ok"], walk["wrong"].as_array().unwrap().len()), (&true.into(), 0), "{walk}");
    }
    let result = |walk: usize, name: &str| walks[walk]["results"][name].clone();
    let (before, after) = (result(1, "bytes_before"), result(1, "bytes_after"));
    assert!(after.as_u64().unwrap() * 4 <= before.as_u64().unwrap(), "{before} to {after}");
    assert_eq!(result(2, "deleted_count"), 1);
    assert_eq!(result(3, "counter_value"), 8);
    assert_eq!(result(4, "tasks_claimed"), 8);
    if told["store"] != "memory" {
        assert_eq!(result(5, "keys_after_the_sweep").as_array().unwrap().len(), 2);
    }
}

#[test]
fn it_says_the_same_each_time() {
    let runs: BTreeSet<Vec<u8>> = (0..3).map(|_| demo("text").stdout).collect();
    assert_eq!(runs.len(), 1);
    let text = String::from_utf8(runs.into_iter().next().unwrap()).unwrap();
    assert!(text.contains("simulated clock") && !text.contains("WRONG"), "{text}");
}
