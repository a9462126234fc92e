use crate::error::at_path;
use crate::identity;
use memlife_core::Result;
use memlife_core::store::Warning;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file beside the database whose name ends in `suffix`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What stands between the name of a store and the number of a draft of it.
const DRAFT: &str = "-new-";

/// Creates an empty file beside the store at `path`, in which a store can be made whole before it gets its name.
pub(crate) fn draft(path: &Path) -> Result<PathBuf> {
    let draft = beside(path, &format!("{DRAFT}{:016x}", identity::random()?));
    create(&draft)?;
    Ok(draft)
}

/// Removes the drafts that killed processes left beside the store at `path`, which the caller has open: whoever else
/// makes one now comes too late with it.
pub(crate) fn clear_drafts(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let mut beginning = name.to_owned();
    beginning.push(DRAFT);
    let is_draft = |name: &OsStr| {
        let number = name.as_bytes().strip_prefix(beginning.as_bytes());
        number.is_some_and(|number| number.len() == 16 && number.iter().all(u8::is_ascii_hexdigit))
    };
    for entry in std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        // redb locks what it has open.
        let is_left = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_draft(&entry.file_name())
            && is_left()
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::debug!(%error, "a leftover draft stays");
        }
    }
}

/// Makes the names in the folder of `path` survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder of `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates the empty file, and the folders above it, for their owner alone. Another process may be faster.
pub(crate) fn create(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| at_path(folder, "cannot create the folder", error))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at_path(path, "cannot create", error)),
    }
}

/// Gives a file the name `to`, which nothing may have yet.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Where the file system knows no such renaming, two that create at once are not kept apart.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            std::fs::rename(from, to)
        }
        renamed => Ok(renamed?),
    }
}

/// Whether `file` is what has the name `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (one, other) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// What about the place of the store should be known.
pub(crate) fn warnings(path: &Path) -> Vec<Warning> {
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
