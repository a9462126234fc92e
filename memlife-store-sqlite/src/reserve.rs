use crate::place::{beside, folder_of};
use rustix::fs::FallocateFlags;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The smallest reserve that is worth its file.
const MIN_BYTES: u64 = 64 << 10;
/// A reserve is taken again only when this many times its size is free: never from what it gave.
const ROOM_FACTOR: u64 = 4;
/// Commits between two looks at whether there is room again.
const LOOK_EVERY: u32 = 64;

/// Disk space that is given up when there is no other, so that entries can still be removed.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
    commits: u32,
}

impl Reserve {
    /// The reserve beside the database at `store`, allocated if it is not there and there is room.
    pub(crate) fn open(store: &Path, bytes: u64) -> Self {
        let path = path_of(store);
        let held = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= MIN_BYTES);
        let mut reserve = Reserve { path, bytes, held, commits: 0 };
        if !reserve.held {
            reserve.allocate();
        }
        reserve
    }

    /// Gives the space back to the file system; false when there is none to give.
    pub(crate) fn release(&mut self) -> bool {
        // Another process may have released it: what counts is the file.
        let held = std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > 0);
        self.held = false;
        self.commits = 0;
        held && OpenOptions::new().write(true).truncate(true).open(&self.path).is_ok()
    }

    /// Called after each commit: takes the space again once there is plenty.
    pub(crate) fn after_commit(&mut self) {
        if self.held || self.bytes == 0 {
            return;
        }
        self.commits += 1;
        if self.commits >= LOOK_EVERY {
            self.commits = 0;
            if free_bytes(&self.path) >= self.bytes.saturating_mul(ROOM_FACTOR) {
                self.allocate();
            }
        }
    }

    fn allocate(&mut self) {
        let mut bytes = self.bytes;
        while bytes >= MIN_BYTES {
            match write_out(&self.path, bytes) {
                Ok(()) => {
                    self.held = true;
                    return;
                }
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

fn write_out(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let written = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
            io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).and_then(|_| file.flush())
        }
        result => result.map_err(io::Error::from),
    };
    if written.is_err() {
        file.set_len(0)?;
    }
    written
}

fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(folder_of(path)).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}
