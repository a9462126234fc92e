use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file as redb knows it, but that a commit that does not fit the disk leaves nothing there.
///
/// redb doubles the file at once and fills the hole page by page. When the disk is full half-way, the pages that were
/// filled stay so, scattered over the file, where nothing may ever need them; and the space is missing where entries
/// are to be removed.
#[derive(Debug)]
pub(crate) struct Backend {
    file: File,
    inner: FileBackend,
    /// Holes that were filled since the header was written last.
    filled: Mutex<Vec<Range<u64>>>,
    /// Whether they were given back. redb must not go on then, and would: there are writes that it takes for optional.
    is_given_back: AtomicBool,
}

impl Backend {
    pub(crate) fn new(file: File) -> Result<Self, DatabaseError> {
        let inner = FileBackend::new(file.try_clone()?)?;
        Ok(Backend { file, inner, filled: Mutex::default(), is_given_back: AtomicBool::new(false) })
    }

    fn filled(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_given_back.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Whether any of `place` is a hole; false where the file system knows of none.
    fn has_hole(&self, place: &Range<u64>) -> bool {
        seek(&self.file, SeekFrom::Hole(place.start)).map_or(true, |hole| hole < place.end)
    }

    /// Makes holes of what was filled. What had been a hole at the last header belongs to nothing committed.
    fn give_back(&self) {
        self.is_given_back.store(true, Ordering::Release);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        for place in self.filled().drain(..) {
            if let Err(error) = fallocate(&self.file, flags, place.start, place.end - place.start) {
                tracing::debug!(%error, "the file keeps space that it does not use");
            }
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.check()?;
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check()?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        if offset == 0 {
            // From here on the header may tell of what was filled.
            self.filled().clear();
            return self.inner.write(offset, data);
        }
        let place = offset..offset + data.len() as u64;
        if self.has_hole(&place) {
            self.filled().push(place);
        }
        self.inner.write(offset, data).inspect_err(|error| {
            if is_full(error) {
                self.give_back();
            }
        })
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
