//! The behaviours that every store has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use memlife_core::Store;
use memlife_core::store::Limits;
use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::Subject;
use std::sync::Arc;
use tempfile::TempDir;

struct Sqlite(TempDir);

impl Sqlite {
    fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.0.path().join("store.db"))
    }
}

#[async_trait]
impl Subject for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.config()).unwrap())
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        Some(Arc::new(SqliteStore::open(self.config().limits(limits)).unwrap()))
    }

    fn limitable(&self) -> bool {
        true
    }
}

memlife_testkit::conformance!(sqlite, || async { Sqlite(tempfile::tempdir().unwrap()) });

memlife_testkit::engine_behaviours!(sqlite_engine, || async { Sqlite(tempfile::tempdir().unwrap()) });
