use crate::error::Trouble;
use crate::frame::{Reader, Writer};
use memlife_core::Timestamp;
use memlife_core::store::{Cause, Pruning, RemovalRun};
use redb::{ReadableTable, Table};

/// The table of removals in a write transaction: runs under their last number.
pub(crate) type Removed<'t> = Table<'t, u64, &'static [u8]>;

/// Writes a run, if there is one.
pub(crate) fn write(table: &mut Removed<'_>, run: Option<RemovalRun>) -> Result<(), Trouble> {
    let Some(run) = run else { return Ok(()) };
    let row = Writer::default()
        .number(run.at.ms())
        .number(run.cause.code().into())
        .number(run.count)
        .bytes(&run.keys)
        .sealed();
    table.insert(run.last_seq, row.as_slice())?;
    Ok(())
}

/// The run in a row; `None` when it is not what was written.
pub(crate) fn decode(last_seq: u64, row: &[u8]) -> Option<RemovalRun> {
    let mut row = Reader::sealed(row)?;
    let at = Timestamp::from_ms(row.number()?);
    let cause = Cause::from_code(row.number()?.try_into().ok()?)?;
    let count = row.number()?;
    Some(RemovalRun { last_seq, at, cause, count, keys: row.rest().to_vec() })
}

/// Drops removals that are both old and more than are kept anyway: how many, and the last number among them.
pub(crate) fn prune(
    table: &mut Removed<'_>,
    seqs: (u64, u64),
    now: Timestamp,
    kept: u64,
) -> Result<(u64, u64), Trouble> {
    let Some(mut pruning) = Pruning::begin(seqs, now, kept) else { return Ok((0, 0)) };
    for row in table.iter()?.take(Pruning::MAX_RUNS) {
        let (seq, row) = row?;
        let Some(run) = decode(seq.value(), row.value()) else { break };
        if !pruning.take(run.last_seq, run.at, run.count) {
            break;
        }
    }
    if pruning.count > 0 {
        table.retain_in(..=pruning.floor, |_, _| false)?;
    }
    Ok((pruning.count, pruning.floor))
}
