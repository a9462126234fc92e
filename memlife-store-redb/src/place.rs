use memlife_core::Result;
use memlife_store_local::identity;
use memlife_store_local::place::{beside, create, folder_of};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
