use crate::bodies::Bodies;
use crate::checkpoint::{Checkpointer, Lengths};
use crate::config::SqliteConfig;
use crate::connection::Clocked;
use crate::error::from_sqlite;
use crate::open::{self, Opened};
use crate::readers::{Readers, snapshot};
use crate::recent::Recent;
use crate::reserve::Reserve;
use crate::schema::Sort;
use crate::transaction::{Memo, Setting};
use crate::verify::Check;
use crate::waiters::waiters;
use crate::writer::{Writer, idle_write};
use crate::{feed, read};
use memlife_core::store::{
    Batch, Changes, Due, DuePage, Durability, Feed, Fetched, Finding, Limits, Outcome, Page, Repair, Scan,
    StoreInfo, UsagePage, UsageQuery, Verification, Want,
};
use memlife_core::{GroupCommit, Key, Result, Timestamp};
use memlife_store_local::error::{check_durability, read_only};
use memlife_store_local::{Latch, Waiters, on_own_thread, place};
use std::sync::Arc;

/// Keys that are reindexed in one commit.
const REINDEX_BATCH: usize = 1_000;

/// Ordered keys, due times, change numbers, removals and usage of a store, in one SQLite file.
///
/// With `bodies`, users' records live there and are the truth; without, everything is in the rows. Every method
/// does what the one of [`Store`](memlife_core::Store) with its name promises.
#[derive(Debug)]
pub struct Index {
    config: SqliteConfig,
    bodies: Option<Arc<dyn Bodies>>,
    info: StoreInfo,
    readers: Readers,
    recent: Arc<Recent>,
    waiters: Arc<Waiters>,
    latch: Arc<Latch>,
    // Dropped last: its connection is the one that folds the log into the file.
    commits: GroupCommit<Writer>,
}

impl Index {
    /// Opens the file, creating it where the configuration says so. Its size does not matter.
    ///
    /// `backend` and `location` are what [`Index::info`] shows. The file of an index with `bodies` does not open
    /// without, and the other way round. A file that cannot be written is opened for reading only.
    ///
    /// # Errors
    /// `Invalid` for a file of another program, `Unsupported` for one of a newer memlife and for a durability
    /// above `disk`, `Corrupt` for a damaged one, `Unavailable` and `Full` where the file system refuses. What is
    /// no store of ours is not changed.
    pub fn open(
        config: &SqliteConfig,
        backend: &'static str,
        location: String,
        bodies: Option<Arc<dyn Bodies>>,
    ) -> Result<Self> {
        check_durability(config.durability)?;
        let sort = if bodies.is_some() { Sort::Index } else { Sort::Store };
        let mut opened = open::open(config, sort).map_err(|error| error.during("open"))?;
        let limits = Limits {
            body_bytes: config.limits.body_bytes.min(Limits::default().body_bytes),
            ..config.limits
        };
        let info = StoreInfo {
            backend,
            location,
            replica: opened.replica,
            incarnation: opened.incarnation,
            durability: config.durability,
            max_durability: Durability::Disk,
            read_only: opened.is_read_only,
            keeps_time: false,
            keeps_dictionaries: true,
            limits,
            warnings: place::warnings(&config.path),
        };
        let recent = Arc::<Recent>::default();
        let (waiters, latch) = (Arc::new(waiters(config)), Arc::<Latch>::default());
        let readers = Readers::new(config, opened.reading);
        let lengths = if bodies.is_some() { Lengths::INDEX } else { Lengths::STORE };
        let checkpointer = Checkpointer::new(config, lengths, &mut opened.connection, Arc::clone(&latch));
        let writer = Writer {
            checkpointer: checkpointer.map_err(|error| from_sqlite(error).during("open"))?,
            setting: Setting {
                replica: opened.replica,
                body_limit: limits.body_bytes,
                bodies: bodies.clone(),
                recent: Arc::clone(&recent),
            },
            memo: Memo::default(),
            reserve: reserve_of(config, &opened),
            connection: Clocked::new(opened.connection),
            waiters: Arc::clone(&waiters),
            latch: Arc::clone(&latch),
            limits,
            level: config.durability,
            busy_timeout: config.busy_timeout,
            is_syncing: false,
        };
        let commits = GroupCommit::new("memlife-commit", writer, config.durability);
        Ok(Index { config: config.clone(), bodies, info, readers, recent, waiters, latch, commits })
    }

    /// Who the store is and what it can do.
    pub fn info(&self) -> &StoreInfo {
        &self.info
    }

    /// To say more about the store that is built on this.
    pub fn info_mut(&mut self) -> &mut StoreInfo {
        &mut self.info
    }

    /// The store's clock.
    ///
    /// # Errors
    /// As any read: `Unavailable`, `Corrupt`.
    pub fn clock(&self) -> Result<Timestamp> {
        self.read(|reader| read::clock(reader).map_err(from_sqlite))
    }

    /// Reads by the connection that writes, while that is idle and none but it was needed yet: a program that does one
    /// thing at a time opens no other, and meets in its cache what it wrote.
    fn read<T>(&self, read: impl Fn(&Clocked) -> Result<T>) -> Result<T> {
        let idle = |writer: &mut Writer| {
            // A panic may have left a transaction behind.
            writer.connection.is_autocommit().then(|| read(&writer.connection))
        };
        let early = (!self.readers.are_open()).then(|| self.commits.try_with(idle)).flatten().flatten();
        // That one waits for nobody, and others do.
        early.and_then(Result::ok).map_or_else(|| self.readers.read(&read), Ok)
    }

    /// See [`Store::get`](memlife_core::Store::get).
    ///
    /// # Errors
    /// `Corrupt` names the first damaged key.
    pub async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        let fetched = self.read(|reader| {
            let get = || read::get(reader, self.bodies.as_deref(), keys, want);
            if keys.len() > 1 { snapshot(reader, get) } else { get() }
        });
        fetched.map_err(|error| error.during("get"))
    }

    /// See [`Store::apply`](memlife_core::Store::apply).
    ///
    /// # Errors
    /// `Unavailable` for a store that is read-only, `Poisoned` after an I/O error, `Locked`, `TooLarge` for the
    /// whole batch, `Unsupported` for a durability above `disk`.
    pub async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        if batch.writes.is_empty() {
            return Ok(Vec::new());
        }
        self.commits.submit(batch).await.map_err(|error| error.during("write"))
    }

    /// See [`Store::scan`](memlife_core::Store::scan).
    ///
    /// # Errors
    /// As any read; a damaged record is an error in the page.
    pub async fn scan(&self, query: &Scan) -> Result<Page> {
        let read = |connection: &_| read::scan(connection, self.bodies.as_deref(), query);
        self.readers.read_snapshot(read).map_err(|error| error.during("scan"))
    }

    /// See [`Store::due`](memlife_core::Store::due).
    ///
    /// # Errors
    /// As any read.
    pub async fn due(&self, query: &Due) -> Result<DuePage> {
        let read = |connection: &_| read::due(connection, query, &self.recent).map_err(from_sqlite);
        // By the connection that erases what is found, where it is free: it has the pages then.
        let idle = |writer: &mut Writer| snapshot(&writer.connection, || read(&writer.connection));
        let page = match self.commits.try_with(idle) {
            Some(Ok(page)) => Ok(page),
            // That one waits for nobody, and others do.
            _ => self.readers.read_snapshot(read),
        };
        page.map_err(|error| error.during("due"))
    }

    /// See [`Store::usage`](memlife_core::Store::usage).
    ///
    /// # Errors
    /// As any read.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        let read = |connection: &_| read::usage(connection, query).map_err(from_sqlite);
        self.read(|reader| snapshot(reader, || read(reader))).map_err(|error| error.during("usage"))
    }

    /// See [`Store::changes`](memlife_core::Store::changes).
    ///
    /// # Errors
    /// As any read.
    pub async fn changes(&self, query: &Feed) -> Result<Changes> {
        let look = || {
            let read = |connection: &_| {
                feed::changes(connection, self.bodies.as_deref(), self.info.incarnation, query)
            };
            self.readers.read_snapshot(read).map_err(|error| error.during("changes"))
        };
        self.waiters.changes(query, look).await
    }

    /// Meets each key through [`Bodies::load`] in a write transaction, and corrects its row, numbers and usage.
    ///
    /// For records that have no row yet, and for differences that a read met.
    ///
    /// # Errors
    /// The first that [`Index::apply`] gives for any of the keys; the others are done.
    pub async fn reindex(&self, now: Timestamp, keys: &[Key]) -> Result<()> {
        let mut first_error = Ok(());
        for keys in keys.chunks(REINDEX_BATCH) {
            let writes = keys.iter().map(idle_write).collect();
            let batch = Batch { now, durability: Durability::Process, token: None, writes };
            for outcome in self.apply(&batch).await? {
                first_error = first_error.and(outcome.map(drop));
            }
        }
        first_error
    }

    /// See [`Verify::verify`](memlife_core::store::Verify::verify).
    ///
    /// # Errors
    /// Where the file cannot be read at all, and, under [`Repair::Yes`], not be written.
    pub async fn verify(&self, repair: Repair) -> Result<Verification> {
        if repair == Repair::Yes {
            self.latch.check()?;
            if self.info.read_only {
                return Err(read_only().during("verify"));
            }
        }
        let check = Check::new(&self.config, self.readers.role(), self.bodies.clone(), repair);
        let (mut verification, stale) = on_own_thread(move || check.run()).await?;
        // A row behind its record is what a crash leaves, and what a writer makes while rows are looked at. Where
        // the record is sound the row follows it, and nothing was wrong.
        for (key, problem) in stale {
            if let Err(error) = self.reindex(Timestamp::EPOCH, std::slice::from_ref(&key)).await {
                tracing::debug!(%error, %key, "a row stays behind its record");
                let place = "entry".to_owned();
                verification.add(Finding { key: Some(key), place, problem, repaired: false });
            }
        }
        Ok(verification)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.waiters.close();
    }
}

fn reserve_of(config: &SqliteConfig, opened: &Opened) -> Option<Reserve> {
    (!opened.is_read_only).then(|| Reserve::open(&config.path, config.reserve_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use memlife_core::store::Write;
    use memlife_testkit::draft::put;
    use tempfile::TempDir;

    /// A store with one entry, and its key.
    async fn filled() -> (TempDir, Index, Key) {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(folder.path().join("store.db"));
        let index = Index::open(&config, "sqlite", String::new(), None).unwrap();
        let write = Write::from(put("a/b", "1"));
        let key = write.key.clone();
        let batch = Batch {
            now: Timestamp::EPOCH,
            durability: Durability::Process,
            token: None,
            writes: vec![write],
        };
        assert!(index.apply(&batch).await.unwrap()[0].is_ok());
        (folder, index, key)
    }

    async fn is_there(index: &Index, key: &Key) -> bool {
        index.get(std::slice::from_ref(key), Want::Whole).await.unwrap().slots[0].is_some()
    }

    #[tokio::test]
    async fn who_does_one_thing_at_a_time_needs_one_connection() {
        let (_folder, index, key) = filled().await;
        assert!(is_there(&index, &key).await);
        assert!(!index.readers.are_open());
    }

    #[test]
    fn reads_do_not_wait_for_the_connection_that_writes() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_folder, index, key) = runtime().block_on(filled());
        let read = || runtime().block_on(is_there(&index, &key));
        let found = index.commits.try_with(|_| std::thread::scope(|scope| scope.spawn(read).join().unwrap()));
        assert_eq!(found, Some(true));
        assert!(index.readers.are_open());
    }

    #[tokio::test]
    async fn what_a_panic_left_undone_is_not_read() {
        let (_folder, index, key) = filled().await;
        let begun = "BEGIN IMMEDIATE; DELETE FROM entry";
        index.commits.try_with(|writer| writer.connection.execute_batch(begun)).unwrap().unwrap();
        assert!(is_there(&index, &key).await);
    }
}
