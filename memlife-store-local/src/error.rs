//! What goes wrong with any file, in terms of what the caller can do.

use memlife_core::store::{Batch, Durability, Limits};
use memlife_core::{Error, ErrorKind, Result};
use std::io;
use std::path::Path;

/// No space is left.
pub fn full() -> Error {
    let message =
        "the disk is full: free some space; deletes and sweeps still run, and writing resumes by itself";
    Error::new(ErrorKind::Full, message)
}

/// Nothing may be written.
pub fn read_only() -> Error {
    let message = "the store was opened read-only: check the permissions of the file and its folder";
    Error::new(ErrorKind::Unavailable, message)
}

/// Nothing may be written any more.
pub fn poisoned(reason: &str) -> Error {
    let message =
        format!("an earlier write failed ({reason}): reads go on; open the store anew to write again");
    Error::new(ErrorKind::Poisoned, message)
}

/// The file holds what its database did not write.
pub fn damaged() -> Error {
    corrupt("the store's file is damaged: run `memlife verify --repair`, or restore a backup")
}

/// What is stored is not what was written.
pub fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// The file at `path` is empty, though the reserve beside it says that it held a store.
pub fn emptied(path: &Path) -> Error {
    corrupt(&format!(
        "{} is empty, though the reserve beside it says that it held a store: restore a backup, or remove both",
        path.display()
    ))
}

/// An error of the file system at `path`.
pub fn at_path(path: &Path, what: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{what} {}: {error}", path.display())).because(error)
}

/// Whether a store in a file can give this.
///
/// # Errors
/// `Unsupported` above `disk`.
pub fn check_durability(durability: Durability) -> Result<()> {
    if durability > Durability::Disk {
        let message = format!("a file cannot give the durability {durability}: ask for `disk`");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Whether a store in a file takes the batch.
///
/// # Errors
/// `TooLarge` for too many writes, and as [`check_durability`].
pub fn check_batch(batch: &Batch, limits: &Limits) -> Result<()> {
    if batch.writes.len() > limits.batch_writes {
        let (has, limit) = (batch.writes.len(), limits.batch_writes);
        let message = format!("a batch of {has} writes: send at most {limit} at once");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    check_durability(batch.durability)
}
