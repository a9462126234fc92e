use crate::database::{Shared, contained};
use crate::error::{Fault, Trouble, from_redb};
use crate::read;
use crate::reserve::Reserve;
use crate::transaction::{Done, Section, Setting};
use memlife_core::store::{Batch, Durability, Limits, Outcome};
use memlife_core::{Answer, Busy, Commit, Error, ErrorKind, Patience, Result};
use memlife_store_local::error::{check_batch, full, poisoned, read_only};
use memlife_store_local::{Job, Jobs, Latch, Waiters, fail_all};
use std::sync::Arc;

/// Commits that are not synced before one is: redb uses no page again that only such commits freed.
const MAX_UNSYNCED: u32 = 64;

/// The store's writing side, and why it stopped if it did.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) setting: Setting,
    /// `None` for a store that can only be read.
    pub(crate) reserve: Option<Reserve>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) latch: Arc<Latch>,
    pub(crate) limits: Limits,
    pub(crate) level: Durability,
    /// Commits that only this process has.
    pub(crate) unsynced: u32,
    /// Whether commits may have been lost, by this process or the one before, whose numbers somebody has read.
    pub(crate) has_lost: bool,
    /// The opening of the file that [`Writer::unsynced`] counts in.
    pub(crate) generation: u64,
    /// Whether every table of that opening was found.
    pub(crate) has_tables: bool,
    /// The body of the least write that the disk had no room for, since something was committed.
    pub(crate) refused_bytes: Option<usize>,
}

/// Why a transaction is not committed.
enum Failure {
    /// No space; everything was rolled back.
    Full,
    /// Rolled back for a reason that may lie in one of the writes.
    RolledBack(Error),
    /// Nothing may be tried again; the error says what is known of the writes.
    Final(Error),
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What closes in an orderly way loses nothing, whatever its level, and the next process need not know of what
        // was lost before.
        if (self.unsynced > 0 || self.has_lost)
            && self.reserve.is_some()
            && self.latch.check().is_ok()
            && let Err(trouble) = self.sync()
        {
            tracing::warn!(error = %trouble.into_error(), "the last writes did not reach the disk");
        }
    }
}

impl Commit for Writer {
    fn commit(&mut self, batches: &[&Batch], _patience: Patience) -> Result<Vec<Answer>, Busy> {
        // Space may have come from outside meanwhile.
        self.refused_bytes = None;
        let jobs = Jobs::of(batches, |batch| self.refusal(batch));
        let outcomes = self.resolve(&jobs.all, jobs.durability.max(self.level));
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
    fn resolve(&mut self, jobs: &[Job<'_>], durability: Durability) -> Vec<Result<Outcome>> {
        if jobs.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.latch.check() {
            return fail_all(jobs, &error);
        }
        if self.is_hopeless(jobs) {
            return fail_all(jobs, &full());
        }
        let error = match self.attempt(jobs, durability) {
            Ok(outcomes) => return outcomes,
            Err(Failure::Final(error)) => return fail_all(jobs, &error),
            Err(Failure::Full) => match self.make_room(jobs, durability) {
                Ok(outcomes) => return outcomes,
                Err(error) => error,
            },
            Err(Failure::RolledBack(error)) => error,
        };
        if let [job] = jobs {
            if error.kind() == ErrorKind::Full && !job.is_freeing() {
                self.refused_bytes = Some(job.write.body_bytes());
            }
            return vec![Err(error)];
        }
        let (front, back) = jobs.split_at(jobs.len() / 2);
        let mut outcomes = self.resolve(front, durability);
        outcomes.extend(self.resolve(back, durability));
        outcomes
    }

    /// Whether less than any of these found no room just now: each attempt on a full disk opens the file anew.
    fn is_hopeless(&self, jobs: &[Job<'_>]) -> bool {
        let needs_more =
            |refused| jobs.iter().all(|job| !job.is_freeing() && job.write.body_bytes() >= refused);
        self.refused_bytes.is_some_and(needs_more)
    }

    /// The disk is full: what frees space gets the reserve.
    fn make_room(&mut self, jobs: &[Job<'_>], durability: Durability) -> Result<Vec<Result<Outcome>>> {
        if jobs.iter().all(Job::is_freeing) && self.reserve.as_mut().is_some_and(Reserve::release) {
            return match self.attempt(jobs, durability) {
                Ok(outcomes) => Ok(outcomes),
                Err(Failure::Full) => Err(full()),
                Err(Failure::RolledBack(error) | Failure::Final(error)) => Err(error),
            };
        }
        Err(full())
    }

    /// One transaction.
    fn attempt(&mut self, jobs: &[Job<'_>], durability: Durability) -> Result<Vec<Result<Outcome>>, Failure> {
        self.find_tables().map_err(|error| match error.kind() {
            ErrorKind::Full => Failure::Full,
            _ => Failure::RolledBack(error),
        })?;
        let is_synced = durability >= Durability::Process || self.unsynced >= MAX_UNSYNCED;
        let mut submitted = None;
        match contained(|| self.transact(jobs, is_synced, &mut submitted)) {
            Ok(Ok(Done { outcomes, is_dirty, ledger })) => {
                if is_dirty {
                    self.shared.advance(ledger.clock.at);
                    self.refused_bytes = None;
                    self.has_lost = false;
                    self.unsynced = if is_synced { 0 } else { self.unsynced + 1 };
                    self.waiters.wake();
                    self.reserve.iter_mut().for_each(Reserve::after_commit);
                }
                Ok(outcomes)
            }
            Ok(Err(Trouble::One(error))) => Err(Failure::RolledBack(error)),
            Ok(Err(Trouble::All(error))) => Err(self.judge(error, submitted)),
            Err(panicked) => {
                self.reopen();
                Err(match submitted {
                    Some(_) => Failure::Final(fate_unknown(panicked)),
                    None => Failure::RolledBack(panicked),
                })
            }
        }
    }

    /// Tells in `submitted` the change number that the commit leads to, once there is no way back.
    fn transact(
        &self,
        jobs: &[Job<'_>],
        is_synced: bool,
        submitted: &mut Option<u64>,
    ) -> Result<Done, Trouble> {
        let gate = self.shared.gate();
        let mut transaction = gate.begin_write()?;
        transaction.set_durability(match is_synced {
            true => redb::Durability::Immediate,
            false => redb::Durability::None,
        })?;
        // Saves what reopening would otherwise read the whole file for, and syncs twice instead of once: lone puts
        // took about twice as long, and after a kill a file of 100,000 entries opened in 6 ms instead of 200 ms. A kill
        // is rare and worth the wait. On a disk that is about to be full each write may take a reopening.
        transaction.set_quick_repair(self.reserve.as_ref().is_some_and(Reserve::is_tight));
        let run = || {
            let mut section = Section::open(&transaction, self.setting)?;
            if self.has_lost {
                section.leap();
            }
            section.run(jobs)
        };
        let done = match contained(run) {
            Ok(done) => done?,
            // Not while the panic unwinds: redb would then have the file checked as after a crash, and go back behind
            // the last commit where a page of it is damaged.
            Err(panicked) => {
                transaction.abort()?;
                return Err(Trouble::One(panicked));
            }
        };
        if done.is_dirty {
            *submitted = Some(done.ledger.seq);
            let committing = self.shared.committing();
            transaction.commit()?;
            drop(committing);
        } else {
            transaction.abort()?;
        }
        Ok(done)
    }

    /// Makes durable what is not yet.
    fn sync(&mut self) -> Result<(), Trouble> {
        if self.has_lost {
            self.find_tables().map_err(Trouble::One)?;
            return contained(|| self.transact(&[], true, &mut None))?.map(drop);
        }
        contained(|| Ok(self.shared.gate().begin_write()?.commit()?))?
    }

    /// A file that was opened anew has lost what was not synced, or may have.
    fn notice_reopening(&mut self) {
        let generation = self.shared.generation();
        if generation != self.generation {
            self.has_lost |= self.unsynced > 0;
            self.unsynced = 0;
            self.generation = generation;
            self.has_tables = false;
        }
    }

    /// Looks once for every table of this opening. A write transaction that meets a damaged one while others are open
    /// panics twice, which ends the process; a read panics once, which is contained.
    fn find_tables(&mut self) -> Result<()> {
        self.notice_reopening();
        if !self.has_tables {
            self.shared.read(read::tables)?;
            self.has_tables = true;
        }
        Ok(())
    }

    /// Opens the file anew: redb does nothing more with one that had an error. What that takes of a full disk, the
    /// reserve gives.
    fn reopen(&mut self) {
        let reopen = || self.shared.gate().reopen();
        let mut reopened = reopen();
        if reopened.as_ref().is_err_and(is_full) && self.reserve.as_mut().is_some_and(Reserve::release) {
            reopened = reopen();
        }
        if let Err(trouble) = reopened {
            // Whoever comes next tries again.
            tracing::error!(error = %trouble.into_error(), "the store cannot be opened again");
        }
        self.notice_reopening();
    }

    /// Whether the commit that would have led to the change number `seq` left nothing behind.
    fn is_rolled_back(&self, seq: u64) -> bool {
        self.shared.read(read::state).is_ok_and(|state| state.ledger.seq < seq)
    }

    /// What an error of redb means, latching where nobody can know what the disk holds.
    fn judge(&mut self, error: redb::Error, submitted: Option<u64>) -> Failure {
        let unsynced = self.unsynced;
        let fault = Fault::of(&error);
        self.reopen();
        let is_rolled_back = submitted.is_none_or(|seq| self.is_rolled_back(seq));
        match fault {
            // What was acknowledged and only in memory is gone with the handle, as its level says.
            Fault::Full if is_rolled_back => {
                if unsynced > 0 {
                    tracing::warn!(commits = unsynced, "a full disk took what was not yet synced");
                }
                Failure::Full
            }
            Fault::Io | Fault::Gone => self.give_up(error, submitted),
            _ if is_rolled_back => Failure::RolledBack(from_redb(error)),
            // Tried again in parts, it might be done twice.
            _ => self.give_up(error, submitted),
        }
    }

    fn give_up(&mut self, error: redb::Error, submitted: Option<u64>) -> Failure {
        self.latch.set(error.to_string());
        let error = from_redb(error);
        Failure::Final(match submitted {
            Some(_) => fate_unknown(error),
            None => poisoned("nothing of this write was done").because(error),
        })
    }
}

fn is_full(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::All(error) if Fault::of(error) == Fault::Full)
}

fn fate_unknown(cause: Error) -> Error {
    let message = "the commit failed half-way: read the entries before writing them again";
    Error::new(ErrorKind::Indeterminate, message).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RedbConfig;
    use crate::open;
    use memlife_core::Timestamp;
    use memlife_testkit::draft::add;

    fn writer(config: &RedbConfig) -> Writer {
        let opened = open::open(config).unwrap();
        Writer {
            shared: Arc::new(Shared::new(&config.path, config.cache_bytes, opened.handle)),
            setting: Setting { replica: opened.identity.replica, body_limit: 1 << 20 },
            reserve: Some(Reserve::open(&config.path, 0)),
            waiters: Arc::default(),
            latch: Arc::default(),
            limits: Limits::default(),
            level: config.durability,
            unsynced: 0,
            has_lost: opened.was_left,
            generation: 0,
            has_tables: false,
            refused_bytes: None,
        }
    }

    fn batch() -> Batch {
        let writes = vec![add("a/count", 1).build()];
        Batch { now: Timestamp::from_ms(1), durability: Durability::Process, token: None, writes }
    }

    fn seq(writer: &Writer) -> u64 {
        writer.shared.read(read::state).unwrap().ledger.seq
    }

    #[test]
    fn an_error_after_a_commit_that_is_there_is_not_one_of_a_write_to_try_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(&RedbConfig::new(folder.path().join("store.redb")));
        let batch = batch();
        let jobs = [Job { batch: &batch, write: &batch.writes[0] }];
        assert!(writer.resolve(&jobs, Durability::Process)[0].is_ok());
        let seq = seq(&writer);
        let damaged = || redb::Error::Corrupted("told by a test".to_owned());
        assert!(matches!(writer.judge(damaged(), Some(seq + 1)), Failure::RolledBack(_)));
        assert!(writer.latch.check().is_ok());
        match writer.judge(damaged(), Some(seq)) {
            Failure::Final(error) => assert_eq!(error.kind(), ErrorKind::Indeterminate),
            _ => panic!("it would be done twice"),
        }
        assert!(writer.latch.check().is_err());
    }

    #[test]
    fn a_file_that_was_opened_anew_gives_out_no_number_twice() {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb")).durability(Durability::Memory);
        let mut writer = writer(&config);
        let batch = batch();
        let jobs = [Job { batch: &batch, write: &batch.writes[0] }];
        assert!(writer.resolve(&jobs, Durability::Memory)[0].is_ok());
        let before = seq(&writer);
        writer.shared.gate().reopen().unwrap();
        assert!(writer.resolve(&jobs, Durability::Memory)[0].is_ok());
        assert!(seq(&writer) > before + (1 << 32));
        let after = seq(&writer);
        assert!(writer.resolve(&jobs, Durability::Memory)[0].is_ok());
        assert_eq!(seq(&writer), after + 1);
    }
}
