//! Random operations do here what they do in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use async_trait::async_trait;
use memlife_core::Store;
use memlife_store_sqlite::SqliteStore;
use memlife_testkit::{Subject, model};
use std::sync::Arc;
use support::Place;

struct Sqlite(Place);

#[async_trait]
impl Subject for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.config()).unwrap())
    }

    fn persistent(&self) -> bool {
        true
    }
}

#[test]
fn a_file_and_memory_agree_on_everything() {
    model::check(|| async { Sqlite(Place::new()) }, model::DEFAULT_CASES);
}
