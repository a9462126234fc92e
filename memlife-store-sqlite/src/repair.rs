use crate::connection::wait_for_others;
use crate::error::from_sqlite;
use crate::ledger;
use crate::rows::{self, Trouble};
use crate::transaction::{Memo, Setting, Transaction};
use crate::usage::Delta;
use crate::verify::{Check, LEDGER_DAMAGED, Problem, Report, Seen, Usage, integrity, removals};
use memlife_core::store::{Cause, Durability, Group, Limits};
use memlife_core::{GRACE_MS, Key, Ledger, ReplicaId, Result};
use rusqlite::Connection;
use std::sync::Arc;

/// Rows that are looked at in one transaction.
const PAGE_ROWS: usize = 1_000;

/// Rebuilds what is derived from the records, and sets aside those that cannot be read.
pub(crate) fn mend(check: &Check, connection: &Connection, report: &mut Report) -> Result<()> {
    mend_indexes(check, connection, report)?;
    in_transaction(check, connection, || mend_ledger(check, connection, report))?;
    mend_removals(check, connection, report)?;
    // Every group has its row before rows are assigned to groups.
    in_transaction(check, connection, || mend_usage(check, connection, report))?;
    let mut after = Some(-1);
    while let Some(id) = after {
        after = in_transaction(check, connection, || mend_page(check, connection, id, report))?;
    }
    in_transaction(check, connection, || mend_usage(check, connection, report))
}

fn in_transaction<T>(
    check: &Check,
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T> {
    let begin = || connection.execute_batch("BEGIN IMMEDIATE");
    wait_for_others(check.config.busy_timeout, begin).map_err(from_sqlite)?;
    let result = work().and_then(|value| Ok(connection.execute_batch("COMMIT").map(|()| value)?));
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(from_sqlite)?;
    }
    result.map_err(|trouble| match trouble {
        Trouble::One(error) | Trouble::Outside(error) => error,
        Trouble::All(error) => from_sqlite(error),
    })
}

fn mend_indexes(check: &Check, connection: &Connection, report: &mut Report) -> Result<()> {
    let problems = integrity(connection).map_err(from_sqlite)?;
    if problems.is_empty() {
        return Ok(());
    }
    // Where the pages themselves are damaged this fails, and the check after it says what is left.
    let rebuilt = in_transaction(check, connection, || Ok(connection.execute_batch("REINDEX")?));
    let left = integrity(connection).map_err(from_sqlite)?;
    for problem in problems {
        let is_repaired = rebuilt.is_ok() && !left.contains(&problem);
        report.add(None, "file", problem, is_repaired);
    }
    Ok(())
}

/// Sets change number and clock behind everything that was ever given out, as far as it is still there.
fn mend_ledger(check: &Check, connection: &Connection, report: &mut Report) -> Result<(), Trouble> {
    if ledger::read(connection)?.is_some() {
        return Ok(());
    }
    let mut usage = Usage::default();
    check.walk(connection, -1, usize::MAX, |seen| usage.count(&seen))?;
    let last: i64 = connection.query_row(
        "SELECT max((SELECT coalesce(max(id), 0) FROM entry), (SELECT coalesce(max(seq), 0) FROM removed),
                    (SELECT max(id) FROM ledger))",
        [],
        |row| row.get(0),
    )?;
    // What a lost record had been given is not known: numbers far beyond cannot have been.
    let seq = last.max(usage.last_seq).cast_unsigned();
    // The entry that was left with the grace still tells of it.
    let told = format!("{}grace", Key::system_prefix());
    let is_told: bool =
        connection
            .query_row("SELECT EXISTS(SELECT 1 FROM entry WHERE key = ?1)", [told], |row| row.get(0))?;
    let grace_ms = if is_told { GRACE_MS } else { 0 };
    let mut ledger = Ledger { seq, clock: usage.last_time, grace_ms };
    ledger.leap();
    ledger::write(connection, ledger)?;
    connection.execute("UPDATE ledger SET floor = ?1 WHERE id = 0", [ledger.seq.cast_signed()])?;
    report.add(None, "ledger", LEDGER_DAMAGED.to_owned(), true);
    Ok(())
}

fn mend_removals(check: &Check, connection: &Connection, report: &mut Report) -> Result<()> {
    let damaged = removals(connection).map_err(from_sqlite)?;
    in_transaction(check, connection, || {
        for (seq, problem) in damaged {
            connection.execute("DELETE FROM removed WHERE seq = ?1", [seq])?;
            // Consumers that have not read it start over.
            connection.execute("UPDATE ledger SET floor = max(floor, ?1) WHERE id = 0", [seq])?;
            report.add(None, "removed", problem, true);
        }
        connection.execute(
            "UPDATE ledger SET kept = (SELECT coalesce(sum(count), 0) FROM removed) WHERE id = 0",
            [],
        )?;
        Ok(())
    })
}

fn mend_page(
    check: &Check,
    connection: &Connection,
    after: i64,
    report: &mut Report,
) -> Result<Option<i64>, Trouble> {
    let mut page = Vec::new();
    let last = check.walk(connection, after, PAGE_ROWS, |seen| page.push(seen))?;
    // Nothing is decided or stamped here, so the replica does not matter.
    let setting = Setting {
        replica: ReplicaId(0),
        body_limit: Limits::default().body_bytes,
        bodies: None,
        recent: Arc::default(),
    };
    let (mut memo, mut outside) = (Memo::default(), Vec::new());
    let mut transaction =
        Transaction::begin(connection, &setting, &mut memo, &mut outside, Durability::Process)?;
    for seen in page {
        match &seen.problem {
            Some(Problem::Damaged(_)) => set_aside(&mut transaction, &seen)?,
            Some(Problem::Columns(_)) => mend_columns(&mut transaction, &seen)?,
            Some(Problem::Stale(_)) | None => {}
        }
        report.see(seen, true);
    }
    if transaction.is_dirty {
        transaction.finish()?;
    }
    Ok(last)
}

/// Moves a row that cannot be read where no reader meets it.
fn set_aside(transaction: &mut Transaction<'_>, seen: &Seen) -> Result<(), Trouble> {
    let connection = transaction.connection;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS lost_found(id INTEGER PRIMARY KEY, key, at INTEGER, head, body)",
    )?;
    let at = rows::stored_instant(transaction.ledger.clock.at);
    connection.execute(
        "INSERT OR REPLACE INTO lost_found(id, key, at, head, body)
         SELECT id, key, ?2, head, body FROM entry WHERE id = ?1",
        (seen.id, at),
    )?;
    rows::delete(connection, seen.id)?;
    transaction.is_dirty = true;
    transaction.ledger.seq += 1;
    match &seen.key {
        Some(key) => transaction.record_removal(key, transaction.ledger.seq, Cause::Purged),
        None => Ok(()),
    }
}

fn mend_columns(transaction: &mut Transaction<'_>, seen: &Seen) -> Result<(), Trouble> {
    let (Some(key), Some(head)) = (&seen.key, &seen.head) else { return Ok(()) };
    let connection = transaction.connection;
    transaction.ledger.seq = transaction.ledger.seq.max(head.seq) + 1;
    let group = match Group::tag_of_entry(key, head) {
        Some(_) => {
            let seq = transaction.ledger.seq;
            transaction.groups.row_of(connection, &head.rule, key.namespace(), seq)?
        }
        None => 0,
    };
    let mut update = connection.prepare_cached(
        "UPDATE entry SET seq = ?2, class = ?3, reclaim_at = ?4, sizes = ?5, grp = ?6 WHERE id = ?1",
    )?;
    let reclaim_at = head.reclaim_at().map(rows::stored_instant);
    let seq = head.seq.cast_signed();
    update.execute((seen.id, seq, head.class.code(), reclaim_at, Delta::of(head).pack(), group))?;
    transaction.is_dirty = true;
    Ok(())
}

/// Counts usage anew, under the write lock so that no commit comes between.
fn mend_usage(check: &Check, connection: &Connection, report: &mut Report) -> Result<(), Trouble> {
    let mut usage = Usage::default();
    check.walk(connection, -1, usize::MAX, |seen| usage.count(&seen))?;
    let problems = usage.differences(connection)?;
    if problems.is_empty() {
        return Ok(());
    }
    connection.execute_batch(
        "UPDATE ledger SET entries = 0, stored = 0, raw = 0, compressed = 0, pending = NULL",
    )?;
    let ledger = ledger::read(connection)?.unwrap_or_default();
    let mut seq = ledger.seq.cast_signed().max(usage.last_seq);
    for (tag, delta) in &usage.groups {
        seq += 1;
        connection
            .prepare_cached("INSERT INTO ledger(id, tag) VALUES(?1, ?2) ON CONFLICT(tag) DO NOTHING")?
            .execute((seq, tag))?;
        set_usage(connection, "tag = ?1", tag, *delta)?;
    }
    connection.execute_batch("DELETE FROM ledger WHERE id > 0 AND entries = 0")?;
    set_usage(connection, "id = ?1", &0, usage.total)?;
    ledger::write(connection, Ledger { seq: seq.cast_unsigned(), ..ledger })?;
    connection.execute("UPDATE ledger SET group_changes = group_changes + 1 WHERE id = 0", [])?;
    for problem in problems {
        report.add(None, "ledger", problem, true);
    }
    Ok(())
}

fn set_usage(
    connection: &Connection,
    whose: &str,
    name: &dyn rusqlite::ToSql,
    usage: Delta,
) -> rusqlite::Result<()> {
    let sql = format!("UPDATE ledger SET entries = ?2, stored = ?3, raw = ?4, compressed = ?5 WHERE {whose}");
    let mut update = connection.prepare_cached(&sql)?;
    update.execute(rusqlite::params![name, usage.entries, usage.stored, usage.raw, usage.compressed])?;
    Ok(())
}
