//! Four processes sweep one store at once: each entry goes once and is told once.
#![cfg(any(feature = "sqlite", feature = "fs", feature = "redis"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife::store::{Cause, Repair};
use memlife::{Event, Events, ListOptions, PutOptions, SweepOptions, Ttl};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROCESSES: usize = 4;
const URL: &str = "MEMLIFE_TEST_SWEEP_URL";
/// What a sweeping process says when it is ready, and before the number that it has removed.
const READY: &str = "sweeper: ready";
const REMOVED: &str = "sweeper: removed ";
const TASKS: usize = 64;
const PAGE: usize = 1_000;

/// Not a test of its own: what each of the processes runs. It starts when it is told to.
#[test]
#[allow(clippy::disallowed_methods, reason = "the parent tells its children by their environment")]
fn one_of_the_sweepers() {
    let Ok(url) = std::env::var(URL) else { return };
    let memory = memlife::blocking::open(&url).unwrap();
    println!("\n{READY}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let report = memory.sweep(SweepOptions::new()).unwrap();
    assert_eq!((report.failed, report.stopped), (0, None));
    println!("\n{REMOVED}{}", report.deleted);
}

fn sweeper(url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["one_of_the_sweepers", "--exact", "--nocapture"])
        .env(URL, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Imports `count` entries, and puts `due` more that expire at once.
async fn fill(url: &str, count: usize, due: usize) {
    let memory = memlife::open(url).await.unwrap();
    let line = |i: usize| format!(r#"{{"key":"notes/{}/{i}","value":"something to keep in mind"}}"#, i % 97);
    let tasks = (0..TASKS).map(|task| {
        let memory = memory.clone();
        let lines: Vec<String> = (task..count).step_by(TASKS).map(line).collect();
        tokio::spawn(async move {
            let mut import = memory.import();
            for line in &lines {
                import.line(line).await.unwrap();
            }
            assert_eq!(import.finish().await.unwrap().imported, lines.len() as u64);
            for i in (task..due).step_by(TASKS) {
                let options = PutOptions::new().ttl(Ttl::from_ms(1).unwrap());
                memory.put_with(format!("notes/{}/due{i}", i % 97), "gone soon", options).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn each_entry_goes_once(url: &str, count: usize, due: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(fill(url, count, due));
    let memory = memlife::blocking::open(url).unwrap();
    let Events::Page(_, mut cursor) = memory.changes(None, PAGE, Duration::ZERO).unwrap() else { panic!() };
    let mut children: Vec<Child> = (0..PROCESSES).map(|_| sweeper(url)).collect();
    let mut outputs: Vec<_> =
        children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
    for output in &mut outputs {
        assert!(output.lines().any(|line| line.unwrap() == READY));
    }
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
    let mut removed = 0;
    for (mut child, mut output) in children.into_iter().zip(outputs) {
        let mut told = String::new();
        output.read_to_string(&mut told).unwrap();
        assert!(child.wait().unwrap().success(), "{told}");
        let number = told.lines().find_map(|line| line.strip_prefix(REMOVED)).unwrap();
        removed += number.parse::<usize>().unwrap();
    }
    assert_eq!(removed, due);
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    while let Events::Page(events, next) = memory.changes(Some(cursor), PAGE, Duration::ZERO).unwrap() {
        if events.is_empty() {
            break;
        }
        for event in events {
            if let Event::Removed { key, cause: Cause::Expired, .. } = event {
                *told.entry(key.to_string()).or_default() += 1;
            }
        }
        cursor = next;
    }
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    assert_eq!(told.len(), due);
    let stats = memory.stats().unwrap();
    assert_eq!(stats.removed[&Cause::Expired], due as u64);
    assert_eq!((stats.entries, stats.stored.entries), (count as u64, count as u64));
    assert_eq!(memory.list(ListOptions::new()).count(), count);
    assert_eq!(memory.verify(Repair::No).unwrap().findings, []);
}

#[cfg(feature = "sqlite")]
#[test]
fn on_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    each_entry_goes_once(&format!("sqlite:{}", folder.path().join("store.db").display()), 20_000, 2_000);
}

#[cfg(feature = "fs")]
#[test]
fn in_one_folder_of_files() {
    let folder = tempfile::tempdir().unwrap();
    each_entry_goes_once(&format!("fs:{}", folder.path().join("memory").display()), 2_000, 200);
}

#[cfg(feature = "redis")]
#[test]
fn on_one_server() {
    let Some(server) = memlife_testkit::RedisServer::start(&[]) else { return };
    each_entry_goes_once(&server.url(), 20_000, 2_000);
}

#[cfg(feature = "redis")]
#[test]
#[ignore = "the same on a million entries, which takes a minute"]
fn on_one_server_of_a_million() {
    let Some(server) = memlife_testkit::RedisServer::start(&[]) else { return };
    each_entry_goes_once(&server.url(), 1_000_000, 10_000);
}
