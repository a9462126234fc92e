use crate::error::corrupt;
use memlife_core::store::{Cause, Removal};
use memlife_core::{KEEP_MS, Key, Result, Timestamp};
use rusqlite::{Connection, Row};

/// Removals that are kept however old they are.
pub(crate) const MIN_KEPT: i64 = 100_000;
/// Old removals are looked for once per this many change numbers.
const PRUNE_EVERY: u64 = 4_096;
/// The most rows that one look removes.
const MAX_PRUNED_ROWS: usize = 16_384;
/// The most bytes of keys in one row.
const MAX_RUN_BYTES: usize = 64 << 10;

/// The removals of one transaction, gathered into rows.
///
/// A row holds removals of one cause and instant with change numbers that follow each other, under the last. Of
/// each key it holds how much it shares with the one before, how much it has beyond, and that.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    run: Option<Run>,
    added: i64,
}

#[derive(Debug)]
struct Run {
    last_seq: u64,
    at: Timestamp,
    cause: Cause,
    count: i64,
    keys: Vec<u8>,
    last_key: Key,
}

impl Removals {
    /// Records that `key` went at change `seq`.
    pub(crate) fn push(
        &mut self,
        connection: &Connection,
        key: &Key,
        seq: u64,
        at: Timestamp,
        cause: Cause,
    ) -> rusqlite::Result<()> {
        let continues = |run: &Run| {
            run.last_seq + 1 == seq && run.at == at && run.cause == cause && run.keys.len() < MAX_RUN_BYTES
        };
        if !self.run.as_ref().is_some_and(continues) {
            self.flush(connection)?;
        }
        let text = key.as_str().as_bytes();
        let run = match &mut self.run {
            Some(run) => run,
            none => none.insert(Run {
                last_seq: seq,
                at,
                cause,
                count: 0,
                keys: Vec::new(),
                last_key: key.clone(),
            }),
        };
        let shared = if run.count == 0 { 0 } else { shared_prefix(run.last_key.as_str().as_bytes(), text) };
        run.last_seq = seq;
        run.count += 1;
        run.last_key = key.clone();
        // A key has at most 1,024 bytes and a system key a few more.
        run.keys.extend_from_slice(&(shared as u16).to_le_bytes());
        run.keys.extend_from_slice(&((text.len() - shared) as u16).to_le_bytes());
        run.keys.extend_from_slice(&text[shared..]);
        Ok(())
    }

    /// Writes what is gathered.
    pub(crate) fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        self.added += run.count;
        let mut insert = connection
            .prepare_cached("INSERT INTO removed(seq, at, cause, count, keys) VALUES(?1, ?2, ?3, ?4, ?5)")?;
        let at = run.at.ms().cast_signed();
        insert.execute((run.last_seq.cast_signed(), at, run.cause.code(), run.count, run.keys))?;
        Ok(())
    }

    /// Removals written in this transaction.
    pub(crate) fn added(&self) -> i64 {
        self.added
    }
}

/// What pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Removals that are no longer kept.
    pub(crate) count: i64,
    /// The last change number among them; 0 for none.
    pub(crate) floor: i64,
}

/// Drops removals that are both old and more than are kept anyway.
///
/// It runs when a transaction leads the change number over a multiple of [`PRUNE_EVERY`], so that its cost is
/// spread evenly however short each process lives.
pub(crate) fn prune(
    connection: &Connection,
    seqs: (u64, u64),
    now: Timestamp,
    kept: i64,
) -> rusqlite::Result<Pruned> {
    let mut pruned = Pruned::default();
    if seqs.0 / PRUNE_EVERY == seqs.1 / PRUNE_EVERY || kept <= MIN_KEPT {
        return Ok(pruned);
    }
    let before = now.ms().saturating_sub(KEEP_MS).cast_signed();
    let mut oldest = connection.prepare_cached("SELECT seq, at, count FROM removed ORDER BY seq")?;
    let mut rows = oldest.query([])?;
    for _ in 0..MAX_PRUNED_ROWS {
        let Some(row) = rows.next()? else { break };
        let (seq, at, count): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if at >= before || kept - pruned.count - count < MIN_KEPT {
            break;
        }
        pruned = Pruned { count: pruned.count + count, floor: seq };
    }
    drop(rows);
    if pruned.count > 0 {
        connection.prepare_cached("DELETE FROM removed WHERE seq <= ?1")?.execute([pruned.floor])?;
    }
    Ok(pruned)
}

/// One row of `removed`, as stored.
#[derive(Debug)]
pub(crate) struct StoredRun {
    last_seq: u64,
    at: Timestamp,
    cause: u8,
    count: u64,
    keys: Vec<u8>,
}

impl StoredRun {
    /// The run in a row `seq, at, cause, count, keys`.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(StoredRun {
            last_seq: row.get::<_, i64>(0)?.cast_unsigned(),
            at: Timestamp::from_ms(row.get::<_, i64>(1)?.max(0).cast_unsigned()),
            cause: row.get(2)?,
            count: row.get::<_, i64>(3)?.max(0).cast_unsigned(),
            keys: row.get(4)?,
        })
    }

    /// The removals with a number above `after`, in order.
    pub(crate) fn removals(&self, after: u64) -> Result<Vec<Removal>> {
        let damaged = || corrupt("a stored removal is damaged: run `memlife verify --repair`");
        let cause = Cause::from_code(self.cause).ok_or_else(damaged)?;
        let first_seq = (self.last_seq + 1).checked_sub(self.count).ok_or_else(damaged)?;
        let mut removals = Vec::new();
        let mut rest = self.keys.as_slice();
        let mut text = Vec::new();
        for seq in first_seq..=self.last_seq {
            let (shared, tail) = length(rest).ok_or_else(damaged)?;
            let (own, tail) = length(tail).ok_or_else(damaged)?;
            let (own, tail) = tail.split_at_checked(own).ok_or_else(damaged)?;
            if shared > text.len() {
                return Err(damaged());
            }
            text.truncate(shared);
            text.extend_from_slice(own);
            rest = tail;
            if seq > after {
                let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
                removals.push(Removal { seq, key: Key::from_stored(text)?, cause, at: self.at });
            }
        }
        Ok(removals)
    }
}

fn shared_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*length)), rest))
}
