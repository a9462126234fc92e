use memlife_core::store::{Durability, Limits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a store is opened with.
///
/// ```
/// use memlife_core::store::Durability;
/// use memlife_store_fs::FsConfig;
/// let config = FsConfig::new(".claude-flow/memory").durability(Durability::Disk).create(false);
/// assert!(!config.create);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsConfig {
    /// The directory. memlife keeps what is not an entry in `.memlife` inside it.
    pub directory: PathBuf,
    /// What every acknowledged write survives at least.
    pub durability: Durability,
    /// Whether to create the directory, and those above it, where there is none.
    pub create: bool,
    /// Whether the last process that closes the store folds the index's write-ahead log into it. Short runs that
    /// others follow are faster without.
    pub checkpoint_on_close: bool,
    /// How long a write waits for other processes before it fails as `Locked`.
    pub busy_timeout: Duration,
    /// The least size of the file that is given up when the disk is full, so that deletes and sweeps still run. It
    /// grows with what of the log has to be folded.
    pub reserve_bytes: u64,
    /// Limits. A compressed value of the original has at most as many bytes unpacked as a body may have.
    pub limits: Limits,
}

/// The most writes of one batch: each is a file, and others wait for all of them.
const BATCH_FILES: usize = 2_500;

impl FsConfig {
    /// The store in `directory`, with everything as it is by default.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        FsConfig {
            directory: directory.as_ref().to_path_buf(),
            durability: Durability::Process,
            create: true,
            checkpoint_on_close: true,
            busy_timeout: Duration::from_secs(60),
            reserve_bytes: 1 << 20,
            limits: Limits { batch_writes: BATCH_FILES, ..Limits::default() },
        }
    }

    /// Sets what every acknowledged write survives at least.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets whether a missing directory is created.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether the last to close folds the index's write-ahead log into it.
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
}
