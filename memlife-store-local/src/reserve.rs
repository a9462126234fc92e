//! A file of disk space beside a store, for when there is no other.

use crate::place::{beside, folder_of};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The smallest reserve that is worth its file.
pub const MIN_BYTES: u64 = 64 << 10;
/// A reserve is taken again only when this many times its size is free: never from what it gave.
const ROOM_FACTOR: u64 = 4;

/// Whether there is so much room that a reserve of `bytes` can be taken again.
pub fn is_affordable(path: &Path, bytes: u64) -> bool {
    free_bytes(path) >= bytes.saturating_mul(ROOM_FACTOR)
}

/// Where the reserve of the database at `store` is.
pub fn path_of(store: &Path) -> PathBuf {
    beside(store, "-reserve")
}

/// Makes the file `bytes` long, all of them allocated; it stays as it was when there is no room.
///
/// # Errors
/// Where there is no room, and where the file system refuses.
pub fn write_out(path: &Path, bytes: u64) -> io::Result<()> {
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

/// Free space of the file system that has the file.
pub fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(folder_of(path)).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}
