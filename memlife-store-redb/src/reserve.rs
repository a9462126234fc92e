use memlife_store_local::reserve::{MIN_BYTES, free_bytes, is_affordable, path_of, write_out};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Commits between two looks at how much is free.
const LOOK_EVERY: u32 = 16;
/// With less free space than this the disk may be full any moment.
const TIGHT_BYTES: u64 = 64 << 20;

/// Disk space that is given up when there is no other, so that entries can still be removed.
///
/// redb never changes a page in place, so removing an entry takes pages before it gives any.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// What it has where there is room; 0 is no reserve at all.
    bytes: u64,
    /// What it has.
    held: u64,
    commits: u32,
}

impl Reserve {
    /// The reserve beside the database at `store`, allocated if it is not there and there is room.
    pub(crate) fn open(store: &Path, bytes: u64) -> Self {
        let path = path_of(store);
        let held = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let mut reserve = Reserve { path, bytes, held, commits: 0 };
        reserve.allocate();
        reserve
    }

    /// Gives the space back to the file system; false when there is none to give.
    pub(crate) fn release(&mut self) -> bool {
        self.commits = 0;
        let is_released = self.held > 0 && release(&self.path);
        if is_released {
            self.held = 0;
        }
        is_released
    }

    /// Whether the disk is about to be full.
    pub(crate) fn is_tight(&self) -> bool {
        free_bytes(&self.path) < TIGHT_BYTES
    }

    /// Called after each commit: takes the space again once there is plenty.
    pub(crate) fn after_commit(&mut self) {
        self.commits += 1;
        if self.held < self.bytes && self.commits >= LOOK_EVERY {
            self.commits = 0;
            if is_affordable(&self.path, self.bytes) {
                self.allocate();
            }
        }
    }

    /// Takes what there is room for.
    fn allocate(&mut self) {
        let mut bytes = self.bytes;
        while bytes >= MIN_BYTES.max(self.held + 1) {
            match write_out(&self.path, bytes) {
                Ok(()) => self.held = bytes,
                Err(error) => tracing::debug!(%error, bytes, "no room for the reserve"),
            }
            bytes /= 2;
        }
    }
}

/// Empties the reserve at `path`; false when there is none to empty.
pub(crate) fn release(path: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| Ok(file.metadata()?.len() > 0 && file.set_len(0).is_ok())).unwrap_or(false)
}
