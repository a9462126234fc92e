use memlife_core::store::{Durability, Limits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a store is opened with.
///
/// ```
/// use memlife_core::store::Durability;
/// use memlife_store_sqlite::SqliteConfig;
/// let config = SqliteConfig::new(".memlife/store.db").durability(Durability::Disk).create(false);
/// assert!(!config.create);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteConfig {
    /// The database file. SQLite keeps `-wal` and `-shm` files beside it, and memlife a `-reserve`.
    pub path: PathBuf,
    /// What every acknowledged write survives at least.
    pub durability: Durability,
    /// Whether to create the file, and the folders above it, where there is none.
    pub create: bool,
    /// Whether the last process that closes the file folds the write-ahead log into it. Short runs that others
    /// follow are faster without.
    pub checkpoint_on_close: bool,
    /// How long a write waits for other processes before it fails as `Locked`.
    pub busy_timeout: Duration,
    /// The least size of the file that is given up when the disk is full, so that deletes and sweeps still run. It
    /// grows with what of the log has to be folded.
    pub reserve_bytes: u64,
    /// The most connections that read at once, at least 1; further readers wait for microseconds.
    pub readers: usize,
    /// Limits.
    pub limits: Limits,
}

impl SqliteConfig {
    /// The store in the file at `path`, with everything as it is by default.
    pub fn new(path: impl AsRef<Path>) -> Self {
        SqliteConfig {
            path: path.as_ref().to_path_buf(),
            durability: Durability::Process,
            create: true,
            checkpoint_on_close: true,
            busy_timeout: Duration::from_secs(60),
            reserve_bytes: 1 << 20,
            readers: 4,
            limits: Limits::default(),
        }
    }

    /// Sets what every acknowledged write survives at least.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets whether a missing file is created.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether the last to close folds the write-ahead log into the file.
    #[must_use]
    pub fn checkpoint_on_close(mut self, checkpoint: bool) -> Self {
        self.checkpoint_on_close = checkpoint;
        self
    }

    /// Sets how long a write waits for other processes.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the least size of the reserve; 0 is none.
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// Sets the limits; bodies above the default are refused all the same.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the most connections that read at once.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }
}
