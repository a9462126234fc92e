//! What the tests of this store share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use async_trait::async_trait;
use memlife_core::store::Limits;
use memlife_core::{Result, Store};
use memlife_store_redb::{RedbConfig, RedbStore};
use memlife_testkit::{Session, Subject};
use redb::{Database, TableDefinition};
use std::path::{Path, PathBuf};
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

/// What opens the store at a path, with everything as it is by default.
pub fn open(path: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedbStore::open(RedbConfig::new(path))?))
}
