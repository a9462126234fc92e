use crate::config::RedbConfig;
use crate::database::{Handle, Shared};
use crate::open;
use crate::reserve::Reserve;
use crate::schema::Identity;
use crate::transaction::Setting;
use crate::writer::Writer;
use crate::{feed, read, repair};
use async_trait::async_trait;
use memlife_core::store::{
    Batch, Changes, Due, DuePage, Durability, Feed, Fetched, Limits, Outcome, Page, Repair, Scan, StoreInfo,
    UsagePage, UsageQuery, Verification, Verify, Want, Warning,
};
use memlife_core::{GroupCommit, Key, Result, Store};
use memlife_store_local::error::{check_durability, read_only};
use memlife_store_local::{Latch, Waiters, on_own_thread, place};
use std::sync::Arc;

/// A store in one redb file, open in one place at a time.
///
/// ```
/// use memlife_core::Store;
/// use memlife_store_redb::{RedbConfig, RedbStore};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("store.redb");
/// let store = RedbStore::open(RedbConfig::new(path)).unwrap();
/// assert_eq!(store.info().backend, "redb");
/// ```
#[derive(Debug)]
pub struct RedbStore {
    config: RedbConfig,
    identity: Identity,
    info: StoreInfo,
    waiters: Arc<Waiters>,
    latch: Arc<Latch>,
    shared: Arc<Shared>,
    commits: GroupCommit<Writer>,
}

impl RedbStore {
    /// Opens the store, creating it where the configuration says so. Its size does not matter, unless a process that
    /// had it open was killed.
    ///
    /// A file that cannot be written is opened for reading only.
    ///
    /// # Errors
    /// `Locked` while another process, or another handle of this one, has it open; `Invalid` for a database of
    /// another program, `Unsupported` for a store of a newer memlife and for a durability above `disk`, `Corrupt` for
    /// a damaged file, `Unavailable` and `Full` where the file system refuses. What is no store of ours is not changed.
    pub fn open(config: RedbConfig) -> Result<Self> {
        check_durability(config.durability).map_err(|error| error.during("open"))?;
        let opened = open::open(&config).map_err(|error| error.during("open"))?;
        let is_read_only = matches!(opened.handle, Handle::Reading(_));
        let info = info(&config, &opened.identity, is_read_only);
        let (waiters, latch) = (Arc::<Waiters>::default(), Arc::<Latch>::default());
        let shared = Arc::new(Shared::new(&config.path, config.cache_bytes, opened.handle));
        shared.read_clock();
        let writer = Writer {
            shared: Arc::clone(&shared),
            setting: Setting { replica: info.replica, body_limit: info.limits.body_bytes },
            reserve: (!is_read_only).then(|| Reserve::open(&config.path, config.reserve_bytes)),
            waiters: Arc::clone(&waiters),
            latch: Arc::clone(&latch),
            limits: info.limits,
            level: config.durability,
            unsynced: 0,
            has_lost: opened.was_left,
            generation: 0,
            has_tables: false,
            refused_bytes: None,
        };
        // Every commit above `memory` waits for the disk, which no task should do on its own thread.
        let level = match config.durability {
            Durability::Memory => Durability::Memory,
            _ => Durability::Disk,
        };
        let commits = GroupCommit::new("memlife-commit", writer, level);
        Ok(RedbStore { config, identity: opened.identity, info, waiters, latch, shared, commits })
    }
}

fn info(config: &RedbConfig, identity: &Identity, read_only: bool) -> StoreInfo {
    let mut warnings = place::warnings(&config.path);
    if config.durability == Durability::Memory {
        let message = "writes at the level `memory` reach the disk when the store is closed in an orderly way: a \
                       killed process loses them";
        warnings.push(Warning(message.to_owned()));
    }
    let limits =
        Limits { body_bytes: config.limits.body_bytes.min(Limits::default().body_bytes), ..config.limits };
    StoreInfo {
        backend: "redb",
        location: config.path.display().to_string(),
        replica: identity.replica,
        incarnation: identity.incarnation,
        durability: config.durability,
        max_durability: Durability::Disk,
        read_only,
        keeps_time: false,
        keeps_dictionaries: true,
        limits,
        warnings,
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.waiters.close();
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        // Before the records are read: they may be newer than the clock, and never older.
        let clock = self.shared.clock();
        let read = |entries: &_| read::get(entries, keys, want);
        let slots = self.shared.read_entries(read).map_err(|error| error.during("get"))?;
        Ok(Fetched { slots, clock })
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        if batch.writes.is_empty() {
            return Ok(Vec::new());
        }
        self.commits.submit(batch).await.map_err(|error| error.during("write"))
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.shared.read(|transaction| read::scan(transaction, query)).map_err(|error| error.during("scan"))
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        self.shared.read(|transaction| read::due(transaction, query)).map_err(|error| error.during("due"))
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        let look = || {
            let read = |transaction: &_| feed::changes(transaction, self.info.incarnation, query);
            self.shared.read(read).map_err(|error| error.during("changes"))
        };
        self.waiters.changes(query, look).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        self.shared.read(|transaction| read::usage(transaction, query)).map_err(|error| error.during("usage"))
    }

    fn info(&self) -> &StoreInfo {
        &self.info
    }
}

#[async_trait]
impl Verify for RedbStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        if repair == Repair::Yes {
            self.latch.check()?;
            if self.info.read_only {
                return Err(read_only().during("verify"));
            }
        }
        let (shared, config, identity) = (Arc::clone(&self.shared), self.config.clone(), self.identity);
        let check = on_own_thread(move || {
            let verification = repair::verify(&shared, &config, identity, repair)?;
            // A ledger that was mended has one again.
            shared.read_clock();
            Ok(verification)
        })
        .await;
        check.map_err(|error| error.during("verify"))
    }
}
