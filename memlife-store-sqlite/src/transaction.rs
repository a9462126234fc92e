use crate::bodies::{Bodies, Home};
use crate::erasures;
use crate::ledger;
use crate::recent::Recent;
use crate::removals::{self, prune};
use crate::rows::{self, Found, Table, Trouble};
use crate::schema::FORMAT;
use crate::usage::{Delta, Groups};
use memlife_core::record::{Body, Head, Record};
use memlife_core::store::{Cause, Durability, Outcome, Removals, Want};
use memlife_core::{
    Context, Decision, Effect, Error, ErrorKind, Hlc, Key, Ledger, MAX_DRIFT_MS, ReplicaId, Result,
    Timestamp, decide, needs_body,
};
use memlife_store_local::Job;
use memlife_store_local::error::corrupt;
use rusqlite::Connection;
use std::sync::Arc;

/// What stays the same from transaction to transaction.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) replica: ReplicaId,
    pub(crate) body_limit: usize,
    pub(crate) bodies: Option<Arc<dyn Bodies>>,
    pub(crate) recent: Arc<Recent>,
}

/// What transactions leave for the next, to save it a look into the file.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) groups: Groups,
    expects_new: bool,
}

/// What a transaction did, before its commit.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcomes: Vec<Result<Outcome>>,
    /// Whether there is anything to commit.
    pub(crate) is_dirty: bool,
}

/// One write transaction: the store's atomic section. Whoever began it commits it or rolls it back.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a Connection,
    table: Table<'a>,
    pub(crate) setting: &'a Setting,
    pub(crate) groups: &'a mut Groups,
    /// Whether the last write found nothing there, so that the next one is likely not to.
    expects_new: &'a mut bool,
    pub(crate) durability: Durability,
    pub(crate) ledger: Ledger,
    pub(crate) removals: Removals,
    /// Living entries that went, by cause.
    pub(crate) ended: [i64; Cause::ALL.len()],
    pub(crate) is_dirty: bool,
    /// Keys whose truth outside the file changed.
    pub(crate) outside: &'a mut Vec<Key>,
    seq_before: u64,
    kept: i64,
}

impl<'a> Transaction<'a> {
    /// Reads where the store is. `outside` gathers the keys that change outside the file, however this ends.
    pub(crate) fn begin(
        connection: &'a Connection,
        setting: &'a Setting,
        Memo { groups, expects_new }: &'a mut Memo,
        outside: &'a mut Vec<Key>,
        durability: Durability,
    ) -> Result<Self, Trouble> {
        let mut select = connection.prepare_cached(
            "SELECT seq, clock, format, group_changes, grace_ms, kept, mark, pending FROM ledger WHERE id = 0",
        )?;
        let mut read = select.query([])?;
        let row = read.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let number = |at| row.get::<_, i64>(at);
        if number(2)? != FORMAT {
            let message = "another process upgraded the store's format: upgrade memlife, then open it anew";
            return Err(Trouble::Outside(Error::new(ErrorKind::Unsupported, message)));
        }
        let columns = ledger::Columns { seq: number(0)?, clock: number(1)?, grace_ms: number(4)? };
        let Some(ledger) = columns.checked(number(6)?) else {
            let message =
                "the store's change number, clock or grace is damaged: run `memlife verify --repair`";
            return Err(Trouble::Outside(corrupt(message)));
        };
        groups.begin(number(3)?, row.get_ref(7)?);
        Ok(Transaction {
            connection,
            table: Table::new(connection),
            setting,
            groups,
            expects_new,
            durability,
            ledger,
            removals: Removals::default(),
            ended: [0; Cause::ALL.len()],
            is_dirty: false,
            outside,
            seq_before: ledger.seq,
            kept: number(5)?,
        })
    }

    /// Decides and carries out every job, in order.
    pub(crate) fn run(mut self, jobs: &[Job<'_>]) -> Result<Done, Trouble> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        while outcomes.len() < jobs.len() {
            let run = erasures::run_at(&jobs[outcomes.len()..]);
            if let Some(erased) = erasures::erase(&mut self, run)? {
                outcomes.extend(erased);
                continue;
            }
            for job in run {
                outcomes.push(match self.write(job) {
                    Ok(outcome) => Ok(outcome),
                    Err(Trouble::One(error)) => Err(error.on(&job.write.key)),
                    Err(trouble) => return Err(trouble),
                });
            }
        }
        if self.is_dirty {
            self.finish()?;
        }
        Ok(Done { outcomes, is_dirty: self.is_dirty })
    }

    fn write(&mut self, job: &Job<'_>) -> Result<Outcome, Trouble> {
        let before = self.ledger;
        if *self.expects_new && self.bodies_of(&job.write.key).is_none() {
            let put = self.put_new(job);
            if let Ok(Some(outcome)) = put {
                return Ok(outcome);
            }
            self.ledger = before;
            put?;
        }
        let found = self.find(job)?;
        *self.expects_new = found.is_none();
        self.carry_out(job, found).inspect_err(|_| self.ledger = before)
    }

    /// Puts what there is to put if nothing is there, and learns from the insertion itself whether that is so: then it
    /// need not be looked up first. `None` where something is there, or nothing is to be put; the ledger may have
    /// moved.
    fn put_new(&mut self, job: &Job<'_>) -> Result<Option<Outcome>, Trouble> {
        // An error has its reason found where what is there is known.
        let Ok(decision) = self.decide(job, None) else { return Ok(None) };
        let Effect::Put(record) = decision.effect else { return Ok(None) };
        // A group that is not known might have to be made, in vain.
        let Some(group) = self.known_group_of(&record.key, &record.head) else { return Ok(None) };
        if !self.table.put(None, &record, group, record.body.as_ref())? {
            return Ok(None);
        }
        self.count_put(None, &record, group);
        Ok(Some(decision.outcome))
    }

    fn decide(&mut self, job: &Job<'_>, current: Option<&Record>) -> Result<Decision, Trouble> {
        let mut context = Context {
            wall: job.batch.now,
            replica: self.setting.replica,
            body_limit: self.setting.body_limit,
            ledger: &mut self.ledger,
        };
        decide(current, job.write, &mut context).map_err(Trouble::One)
    }

    fn carry_out(&mut self, job: &Job<'_>, found: Option<Found>) -> Result<Outcome, Trouble> {
        let decision = self.decide(job, found.as_ref().map(|found| &found.record))?;
        match decision.effect {
            Effect::None => return Ok(decision.outcome),
            Effect::Put(record) => {
                let home = self.place(&record)?;
                self.put_row(found.as_ref(), &record, home)?;
            }
            Effect::Erase { cause, seq } => {
                if let Some(bodies) = self.bodies_of(&job.write.key) {
                    bodies.erase(&job.write.key, self.durability).map_err(Trouble::One)?;
                    self.outside.push(job.write.key.clone());
                }
                if let Some(found) = &found {
                    self.delete_row(found, seq, cause)?;
                }
            }
        }
        if let Some(cause) = decision.ended
            && !job.write.key.is_system()
        {
            self.ended[usize::from(cause.code())] += 1;
        }
        Ok(decision.outcome)
    }

    /// What the write meets, with its body where the decision needs it.
    fn find(&mut self, job: &Job<'_>) -> Result<Option<Found>, Trouble> {
        let write = job.write;
        let mut found = self.table.find(&write.key)?;
        let whole = found.as_ref().is_none_or(|found| needs_body(&found.record.head, write));
        if let Some(found) = found.as_mut().filter(|_| whole) {
            found.record.body = rows::load_body(self.connection, found.id, &write.key)?;
        }
        if self.bodies_of(&write.key).is_none() {
            return Ok(found);
        }
        let want = if whole { Want::Whole } else { Want::Head };
        let met = self.reconcile(&write.key, found, want, job.batch.now)?;
        match met {
            Some(found) if want == Want::Head && needs_body(&found.record.head, write) => {
                self.reconcile(&write.key, Some(found), Want::Whole, job.batch.now)
            }
            met => Ok(met),
        }
    }

    /// Where the body of `key` lives, if not in its row.
    pub(crate) fn bodies_of(&self, key: &Key) -> Option<Arc<dyn Bodies>> {
        self.setting.bodies.as_ref().filter(|_| !key.is_system()).map(Arc::clone)
    }

    fn place(&mut self, record: &Record) -> Result<Home, Trouble> {
        let Some(bodies) = self.bodies_of(&record.key) else { return Ok(Home::Row) };
        let home = bodies.put(record, self.durability).map_err(Trouble::One)?;
        self.outside.push(record.key.clone());
        Ok(home)
    }

    fn put_row(&mut self, old: Option<&Found>, record: &Record, home: Home) -> Result<(), Trouble> {
        let group = self.group_of(&record.key, &record.head)?;
        let body: Option<&Body> = record.body.as_ref().filter(|_| home == Home::Row);
        if !self.table.put(old, record, group, body)? {
            let message = "the index of keys differs from the entries: run `memlife verify --repair`";
            return Err(Trouble::Outside(corrupt(message)));
        }
        self.count_put(old, record, group);
        Ok(())
    }

    fn count_put(&mut self, old: Option<&Found>, record: &Record, group: i64) {
        if let Some(old) = old {
            self.groups.subtract(old.group, Delta::of(&old.record.head));
        }
        self.groups.add(group, Delta::of(&record.head));
        self.is_dirty = true;
    }

    fn delete_row(&mut self, old: &Found, seq: u64, cause: Cause) -> Result<(), Trouble> {
        rows::delete(self.connection, old.id)?;
        self.groups.subtract(old.group, Delta::of(&old.record.head));
        self.record_removal(&old.record.key, seq, cause)?;
        self.is_dirty = true;
        Ok(())
    }

    pub(crate) fn record_removal(&mut self, key: &Key, seq: u64, cause: Cause) -> Result<(), Trouble> {
        if key.is_system() {
            return Ok(());
        }
        let run = self.removals.push(key, seq, self.ledger.clock.at, cause);
        Ok(removals::write(self.connection, run)?)
    }

    /// The usage group of an entry; 0 for what usage does not count.
    fn group_of(&mut self, key: &Key, head: &Head) -> Result<i64, Trouble> {
        if !is_counted(key, head) {
            return Ok(0);
        }
        Ok(self.groups.row_of(self.connection, &head.rule, key.namespace(), head.seq)?)
    }

    /// The same, where it is known without a look into the file.
    fn known_group_of(&mut self, key: &Key, head: &Head) -> Option<i64> {
        if is_counted(key, head) { self.groups.known(&head.rule, key.namespace()) } else { Some(0) }
    }

    /// Asks outside for the truth about `key` and corrects the row where it says something else.
    fn reconcile(
        &mut self,
        key: &Key,
        found: Option<Found>,
        want: Want,
        wall: Timestamp,
    ) -> Result<Option<Found>, Trouble> {
        let Some(bodies) = self.bodies_of(key) else { return Ok(found) };
        let (old, row) = match found {
            Some(Found { id, group, record }) => {
                let old = Found { id, group, record: record.without_body() };
                (Some(old), Some(record))
            }
            None => (None, None),
        };
        let there = bodies.meet(key, row, want).map_err(Trouble::One)?;
        match (old, there) {
            (None, None) => Ok(None),
            (Some(old), None) => {
                self.ledger.seq += 1;
                self.ledger.clock.observe(wall);
                self.delete_row(&old, self.ledger.seq, Cause::Purged)?;
                Ok(None)
            }
            (Some(old), Some(record)) if old.record.head == record.head => Ok(Some(Found { record, ..old })),
            (old, Some(record)) => self.adopt(old, record, want, wall),
        }
    }

    /// Makes the row say what the record outside says, and gives the record numbers where it needs them.
    fn adopt(
        &mut self,
        old: Option<Found>,
        mut record: Record,
        want: Want,
        wall: Timestamp,
    ) -> Result<Option<Found>, Trouble> {
        let mut home = Home::Outside;
        if record.head.seq == 0 {
            let numbers = old.as_ref().map_or((0, 0), |old| (old.record.head.seq, old.record.head.version));
            (record.head.seq, record.head.version) = numbers;
            if let Some(old) = old.as_ref().filter(|old| old.record.head == record.head) {
                return Ok(Some(Found { record, id: old.id, group: old.group }));
            }
            self.ledger.seq += 1;
            (record.head.seq, record.head.version) = (self.ledger.seq, self.ledger.seq);
        } else if record.head.seq > self.ledger.seq {
            self.ledger.seq = record.head.seq;
        } else {
            // Its number may have been given to another change since: a commit failed after it was put.
            self.ledger.seq += 1;
            record.head.seq = self.ledger.seq;
            home = self.put_again(&mut record, want)?;
        }
        // A stamp from the far future is the record's own affair and not the clock's.
        let _ = self.ledger.clock.receive(record.head.stamp.time, wall, MAX_DRIFT_MS);
        self.put_row(old.as_ref(), &record, home)?;
        let key = record.key.clone();
        let row = self.table.find(&key)?;
        Ok(row.map(|found| Found { record, ..found }))
    }

    fn put_again(&mut self, record: &mut Record, want: Want) -> Result<Home, Trouble> {
        if want == Want::Head
            && let Some(bodies) = self.bodies_of(&record.key)
        {
            let whole = bodies.meet(&record.key, None, Want::Whole).map_err(Trouble::One)?;
            record.body = whole.and_then(|whole| whole.body);
        }
        self.place(record)
    }

    /// Writes what the transaction gathered: all but the commit.
    pub(crate) fn finish(&mut self) -> Result<(), Trouble> {
        removals::write(self.connection, self.removals.finish())?;
        let kept = self.kept + self.removals.added().cast_signed();
        let seqs = (self.seq_before, self.ledger.seq);
        let (pruned, floor) = prune(self.connection, seqs, self.ledger.clock.at, kept)?;
        let sum = self.groups.flush(self.connection)?;
        self.write_ledger(sum, kept - pruned, floor)?;
        if let Some(bodies) = &self.setting.bodies {
            bodies.committing(self.ledger.clock.at);
        }
        if let Some(bodies) = self.setting.bodies.as_ref().filter(|_| !self.outside.is_empty()) {
            bodies.settle(self.durability).map_err(Trouble::Outside)?;
        }
        Ok(())
    }

    fn write_ledger(&self, sum: Delta, kept: i64, floor: i64) -> rusqlite::Result<()> {
        let columns = ledger::Columns::of(self.ledger);
        let mut update = self.connection.prepare_cached(
            "UPDATE ledger SET seq = ?1, clock = ?2, group_changes = ?3, kept = ?4, entries = entries + ?5,
             stored = stored + ?6, raw = raw + ?7, compressed = compressed + ?8, grace_ms = ?9, mark = ?10,
             pending = ?11 WHERE id = 0",
        )?;
        let changes = self.groups.changes();
        update.execute((
            columns.seq,
            columns.clock,
            changes,
            kept,
            sum.entries,
            sum.stored,
            sum.raw,
            sum.compressed,
            columns.grace_ms,
            columns.mark(),
            self.groups.pending(),
        ))?;
        if self.ended != [0; Cause::ALL.len()] {
            let mut count = self.connection.prepare_cached(
                "UPDATE ledger SET expired = expired + ?1, deleted = deleted + ?2, evicted = evicted + ?3,
                 purged = purged + ?4 WHERE id = 0",
            )?;
            count.execute(self.ended)?;
        }
        if floor > 0 {
            let mut raise = self.connection.prepare_cached("UPDATE ledger SET floor = ?1 WHERE id = 0")?;
            raise.execute([floor])?;
        }
        Ok(())
    }
}

/// Whether usage counts an entry.
fn is_counted(key: &Key, head: &Head) -> bool {
    head.alive && !key.is_system()
}

/// The clock in one column: 48 bits of milliseconds and 16 of counter.
pub(crate) fn pack_clock(clock: Hlc) -> i64 {
    (clock.at.ms() << 16 | u64::from(clock.counter)).cast_signed()
}

/// Reads what [`pack_clock`] wrote.
pub(crate) fn unpack_clock(packed: i64) -> Hlc {
    let packed = packed.cast_unsigned();
    Hlc { at: Timestamp::from_ms(packed >> 16), counter: (packed & 0xffff) as u16 }
}
