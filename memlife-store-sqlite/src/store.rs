use crate::config::SqliteConfig;
use crate::index::Index;
use async_trait::async_trait;
use memlife_core::store::{
    Batch, Changes, Due, DuePage, Feed, Fetched, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want,
};
use memlife_core::{Key, Result, Store};

/// A store in one SQLite file.
///
/// ```
/// use memlife_core::Store;
/// use memlife_store_sqlite::{SqliteConfig, SqliteStore};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("store.db");
/// let store = SqliteStore::open(SqliteConfig::new(path)).unwrap();
/// assert_eq!(store.info().backend, "sqlite");
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    index: Index,
}

impl SqliteStore {
    /// Opens the store, creating it where the configuration says so.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open(config: SqliteConfig) -> Result<Self> {
        let location = config.path.display().to_string();
        Ok(SqliteStore { index: Index::open(&config, "sqlite", location, None)? })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        self.index.get(keys, want).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.index.apply(batch).await
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.index.scan(query).await
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        self.index.due(query).await
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        self.index.changes(query).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        self.index.usage(query).await
    }

    fn info(&self) -> &StoreInfo {
        self.index.info()
    }
}

#[async_trait]
impl Verify for SqliteStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.index.verify(repair).await
    }
}
