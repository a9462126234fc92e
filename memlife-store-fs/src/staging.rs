//! Files on their way into the directory, and what dead writers left of theirs.

use crate::directory::{Names, write_whole};
use crate::error::{of_call, of_change};
use memlife_core::{Error, ErrorKind, Result};
use memlife_store_local::identity;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often a name that is taken, or a desk that was cleared away, is given up for the next.
const MAX_TRIES: u32 = 100;
/// The most desks and files of the dead that are cleared at one go; the rest waits for the next.
const MAX_CLEARED: usize = 10_000;

/// Where files are written before they get their names: a desk of its own for each open store.
///
/// A desk is a folder that its owner holds a lock on. The system releases the lock when the owner dies, however
/// it dies, so that whoever can take the lock may clear the desk: neither ages nor process ids are guessed at.
#[derive(Debug)]
pub(crate) struct Staging {
    root: OwnedFd,
    desk: Mutex<Option<Desk>>,
    number: AtomicU64,
}

#[derive(Debug)]
struct Desk {
    name: String,
    folder: Arc<OwnedFd>,
}

impl Staging {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Staging { root, desk: Mutex::new(None), number: AtomicU64::new(0) }
    }

    /// Writes `content` to a new file and moves it to `name` in `target`, whole or not at all.
    ///
    /// With `durable`, the content is on disk before the name points to it.
    pub(crate) fn publish(
        &self,
        content: &[u8],
        target: BorrowedFd<'_>,
        name: &str,
        durable: bool,
    ) -> Result<()> {
        let desk = self.desk()?;
        let staged = format!("{}", self.number.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let published = fs::openat(&*desk, &staged, flags, PRIVATE_FILE).and_then(|file| {
            write_whole(file.as_fd(), content)?;
            if durable {
                fs::fdatasync(&file)?;
            }
            fs::renameat(&*desk, &staged, target, name)
        });
        published.map_err(|errno| {
            // What cannot be removed now is cleared with the desk.
            let _ = fs::unlinkat(&*desk, &staged, AtFlags::empty());
            of_change(&format!("writing the file {name}"), errno)
        })
    }

    /// Removes the desks of stores that are open no more; says how many files were left on them.
    pub(crate) fn clear_dead(&self) -> Result<usize> {
        let mut cleared = 0;
        for name in Names::of(self.root.as_fd())?.take(MAX_CLEARED) {
            let name = name?;
            let Ok(desk) = open_folder(self.root.as_fd(), &name) else { continue };
            if fs::flock(&desk, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            for file in Names::of(desk.as_fd())?.take(MAX_CLEARED) {
                cleared += usize::from(fs::unlinkat(&desk, file?, AtFlags::empty()).is_ok());
            }
            // A desk that is not empty after all stays for the next time.
            let _ = fs::unlinkat(&self.root, &name, AtFlags::REMOVEDIR);
        }
        Ok(cleared)
    }

    fn desk(&self) -> Result<Arc<OwnedFd>> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = &*desk {
            return Ok(desk.folder.clone());
        }
        let new = self.set_up()?;
        let folder = new.folder.clone();
        *desk = Some(new);
        Ok(folder)
    }

    fn set_up(&self) -> Result<Desk> {
        for _ in 0..MAX_TRIES {
            let name = format!("{:016x}", identity::random()?);
            match self.claim(&name) {
                Ok(Some(folder)) => return Ok(Desk { name, folder: Arc::new(folder) }),
                Ok(None) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(of_call("making a folder for unfinished files", errno)),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the file system locks no folders: use another store than fs:",
        ))
    }

    /// Makes the folder `name` and takes its lock; `None` when another store cleared it away in between, since it
    /// found it without an owner.
    fn claim(&self, name: &str) -> Result<Option<OwnedFd>, Errno> {
        fs::mkdirat(&self.root, name, Mode::RWXU)?;
        let folder = match open_folder(self.root.as_fd(), name) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let is_locked = fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok((is_locked && fs::fstat(&folder)?.st_nlink > 0).then_some(folder))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let desk = self.desk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = desk {
            let _ = fs::unlinkat(&self.root, &desk.name, AtFlags::REMOVEDIR);
        }
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staging(path: &std::path::Path) -> Staging {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Staging::new(fs::open(path, flags, Mode::empty()).unwrap())
    }

    fn entries(path: &std::path::Path) -> usize {
        std::fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn what_the_dead_left_is_cleared_and_what_the_living_write_is_not() {
        let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let target_fd = fs::open(target.path(), flags, Mode::empty()).unwrap();
        let alive = staging(root.path());
        alive.publish(b"1", target_fd.as_fd(), "a.json", true).unwrap();
        let desk = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(desk.join("unfinished"), b"x").unwrap();
        let dead = root.path().join("dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("0"), b"x").unwrap();

        let other = staging(root.path());
        assert_eq!(other.clear_dead().unwrap(), 1);
        assert!(!dead.exists() && desk.join("unfinished").exists());
        assert_eq!(std::fs::read(target.path().join("a.json")).unwrap(), b"1");

        drop(alive);
        assert_eq!(other.clear_dead().unwrap(), 1);
        assert_eq!(entries(root.path()), 0);
    }

    #[test]
    fn an_unwritable_target_leaves_nothing_behind() {
        let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(target.path().join("a.json/x")).unwrap();
        let target_fd = fs::open(target.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let staging = staging(root.path());
        assert!(staging.publish(b"1", target_fd.as_fd(), "a.json", false).is_err());
        let desk = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(entries(&desk), 0);
        drop(staging);
        assert_eq!(entries(root.path()), 0);
    }
}
