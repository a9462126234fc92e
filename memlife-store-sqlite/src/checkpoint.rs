use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use crate::error::Fault;
use crate::latch::Latch;
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
    /// How many pages the log had when a checkpoint last began.
    folded: u32,
    /// How far the log is from starting anew.
    ending: Ending,
    thread: Option<Thread>,
}

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
        let config = config.clone();
        Ok(Checkpointer { config, lengths, latch, pages, folded: 0, ending: Ending::Far, thread: None })
    }

    /// To be called after each commit of `connection`.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.folded {
            (self.folded, self.ending) = (0, Ending::Far);
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
            fold(connection, &self.latch);
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
    /// more than those.
    pub(crate) fn close(&mut self, connection: &Connection) {
        self.thread = None;
        if self.pages.load(Ordering::Relaxed) >= self.lengths.checkpoint {
            empty(connection);
        }
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
            self.thread = Thread::start(&self.config, &self.latch);
        }
        self.thread.as_ref().is_some_and(Thread::wake)
    }
}

impl Thread {
    fn start(config: &SqliteConfig, latch: &Arc<Latch>) -> Option<Self> {
        let work = Arc::<Work>::default();
        let (wake, woken) = mpsc::sync_channel(1);
        let run = {
            let (config, latch, work) = (config.clone(), Arc::clone(latch), Arc::clone(&work));
            move || run(&config, &latch, &work, &woken)
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

fn run(config: &SqliteConfig, latch: &Latch, work: &Work, woken: &Receiver<()>) {
    let _ended = Ended(work);
    let connection = match connection::open_configured(config, Role::Write) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "no connection for checkpoints: commits make them");
            return;
        }
    };
    while woken.recv().is_ok() {
        fold(&connection, latch);
        work.end();
    }
}

/// Folds the log and gives its space back, if nobody else is using it.
pub(crate) fn empty(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::debug!(%error, "the log stays as it is");
    }
}

/// Folds as much of the log as readers let go, and waits for nobody.
fn fold(connection: &Connection, latch: &Latch) {
    let checkpoint =
        || connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()));
    if let Err(error) = checkpoint() {
        match Fault::of(&error) {
            Fault::Io => latch.set(error.to_string()),
            _ => tracing::debug!(%error, "the log stays as it is"),
        }
    }
}
