//! What the tests of this store share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use async_trait::async_trait;
use memlife_core::Store;
use memlife_core::store::Limits;
use memlife_store_redb::{RedbConfig, RedbStore};
use memlife_testkit::{Session, Subject};
use redb::{Database, TableDefinition};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;

pub const ENTRY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entry");
pub const DUE: TableDefinition<'_, &[u8; 17], &[u8]> = TableDefinition::new("due");
pub const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
pub const USAGE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("usage");
pub const OWN: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("memlife");
pub const LOST_FOUND: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lost_found");

/// Changes the rows of a closed store behind memlife's back.
pub fn damage(place: &Place, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(&place.path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

/// A folder with the path of a store in it.
pub struct Place {
    pub folder: TempDir,
    pub path: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        Place { folder, path }
    }

    pub fn config(&self) -> RedbConfig {
        RedbConfig::new(&self.path)
    }

    pub fn session(&self) -> Session {
        session(self.config())
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.path.display()))
    }
}

pub fn session(config: RedbConfig) -> Session {
    Session::on(Arc::new(RedbStore::open(config).unwrap()))
}

/// A place whose store is open once at most: who opens it again meanwhile gets the same handle, as the users of one
/// process share it.
pub struct Redb {
    place: Place,
    open: Mutex<Weak<RedbStore>>,
}

impl Redb {
    pub fn new() -> Self {
        Redb { place: Place::new(), open: Mutex::default() }
    }

    fn open(&self, config: RedbConfig) -> Arc<dyn Store> {
        let mut open = self.open.lock().unwrap();
        if let Some(store) = open.upgrade() {
            return store;
        }
        let store = Arc::new(RedbStore::open(config).unwrap());
        *open = Arc::downgrade(&store);
        store
    }
}

#[async_trait]
impl Subject for Redb {
    async fn open(&self) -> Arc<dyn Store> {
        Redb::open(self, self.place.config())
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        Some(Redb::open(self, self.place.config().limits(limits)))
    }

    fn limitable(&self) -> bool {
        true
    }
}

/// Where a child that runs one ignored test works; set only in the child.
pub const CHILD_FOLDER: &str = "MEMLIFE_TEST_FOLDER";

/// Runs the ignored test `name` of this test program in a child, after `setup` in the shell that becomes it.
pub fn run_child(setup: &str, name: &str, folder: &Path) {
    let output = child(setup, name, folder);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

/// Runs it and does not ask how it ended.
pub fn child(setup: &str, name: &str, folder: &Path) -> Output {
    let program = std::env::current_exe().unwrap();
    let script = format!("{setup}; exec \"$0\" --exact {name} --ignored --nocapture --test-threads 1");
    Command::new("sh").arg("-c").arg(script).arg(program).env(CHILD_FOLDER, folder).output().unwrap()
}

/// The folder of the child; `None` when somebody runs ignored tests by hand.
#[allow(clippy::disallowed_methods, reason = "how the parent tells its child")]
pub fn child_folder() -> Option<PathBuf> {
    std::env::var(CHILD_FOLDER).ok().map(PathBuf::from)
}
