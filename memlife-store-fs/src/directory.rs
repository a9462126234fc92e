//! The store's directory: every access to its files goes through a held descriptor.

use crate::error::{corrupt, of_call, of_change};
use crate::staging::Staging;
use memlife_core::store::Warning;
use memlife_core::{Error, ErrorKind, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where memlife keeps what is not an entry, inside the store's directory.
pub(crate) const OWN: &str = ".memlife";
/// Files on their way into the directory, inside [`OWN`].
const STAGING: &str = "tmp";
/// Damaged files that a repair set aside, inside [`OWN`].
const LOST_AND_FOUND: &str = "lost+found";

const PRIVATE_DIRECTORY: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often a name that is taken is given up for the next.
const MAX_NAME_TRIES: u32 = 1_000;

/// An open store directory.
///
/// Names are single components, and links are never followed: a file that is not a regular file with one
/// link is an error that names it, whatever it points to.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    entries: OwnedFd,
    own: OwnedFd,
    pub(crate) staging: Staging,
    /// Kernels before 5.6 and some sandboxes have no `openat2`.
    lacks_openat2: AtomicBool,
}

impl Directory {
    /// Opens the directory at `path`; creates it, private to its owner, where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        create_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = fs::open(path, flags, Mode::empty())
            .map_err(|errno| of_call(&format!("opening the directory {}", path.display()), errno))?;
        let own = subdirectory(entries.as_fd(), OWN)?;
        let staging = Staging::new(subdirectory(own.as_fd(), STAGING)?);
        Ok(Directory { path: path.to_owned(), entries, own, staging, lacks_openat2: AtomicBool::new(false) })
    }

    /// What to tell the user about owner and permissions.
    pub(crate) fn warnings(&self) -> Result<Vec<Warning>> {
        let stat =
            fs::fstat(&self.entries).map_err(|errno| of_call("reading the directory's mode", errno))?;
        let mut warnings = Vec::new();
        let mode = stat.st_mode & 0o777;
        if mode & 0o077 != 0 {
            let path = self.path.display();
            warnings.push(Warning(format!(
                "the directory {path} has mode {mode:03o}, so other users can reach the entries: `chmod 700` it"
            )));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let path = self.path.display();
            warnings.push(Warning(format!("the directory {path} belongs to another user")));
        }
        Ok(warnings)
    }

    /// The content of the entry file `name`, at most `limit` bytes; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` for what is no regular file with one link, `TooLarge` past `limit`.
    pub(crate) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let file = match self.open_for_reading(name) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
            Err(Errno::LOOP) => return Err(corrupt(format!("the file {name} is a symbolic link"))),
            Err(Errno::NXIO) => return Err(corrupt(format!("the file {name} is no regular file"))),
            Err(errno) => return Err(of_call(&format!("opening the file {name}"), errno)),
        };
        let stat = fs::fstat(&file).map_err(|errno| of_call(&format!("examining the file {name}"), errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(corrupt(format!("the file {name} is no regular file")));
        }
        // None at all is fine: somebody put a newer file in its place since it was opened.
        if stat.st_nlink > 1 {
            return Err(corrupt(format!("the file {name} has another name as well (a hard link)")));
        }
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if size > limit {
            let message = format!("the file {name} has {size} bytes; at most {limit} are read");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        read_whole(file.as_fd(), size)
            .map(Some)
            .map_err(|errno| of_call(&format!("reading the file {name}"), errno))
    }

    fn open_for_reading(&self, name: &str) -> Result<OwnedFd, Errno> {
        // Without NONBLOCK, opening a FIFO would wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        #[cfg(target_os = "linux")]
        if !self.lacks_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match fs::openat2(&self.entries, name, flags, Mode::empty(), resolve) {
                Err(Errno::NOSYS | Errno::PERM) => self.lacks_openat2.store(true, Ordering::Relaxed),
                opened => return opened,
            }
        }
        // A name is one component, so that refusing a link at its end refuses every link.
        fs::openat(&self.entries, name, flags, Mode::empty())
    }

    /// Puts `content` in the place of the entry file `name`, whole or not at all.
    ///
    /// With `durable`, the content is on disk before the name points to it; the name itself is on disk
    /// after [`Directory::sync`].
    pub(crate) fn publish(&self, name: &str, content: &[u8], durable: bool) -> Result<()> {
        self.staging.publish(content, self.entries.as_fd(), name, durable)
    }

    /// How many bytes can still be written; unknown counts as plenty.
    pub(crate) fn free_bytes(&self) -> u64 {
        fs::fstatvfs(&self.entries).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Removes the entry file `name`; says whether there was one.
    pub(crate) fn remove(&self, name: &str) -> Result<bool> {
        match fs::unlinkat(&self.entries, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
            // A directory holds no entry and is not ours to remove.
            Err(Errno::ISDIR) => Ok(false),
            Err(errno) => Err(of_change(&format!("removing the file {name}"), errno)),
        }
    }

    /// Gives the entry file `from` the name `to`, unless there is one already; says whether it did.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let doing = || format!("renaming the file {from} to {to}");
        move_new(self.entries.as_fd(), from, self.entries.as_fd(), to)
            .map_err(|errno| of_change(&doing(), errno))
    }

    /// Moves the entry file `name` out of service, and says where to.
    pub(crate) fn set_aside(&self, name: &str) -> Result<String> {
        let lost = subdirectory(self.own.as_fd(), LOST_AND_FOUND)?;
        for number in 0..MAX_NAME_TRIES {
            let place = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
            match move_new(self.entries.as_fd(), name, lost.as_fd(), &place) {
                Ok(true) => return Ok(format!("{OWN}/{LOST_AND_FOUND}/{place}")),
                Ok(false) => {}
                Err(errno) => return Err(of_change(&format!("setting the file {name} aside"), errno)),
            }
        }
        Err(Error::new(ErrorKind::Full, format!("{OWN}/{LOST_AND_FOUND} is full of {name}: empty it")))
    }

    /// Makes every name that was given or taken away survive a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        fs::fsync(&self.entries).map_err(|errno| of_change("syncing the directory", errno))
    }

    /// The names in the directory, in no order.
    pub(crate) fn names(&self) -> Result<Names> {
        Names::of(self.entries.as_fd())
    }

    /// Opens the file `name` of memlife's own, created empty where missing.
    pub(crate) fn open_own(&self, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        fs::openat(&self.own, name, flags, PRIVATE_FILE)
            .map_err(|errno| of_call(&format!("opening the file {OWN}/{name}"), errno))
    }

    /// Whether there is a file `name`, of whatever sort.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        exists(self.entries.as_fd(), name)
    }

    /// Whether the marker `name` of memlife's own is set.
    pub(crate) fn has_marker(&self, name: &str) -> Result<bool> {
        exists(self.own.as_fd(), name)
    }

    /// Sets or clears the marker `name`.
    pub(crate) fn set_marker(&self, name: &str, set: bool) -> Result<()> {
        let done = if set {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            fs::openat(&self.own, name, flags, PRIVATE_FILE).and_then(fs::fsync)
        } else {
            fs::unlinkat(&self.own, name, AtFlags::empty())
        };
        match done.and_then(|()| fs::fsync(&self.own)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(of_change("setting a marker", errno)),
        }
    }

    /// Sets the marker `name`, and clears all others that begin with `kind`.
    pub(crate) fn replace_marker(&self, kind: &str, name: &str) -> Result<()> {
        for other in Names::of(self.own.as_fd())? {
            let other = other?;
            if other.starts_with(kind) && other != name {
                self.set_marker(&other, false)?;
            }
        }
        self.set_marker(name, true)
    }
}

/// A running listing of a directory; bounded memory however many names there are.
pub(crate) struct Names(fs::Dir);

impl Names {
    pub(crate) fn of(directory: BorrowedFd<'_>) -> Result<Names> {
        fs::Dir::read_from(directory).map(Names).map_err(|errno| of_call("listing a directory", errno))
    }
}

impl Iterator for Names {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.read()? {
                Ok(entry) => {
                    // A name that is not UTF-8 is nobody's entry.
                    let Ok(name) = entry.file_name().to_str() else { continue };
                    if name != "." && name != ".." {
                        return Some(Ok(name.to_owned()));
                    }
                }
                Err(errno) => return Some(Err(of_call("listing the directory", errno))),
            }
        }
    }
}

fn read_whole(file: BorrowedFd<'_>, size: usize) -> Result<Vec<u8>, Errno> {
    let mut content = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match rustix::io::read(file, &mut content[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    content.truncate(filled);
    Ok(content)
}

pub(crate) fn write_whole(file: BorrowedFd<'_>, content: &[u8]) -> Result<(), Errno> {
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn exists(directory: BorrowedFd<'_>, name: &str) -> Result<bool> {
    match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
        Err(errno) => Err(of_call(&format!("looking for the file {name}"), errno)),
    }
}

/// Moves a file unless the new name is taken.
fn move_new(from: BorrowedFd<'_>, name: &str, to: BorrowedFd<'_>, new: &str) -> Result<bool, Errno> {
    #[cfg(target_os = "linux")]
    match fs::renameat_with(from, name, to, new, fs::RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => return Ok(false),
        // Some file systems cannot; writers hold the index's lock, so looking first does as well.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        Err(errno) => return Err(errno),
    }
    match fs::statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(false),
        Err(Errno::NOENT) => fs::renameat(from, name, to, new).map(|()| true),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory of memlife's own, created where missing; never through a link.
pub(crate) fn subdirectory(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let created = match fs::mkdirat(parent, name, PRIVATE_DIRECTORY) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(of_call(&format!("creating the directory {name}"), errno)),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = fs::openat(parent, name, flags, Mode::empty());
    let synced = opened.and_then(|directory| {
        if created {
            fs::fsync(parent)?;
        }
        Ok(directory)
    });
    synced.map_err(|errno| of_call(&format!("opening the directory {name}"), errno))
}

/// Creates `path` and what is missing above it, each private and each known to survive a power cut.
fn create_all(path: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for directory in missing.into_iter().rev() {
        let failed = |error: std::io::Error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            of_call(&format!("creating the directory {}", directory.display()), errno)
        };
        match std::fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = std::fs::File::open(parent.unwrap_or(Path::new("."))).map_err(failed)?;
        parent.sync_all().map_err(failed)?;
    }
    Ok(())
}
