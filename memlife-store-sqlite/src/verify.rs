use crate::bodies::Bodies;
use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use crate::error::from_sqlite;
use crate::readers::snapshot;
use crate::removals::read;
use crate::repair;
use crate::rows;
use crate::usage::{self, Delta};
use crate::{ledger, pending};
use memlife_core::record::{Body, Head, Record};
use memlife_core::store::{Finding, Group, Limits, RemovalRun, Repair, Verification, Want};
use memlife_core::{Hlc, Key, Result};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most problems that SQLite's own check reports.
const MAX_INTEGRITY_PROBLEMS: usize = 100;

/// What is wrong when the ledger's mark is not its own.
pub(crate) const LEDGER_DAMAGED: &str = "the last change number or the clock is not what was written";

/// Keys whose row says something else than the record outside, and what.
pub(crate) type Stale = Vec<(Key, String)>;

/// A check of everything in the file.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) config: SqliteConfig,
    pub(crate) bodies: Option<Arc<dyn Bodies>>,
    role: Role,
    repair: Repair,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) verification: Verification,
    pub(crate) stale: Stale,
}

/// One row, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: i64,
    pub(crate) key: Option<Key>,
    pub(crate) head: Option<Head>,
    pub(crate) problem: Option<Problem>,
}

/// What is wrong with a row.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The record cannot be read.
    Damaged(String),
    /// The record is sound and its columns are not.
    Columns(String),
    /// The record outside is another one.
    Stale(String),
}

impl Check {
    pub(crate) fn new(
        config: &SqliteConfig,
        role: Role,
        bodies: Option<Arc<dyn Bodies>>,
        repair: Repair,
    ) -> Self {
        let role = if repair == Repair::Yes { Role::Write } else { role };
        Check { config: config.clone(), bodies, role, repair }
    }

    /// Checks, and mends where asked to. What is stale is for the caller to reindex.
    pub(crate) fn run(&self) -> Result<(Verification, Stale)> {
        let connection = connection::open_configured(&self.config, self.role)?;
        let mut report = Report::default();
        match self.repair {
            Repair::No => snapshot(&connection, || self.look(&connection, &mut report))?,
            Repair::Yes => repair::mend(self, &connection, &mut report)?,
        }
        Ok((report.verification, report.stale))
    }

    fn look(&self, connection: &Connection, report: &mut Report) -> Result<()> {
        for problem in integrity(connection).map_err(from_sqlite)? {
            report.add(None, "file", problem, false);
        }
        for problem in removals(connection).map_err(from_sqlite)? {
            report.add(None, "removed", problem.1, false);
        }
        let mut usage = Usage::default();
        let walked = self.walk(connection, -1, usize::MAX, |seen| {
            usage.count(&seen);
            report.see(seen, false);
        });
        if let Err(error) = walked {
            report.add(None, "entry", format!("the rest of the table cannot be read: {error}"), false);
            return Ok(());
        }
        if ledger::read(connection).map_err(from_sqlite)?.is_none() {
            report.add(None, "ledger", LEDGER_DAMAGED.to_owned(), false);
        }
        for problem in usage.differences(connection).map_err(from_sqlite)? {
            report.add(None, "ledger", problem, false);
        }
        Ok(())
    }

    /// Hands out up to `limit` rows behind `after`, and gives the last one's id.
    pub(crate) fn walk(
        &self,
        connection: &Connection,
        after: i64,
        limit: usize,
        mut visit: impl FnMut(Seen),
    ) -> rusqlite::Result<Option<i64>> {
        let mut select = connection.prepare_cached(
            "SELECT entry.id, key, entry.seq, class, reclaim_at, sizes, head, body, grp, tag
             FROM entry LEFT JOIN ledger ON ledger.id = grp WHERE entry.id > ?1 ORDER BY entry.id LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = select.query((after, limit))?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let seen = self.examine(row)?;
            // Damaged pages may lead back to one another, and a walk over them would never end.
            if last.is_some_and(|last| seen.id <= last) {
                let loops = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                return Err(rusqlite::Error::SqliteFailure(loops, Some("its pages form a loop".to_owned())));
            }
            last = Some(seen.id);
            visit(seen);
        }
        Ok(last)
    }

    fn examine(&self, row: &Row<'_>) -> rusqlite::Result<Seen> {
        let mut seen = Seen { id: row.get(0)?, key: None, head: None, problem: None };
        match rows::key(row, 1) {
            Ok(key) => seen.key = Some(key),
            Err(error) => seen.problem = Some(Problem::Damaged(error.to_string())),
        }
        let Some(key) = seen.key.clone() else { return Ok(seen) };
        match self.record(row, key) {
            Ok(record) => {
                let problem = columns(row, &record).map(Problem::Columns);
                seen.problem = problem.or_else(|| self.compare(&record).map(Problem::Stale));
                seen.head = Some(record.head);
            }
            Err(problem) => seen.problem = Some(Problem::Damaged(problem)),
        }
        Ok(seen)
    }

    /// The record of the row, if every byte of it is sound.
    fn record(&self, row: &Row<'_>, key: Key) -> Result<Record, String> {
        let head = rows::head(row, 6, &key).map_err(|error| error.to_string())?;
        let body = rows::body(row, 7, &key).map_err(|error| error.to_string())?;
        let is_outside = self.bodies.is_some() && !key.is_system();
        match &body {
            None if head.alive && !is_outside => return Err("an entry has metadata and no value".to_owned()),
            Some(body) => check_body(&head, body)?,
            None => {}
        }
        Ok(Record { key, head, body })
    }

    /// What the record outside says differently.
    fn compare(&self, row: &Record) -> Option<String> {
        let bodies = self.bodies.as_ref().filter(|_| !row.key.is_system())?;
        match bodies.load(&row.key, Some(row.clone()), Want::Whole) {
            Ok(Some(record)) if record.head == row.head => None,
            Ok(Some(_)) => Some("the index is behind the entry".to_owned()),
            Ok(None) => Some("the index has an entry that is not there".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Report {
    pub(crate) fn add(&mut self, key: Option<Key>, place: &str, problem: String, repaired: bool) {
        self.verification.add(Finding { key, place: place.to_owned(), problem, repaired });
    }

    pub(crate) fn see(&mut self, seen: Seen, repaired: bool) {
        self.verification.checked += 1;
        match (seen.problem, seen.key) {
            (Some(Problem::Stale(problem)), Some(key)) => self.stale.push((key, problem)),
            (Some(Problem::Damaged(problem) | Problem::Columns(problem) | Problem::Stale(problem)), key) => {
                self.add(key, "entry", problem, repaired);
            }
            (None, _) => {}
        }
    }
}

fn check_body(head: &Head, body: &Body) -> Result<(), String> {
    body.open(Limits::default().body_bytes).map_err(|error| error.to_string())?;
    let mut measured = head.clone();
    measured.measure(Some(body));
    if measured == *head { Ok(()) } else { Err("the value is not the one the metadata is of".to_owned()) }
}

/// What the columns of a row `id, key, seq, class, reclaim_at, sizes, head, body, grp, tag` say wrongly.
fn columns(row: &Row<'_>, record: &Record) -> Option<String> {
    let head = &record.head;
    let number = |at| row.get::<_, Option<i64>>(at).ok().flatten();
    let tag: Option<String> = row.get(9).ok().flatten();
    let is_group_right = match Group::tag_of_entry(&record.key, head) {
        Some(expected) => tag.as_ref() == Some(&expected),
        None => number(8) == Some(0),
    };
    let checks = [
        ("seq", number(2) == Some(head.seq.cast_signed())),
        ("class", number(3) == Some(i64::from(head.class.code()))),
        ("reclaim_at", number(4) == head.reclaim_at().map(rows::stored_instant)),
        ("sizes", number(5) == Some(Delta::of(head).pack())),
        ("grp", is_group_right),
    ];
    let wrong: Vec<&str> = checks.iter().filter(|(_, is_right)| !is_right).map(|(name, _)| *name).collect();
    (!wrong.is_empty()).then(|| format!("columns differ from the metadata: {}", wrong.join(", ")))
}

/// SQLite's own check: pages, cells, and that each index has each row.
pub(crate) fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MAX_INTEGRITY_PROBLEMS})"))?;
    let problems = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(problems.into_iter().filter(|problem| problem != "ok").collect())
}

/// Rows of removals that cannot be read, by number.
pub(crate) fn removals(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut select = connection.prepare("SELECT seq, at, cause, count, keys FROM removed ORDER BY seq")?;
    let mut rows = select.query([])?;
    let mut problems = Vec::new();
    while let Some(row) = rows.next()? {
        let run = read(row)?.ok_or_else(RemovalRun::damaged);
        if let Err(error) = run.and_then(|run| run.removals(0)) {
            problems.push((row.get(0)?, error.to_string()));
        }
    }
    Ok(problems)
}

/// Usage counted anew.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) groups: BTreeMap<String, Delta>,
    pub(crate) total: Delta,
    pub(crate) last_seq: i64,
    pub(crate) last_time: Hlc,
}

impl Usage {
    pub(crate) fn count(&mut self, seen: &Seen) {
        let (Some(key), Some(head)) = (&seen.key, &seen.head) else { return };
        self.last_seq = self.last_seq.max(head.seq.cast_signed());
        self.last_time = self.last_time.max(head.stamp.time);
        if let Some(tag) = Group::tag_of_entry(key, head) {
            let delta = Delta::of(head);
            self.groups.entry(tag).or_default().add(delta);
            self.total.add(delta);
        }
    }

    /// What the ledger says differently.
    pub(crate) fn differences(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let mut problems = Vec::new();
        let pending = pending::read(connection)?;
        let mut select = connection
            .prepare("SELECT id, tag, entries, stored, raw, compressed, seq FROM ledger ORDER BY id")?;
        let mut rows = select.query([])?;
        let mut missing: BTreeSet<&String> = self.groups.keys().collect();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let mut kept = usage::columns(row, 2)?;
            if id == 0 {
                if kept != self.total {
                    problems.push("the totals are not what is there".to_owned());
                }
                if row.get::<_, i64>(6)? < self.last_seq {
                    problems.push("entries have higher change numbers than were given out".to_owned());
                }
                continue;
            }
            let tag: String = row.get(1)?;
            missing.remove(&tag);
            kept.add(pending.get(&id).copied().unwrap_or_default());
            if self.groups.get(&tag).copied().unwrap_or_default() != kept {
                problems.push(format!("the usage of {tag:?} is not what is there"));
            }
        }
        problems.extend(missing.into_iter().map(|tag| format!("the usage of {tag:?} is missing")));
        Ok(problems)
    }
}
