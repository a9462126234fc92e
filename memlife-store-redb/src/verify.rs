use crate::database::contained;
use crate::error::Trouble;
use crate::removals::decode as decode_run;
use crate::rows;
use crate::schema::{CHANGES, DUE, ENTRY, OWN, REMOVED, State, USAGE};
use crate::transaction::state;
use crate::usage::decode;
use memlife_core::record::{Body, Head, Record};
use memlife_core::store::{Finding, Group, Limits, RemovalRun, Tally, Verification, Want};
use memlife_core::{Hlc, Key, Result};
use memlife_store_local::error::corrupt;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use std::collections::BTreeMap;

/// Everything that was found in one snapshot.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) verification: Verification,
    /// Whether every record was met, readable or not.
    pub(crate) is_complete: bool,
    /// Whether redb panicked or failed on damage, and its handle is of no more use.
    pub(crate) is_over: bool,
    pub(crate) counted: Counted,
}

/// What the records add up to.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) groups: BTreeMap<String, Tally>,
    pub(crate) total: Tally,
    pub(crate) last_seq: u64,
    pub(crate) last_time: Hlc,
    due: u64,
    changes: u64,
}

impl Counted {
    pub(crate) fn count(&mut self, key: &Key, head: &Head) {
        self.last_seq = self.last_seq.max(head.seq);
        self.last_time = self.last_time.max(head.stamp.time);
        self.due += u64::from(head.reclaim_at().is_some());
        self.changes += u64::from(!key.is_system());
        if let Some(tag) = Group::tag_of_entry(key, head) {
            self.groups.entry(tag).or_default().add(Tally::of(head));
            self.total.add(Tally::of(head));
        }
    }
}

/// Checks every record, and that each index has what the records say and nothing else.
pub(crate) fn look(transaction: &ReadTransaction) -> Report {
    let mut report = Report::default();
    report.step("entry", |report| entries(transaction, report).map(|()| report.is_complete = true));
    report.step("memlife", |report| ledger(transaction, report));
    report.step("removed", |report| removals(transaction, report));
    // Compared with records that were not met, they would only be said to be wrong.
    if report.is_complete {
        report.step("due", |report| due(transaction, report));
        report.step("changes", |report| changes(transaction, report));
        report.step("usage", |report| usage(transaction, report));
    }
    report
}

impl Report {
    pub(crate) fn add(&mut self, key: Option<Key>, place: &str, problem: impl Into<String>) {
        let (place, problem) = (place.to_owned(), problem.into());
        self.verification.add(Finding { key, place, problem, repaired: false });
    }

    /// Checks one table; what ends the check is a finding, too.
    fn step(&mut self, place: &str, check: impl FnOnce(&mut Self) -> Result<(), Trouble>) {
        let error = match contained(|| check(self)) {
            Ok(Ok(())) => return,
            Ok(Err(trouble)) => trouble.into_error(),
            Err(panicked) => {
                self.is_over = true;
                panicked
            }
        };
        self.add(None, place, format!("the rest cannot be read: {error:?}"));
    }
}

fn entries(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    let table = transaction.open_table(ENTRY)?;
    let due = transaction.open_table(DUE)?;
    let changes = transaction.open_table(CHANGES)?;
    walk(&table, |bytes, row| {
        report.verification.checked += 1;
        let key = match rows::key(bytes) {
            Ok(key) => key,
            Err(error) => {
                report.add(None, "entry", error.to_string());
                return Ok(());
            }
        };
        let Record { head, .. } = match sound(key.clone(), row) {
            Ok(record) => record,
            Err(problem) => {
                report.add(Some(key), "entry", problem);
                return Ok(());
            }
        };
        report.counted.count(&key, &head);
        // The pages above the records may lead past one that is there.
        if table.get(bytes)?.is_none_or(|found| found.value() != row) {
            report.add(Some(key.clone()), "entry", "it is there and its key does not lead to it");
        }
        if let Some((place, expected)) = rows::due_row(&key, &head)
            && due.get(&place)?.is_none_or(|found| found.value() != expected)
        {
            report.add(Some(key.clone()), "due", "the due index does not have it");
        }
        if !key.is_system() && changes.get(head.seq)?.is_none_or(|found| found.value() != bytes) {
            report.add(Some(key), "changes", "the change index does not have it");
        }
        Ok(())
    })
}

/// Hands out every row in order.
pub(crate) fn walk(
    table: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut last: Option<Vec<u8>> = None;
    for row in table.iter()? {
        let (key, row) = row?;
        // Damaged pages may lead back to one another, and a walk over them would never end.
        if last.as_deref().is_some_and(|last| key.value() <= last) {
            return Err(Trouble::One(corrupt("the keys are not in order")));
        }
        visit(key.value(), row.value())?;
        last = Some(key.value().to_vec());
    }
    Ok(())
}

/// The record of a row, if every byte of it is sound.
pub(crate) fn sound(key: Key, row: &[u8]) -> Result<Record, String> {
    let record = rows::record(key, row, Want::Whole).map_err(|error| error.to_string())?;
    match &record.body {
        None if record.head.alive => return Err("an entry has metadata and no value".to_owned()),
        Some(body) => check_body(&record.head, body)?,
        None => {}
    }
    Ok(record)
}

fn check_body(head: &Head, body: &Body) -> Result<(), String> {
    body.open(Limits::default().body_bytes).map_err(|error| error.to_string())?;
    let mut measured = head.clone();
    measured.measure(Some(body));
    if measured == *head { Ok(()) } else { Err("the value is not the one the metadata is of".to_owned()) }
}

fn ledger(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    let State { ledger, totals, .. } = state(&transaction.open_table(OWN)?)?;
    if !report.is_complete {
        return Ok(());
    }
    if totals.tally != report.counted.total {
        report.add(None, "memlife", "the totals are not what is there");
    }
    if ledger.seq < report.counted.last_seq {
        report.add(None, "memlife", "entries have higher change numbers than were given out");
    }
    Ok(())
}

fn removals(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    // A state that cannot be read is a finding of its own; there is only no count to compare with.
    let kept = state(&transaction.open_table(OWN)?).map(|state| state.kept).ok();
    let mut count = 0;
    let mut last = None;
    for row in transaction.open_table(REMOVED)?.iter()? {
        let (seq, row) = row?;
        if last.is_some_and(|last| seq.value() <= last) {
            return Err(Trouble::One(corrupt("the removals are not in order")));
        }
        last = Some(seq.value());
        let run = decode_run(seq.value(), row.value()).ok_or_else(RemovalRun::damaged);
        match run.and_then(|run| run.removals(0).map(|_| run.count)) {
            Ok(more) => count += more,
            Err(error) => report.add(None, "removed", error.to_string()),
        }
    }
    if kept.is_some_and(|kept| kept != count) {
        report.add(None, "removed", "there are not as many removals as are counted");
    }
    Ok(())
}

fn due(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    let expected = report.counted.due;
    let mut count = 0;
    for row in transaction.open_table(DUE)?.iter()? {
        row?;
        count += 1;
        if count > expected {
            break;
        }
    }
    if count != expected {
        report.add(None, "due", "the due index has other rows than the entries have");
    }
    Ok(())
}

fn changes(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    let expected = report.counted.changes;
    let mut count = 0;
    for row in transaction.open_table(CHANGES)?.iter()? {
        row?;
        count += 1;
        if count > expected {
            break;
        }
    }
    if count != expected {
        report.add(None, "changes", "the change index has other rows than the entries have");
    }
    Ok(())
}

fn usage(transaction: &ReadTransaction, report: &mut Report) -> Result<(), Trouble> {
    let table = transaction.open_table(USAGE)?;
    // What is counted stays where it is: should redb panic here, a repair still has it.
    let groups = &report.counted.groups;
    let mut wrong = Vec::new();
    for (tag, tally) in groups {
        if table.get(tag.as_bytes())?.and_then(|row| decode(row.value())) != Some(*tally) {
            wrong.push(format!("the usage of {tag:?} is not what is there"));
        }
    }
    let mut count = 0;
    walk(&table, |_, _| {
        count += 1;
        Ok(())
    })?;
    if count > groups.len() {
        wrong.push("usage is counted where nothing is".to_owned());
    }
    wrong.into_iter().for_each(|problem| report.add(None, "usage", problem));
    Ok(())
}
