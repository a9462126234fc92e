//! Processes that are killed while they write.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife_core::{Result, Store};
use memlife_store_sqlite::{SqliteConfig, SqliteStore};
use memlife_testkit::crash::Torture;
use std::path::PathBuf;
use std::sync::Arc;

async fn open(folder: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(SqliteConfig::new(folder.join("store.db")))?))
}

#[test]
fn nothing_acknowledged_is_lost() {
    Torture::default().run("nothing_acknowledged_is_lost", open);
}
