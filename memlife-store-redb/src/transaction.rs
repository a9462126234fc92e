use crate::error::Trouble;
use crate::removals::{self, Removed, prune};
use crate::rows;
use crate::schema::{CHANGES, DUE, DueKey, ENTRY, LEDGER, OWN, REMOVED, State, USAGE};
use crate::usage::Groups;
use memlife_core::record::Record;
use memlife_core::store::{Cause, Outcome, Removals, Write};
use memlife_core::{Context, Effect, Key, Ledger, ReplicaId, Result, decide, needs_body};
use memlife_store_local::Job;
use memlife_store_local::error::corrupt;
use redb::{ReadableTable, Table, WriteTransaction};
use std::fmt;

/// What stays the same from transaction to transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) replica: ReplicaId,
    pub(crate) body_limit: usize,
}

/// What a transaction did, before its commit.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcomes: Vec<Result<Outcome>>,
    /// Whether there is anything to commit.
    pub(crate) is_dirty: bool,
    /// The last change number, and the clock.
    pub(crate) ledger: Ledger,
}

/// Every table, open in one write transaction.
struct Tables<'t> {
    own: Table<'t, u8, &'static [u8]>,
    entry: Table<'t, &'static [u8], &'static [u8]>,
    due: Table<'t, &'static DueKey, &'static [u8]>,
    changes: Table<'t, u64, &'static [u8]>,
    removed: Removed<'t>,
    usage: Table<'t, &'static [u8], &'static [u8]>,
}

/// One write transaction: the store's atomic section. Whoever began it commits it or drops it.
pub(crate) struct Section<'t> {
    tables: Tables<'t>,
    setting: Setting,
    state: State,
    seq_before: u64,
    groups: Groups,
    removals: Removals,
    is_dirty: bool,
}

impl<'t> Section<'t> {
    /// Reads where the store is.
    pub(crate) fn open(transaction: &'t WriteTransaction, setting: Setting) -> Result<Self, Trouble> {
        let tables = Tables {
            own: transaction.open_table(OWN)?,
            entry: transaction.open_table(ENTRY)?,
            due: transaction.open_table(DUE)?,
            changes: transaction.open_table(CHANGES)?,
            removed: transaction.open_table(REMOVED)?,
            usage: transaction.open_table(USAGE)?,
        };
        let state = state(&tables.own)?;
        Ok(Section {
            tables,
            setting,
            state,
            seq_before: state.ledger.seq,
            groups: Groups::default(),
            removals: Removals::default(),
            is_dirty: false,
        })
    }

    /// Goes on far beyond the numbers of commits that may have been lost.
    pub(crate) fn leap(&mut self) {
        self.state.ledger.leap();
        self.is_dirty = true;
    }

    /// Decides and carries out every job, in order.
    pub(crate) fn run(mut self, jobs: &[Job<'_>]) -> Result<Done, Trouble> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(match self.write(job) {
                Ok(outcome) => Ok(outcome),
                Err(Trouble::One(error)) => Err(error.on(&job.write.key)),
                Err(trouble) => return Err(trouble),
            });
        }
        let done = Done { outcomes, is_dirty: self.is_dirty, ledger: self.state.ledger };
        if done.is_dirty {
            self.finish()?;
        }
        Ok(done)
    }

    fn write(&mut self, job: &Job<'_>) -> Result<Outcome, Trouble> {
        let found = self.find(job.write)?;
        let before = self.state.ledger;
        self.decide(job, found).inspect_err(|_| self.state.ledger = before)
    }

    /// What the write meets, with its body where the decision needs it.
    fn find(&self, write: &Write) -> Result<Option<Record>, Trouble> {
        let key = &write.key;
        let found = self.tables.entry.get(key.as_str().as_bytes()).map_err(Trouble::of_read)?;
        let Some(row) = found else { return Ok(None) };
        let (head, rest) = rows::head(key, row.value())?;
        let body = if needs_body(&head, write) { rows::body(key, rest)? } else { None };
        Ok(Some(Record { key: key.clone(), head, body }))
    }

    fn decide(&mut self, job: &Job<'_>, found: Option<Record>) -> Result<Outcome, Trouble> {
        let mut context = Context {
            wall: job.batch.now,
            replica: self.setting.replica,
            body_limit: self.setting.body_limit,
            ledger: &mut self.state.ledger,
        };
        let decision = decide(found.as_ref(), job.write, &mut context)?;
        match decision.effect {
            Effect::None => return Ok(decision.outcome),
            Effect::Put(record) => self.put(found.as_ref(), &record)?,
            Effect::Erase { cause, seq } => {
                if let Some(found) = &found {
                    self.erase(found, seq, cause)?;
                }
            }
        }
        self.is_dirty = true;
        if let Some(cause) = decision.ended
            && !job.write.key.is_system()
        {
            self.state.totals.removed[usize::from(cause.code())] += 1;
        }
        Ok(decision.outcome)
    }

    fn put(&mut self, old: Option<&Record>, record: &Record) -> Result<(), Trouble> {
        let (key, head) = (&record.key, &record.head);
        let row = rows::encode(record)?;
        if let Some(old) = old {
            self.take_out_of_indexes(old)?;
        }
        self.tables.entry.insert(key.as_str().as_bytes(), row.as_slice())?;
        if let Some((place, row)) = rows::due_row(key, head) {
            self.tables.due.insert(&place, row.as_slice())?;
        }
        if !key.is_system() {
            self.tables.changes.insert(head.seq, key.as_str().as_bytes())?;
        }
        self.groups.add(key, head);
        Ok(())
    }

    fn erase(&mut self, old: &Record, seq: u64, cause: Cause) -> Result<(), Trouble> {
        self.take_out_of_indexes(old)?;
        self.tables.entry.remove(old.key.as_str().as_bytes())?;
        self.record_removal(&old.key, seq, cause)
    }

    fn take_out_of_indexes(&mut self, old: &Record) -> Result<(), Trouble> {
        if let Some((place, _)) = rows::due_row(&old.key, &old.head) {
            self.tables.due.remove(&place)?;
        }
        if !old.key.is_system() {
            self.tables.changes.remove(old.head.seq)?;
        }
        self.groups.subtract(&old.key, &old.head);
        Ok(())
    }

    fn record_removal(&mut self, key: &Key, seq: u64, cause: Cause) -> Result<(), Trouble> {
        if key.is_system() {
            return Ok(());
        }
        let run = self.removals.push(key, seq, self.state.ledger.clock.at, cause);
        removals::write(&mut self.tables.removed, run)
    }

    /// Writes what the transaction gathered: all but the commit.
    fn finish(mut self) -> Result<(), Trouble> {
        removals::write(&mut self.tables.removed, self.removals.finish())?;
        let state = &mut self.state;
        state.kept += self.removals.added();
        let seqs = (self.seq_before, state.ledger.seq);
        let (pruned, floor) = prune(&mut self.tables.removed, seqs, state.ledger.clock.at, state.kept)?;
        state.kept = state.kept.saturating_sub(pruned);
        state.floor = state.floor.max(floor);
        self.groups.flush(&mut self.tables.usage, &mut state.totals.tally)?;
        self.tables.own.insert(LEDGER, state.encode().as_slice())?;
        Ok(())
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Where the store is.
pub(crate) fn state(own: &impl ReadableTable<u8, &'static [u8]>) -> Result<State, Trouble> {
    let row = own.get(LEDGER)?;
    let state = row.and_then(|row| State::decode(row.value()));
    state.ok_or_else(|| {
        let message = "the store's change number or clock is damaged: run `memlife verify --repair`";
        Trouble::One(corrupt(message))
    })
}
