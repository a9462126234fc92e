//! The contract of every store, random operations beside the store in memory, and kills.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use memlife_core::store::Limits;
use memlife_core::{Result, Store};
use memlife_store_fs::{FsConfig, FsStore};
use memlife_testkit::{Subject, crash, model};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn config(&self) -> FsConfig {
        FsConfig::new(self.0.path())
    }
}

#[async_trait]
impl Subject for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(FsStore::open(&self.config()).unwrap())
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        Some(Arc::new(FsStore::open(&self.config().limits(limits)).unwrap()))
    }

    fn limitable(&self) -> bool {
        true
    }
}

memlife_testkit::conformance!(fs, || async { Folder::new() });

memlife_testkit::engine_behaviours!(fs_engine, || async { Folder::new() });

#[test]
fn behaves_as_the_store_in_memory() {
    model::check(|| async { Folder::new() }, model::DEFAULT_CASES);
}

async fn open(folder: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(FsStore::open(&FsConfig::new(folder))?))
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    crash::Torture::default().run("nothing_acknowledged_is_lost_by_kills", open);
}
