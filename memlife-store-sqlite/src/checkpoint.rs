use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use crate::error::Fault;
use memlife_store_local::Latch;
use rusqlite::Connection;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How long the write-ahead log gets, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Since the last checkpoint: from here there is another. The more there are, the more often a checkpoint finds
    /// several versions of one page and writes only the last.
    checkpoint: u32,
    /// From here the log has to start anew, for which a commit waits for two syncs. A log this long takes some 40 ms
    /// to read when the machine or the program died with it.
    restart: u32,
}

impl Lengths {
    /// For a store whose values are in its rows.
    pub(crate) const STORE: Lengths = Lengths { checkpoint: 2_000, restart: 8_000 };
    /// For an index of files, which take longer to write than its rows and share its disk.
    pub(crate) const INDEX: Lengths = Lengths { checkpoint: 1_000, restart: 1_000 };
}

/// Pages from which commits wait for the checkpoint that is under way, since the disk is slower than they are.
const MOST_PAGES: u32 = 16_000;

/// Folds the write-ahead log into the file on a thread of its own, so that commits do not wait for its syncs.
///
/// A log starts anew only with a commit that finds all of it folded, and beside a busy writer the thread never gets
/// that far. So once the log is long, the thread folds it twice, and a commit the little that came meanwhile: it waits
/// for syncs, and these take as long as there is to write.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    config: SqliteConfig,
    lengths: Lengths,
    latch: Arc<Latch>,
    pages: Arc<AtomicU32>,
    /// How many pages of the log are in the file, too, as the last checkpoint told.
    done: Arc<AtomicU32>,
    /// How many pages the log had when a checkpoint last began.
    folded: u32,
    /// How many it had at most: the file keeps its length when the log starts anew.
    longest: u32,
    /// How far the log is from starting anew.
    ending: Ending,
    thread: Option<Thread>,
}

/// No checkpoint has told yet how much of the log is in the file: another process may have made one.
const UNKNOWN: u32 = u32::MAX;
/// The size of a page: SQLite's default, which no store changes.
const PAGE_BYTES: u64 = 4_096;

#[derive(Debug)]
struct Thread {
    /// Dropped to end the thread.
    wake: Option<SyncSender<()>>,
    work: Arc<Work>,
    handle: Option<JoinHandle<()>>,
}

/// The steps by which a long log comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Not due yet.
    Far,
    /// The thread folds most of the log, and then the little that came meanwhile.
    Near,
    /// A commit folds the least that came after that.
    Now,
}

/// Whether the thread is folding, or about to.
#[derive(Debug, Default)]
struct Work {
    is_under_way: Mutex<bool>,
    ended: Condvar,
}

impl Checkpointer {
    /// Takes over from SQLite what commits of `connection` leave in the log.
    pub(crate) fn new(
        config: &SqliteConfig,
        lengths: Lengths,
        connection: &mut Connection,
        latch: Arc<Latch>,
    ) -> rusqlite::Result<Self> {
        let pages = Arc::<AtomicU32>::default();
        let count = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut _, pages: i32| {
            count.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let (config, done) = (config.clone(), Arc::new(AtomicU32::new(UNKNOWN)));
        Ok(Checkpointer {
            config,
            lengths,
            latch,
            pages,
            done,
            folded: 0,
            longest: 0,
            ending: Ending::Far,
            thread: None,
        })
    }

    /// To be called after each commit of `connection`.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        self.longest = self.longest.max(pages);
        if pages < self.folded {
            // The log started anew. A checkpoint that just ended would tell of the one before.
            self.wait();
            self.begin_anew();
        }
        if pages >= MOST_PAGES {
            self.wait();
        }
        if pages - self.folded < self.lengths.checkpoint && self.ending == Ending::Far
            || self.thread.as_ref().is_some_and(|thread| thread.work.is_under_way())
        {
            return;
        }
        if self.ending == Ending::Now || !self.wake() {
            fold(connection, &self.latch, &self.done);
            self.ending = Ending::Far;
        } else {
            self.ending = match self.ending {
                Ending::Far if pages < self.lengths.restart => Ending::Far,
                Ending::Far => Ending::Near,
                Ending::Near | Ending::Now => Ending::Now,
            };
        }
        self.folded = pages;
    }

    /// Ends the thread, and empties a long log: short-lived programs leave the last pages in it for the next, but no
    /// more than those. Whether the log is empty now.
    pub(crate) fn close(&mut self, connection: &Connection) -> bool {
        let is_empty = self.longest >= self.lengths.checkpoint && self.empty(connection);
        self.thread = None;
        is_empty
    }

    /// Folds the log and gives its space back; false when it is not all folded, since others use it or the file has no
    /// room to grow.
    pub(crate) fn empty(&mut self, connection: &Connection) -> bool {
        self.wait();
        let is_busy =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        match is_busy {
            Ok(false) => {
                self.pages.store(0, Ordering::Relaxed);
                self.longest = 0;
                self.begin_anew();
                true
            }
            Ok(true) => false,
            Err(error) => {
                tracing::debug!(%error, "the log stays as it is");
                false
            }
        }
    }

    /// The most bytes by which the file has to grow for the log to be folded.
    pub(crate) fn unfolded_bytes(&self) -> u64 {
        let pages = self.pages.load(Ordering::Relaxed);
        if self.done.load(Ordering::Relaxed) == UNKNOWN && pages >= self.lengths.checkpoint {
            self.wait();
        }
        // What is told of a longer log is of one before.
        let done = Some(self.done.load(Ordering::Relaxed)).filter(|done| *done <= pages);
        u64::from(pages - done.unwrap_or(0)) * PAGE_BYTES
    }

    fn begin_anew(&mut self) {
        (self.folded, self.ending) = (0, Ending::Far);
        self.done.store(0, Ordering::Relaxed);
    }

    /// Waits for the checkpoint that is under way, if there is one.
    pub(crate) fn wait(&self) {
        if let Some(thread) = &self.thread {
            thread.work.wait();
        }
    }

    /// Has the thread fold what is in the log; false when there is no such thread.
    fn wake(&mut self) -> bool {
        if self.thread.is_none() {
            self.thread = Thread::start(&self.config, &self.latch, &self.done);
        }
        self.thread.as_ref().is_some_and(Thread::wake)
    }
}

impl Thread {
    fn start(config: &SqliteConfig, latch: &Arc<Latch>, done: &Arc<AtomicU32>) -> Option<Self> {
        let work = Arc::<Work>::default();
        let (wake, woken) = mpsc::sync_channel(1);
        let run = {
            let (config, latch) = (config.clone(), Arc::clone(latch));
            let (done, work) = (Arc::clone(done), Arc::clone(&work));
            move || run(&config, &latch, &done, &work, &woken)
        };
        match std::thread::Builder::new().name("memlife-checkpoint".to_owned()).spawn(run) {
            Ok(handle) => Some(Thread { wake: Some(wake), work, handle: Some(handle) }),
            Err(error) => {
                tracing::debug!(%error, "no thread for checkpoints: commits make them");
                None
            }
        }
    }

    fn wake(&self) -> bool {
        let Some(wake) = &self.wake else { return false };
        self.work.begin();
        let is_sent = wake.try_send(()).is_ok();
        if !is_sent {
            self.work.end();
        }
        is_sent
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(Err(_)) = self.handle.take().map(JoinHandle::join) {
            tracing::error!("a checkpoint thread ended by a panic");
        }
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_under_way(&self) -> bool {
        *self.lock()
    }

    fn begin(&self) {
        *self.lock() = true;
    }

    fn end(&self) {
        *self.lock() = false;
        self.ended.notify_all();
    }

    fn wait(&self) {
        let ended = self.ended.wait_while(self.lock(), |is_under_way| *is_under_way);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends the work however the thread leaves.
struct Ended<'a>(&'a Work);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn run(config: &SqliteConfig, latch: &Latch, done: &AtomicU32, work: &Work, woken: &Receiver<()>) {
    let _ended = Ended(work);
    let connection = match connection::open_configured(config, Role::Write) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "no connection for checkpoints: commits make them");
            return;
        }
    };
    while woken.recv().is_ok() {
        fold(&connection, latch, done);
        work.end();
    }
}

/// Folds as much of the log as readers let go, waits for nobody, and tells how many of its pages are `done`.
fn fold(connection: &Connection, latch: &Latch, done: &AtomicU32) {
    let checkpoint = || {
        connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |row| row.get::<_, i64>(2))
    };
    match checkpoint() {
        Ok(pages) => done.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed),
        Err(error) => match Fault::of(&error) {
            Fault::Io => latch.set(error.to_string()),
            _ => tracing::debug!(%error, "the log stays as it is"),
        },
    }
}
