use crate::error::{Trouble, corrupt};
use crate::frame::{Reader, Writer};
use memlife_core::store::{Cause, Removal};
use memlife_core::{KEEP_MS, Key, Result, Timestamp};
use redb::{ReadableTable, Table};

/// Removals that are kept however old they are.
pub(crate) const MIN_KEPT: u64 = 100_000;
/// Old removals are looked for once per this many change numbers.
const PRUNE_EVERY: u64 = 4_096;
/// The most rows that one look removes.
const MAX_PRUNED_ROWS: usize = 16_384;
/// The most bytes of keys in one row.
const MAX_RUN_BYTES: usize = 64 << 10;

/// The table of removals in a write transaction.
pub(crate) type Removed<'t> = Table<'t, u64, &'static [u8]>;

/// The removals of one transaction, gathered into rows.
///
/// A row holds removals of one cause and instant with change numbers that follow each other, under the last. Of
/// each key it holds how much it shares with the one before, how much it has beyond, and that.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    run: Option<Run>,
    added: u64,
}

#[derive(Debug)]
struct Run {
    last_seq: u64,
    at: Timestamp,
    cause: Cause,
    count: u64,
    keys: Vec<u8>,
    last_key: Key,
}

impl Removals {
    /// Records that `key` went at change `seq`.
    pub(crate) fn push(
        &mut self,
        table: &mut Removed<'_>,
        key: &Key,
        seq: u64,
        at: Timestamp,
        cause: Cause,
    ) -> Result<(), Trouble> {
        let continues = |run: &Run| {
            run.last_seq + 1 == seq && run.at == at && run.cause == cause && run.keys.len() < MAX_RUN_BYTES
        };
        if !self.run.as_ref().is_some_and(continues) {
            self.flush(table)?;
        }
        let text = key.as_str().as_bytes();
        let run = self.run.get_or_insert_with(|| Run {
            last_seq: seq,
            at,
            cause,
            count: 0,
            keys: Vec::new(),
            last_key: key.clone(),
        });
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
    pub(crate) fn flush(&mut self, table: &mut Removed<'_>) -> Result<(), Trouble> {
        let Some(run) = self.run.take() else { return Ok(()) };
        self.added += run.count;
        let row = Writer::default()
            .number(run.at.ms())
            .number(run.cause.code().into())
            .number(run.count)
            .bytes(&run.keys)
            .sealed();
        table.insert(run.last_seq, row.as_slice())?;
        Ok(())
    }

    /// Removals written in this transaction.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }
}

/// What pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Removals that are no longer kept.
    pub(crate) count: u64,
    /// The last change number among them; 0 for none.
    pub(crate) floor: u64,
}

/// Drops removals that are both old and more than are kept anyway.
///
/// It runs when a transaction leads the change number over a multiple of [`PRUNE_EVERY`], so that its cost is
/// spread evenly however short each process lives.
pub(crate) fn prune(
    table: &mut Removed<'_>,
    seqs: (u64, u64),
    now: Timestamp,
    kept: u64,
) -> Result<Pruned, Trouble> {
    let mut pruned = Pruned::default();
    if seqs.0 / PRUNE_EVERY == seqs.1 / PRUNE_EVERY || kept <= MIN_KEPT {
        return Ok(pruned);
    }
    for row in table.iter()?.take(MAX_PRUNED_ROWS) {
        let (seq, row) = row?;
        let Some(run) = StoredRun::read(seq.value(), row.value()) else { break };
        if now.since(run.at) <= KEEP_MS || kept.saturating_sub(pruned.count + run.count) < MIN_KEPT {
            break;
        }
        pruned = Pruned { count: pruned.count + run.count, floor: seq.value() };
    }
    if pruned.count > 0 {
        table.retain_in(..=pruned.floor, |_, _| false)?;
    }
    Ok(pruned)
}

/// One row of removals, as stored.
#[derive(Debug)]
pub(crate) struct StoredRun<'a> {
    last_seq: u64,
    pub(crate) at: Timestamp,
    cause: Cause,
    pub(crate) count: u64,
    keys: &'a [u8],
}

impl<'a> StoredRun<'a> {
    /// The run in a row; `None` when it is not what was written.
    pub(crate) fn read(last_seq: u64, row: &'a [u8]) -> Option<Self> {
        let mut row = Reader::sealed(row)?;
        let at = Timestamp::from_ms(row.number()?);
        let cause = Cause::from_code(row.number()?.try_into().ok()?)?;
        let count = row.number()?;
        Some(StoredRun { last_seq, at, cause, count, keys: row.rest() })
    }

    /// The removals with a number above `after`, in order.
    pub(crate) fn removals(&self, after: u64) -> Result<Vec<Removal>> {
        let first_seq =
            self.last_seq.checked_sub(self.count).and_then(|seq| seq.checked_add(1)).ok_or_else(damaged)?;
        let mut removals = Vec::new();
        let mut rest = self.keys;
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
                removals.push(Removal { seq, key: Key::from_stored(text)?, cause: self.cause, at: self.at });
            }
        }
        Ok(removals)
    }
}

pub(crate) fn damaged() -> memlife_core::Error {
    corrupt("a stored removal is damaged: run `memlife verify --repair`")
}

fn shared_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*length)), rest))
}
