use memlife_core::store::{Durability, Limits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a store is opened with.
///
/// ```
/// use memlife_core::store::Durability;
/// use memlife_store_redb::RedbConfig;
/// let config = RedbConfig::new(".memlife/store.redb").durability(Durability::Memory).create(false);
/// assert!(!config.create);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedbConfig {
    /// The database file. memlife keeps a `-reserve` beside it.
    pub path: PathBuf,
    /// What every acknowledged write survives at least.
    pub durability: Durability,
    /// Whether to create the file, and the folders above it, where there is none.
    pub create: bool,
    /// How long opening waits for another process to close the store before it fails as `Locked`.
    pub busy_timeout: Duration,
    /// The most bytes of the file that are kept in memory.
    pub cache_bytes: usize,
    /// The size of the file that is given up when the disk is full, so that deletes and sweeps still run; 0 is none.
    pub reserve_bytes: u64,
    /// Limits.
    pub limits: Limits,
}

impl RedbConfig {
    /// The store in the file at `path`, with everything as it is by default.
    pub fn new(path: impl AsRef<Path>) -> Self {
        RedbConfig {
            path: path.as_ref().to_path_buf(),
            durability: Durability::Process,
            create: true,
            busy_timeout: Duration::ZERO,
            cache_bytes: 32 << 20,
            reserve_bytes: 4 << 20,
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

    /// Sets how long opening waits for another process.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the most bytes of the file that are kept in memory.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets the size of the reserve; 0 is none.
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
}
