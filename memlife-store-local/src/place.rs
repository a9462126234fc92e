//! Where a store is, and what is beside it.

use crate::error::at_path;
use memlife_core::Result;
use memlife_core::store::Warning;
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file beside the database whose name ends in `suffix`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The folder of `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates the empty file, and the folders above it, for their owner alone. Another process may be faster.
///
/// # Errors
/// Where the file system refuses.
pub fn create(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| at_path(folder, "cannot create the folder", error))?;
    // Not opened again before SQLite does: closing it then would drop SQLite's locks in this process.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at_path(path, "cannot create", error)),
    }
}

/// What about the place of the store should be known.
pub fn warnings(path: &Path) -> Vec<Warning> {
    let folder = folder_of(path);
    let mut warnings = Vec::new();
    if let Ok(metadata) = std::fs::metadata(folder) {
        warnings.extend(exposure(folder, &metadata, "700"));
    }
    if let Ok(metadata) = std::fs::metadata(path) {
        warnings.extend(exposure(path, &metadata, "600"));
    }
    if let Some(kind) = network_file_system(folder) {
        let message = format!(
            "{} is on a network file system ({kind}), where locks may not hold between machines: \
             use it from one machine only, or move the store to a local disk",
            path.display()
        );
        warnings.push(Warning(message));
    }
    warnings
}

fn exposure(path: &Path, metadata: &Metadata, mode: &str) -> Option<Warning> {
    let path = path.display();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{path} belongs to another user, who can read and change what is stored");
        return Some(Warning(message));
    }
    (metadata.mode() & 0o077 != 0)
        .then(|| Warning(format!("{path} is open to other users: `chmod {mode} {path}` closes it")))
}

#[cfg(target_os = "linux")]
fn network_file_system(folder: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(folder).ok()?.f_type;
    // statfs(2); the numbers are of 32 bits and the field is not.
    Some(match kind as u32 {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        _ => return None,
    })
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_folder: &Path) -> Option<&'static str> {
    None
}
