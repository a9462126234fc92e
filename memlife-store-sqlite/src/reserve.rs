use memlife_store_local::reserve::{MIN_BYTES, free_bytes, is_affordable, path_of, write_out};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// It grows by this much at once, where there is room.
const STEP_BYTES: u64 = 1 << 20;
/// Commits between two looks at what other processes did to the file.
const LOOK_EVERY: u32 = 16;

/// Disk space that is given up when there is no other, so that entries can still be removed.
///
/// A log can be folded only into a file that has room to grow, and before it is folded nothing of it is free. So the
/// reserve grows with what is not folded yet, and what it cannot cover is not written.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// What it has at least, where there is room; 0 is no reserve at all.
    bytes: u64,
    /// What it has, as far as this process knows.
    held: u64,
    commits: u32,
}

impl Reserve {
    /// The reserve beside the database at `store`, allocated if it is not there and there is room.
    pub(crate) fn open(store: &Path, bytes: u64) -> Self {
        let mut reserve = Reserve { path: path_of(store), bytes, held: 0, commits: 0 };
        reserve.look();
        reserve.allocate();
        reserve
    }

    /// Gives the space back to the file system; false when there is none to give.
    pub(crate) fn release(&mut self) -> bool {
        // Another process may have released it: what counts is the file.
        self.look();
        self.commits = 0;
        self.held > 0 && self.set_len(0)
    }

    /// Gives most of it away, for the log of what frees space, and keeps what folding that log may need; false when
    /// there is nothing to give.
    pub(crate) fn lend(&mut self) -> bool {
        self.look();
        let kept = (self.held / 4).max(MIN_BYTES);
        self.held > kept && self.set_len(kept)
    }

    /// Whether the reserve has `bytes`, or can get them.
    pub(crate) fn covers(&mut self, bytes: u64) -> bool {
        self.bytes == 0
            || bytes <= self.held
            || self.grow(bytes.next_multiple_of(STEP_BYTES))
            || self.grow(bytes.next_multiple_of(MIN_BYTES))
    }

    /// Called after each commit, with what its log may need to be folded; false when it had better be: there is not so
    /// much, or the log has taken more than is left to others.
    pub(crate) fn after_commit(&mut self, unfolded: u64) -> bool {
        self.commits += 1;
        if self.bytes > 0 && self.commits >= LOOK_EVERY {
            self.commits = 0;
            self.look();
            // Taken again once there is plenty.
            if self.held < self.bytes && is_affordable(&self.path, self.bytes) {
                self.allocate();
            }
            if free_bytes(&self.path) < unfolded {
                return false;
            }
        }
        self.covers(unfolded)
    }

    /// Takes what there is room for.
    pub(crate) fn allocate(&mut self) {
        let mut bytes = self.bytes;
        while bytes >= MIN_BYTES.max(self.held + 1) && !self.grow(bytes) {
            bytes /= 2;
        }
    }

    /// Gives back what it has more than at least: the log is folded.
    pub(crate) fn shrink(&mut self) {
        if self.held > self.bytes {
            self.set_len(self.bytes);
        }
    }

    fn set_len(&mut self, bytes: u64) -> bool {
        let file = OpenOptions::new().write(true).open(&self.path);
        let is_set = file.and_then(|file| file.set_len(bytes)).is_ok();
        if is_set {
            self.held = bytes;
        }
        is_set
    }

    fn look(&mut self) {
        self.held = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
    }

    fn grow(&mut self, bytes: u64) -> bool {
        match write_out(&self.path, bytes) {
            Ok(()) => {
                self.held = bytes;
                true
            }
            Err(error) => {
                tracing::debug!(%error, bytes, "no room for the reserve");
                false
            }
        }
    }
}
