use crate::backend::Backend;
use crate::error::{Fault, Trouble, from_redb};
use crate::read;
use crate::schema::ENTRY;
use crate::view::View;
use memlife_core::{Error, Result, Timestamp};
use memlife_store_local::error::{damaged, read_only};
use redb::{
    Builder, Database, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase, WriteTransaction,
};
use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// How often a read begins again because the file was opened anew meanwhile.
const ATTEMPTS: u32 = 4;

/// The open file, which can be closed and opened anew behind the back of those who read.
///
/// redb closes itself for good at the first failed write, a full disk included, so going on takes a new handle.
///
/// It also panics where a page that it trusts is damaged: only its check of the whole file promises not to, and that
/// one costs as much as the file is long. So every use of it goes through [`Shared::read`] or [`contained`], its end
/// too. Where its list of freed pages is damaged it panics while it unwinds, which nothing can contain.
#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    cache_bytes: usize,
    is_read_only: bool,
    current: RwLock<Current>,
    gate: Mutex<()>,
    /// The store's clock, in milliseconds: as nobody else writes to the file, no read has to look for it there.
    clock: AtomicU64,
    /// Counts the beginnings and the ends of commits: an odd number says that one is on its way.
    commits: AtomicU64,
}

/// The table of records in a read transaction.
pub(crate) type Entries = ReadOnlyTable<&'static [u8], &'static [u8]>;

#[derive(Debug)]
struct Current {
    handle: Option<Handle>,
    /// Counts the openings.
    generation: u64,
    /// The records at this count of [`Shared::commits`]. Gets share it: a read transaction and a table of their own would
    /// be a third of each. It keeps pages from being used again, so it goes with the next write.
    entries: Mutex<Option<(u64, Arc<Entries>)>>,
}

impl Current {
    fn forget_entries(&self) {
        drop(lock(&self.entries).take());
    }

    /// Closes the file.
    fn close(&mut self) {
        let entries = lock(&self.entries).take();
        let handle = self.handle.take();
        if contained(|| drop((entries, handle))).is_err() {
            tracing::warn!("redb panicked while it closed the file");
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        self.close();
    }
}

/// An open file.
pub(crate) enum Handle {
    Writing(Box<Database>),
    Reading(Box<ReadOnlyDatabase>),
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Handle::Writing(_) => "Writing",
            Handle::Reading(_) => "Reading",
        })
    }
}

impl Handle {
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, Trouble> {
        Ok(match self {
            Handle::Writing(database) => database.begin_read()?,
            Handle::Reading(database) => database.begin_read()?,
        })
    }
}

/// A commit that is on its way.
#[derive(Debug)]
pub(crate) struct Committing<'a>(&'a Shared);

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.0.commits.fetch_add(1, Ordering::AcqRel);
    }
}

/// Who holds it writes to the file, or opens it anew; nobody else does meanwhile.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    shared: &'a Shared,
    _lock: MutexGuard<'a, ()>,
}

impl Shared {
    pub(crate) fn new(path: &Path, cache_bytes: usize, handle: Handle) -> Self {
        Shared {
            path: path.to_path_buf(),
            cache_bytes,
            is_read_only: matches!(handle, Handle::Reading(_)),
            current: RwLock::new(Current { handle: Some(handle), generation: 0, entries: Mutex::default() }),
            gate: Mutex::default(),
            clock: AtomicU64::default(),
            commits: AtomicU64::default(),
        }
    }

    /// Where the store's clock is, as far as commits have told.
    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.load(Ordering::Acquire))
    }

    /// Looks for the clock in the file. Where the ledger is damaged none is known, and every write says so.
    pub(crate) fn read_clock(&self) {
        if let Ok(state) = self.read(read::state) {
            self.advance(state.ledger.clock.at);
        }
    }

    /// Tells that something is being committed, as long as the answer is held.
    pub(crate) fn committing(&self) -> Committing<'_> {
        self.commits.fetch_add(1, Ordering::AcqRel);
        Committing(self)
    }

    /// Tells where a commit left the clock.
    pub(crate) fn advance(&self, clock: Timestamp) {
        self.clock.fetch_max(clock.ms(), Ordering::AcqRel);
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in a read transaction of its own.
    pub(crate) fn read<T>(&self, work: impl Fn(&ReadTransaction) -> Result<T, Trouble>) -> Result<T> {
        self.repeat(|generation| work(&self.begin_read(generation)?))
    }

    /// Runs `work` on the records as they are after every commit that was acknowledged.
    pub(crate) fn read_entries<T>(&self, work: impl Fn(&Entries) -> Result<T, Trouble>) -> Result<T> {
        self.repeat(|generation| work(&*self.entries(generation)?))
    }

    /// Runs `work` until the file is not opened anew meanwhile. It tells which opening it read.
    fn repeat<T>(&self, work: impl Fn(&mut u64) -> Result<T, Trouble>) -> Result<T> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut generation = 0;
            match contained(|| work(&mut generation)) {
                Ok(Err(Trouble::All(error))) if is_over(&error) => {
                    last = Some(from_redb(error));
                    self.gate().reopen_after(generation)?;
                }
                Ok(result) => return result.map_err(Trouble::into_error),
                Err(panicked) => {
                    // Locks that the panic left behind would fail whatever comes.
                    self.gate().reopen_after(generation)?;
                    return Err(panicked);
                }
            }
        }
        Err(last.unwrap_or_else(damaged))
    }

    /// Waits until nobody writes.
    pub(crate) fn gate(&self) -> Gate<'_> {
        // Transactions roll back by themselves.
        Gate { shared: self, _lock: lock(&self.gate) }
    }

    /// Tells in `generation` which opening of the file it reads.
    fn begin_read(&self, generation: &mut u64) -> Result<ReadTransaction, Trouble> {
        let current = self.current();
        *generation = current.generation;
        match &current.handle {
            Some(handle) => handle.begin_read(),
            None => Err(Trouble::All(redb::Error::DatabaseClosed)),
        }
    }

    /// The records as everybody has to see them by now: while a commit is on its way, a feed may tell of it before it
    /// ends, so that nothing older is shared.
    fn entries(&self, generation: &mut u64) -> Result<Arc<Entries>, Trouble> {
        let current = self.current();
        *generation = current.generation;
        // Before the transaction begins: it may see more than was committed by now, and never less.
        let commits = self.commits.load(Ordering::Acquire);
        if let Some((seen, entries)) = &*lock(&current.entries)
            && *seen == commits
        {
            return Ok(Arc::clone(entries));
        }
        let handle = current.handle.as_ref().ok_or(Trouble::All(redb::Error::DatabaseClosed))?;
        let entries = Arc::new(handle.begin_read()?.open_table(ENTRY)?);
        if commits.is_multiple_of(2) {
            *lock(&current.entries) = Some((commits, Arc::clone(&entries)));
        }
        Ok(entries)
    }

    /// How often the file was opened anew.
    pub(crate) fn generation(&self) -> u64 {
        self.current().generation
    }
}

impl Gate<'_> {
    /// Begins a write transaction; there is no other.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, Trouble> {
        if self.shared.current().handle.is_none() {
            self.reopen()?;
        }
        let current = self.shared.current();
        current.forget_entries();
        match &current.handle {
            Some(Handle::Writing(database)) => Ok(database.begin_write()?),
            Some(Handle::Reading(_)) => Err(Trouble::One(read_only())),
            None => Err(Trouble::All(redb::Error::DatabaseClosed)),
        }
    }

    /// Runs `work` in a read transaction; panics are the caller's to contain.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        work(&self.shared.begin_read(&mut 0)?)
    }

    /// Whether every page of the file is what redb wrote. Readers go on meanwhile.
    pub(crate) fn is_whole(&self) -> Result<bool, Trouble> {
        // The file has all that the handle has, in a commit that redb never goes back behind, and that it opens again
        // without looking at every page.
        let mut transaction = self.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.commit()?;
        let view = View::new(File::open(&self.shared.path)?)?;
        let mut builder = Builder::new();
        builder.set_cache_size(self.shared.cache_bytes).set_check_integrity_on_open(true);
        match builder.create_with_backend(view) {
            Ok(_) => Ok(true),
            Err(error) => match Trouble::from(error) {
                Trouble::All(error) if Fault::of(&error) == Fault::Corrupt => Ok(false),
                trouble => Err(trouble),
            },
        }
    }

    /// Goes on with the file that took the place of the one that is open.
    pub(crate) fn replace(&self, handle: Handle) {
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        current.generation += 1;
        current.close();
        current.handle = Some(handle);
    }

    /// Closes the file and opens it again.
    pub(crate) fn reopen(&self) -> Result<(), Trouble> {
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        current.generation += 1;
        // First the old one: two handles exclude each other.
        current.close();
        let opened = contained(|| match self.shared.is_read_only {
            true => open_read_only(&self.shared.path, self.shared.cache_bytes),
            false => open(&self.shared.path, self.shared.cache_bytes),
        });
        current.handle = Some(opened??);
        Ok(())
    }

    fn reopen_after(&self, seen: u64) -> Result<()> {
        if self.shared.generation() != seen {
            return Ok(());
        }
        self.reopen().map_err(Trouble::into_error)
    }
}

/// Whoever panicked left nothing half-done behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the handle is of no more use: after a write that failed, a full disk included, redb reads nothing either.
fn is_over(error: &redb::Error) -> bool {
    matches!(Fault::of(error), Fault::Gone | Fault::Full)
}

/// Opens the file at `path`, which has to be one of redb.
pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Handle, Trouble> {
    // An empty file would be made a database: what opens stores has looked at it before.
    open_or_fill(path, cache_bytes).map(|database| Handle::Writing(Box::new(database)))
}

/// Opens the file at `path`, and makes it a database of redb if it is empty.
pub(crate) fn open_or_fill(path: &Path, cache_bytes: usize) -> Result<Database, Trouble> {
    let backend = Backend::new(File::options().read(true).write(true).open(path)?)?;
    Ok(Builder::new().set_cache_size(cache_bytes).create_with_backend(backend)?)
}

/// Opens it without ever changing it.
pub(crate) fn open_read_only(path: &Path, cache_bytes: usize) -> Result<Handle, Trouble> {
    let database = Builder::new().set_cache_size(cache_bytes).open_read_only(path)?;
    Ok(Handle::Reading(Box::new(database)))
}

/// Runs what calls redb; a panic is what it does about a damaged page.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        damaged().because(reason.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::TableDefinition;
    use std::os::unix::fs::FileExt;

    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("table");

    #[test]
    fn a_reader_is_in_the_way_of_no_check_and_a_check_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap();
        let database = open_or_fill(&path, 1 << 20).unwrap();
        for n in 0..3 {
            let transaction = database.begin_write().unwrap();
            transaction.open_table(TABLE).unwrap().insert(n, &b"what is stored"[..]).unwrap();
            transaction.commit().unwrap();
        }
        let shared = Shared::new(&path, 1 << 20, Handle::Writing(Box::new(database)));
        let reader = shared.begin_read(&mut 0).unwrap();
        assert!(shared.gate().is_whole().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"what is stored"));
        let file = File::options().write(true).open(&path).unwrap();
        places.for_each(|at| file.write_all_at(b"X", at as u64).unwrap());
        assert!(!shared.gate().is_whole().unwrap());
        drop(reader);
        shared.gate().reopen().unwrap();
        let kept = shared.read(|transaction| {
            let row = transaction.open_table(TABLE)?.get(2)?;
            Ok(row.map(|row| row.value().to_vec()))
        });
        assert_eq!(kept.unwrap().unwrap(), b"Xhat is stored", "the last commit is there as it was found");
    }
}
