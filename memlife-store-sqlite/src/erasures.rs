use crate::recent::RecentEntry;
use crate::rows::{self, Trouble};
use crate::transaction::Transaction;
use crate::usage::Delta;
use memlife_core::record::{Head, ReclaimClass, Record};
use memlife_core::store::{Cause, Change, Guard, Locator, Outcome, Reply, Want};
use memlife_core::{Key, Result, Timestamp};
use memlife_store_local::Job;
use memlife_store_local::error::corrupt;
use rusqlite::Connection;
use std::thread::{self, available_parallelism};

/// The shortest run that is worth being erased as a set.
const MIN_RUN: usize = 8;

/// The writes at the front of `jobs` that a sweep sends: guarded erasures of one batch for one cause. At least
/// the first job.
pub(crate) fn run_at<'j, 'b>(jobs: &'j [Job<'b>]) -> &'j [Job<'b>] {
    let Some((first, cause)) = jobs.first().and_then(|first| Some((first, located(first)?.1))) else {
        return jobs.get(..1).unwrap_or_default();
    };
    let alike = |job: &&Job<'_>| {
        std::ptr::eq(job.batch, first.batch) && located(job).is_some_and(|(_, other)| other == cause)
    };
    &jobs[..jobs.iter().take_while(alike).count()]
}

fn located(job: &Job<'_>) -> Option<(Locator, Cause)> {
    match (&job.write.guard, &job.write.change) {
        (Guard::Due(locator), Change::Erase(cause))
            if locator.0 != 0 && job.write.reply == Reply::Outcome && !job.write.key.is_system() =>
        {
            Some((*locator, *cause))
        }
        _ => None,
    }
}

/// The shortest run whose check is shared between threads.
const MIN_SHARED: usize = 256;
const MAX_THREADS: usize = 4;

/// One entry of a run.
struct Doomed<'j> {
    key: &'j Key,
    id: i64,
    group: i64,
    head: Head,
}

/// Erases a run as a set. `None` when it is too short, or when any of its entries is not exactly what the sweep
/// saw: each write is then decided for itself.
pub(crate) fn erase(
    transaction: &mut Transaction<'_>,
    run: &[Job<'_>],
) -> Result<Option<Vec<Result<Outcome>>>, Trouble> {
    let Some(cause) = run.first().filter(|_| run.len() >= MIN_RUN).and_then(located).map(|(_, cause)| cause)
    else {
        return Ok(None);
    };
    if let Some(outcomes) = erase_unchanged(transaction, run, cause)? {
        return Ok(Some(outcomes));
    }
    let Some(doomed) = look_up(transaction, run)? else { return Ok(None) };
    let mut outcomes = Vec::with_capacity(run.len());
    transaction.ledger.clock.observe(run[0].batch.now);
    let connection = transaction.connection;
    let mut delete = connection.prepare_cached("DELETE FROM entry WHERE id = ?1")?;
    for entry in doomed {
        if let Some(bodies) = transaction.bodies_of(entry.key) {
            if let Err(error) = bodies.erase(entry.key, transaction.durability) {
                outcomes.push(Err(error.on(entry.key)));
                continue;
            }
            transaction.outside.push(entry.key.clone());
        }
        delete.execute([entry.id])?;
        transaction.ledger.seq += 1;
        transaction.groups.subtract(entry.group, Delta::of(&entry.head));
        transaction.record_removal(entry.key, transaction.ledger.seq, cause)?;
        if entry.head.alive {
            transaction.ended[usize::from(cause.code())] += 1;
        }
        transaction.is_dirty = true;
        outcomes.push(Ok(Outcome::erased(None)));
    }
    Ok(Some(outcomes))
}

/// Erases a run by one statement: what stands in the due index from its first to its last entry.
///
/// `None` unless nothing was committed since the page of these entries was read: then the index holds just them.
fn erase_unchanged(
    transaction: &mut Transaction<'_>,
    run: &[Job<'_>],
    cause: Cause,
) -> Result<Option<Vec<Result<Outcome>>>, Trouble> {
    let is_first = !transaction.is_dirty && transaction.setting.bodies.is_none();
    let Some(page) = transaction.setting.recent.take(transaction.ledger.seq).filter(|_| is_first) else {
        return Ok(None);
    };
    let wanted =
        run.iter().map(|job| (&job.write.key, located(job).map_or_else(Locator::default, |found| found.0)));
    let Some(part @ [first, .., last]) = page.part(wanted) else { return Ok(None) };
    let now = run[0].batch.now.max(transaction.ledger.clock.at);
    let is_due = Timestamp::from_ms(last.reclaim_at.max(0).cast_unsigned())
        .plus_ms(transaction.ledger.grace_ms)
        <= now;
    if !is_due {
        return Ok(None);
    }
    transaction.ledger.clock.observe(run[0].batch.now);
    transaction.is_dirty = true;
    if delete_part(transaction.connection, page.class, first, last)? != part.len() {
        let message = "the index of due entries differs from the entries: run `memlife verify --repair`";
        return Err(Trouble::Outside(corrupt(message)));
    }
    let is_living = page.class != ReclaimClass::Tombstone;
    for of_group in part.chunk_by(|one, next| one.group == next.group) {
        let mut sum = Delta::default();
        of_group.iter().for_each(|entry| sum.add(entry.delta));
        transaction.groups.subtract(of_group[0].group, sum);
    }
    for entry in part {
        transaction.ledger.seq += 1;
        transaction.record_removal(&entry.key, transaction.ledger.seq, cause)?;
    }
    if is_living {
        transaction.ended[usize::from(cause.code())] += part.len() as i64;
    }
    Ok(Some(part.iter().map(|_| Ok(Outcome::erased(None))).collect()))
}

/// Removes what stands in the due index from `first` to `last`; returns how many rows went.
///
/// Its ends apart: the index finds a row number within one instant, and not within a range of them.
fn delete_part(
    connection: &Connection,
    class: ReclaimClass,
    first: &RecentEntry,
    last: &RecentEntry,
) -> rusqlite::Result<usize> {
    let class = class.code();
    let ids = (first.locator.0.cast_signed(), last.locator.0.cast_signed());
    let mut of_instant = connection
        .prepare_cached("DELETE FROM entry WHERE class = ?1 AND reclaim_at = ?2 AND id BETWEEN ?3 AND ?4")?;
    if first.reclaim_at == last.reclaim_at {
        return of_instant.execute((class, first.reclaim_at, ids.0, ids.1));
    }
    let front = of_instant.execute((class, first.reclaim_at, ids.0, i64::MAX))?;
    let mut between = connection
        .prepare_cached("DELETE FROM entry WHERE class = ?1 AND reclaim_at > ?2 AND reclaim_at < ?3")?;
    let middle = between.execute((class, first.reclaim_at, last.reclaim_at))?;
    let back = of_instant.execute((class, last.reclaim_at, i64::MIN, ids.1))?;
    Ok(front + middle + back)
}

/// The rows of a run; `None` when one is not there, not of its key, not due or there twice.
fn look_up<'j>(
    transaction: &Transaction<'_>,
    run: &'j [Job<'_>],
) -> Result<Option<Vec<Doomed<'j>>>, Trouble> {
    let now = run[0].batch.now.max(transaction.ledger.clock.at);
    let mut select = rows::select_by_id(transaction.connection)?;
    let mut doomed = Vec::with_capacity(run.len());
    for job in run {
        let Some((locator, _)) = located(job) else { return Ok(None) };
        let id = locator.0.cast_signed();
        let key = &job.write.key;
        let mut found = select.query([id])?;
        let Ok(Some(row)) = found.next() else { return Ok(None) };
        if row.get_ref(0)?.as_str() != Ok(key.as_str()) {
            return Ok(None);
        }
        // By the head, which its checksum vouches for, as a decision by key would.
        let Ok(head) = rows::head(row, 2, key) else { return Ok(None) };
        let is_due = head.reclaim_at().is_some_and(|at| at.plus_ms(transaction.ledger.grace_ms) <= now);
        if !is_due {
            return Ok(None);
        }
        doomed.push(Doomed { key, id, group: row.get(1)?, head });
    }
    let mut ids: Vec<i64> = doomed.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    let is_distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
    let is_sound = is_distinct && are_true_outside(transaction, &doomed);
    Ok(is_sound.then_some(doomed))
}

/// Whether outside says of every entry what its row says.
fn are_true_outside(transaction: &Transaction<'_>, doomed: &[Doomed<'_>]) -> bool {
    let Some(bodies) = transaction.setting.bodies.as_deref() else { return true };
    let is_true = |entry: &Doomed<'_>| {
        let row = Record { key: entry.key.clone(), head: entry.head.clone(), body: None };
        matches!(bodies.load(entry.key, Some(row), Want::Head), Ok(Some(record)) if record.head == entry.head)
    };
    // Other writers wait meanwhile, so that what takes a system call or more each is done side by side.
    let threads = available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if doomed.len() < MIN_SHARED || threads == 1 {
        return doomed.iter().all(is_true);
    }
    thread::scope(|scope| {
        let parts = doomed.chunks(doomed.len().div_ceil(threads));
        let checks: Vec<_> = parts.map(|part| scope.spawn(|| part.iter().all(&is_true))).collect();
        // A check that panicked vouches for nothing.
        checks.into_iter().all(|check| check.join().unwrap_or(false))
    })
}
