use crate::checkpoint::Checkpointer;
use crate::connection::{Clocked, wait_for_others};
use crate::error::{Fault, from_sqlite};
use crate::reserve::Reserve;
use crate::rows::Trouble;
use crate::transaction::{Done, Memo, Setting, Transaction};
use memlife_core::record::Kind;
use memlife_core::store::{Batch, Change, Durability, Guard, Limits, Op, Outcome, Placement, Reply, Write};
use memlife_core::{Answer, Busy, Commit, Error, ErrorKind, Key, Patience, Result};
use memlife_store_local::error::{check_batch, full, poisoned, read_only};
use memlife_store_local::{Job, Jobs, Latch, Waiters, fail_all};
use std::sync::Arc;
use std::time::Duration;

/// By how much the file grows for a commit, whatever is in it, and for a write without its body.
const COMMIT_BYTES: u64 = 64 << 10;
const WRITE_BYTES: u64 = 1 << 10;

/// The store's writing side, and why it stopped if it did.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Dropped before the connection, which is then the last to fold the log.
    pub(crate) checkpointer: Checkpointer,
    pub(crate) connection: Clocked,
    pub(crate) setting: Setting,
    pub(crate) memo: Memo,
    pub(crate) reserve: Option<Reserve>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) latch: Arc<Latch>,
    pub(crate) limits: Limits,
    pub(crate) level: Durability,
    pub(crate) busy_timeout: Duration,
    /// Whether commits are synced at the moment.
    pub(crate) is_syncing: bool,
}

/// Why a transaction is not committed.
enum Failure {
    /// Others are writing.
    Busy,
    /// No space; everything was rolled back.
    Full,
    /// Rolled back for a reason that may lie in one of the writes.
    RolledBack(Error),
    /// Nothing may be tried again; the error says what is known of the writes.
    Final(Error),
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After an error of the disk nobody knows what a fold would do.
        if self.latch.check().is_ok()
            && self.checkpointer.close(&self.connection)
            && let Some(reserve) = &mut self.reserve
        {
            reserve.shrink();
        }
    }
}

impl Commit for Writer {
    fn commit(&mut self, batches: &[&Batch], patience: Patience) -> Result<Vec<Answer>, Busy> {
        let jobs = Jobs::of(batches, |batch| self.refusal(batch));
        let outcomes = self.resolve(&jobs.all, jobs.durability.max(self.level), patience)?;
        Ok(jobs.answers(outcomes))
    }
}

impl Writer {
    fn refusal(&self, batch: &Batch) -> Option<Error> {
        if self.reserve.is_none() {
            return Some(read_only());
        }
        check_batch(batch, &self.limits).and_then(|()| self.latch.check()).err()
    }

    /// Commits all jobs together; where that fails for space or damage, in smaller parts, so that no write fails
    /// for its neighbours.
    fn resolve(
        &mut self,
        jobs: &[Job<'_>],
        durability: Durability,
        patience: Patience,
    ) -> Result<Vec<Result<Outcome>>, Busy> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = self.latch.check() {
            return Ok(fail_all(jobs, &error));
        }
        let failure = match self.attempt(jobs, durability, patience) {
            Ok(outcomes) => return Ok(outcomes),
            Err(Failure::Busy) => return Err(Busy),
            Err(Failure::Final(error)) => return Ok(fail_all(jobs, &error)),
            Err(Failure::Full) => self.make_room(jobs, durability, patience)?,
            Err(Failure::RolledBack(error)) => Err(error),
        };
        match failure {
            Ok(outcomes) => Ok(outcomes),
            Err(error) if jobs.len() == 1 => Ok(vec![Err(error)]),
            Err(_) => {
                let (front, back) = jobs.split_at(jobs.len() / 2);
                let mut outcomes = self.resolve(front, durability, patience)?;
                // What the front did is done: from here on nothing may be handed back undone.
                match self.resolve(back, durability, Patience::Wait) {
                    Ok(more) => outcomes.extend(more),
                    Err(Busy) => outcomes.extend(fail_all(back, &locked())),
                }
                Ok(outcomes)
            }
        }
    }

    /// The disk is full: tries again with the log folded in, and for what frees space with the reserve lent.
    fn make_room(
        &mut self,
        jobs: &[Job<'_>],
        durability: Durability,
        patience: Patience,
    ) -> Result<Result<Vec<Result<Outcome>>>, Busy> {
        self.fold();
        let may_borrow = jobs.iter().all(Job::is_freeing);
        for is_lent in [false, true] {
            if is_lent && !(may_borrow && self.reserve.as_mut().is_some_and(Reserve::lend)) {
                break;
            }
            match self.attempt(jobs, durability, patience) {
                Ok(outcomes) => return Ok(Ok(outcomes)),
                Err(Failure::Busy) => return Err(Busy),
                Err(Failure::Final(error) | Failure::RolledBack(error)) => return Ok(Err(error)),
                Err(Failure::Full) => {}
            }
        }
        Ok(Err(full()))
    }

    /// One transaction.
    fn attempt(
        &mut self,
        jobs: &[Job<'_>],
        durability: Durability,
        patience: Patience,
    ) -> Result<Vec<Result<Outcome>>, Failure> {
        if !self.has_room_for(jobs) {
            return Err(Failure::Full);
        }
        let mut outside = Vec::new();
        self.begin(durability, patience)?;
        let done =
            Transaction::begin(&self.connection, &self.setting, &mut self.memo, &mut outside, durability)
                .and_then(|transaction| transaction.run(jobs));
        match done {
            Ok(Done { outcomes, is_dirty: false }) => {
                self.roll_back();
                Ok(outcomes)
            }
            Ok(Done { outcomes, is_dirty: true }) => match self.finish() {
                Ok(()) => {
                    self.after_commit();
                    Ok(outcomes)
                }
                Err(failure) if outside.is_empty() => Err(failure),
                Err(failure) => self.catch_up(&outside, jobs, failure).map(|()| outcomes),
            },
            Err(trouble) => {
                let failure = self.abandon(trouble);
                if outside.is_empty() { Err(failure) } else { Err(self.fate_unknown(failure)) }
            }
        }
    }

    fn begin(&mut self, durability: Durability, patience: Patience) -> Result<(), Failure> {
        // A panic may have left a transaction behind.
        if !self.connection.is_autocommit() {
            self.roll_back();
        }
        if durability >= Durability::Disk {
            // It cannot change inside a transaction. A commit that is synced carries all before it to the disk.
            self.connection.execute_batch("PRAGMA synchronous = FULL").map_err(|e| self.judge(e, false))?;
            self.is_syncing = true;
        }
        let begin = || self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        let begun = match patience {
            Patience::Never => begin(),
            Patience::Wait => wait_for_others(self.busy_timeout, begin),
        };
        match begun {
            Ok(_) => Ok(()),
            Err(error) => {
                self.restore_level();
                Err(self.judge(error, false))
            }
        }
    }

    /// Commits; an error says what is known.
    fn finish(&mut self) -> Result<(), Failure> {
        let commit = || self.connection.prepare_cached("COMMIT")?.execute([]);
        match wait_for_others(self.busy_timeout, commit) {
            Ok(_) => {
                self.memo.groups.committed();
                self.restore_level();
                Ok(())
            }
            Err(error) => {
                let failure = self.judge(error, true);
                self.roll_back();
                Err(failure)
            }
        }
    }

    fn after_commit(&mut self) {
        self.waiters.wake();
        self.checkpointer.after_commit(&self.connection);
        let unfolded = self.checkpointer.unfolded_bytes();
        if self.reserve.as_mut().is_some_and(|reserve| !reserve.after_commit(unfolded)) {
            self.fold();
        }
    }

    /// Whether the log can still be folded once `jobs` are in it: what only frees space may always try.
    fn has_room_for(&mut self, jobs: &[Job<'_>]) -> bool {
        let Some(reserve) = &mut self.reserve else { return true };
        let is_outside = self.setting.bodies.is_some();
        let growth: u64 = jobs.iter().map(|job| growth_of(job, is_outside)).sum();
        jobs.iter().all(Job::is_freeing)
            || reserve.covers(self.checkpointer.unfolded_bytes() + COMMIT_BYTES + growth)
    }

    fn abandon(&mut self, trouble: Trouble) -> Failure {
        let failure = match trouble {
            Trouble::All(error) => self.judge(error, false),
            Trouble::One(error) | Trouble::Outside(error) => Failure::RolledBack(error),
        };
        self.roll_back();
        failure
    }

    /// What an error of SQLite means, latching where nobody can know what the disk holds.
    fn judge(&self, error: rusqlite::Error, is_submitted: bool) -> Failure {
        match Fault::of(&error) {
            Fault::Busy => Failure::Busy,
            Fault::Full => Failure::Full,
            Fault::Io => {
                self.latch.set(error.to_string());
                Failure::Final(if is_submitted {
                    let message = "the commit failed half-way: read the entries before writing them again";
                    Error::new(ErrorKind::Indeterminate, message).because(error)
                } else {
                    poisoned("nothing of this write was done").because(error)
                })
            }
            Fault::Corrupt | Fault::ReadOnly | Fault::Other => Failure::RolledBack(from_sqlite(error)),
        }
    }

    fn roll_back(&mut self) {
        self.memo.groups.rolled_back();
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.latch.set(format!("a transaction could not be rolled back: {error}"));
        }
        self.restore_level();
    }

    fn restore_level(&mut self) {
        if self.is_syncing {
            match self.connection.execute_batch("PRAGMA synchronous = NORMAL") {
                Ok(()) => self.is_syncing = false,
                Err(error) => tracing::warn!(%error, "commits go on being synced"),
            }
        }
    }

    /// Folds the log into the file, so that its space is used again. Where the file has no room to grow, the reserve
    /// gives it.
    fn fold(&mut self) {
        let is_empty = self.checkpointer.empty(&self.connection);
        let Some(reserve) = &mut self.reserve else { return };
        if is_empty {
            reserve.shrink();
        } else if reserve.release() {
            self.checkpointer.empty(&self.connection);
        }
        reserve.allocate();
    }

    /// The truth outside is ahead of the rows: gives the rows one more chance to follow.
    fn catch_up(&mut self, keys: &[Key], jobs: &[Job<'_>], failure: Failure) -> Result<(), Failure> {
        if !matches!(failure, Failure::Full) {
            return Err(self.fate_unknown(failure));
        }
        self.fold();
        if let Some(reserve) = &mut self.reserve {
            reserve.release();
        }
        let Some(first) = jobs.first() else { return Ok(()) };
        let batch = Batch { writes: keys.iter().map(idle_write).collect(), ..first.batch.clone() };
        let jobs: Vec<Job<'_>> = batch.writes.iter().map(|write| Job { batch: &batch, write }).collect();
        let mut outside = Vec::new();
        self.begin(Durability::Process, Patience::Wait)?;
        let done = Transaction::begin(
            &self.connection,
            &self.setting,
            &mut self.memo,
            &mut outside,
            Durability::Process,
        )
        .and_then(|transaction| transaction.run(&jobs));
        match done {
            Ok(_) => self.finish().map_err(|failure| self.fate_unknown(failure))?,
            Err(trouble) => {
                let failure = self.abandon(trouble);
                return Err(self.fate_unknown(failure));
            }
        }
        self.after_commit();
        Ok(())
    }

    fn fate_unknown(&self, failure: Failure) -> Failure {
        let message = "the entries were written and their index was not: read them before writing them again";
        let error = Error::new(ErrorKind::Indeterminate, message);
        Failure::Final(match failure {
            Failure::RolledBack(cause) | Failure::Final(cause) => error.because(cause),
            Failure::Full => error.because(full()),
            Failure::Busy => error.because(locked()),
        })
    }
}

/// A write that does nothing but meet what is there, which corrects its row.
pub(crate) fn idle_write(key: &Key) -> Write {
    Write {
        key: key.clone(),
        // No entry has this version, so nothing is ever deleted.
        guard: Guard::Version(u64::MAX),
        change: Change::Op(Op::Delete),
        placement: Arc::new(Placement::permanent("", Kind::Lww)),
        writer: None,
        reply: Reply::Outcome,
    }
}

/// The most by which the file grows for a write, pages that are split included.
fn growth_of(job: &Job<'_>, is_outside: bool) -> u64 {
    let body = if is_outside { 0 } else { job.write.body_bytes() as u64 };
    WRITE_BYTES + 2 * body
}

fn locked() -> Error {
    Error::new(ErrorKind::Locked, "other processes kept the store locked for too long: try again")
}
