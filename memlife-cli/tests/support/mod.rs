//! Runs the `memlife` command in a place of its own.
#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A project directory without anything around it.
pub struct Place {
    folder: TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    /// An empty project, marked as one.
    pub fn new() -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(place.path().join(".git")).unwrap();
        place
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self) -> Command {
        command_in(&self.path())
    }

    /// Runs with nothing on standard input.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.command().args(args), b"")
    }

    pub fn run_with(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Ran {
        run(self.command().args(args), stdin.as_ref())
    }

    /// Runs what has to succeed, and hands out what it printed.
    pub fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.stdout
    }

    /// The same with `--output json`, of which one value is expected.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[&["--output", "json"], args].concat())).unwrap()
    }
}

impl Ran {
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts the exit status and that stderr tells `told`.
    pub fn fails(&self, code: i32, told: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(told), "{told:?} is not in {self:?}");
    }
}

/// The command without what the environment may say.
pub fn command_in(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memlife"));
    command.current_dir(directory).stdin(Stdio::null());
    for name in ["MEMLIFE_STORE", "MEMLIFE_POLICIES", "MEMLIFE_WRITER"] {
        command.env_remove(name);
    }
    command
}

pub fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A command that has heard enough closes its end; that is its right.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    ran(output)
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
