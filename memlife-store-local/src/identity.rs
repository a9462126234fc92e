//! Who a file is.

use crate::error::at_path;
use memlife_core::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;
use xxhash_rust::xxh3::Xxh3;

/// Tells the file at `path` from a copy of it, on this machine or another.
///
/// A copy that kept its replica id would mint the same dots as the original, and neither would notice.
///
/// # Errors
/// `Unavailable` where the file cannot be looked at.
pub fn fingerprint(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path).map_err(|error| at_path(path, "cannot look at", error))?;
    // Not the device number: it changes when disks are found in another order.
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let mut hasher = Xxh3::new();
    hasher.update(&metadata.ino().to_le_bytes());
    hasher.update(&born.as_nanos().to_le_bytes());
    hasher.update(machine.trim_ascii());
    Ok(hasher.digest())
}

/// A random number that is not 0.
///
/// # Errors
/// `Unavailable` where the system has none.
pub fn random() -> Result<u64> {
    getrandom::u64().map(|number| number.max(1)).map_err(|error| {
        let message = format!("the system has no randomness to give: {error}");
        Error::new(ErrorKind::Unavailable, message)
    })
}
