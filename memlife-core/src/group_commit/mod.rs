mod reunion;
mod solitude;
#[cfg(test)]
mod tests;

use crate::store::{Batch, Durability, Outcome, Write};
use crate::{Error, ErrorKind, Result};
use reunion::Reunion;
use solitude::Solitude;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;

/// A batch weighs one unit per write and per [`UNIT_BYTES`] of bodies.
const UNIT_BYTES: usize = 4 << 10;
/// The most units of one commit, unless a single batch weighs more.
const MAX_COMMIT_UNITS: u32 = 4_096;
/// The most units that wait; further submitters wait for room.
const MAX_QUEUED_UNITS: u32 = 4 * MAX_COMMIT_UNITS;

/// What becomes of one batch.
pub type Answer = Result<Vec<Result<Outcome>>>;

/// Whether a commit may wait for other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It is on the thread of a submitting task and gives up at once.
    Never,
    /// It is on a thread of its own and waits as long as the store is configured to.
    Wait,
}

/// Another process is writing, and nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// What commits batches, one commit at a time.
pub trait Commit: Send + 'static {
    /// Applies the batches in order, in one commit where nothing goes wrong; one answer per batch, in order.
    ///
    /// # Errors
    /// [`Busy`] when others are writing for longer than `patience` allows.
    fn commit(&mut self, batches: &[&Batch], patience: Patience) -> Result<Vec<Answer>, Busy>;
}

/// Commits everything that was submitted while the last commit ran at once.
///
/// A lone submitter commits on its own thread. As soon as there are several, they queue and a writer thread,
/// started when first needed, commits for all. What was submitted stays submitted when its future is dropped.
/// Dropping the `GroupCommit` commits what is queued first.
#[derive(Debug)]
pub struct GroupCommit<C: Commit> {
    shared: Arc<Shared<C>>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    name: &'static str,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<C> {
    committer: Mutex<C>,
    level: Durability,
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Semaphore,
    in_flight: AtomicUsize,
    solitude: Solitude,
}

#[derive(Debug, Default)]
struct Queue {
    pending: VecDeque<Pending>,
    /// How many have to be there for the sleeping writer to be woken; `None` where it does not sleep.
    wanted: Option<usize>,
    closed: bool,
}

#[derive(Debug)]
struct Pending {
    batch: Batch,
    units: u32,
    reply: oneshot::Sender<Answer>,
}

impl<C: Commit> GroupCommit<C> {
    /// Commits through `committer`; `name` names the thread and `level` is what every write has at least.
    pub fn new(name: &'static str, committer: C, level: Durability) -> Self {
        let shared = Shared {
            committer: Mutex::new(committer),
            level,
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Semaphore::new(MAX_QUEUED_UNITS as usize),
            in_flight: AtomicUsize::new(0),
            solitude: Solitude::default(),
        };
        GroupCommit { shared: Arc::new(shared), writer: Mutex::new(Writer { name, thread: None }) }
    }

    /// Commits `batch`, together with what others submit.
    ///
    /// # Errors
    /// The committer's; `Locked` when other processes write for too long; `Indeterminate` when the committer
    /// panicked.
    pub async fn submit(&self, batch: &Batch) -> Answer {
        let company = InFlight::enter(&self.shared.in_flight);
        if company.is_alone() && !self.shared.syncs(batch) {
            let solitude = &self.shared.solitude;
            if solitude.looks_for_company() {
                // Tasks that are ready to run get their chance to submit.
                yield_now().await;
            }
            if company.is_alone()
                && let Some(answer) = self.shared.commit_here(batch)
            {
                solitude.goes_on();
                return answer;
            }
        }
        self.shared.solitude.ends();
        self.enqueue(batch).await
    }

    /// Runs `work` with the committer, if no commit is on its way; what it costs is time that commits wait.
    pub fn try_with<T>(&self, work: impl FnOnce(&mut C) -> T) -> Option<T> {
        match self.shared.committer.try_lock() {
            Ok(mut committer) => Some(work(&mut committer)),
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => None,
        }
    }

    async fn enqueue(&self, batch: &Batch) -> Answer {
        let units = batch.writes.iter().map(units_of).fold(0, u32::saturating_add).clamp(1, MAX_QUEUED_UNITS);
        let room = self.shared.room.acquire_many(units).await;
        room.map_err(|_| Error::new(ErrorKind::Unavailable, "the store is closing"))?.forget();
        let (reply, answer) = oneshot::channel();
        let are_enough = {
            let mut queue = self.shared.queue();
            queue.pending.push_back(Pending { batch: batch.clone(), units, reply });
            let there = queue.pending.len();
            // To wake is a system call, whoever sleeps: once is enough.
            queue.wanted.take_if(|wanted| there >= *wanted).is_some()
        };
        if self.has_writer() {
            if are_enough {
                self.shared.wake.notify_one();
            }
        } else {
            self.shared.commit_queued();
        }
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Starts the writer thread if there is none; false when the system has no thread to give.
    fn has_writer(&self) -> bool {
        let mut writer = lock(&self.writer);
        if writer.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new().name(writer.name.to_owned());
            match builder.spawn(move || shared.run()) {
                Ok(thread) => writer.thread = Some(thread),
                Err(error) => tracing::warn!(%error, "no writer thread: committing on the caller's"),
            }
        }
        writer.thread.is_some()
    }
}

impl<C: Commit> Drop for GroupCommit<C> {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
        let thread = lock(&self.writer).thread.take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("a writer thread ended by a panic");
        }
    }
}

impl<C: Commit> Shared<C> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Whether the commit of `batch` waits for a disk.
    fn syncs(&self, batch: &Batch) -> bool {
        batch.durability.max(self.level) > Durability::Process
    }

    /// Commits on this thread; `None` when somebody else is writing.
    fn commit_here(&self, batch: &Batch) -> Option<Answer> {
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let answers = attempt(&mut *committer, &[batch], Patience::Never).ok()?;
        Some(answers.into_iter().next().unwrap_or_else(|| Err(lost())))
    }

    fn run(&self) {
        let mut reunion: Option<Reunion> = None;
        loop {
            let mut queue = self.queue();
            while queue.pending.is_empty() {
                if queue.closed {
                    return;
                }
                queue.wanted = Some(1);
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.wanted = None;
            if let Some(reunion) = reunion.take() {
                queue = self.gather(queue, reunion);
            }
            drop(queue);
            reunion = self.commit_queued();
        }
    }

    /// Waits for those who are likely to come.
    fn gather<'q>(&self, mut queue: MutexGuard<'q, Queue>, mut reunion: Reunion) -> MutexGuard<'q, Queue> {
        while let Some(pause) = reunion.pause(queue.pending.len()).filter(|_| !queue.closed) {
            queue.wanted = Some(reunion.size());
            queue = self.wake.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.wanted = None;
        queue
    }

    /// Commits what waits; who is to be waited for before the next time.
    #[allow(clippy::disallowed_methods, reason = "how long a commit takes is real time")]
    fn commit_queued(&self) -> Option<Reunion> {
        let mut committer = lock(&self.committer);
        // Taken only now, with whatever came while the lock was waited for.
        let group = self.take_group();
        let batches: Vec<&Batch> = group.iter().map(|pending| &pending.batch).collect();
        if batches.is_empty() {
            return None;
        }
        let begun = Instant::now();
        let answers = attempt(&mut *committer, &batches, Patience::Wait);
        let taken = begun.elapsed();
        drop(committer);
        // What a commit takes that does not sync grows with what is in it: nobody gains by waiting.
        let syncs = batches.iter().any(|batch| self.syncs(batch));
        let waiting = self.queue().pending.len();
        let reunion = if syncs { Reunion::after(taken, batches.len(), waiting) } else { None };
        let answers = answers.unwrap_or_else(|Busy| batches.iter().map(|_| Err(locked())).collect());
        for (pending, answer) in group.into_iter().zip(answers) {
            // A submitter that went away does not want the answer.
            let _ = pending.reply.send(answer);
        }
        reunion
    }

    fn take_group(&self) -> Vec<Pending> {
        let mut queue = self.queue();
        let mut units = 0;
        let fits = |pending: &&Pending| {
            units += pending.units;
            units <= MAX_COMMIT_UNITS
        };
        let count = queue.pending.iter().take_while(fits).count().max(1).min(queue.pending.len());
        let group: Vec<Pending> = queue.pending.drain(..count).collect();
        drop(queue);
        self.room.add_permits(group.iter().map(|pending| pending.units as usize).sum());
        group
    }
}

/// One submit on its way, counted until it is answered or dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        InFlight(count)
    }

    fn is_alone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Commits; a panic of the committer reaches the submitters as an error, and the thread goes on.
fn attempt<C: Commit>(
    committer: &mut C,
    batches: &[&Batch],
    patience: Patience,
) -> Result<Vec<Answer>, Busy> {
    catch_unwind(AssertUnwindSafe(|| committer.commit(batches, patience))).unwrap_or_else(|_| {
        tracing::error!("a commit panicked");
        Ok(batches.iter().map(|_| Err(lost())).collect())
    })
}

fn units_of(write: &Write) -> u32 {
    1 + u32::try_from(write.body_bytes() / UNIT_BYTES).unwrap_or(MAX_QUEUED_UNITS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost() -> Error {
    let message =
        "the commit was interrupted by a bug in memlife: read the entries before writing them again";
    Error::new(ErrorKind::Indeterminate, message)
}

fn locked() -> Error {
    let message = "other processes kept the store locked for too long: try again, or end the one that hangs";
    Error::new(ErrorKind::Locked, message)
}
