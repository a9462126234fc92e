//! What the tests of this store share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::Session;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// A folder with the path of a store in it.
pub struct Place {
    pub folder: TempDir,
    pub path: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        Place { folder, path }
    }

    pub fn config(&self) -> SqliteConfig {
        SqliteConfig::new(&self.path)
    }

    pub fn session(&self) -> Session {
        session(self.config())
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.path.display()))
    }
}

pub fn session(config: SqliteConfig) -> Session {
    Session::on(Arc::new(SqliteStore::open(config).unwrap()))
}

/// Where a child that runs one ignored test works; set only in the child.
pub const CHILD_FOLDER: &str = "MEMLIFE_TEST_FOLDER";

/// Runs the ignored test `name` of this test program in a child, after `setup` in the shell that becomes it.
pub fn run_child(setup: &str, name: &str, folder: &Path) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{setup}; exec \"$0\" --exact {name} --ignored --nocapture --test-threads 1");
    let output = Command::new("sh").arg("-c").arg(script).arg(program).env(CHILD_FOLDER, folder).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

/// The folder of the child; `None` when somebody runs ignored tests by hand.
#[allow(clippy::disallowed_methods, reason = "how the parent tells its child")]
pub fn child_folder() -> Option<PathBuf> {
    std::env::var(CHILD_FOLDER).ok().map(PathBuf::from)
}
