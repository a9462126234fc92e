//! Processes that are killed while they write.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife_core::{Result, Store};
use memlife_store_redb::{RedbConfig, RedbStore};
use memlife_testkit::crash::Torture;
use std::path::PathBuf;
use std::sync::Arc;

async fn open(folder: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedbStore::open(RedbConfig::new(folder.join("store.redb")))?))
}

#[test]
fn nothing_acknowledged_is_lost() {
    // One process has the store to itself, so one has all the writers and the sweeper.
    Torture { apart: false, ..Torture::default() }.run("nothing_acknowledged_is_lost", open);
}
