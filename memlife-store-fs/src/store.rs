use crate::clock::StoreClock;
use crate::config::FsConfig;
use crate::directory::{Directory, OWN};
use crate::document::Author;
use crate::files::Files;
use crate::scrub::Scrub;
use async_trait::async_trait;
use memlife_core::record::Record;
use memlife_core::store::{
    Batch, Changes, Due, DuePage, Feed, Fetched, Limits, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want,
};
use memlife_core::{Error, ErrorKind, Key, Result, Store, Timestamp};
use memlife_store_sqlite::{Index, SqliteConfig};
use std::sync::Arc;

/// The index, inside memlife's own folder.
const INDEX: &str = "index.db";

/// A store in a folder of JSON files, one for each entry, with a SQLite index beside them.
///
/// The files are the truth: each describes itself, and the index can be rebuilt from them. Reading an entry
/// opens its file and nothing else. Any number of processes may share the folder.
///
/// | level | how an entry is put | what it survives |
/// |---|---|---|
/// | `process` | a new file is written and takes the old one's name | `kill -9` at any instant |
/// | `disk` | the same, with the file, the folder and the index synced | a power cut |
///
/// A power cut takes the last moments of what was written at `process`, and on file systems that reorder, such as
/// XFS, it may cut the file of an entry that was overwritten then: such a file is named as `Corrupt`, never served.
#[derive(Debug)]
pub struct FsStore {
    files: Arc<Files>,
    index: Index,
}

impl FsStore {
    /// Opens the store; creates it where the configuration says so, and indexes a folder that has no index yet,
    /// such as one that the Python original left.
    ///
    /// # Errors
    /// `Unavailable` when the folder or its index cannot be opened, `Unsupported` for a newer format, `Full`.
    pub fn open(config: &FsConfig) -> Result<Self> {
        if !config.create && !config.directory.is_dir() {
            let message = format!(
                "there is no store: {} is no directory; create it first or let it be created",
                config.directory.display()
            );
            return Err(Error::new(ErrorKind::Unavailable, message).during("open"));
        }
        let directory = Directory::open(&config.directory).map_err(|error| error.during("open"))?;
        let warnings = directory.warnings()?;
        let files =
            Arc::new(Files::new(directory, config.limits.body_bytes.min(Limits::default().body_bytes)));
        let location = config.directory.display().to_string();
        let mut index =
            Index::open(&index_config(config), "fs", location, Some(files.clone())).map_err(of_index)?;
        let info = index.info_mut();
        info.warnings.extend(warnings);
        // memlife's own entries are in the index alone, which may be moved away and is made anew from the files.
        info.keeps_dictionaries = false;
        if !index.info().read_only {
            let warning = Scrub::new(&files, &index).prepare().map_err(of_index)?;
            index.info_mut().warnings.extend(warning);
        }
        // Commits keep it ahead of the index; a power cut or a restored backup may not.
        if let Some(clock) = &files.clock
            && clock.read()?.is_none_or(|reading| reading < index.clock().unwrap_or_default())
        {
            clock.write(index.clock()?);
        }
        Ok(FsStore { files, index })
    }

    /// The store's clock, from its own file.
    fn clock(&self) -> Result<Timestamp> {
        let clock = self.files.clock.as_ref().map(StoreClock::read).transpose()?.flatten();
        clock.map_or_else(|| self.index.clock(), Ok)
    }

    /// The entry in the file of `key`, where memlife wrote it: the usual case, without the index.
    fn in_file(&self, key: &Key, want: Want) -> Result<Option<Record>> {
        if key.is_system() {
            return Ok(None);
        }
        let document = self.files.read(key)?.filter(|document| document.author == Author::Memlife);
        Ok(document.map(|document| match want {
            Want::Whole => document.record,
            Want::Head => document.record.without_body(),
        }))
    }
}

/// What an error of the index means while the store is opened: damage there harms no entry.
fn of_index(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Indeterminate => {
            let message = format!(
                "the index is damaged and the entries are not: move {OWN}/{INDEX} and all files whose names begin \
                 with it away, then open the store again to index the entries anew"
            );
            Error::new(ErrorKind::Corrupt, message).because(error)
        }
        _ => error,
    }
    .during("open")
}

fn index_config(config: &FsConfig) -> SqliteConfig {
    let mut index = SqliteConfig::new(config.directory.join(OWN).join(INDEX));
    index.durability = config.durability;
    index.checkpoint_on_close = config.checkpoint_on_close;
    index.busy_timeout = config.busy_timeout;
    index.reserve_bytes = config.reserve_bytes;
    index.limits = config.limits;
    index
}

#[async_trait]
impl Store for FsStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        let mut slots = Vec::with_capacity(keys.len());
        let (mut asked, mut places) = (Vec::new(), Vec::new());
        let mut clock = self.clock()?;
        for key in keys {
            let slot = self.in_file(key, want).map_err(|error| error.during("get"))?;
            // A row may hold what has no file: a tombstone, memlife's own entries, the numbers of an original's.
            if slot.is_none() {
                asked.push(key.clone());
                places.push(slots.len());
            }
            slots.push(slot);
        }
        if !asked.is_empty() {
            let fetched = self.index.get(&asked, want).await?;
            clock = clock.max(fetched.clock);
            for (place, slot) in places.into_iter().zip(fetched.slots) {
                slots[place] = slot;
            }
        }
        Ok(Fetched { slots, clock })
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
impl Verify for FsStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        Scrub::new(&self.files, &self.index).verify(repair).await
    }
}
