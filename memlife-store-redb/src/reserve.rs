use crate::place::{beside, folder_of};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The smallest reserve that is worth its file.
const MIN_BYTES: u64 = 64 << 10;
/// A reserve is taken again only when this many times its size is free: never from what it gave.
const ROOM_FACTOR: u64 = 4;
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
            if free_bytes(&self.path) >= self.bytes.saturating_mul(ROOM_FACTOR) {
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

/// Where the reserve of the database at `store` is.
pub(crate) fn path_of(store: &Path) -> PathBuf {
    beside(store, "-reserve")
}

/// Empties the reserve at `path`; false when there is none to empty.
pub(crate) fn release(path: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| Ok(file.metadata()?.len() > 0 && file.set_len(0).is_ok())).unwrap_or(false)
}

/// Makes the file `bytes` long, all of them allocated; it stays as it was when there is no room.
fn write_out(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    let written = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
            fill(&mut file, before, bytes)
        }
        result => result.map_err(io::Error::from),
    };
    if written.is_err() {
        file.set_len(before)?;
    }
    written
}

fn fill(file: &mut File, from: u64, to: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut io::Read::take(io::repeat(0), to.saturating_sub(from)), file)?;
    file.flush()
}

fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(folder_of(path)).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}
