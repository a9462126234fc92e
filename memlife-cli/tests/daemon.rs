//! The daemon as a process: it sweeps, it stops when told, and its exit status tells what went wrong.

#![cfg(all(unix, feature = "daemon", feature = "sqlite", feature = "fs"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use memlife::{Expiry, PutOptions, ReadOptions, Show, Timestamp, TouchMode, blocking};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a loaded machine may take for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn command(folder: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memlife"));
    command.current_dir(folder).args(["--store", url, "--output", "json", "daemon"]);
    for variable in ["MEMLIFE_STORE", "MEMLIFE_POLICIES", "MEMLIFE_WRITER"] {
        command.env_remove(variable);
    }
    command
}

/// A daemon that runs.
struct Daemon {
    child: Child,
    told: Receiver<String>,
}

impl Daemon {
    /// Starts one, and waits until it says that it sweeps.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, told) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let daemon = Daemon { child, told };
        daemon.wait_for("sweeping ");
        daemon
    }

    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.told.recv_timeout(left).unwrap_or_else(|_| panic!("never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end, and returns the exit status and the answer.
    fn end(mut self) -> (Option<i32>, Value) {
        let mut status = None;
        wait_until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut stdout = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        (status.and_then(|status| status.code()), answer(&stdout))
    }
}

impl Drop for Daemon {
    /// A test that fails leaves no process behind. One that ended cannot be killed, which is as good.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap_or(Value::Null)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn sqlite(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("store.db").display())
}

fn fs_store(folder: &TempDir) -> String {
    format!("fs:{}", folder.path().join("memory").display())
}

/// Puts an entry whose time is over.
fn put_expired(url: &str, key: &str) {
    let memory = blocking::open(url).unwrap();
    memory.put(key, "over").unwrap();
    memory.touch(key, Expiry::At(Timestamp::from_ms(1)), TouchMode::Set).unwrap();
    memory.close().unwrap();
}

fn is_stored(memory: &blocking::Memory, key: &str) -> bool {
    memory.entry(key, ReadOptions::new().show(Show::Expired)).unwrap().is_some()
}

fn sweeps(memory: &blocking::Memory) -> usize {
    memory.wait(memory.inner().sweep_reports()).unwrap().len()
}

#[test]
fn once_sweeps_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    put_expired(&url, "notes/old");
    let output = command(folder.path(), &url).arg("--once").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = answer(&output.stdout);
    assert_eq!((&answer["sweeps"], &answer["deleted_count"]), (&1.into(), &1.into()));
    assert_eq!(answer["failures"], 0);
    assert!(!is_stored(&blocking::open(&url).unwrap(), "notes/old"));
}

#[test]
fn an_interval_sweeps_again_and_again_beside_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    let daemon = Daemon::start(command(folder.path(), &url).args(["--every", "1s"]));
    let memory = blocking::open(&url).unwrap();
    wait_until("the first sweep", || sweeps(&memory) >= 1);
    // Written while the daemon runs, and removed by a later sweep of its.
    let over = PutOptions::new().expires_at(Timestamp::from_ms(1));
    memory.put_with("notes/old", "over", over).unwrap();
    wait_until("the entry is removed", || !is_stored(&memory, "notes/old"));
    wait_until("three sweeps", || sweeps(&memory) >= 3);
    daemon.signal("TERM");
    let (status, answer) = daemon.end();
    assert_eq!(status, Some(0));
    assert_eq!((&answer["failures"], &answer["deleted_count"]), (&0.into(), &1.into()));
    assert!(answer["sweeps"].as_u64().unwrap() >= 3, "{answer}");
}

#[test]
fn signals_end_a_wait_at_once() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite(&folder);
        let daemon = Daemon::start(command(folder.path(), &url).args(["--every", "300d"]));
        let memory = blocking::open(&url).unwrap();
        wait_until("the first sweep", || sweeps(&memory) == 1);
        let told = Instant::now();
        daemon.signal(signal);
        let (status, answer) = daemon.end();
        assert_eq!((status, &answer["sweeps"]), (Some(0), &1.into()), "{signal}");
        assert!(told.elapsed() < Duration::from_secs(10), "{signal} took {:?}", told.elapsed());
    }
}

/// A daemon whose first sweep waits for a program that keeps the store, and that program's connection.
fn daemon_in_a_sweep(folder: &TempDir) -> (Daemon, rusqlite::Connection) {
    let url = sqlite(folder);
    put_expired(&url, "notes/old");
    let keeper = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    keeper.execute_batch("BEGIN IMMEDIATE").unwrap();
    let daemon = Daemon::start(command(folder.path(), &url).args(["-vv", "--every", "300d"]));
    daemon.wait_for("a sweep begins");
    (daemon, keeper)
}

#[test]
fn a_sweep_that_waits_for_others_does_not_hold_up_the_stop_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _keeper) = daemon_in_a_sweep(&folder);
    let told = Instant::now();
    daemon.signal("TERM");
    let (status, answer) = daemon.end();
    assert_eq!((status, &answer["sweeps"]), (Some(0), &0.into()));
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
}

#[test]
fn a_second_signal_ends_it_there_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _keeper) = daemon_in_a_sweep(&folder);
    daemon.signal("TERM");
    daemon.signal("INT");
    let (status, _) = daemon.end();
    assert_eq!(status, Some(128 + 2));
}

#[test]
fn the_policy_file_says_when_and_flags_override_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    let policies = folder.path().join("policies.yaml");
    let with_policies = || {
        let mut command = command(folder.path(), &url);
        command.arg("--policies").arg(&policies);
        command
    };
    let told = |command: &mut Command| {
        let daemon = Daemon::start(command);
        daemon.signal("TERM");
        daemon.end().0
    };
    fs::write(&policies, "cleanup_schedule: {interval_hours: 5, time_of_day: \"03:00\"}\n").unwrap();
    assert_eq!(told(&mut with_policies()), Some(0));

    fs::write(&policies, "cleanup_schedule: {enabled: false}\n").unwrap();
    let refused = with_policies().output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("enabled: false") && message.contains("--every"), "{message}");
    assert_eq!(told(with_policies().args(["--cron", "0 4 * * *"])), Some(0));
    let once = with_policies().arg("--once").output().unwrap();
    assert_eq!(once.status.code(), Some(0), "{once:?}");
}

#[test]
fn a_sweep_that_fails_is_told_in_the_exit_status_and_the_next_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let url = fs_store(&folder);
    put_expired(&url, "notes/damaged");
    let files = fs::read_dir(folder.path().join("memory")).unwrap().map(|file| file.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json")).unwrap();
    fs::write(file, "{\"cut").unwrap();

    let once = command(folder.path(), &url).arg("--once").output().unwrap();
    assert_eq!(once.status.code(), Some(2), "{once:?}");
    assert_eq!(answer(&once.stdout)["failures"], 1);

    let daemon = Daemon::start(command(folder.path(), &url).args(["--every", "1s"]));
    for _ in 0..2 {
        daemon.wait_for("damaged");
    }
    daemon.signal("TERM");
    let (status, answer) = daemon.end();
    assert_eq!(status, Some(2));
    assert!(answer["failures"].as_u64().unwrap() >= 2, "{answer}");
    assert!(answer["last_failure"].as_str().unwrap().contains("memlife verify"), "{answer}");
}

#[test]
fn a_store_that_cannot_be_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    fs::write(&path, vec![0x5a; 8_192]).unwrap();
    for flags in [&["--once"][..], &["--every", "1s"]] {
        let output = command(folder.path(), &sqlite(&folder)).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), vec![0x5a; 8_192], "what is not ours stays as it is");
}

#[test]
fn flags_that_are_no_schedule_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    for flags in [
        &["--at", "25:00"][..],
        &["--every", "0s"],
        &["--every", "soon"],
        &["--cron", "0 99 * * *"],
        &["--cron", "0 0 30 2 *"],
        &["--once", "--every", "1h"],
        &["--at", "02:00", "--cron", "0 2 * * *"],
    ] {
        let output = command(folder.path(), &url).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(!output.stderr.is_empty(), "{flags:?}");
    }
}
