//! Twelve processes write to one store at once.
#![cfg(any(feature = "sqlite", feature = "fs"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use memlife::store::Repair;
use memlife::{ListOptions, OpenOptions};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

const PROCESSES: usize = 12;
const ROUNDS: usize = 500;
const URL: &str = "MEMLIFE_TEST_URL";
const WRITER: &str = "MEMLIFE_TEST_WRITER";

/// Not a test of its own: what each of the processes runs, 1,000 writes.
#[test]
#[allow(clippy::disallowed_methods, reason = "the parent tells its children by their environment")]
fn one_of_the_processes() {
    let (Ok(url), Ok(writer)) = (std::env::var(URL), std::env::var(WRITER)) else { return };
    let memory = memlife::blocking::open_with(&url, OpenOptions::new().writer(writer.as_str())).unwrap();
    for i in 0..ROUNDS {
        memory.put(format!("notes/{writer}/{i}"), &i).unwrap();
        match i % 3 {
            0 => drop(memory.put("notes/shared", &format!("{writer}:{i}")).unwrap()),
            1 => drop(memory.update("notes/sum", |sum: Option<u64>| Some(sum.unwrap_or(0) + 1)).unwrap()),
            _ => drop(memory.put("knowledge/siblings", &i).unwrap()),
        }
    }
    memory.close().unwrap();
}

fn child(url: &str, writer: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["one_of_the_processes", "--exact", "--nocapture"])
        .env(URL, url)
        .env(WRITER, format!("w{writer}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn every_acknowledged_write_is_there(url: &str) {
    let children: Vec<Child> = (0..PROCESSES).map(|writer| child(url, writer)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let memory = memlife::blocking::open(url).unwrap();
    let mut own: BTreeMap<String, usize> = BTreeMap::new();
    for entry in memory.list(ListOptions::new().pattern("notes/*/*").unwrap()) {
        *own.entry(entry.unwrap().key.namespace().to_owned()).or_default() += 1;
    }
    assert_eq!(own.len(), PROCESSES);
    assert!(own.values().all(|count| *count == ROUNDS), "{own:?}");
    let increments = (0..ROUNDS).filter(|i| i % 3 == 1).count() * PROCESSES;
    assert_eq!(memory.get::<usize>("notes/sum").unwrap(), Some(increments));
    let entry = memory.entry("knowledge/siblings", Default::default()).unwrap().unwrap();
    assert_eq!(entry.siblings as usize, PROCESSES, "one value of each writer");
    assert!(memory.get::<String>("notes/shared").unwrap().is_some());
    assert_eq!(memory.verify(Repair::No).unwrap().findings, []);
}

#[cfg(feature = "sqlite")]
#[test]
fn on_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    every_acknowledged_write_is_there(&format!("sqlite:{}", folder.path().join("store.db").display()));
}

#[cfg(feature = "fs")]
#[test]
fn in_one_folder_of_files() {
    let folder = tempfile::tempdir().unwrap();
    every_acknowledged_write_is_there(&format!("fs:{}", folder.path().join("memory").display()));
}
