//! What the tests of this store share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use memlife_core::{Result, Store};
use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::Session;
use std::path::{Path, PathBuf};
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

/// What opens the store at a path, with everything as it is by default.
pub fn open(path: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(SqliteConfig::new(path))?))
}
