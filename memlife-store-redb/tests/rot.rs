//! Flipped bits and cut files.

use memlife_core::{Result, Store};
use memlife_store_redb::{RedbConfig, RedbStore};
use memlife_testkit::damage::Rot;
use std::path::PathBuf;
use std::sync::Arc;

async fn open(folder: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedbStore::open(RedbConfig::new(folder.join("store.redb")))?))
}

#[test]
fn damage_is_noticed_and_never_read_as_data() {
    Rot::default().run(open);
}
