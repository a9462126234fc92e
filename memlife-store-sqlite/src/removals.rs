use memlife_core::Timestamp;
use memlife_core::store::{Cause, Pruning, RemovalRun};
use rusqlite::{Connection, Row};

/// Writes a run, if there is one: a row under its last number.
pub(crate) fn write(connection: &Connection, run: Option<RemovalRun>) -> rusqlite::Result<()> {
    let Some(run) = run else { return Ok(()) };
    let mut insert = connection
        .prepare_cached("INSERT INTO removed(seq, at, cause, count, keys) VALUES(?1, ?2, ?3, ?4, ?5)")?;
    let (seq, at, count) = (run.last_seq.cast_signed(), run.at.ms().cast_signed(), run.count.cast_signed());
    insert.execute((seq, at, run.cause.code(), count, run.keys)).map(drop)
}

/// The run in a row `seq, at, cause, count, keys`; `None` when it is not what was written.
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Option<RemovalRun>> {
    let Some(cause) = Cause::from_code(row.get(2)?) else { return Ok(None) };
    Ok(Some(RemovalRun {
        last_seq: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp::from_ms(row.get::<_, i64>(1)?.max(0).cast_unsigned()),
        cause,
        count: row.get::<_, i64>(3)?.max(0).cast_unsigned(),
        keys: row.get(4)?,
    }))
}

/// Drops removals that are both old and more than are kept anyway: how many, and the last number among them.
pub(crate) fn prune(
    connection: &Connection,
    seqs: (u64, u64),
    now: Timestamp,
    kept: i64,
) -> rusqlite::Result<(i64, i64)> {
    let Some(mut pruning) = Pruning::begin(seqs, now, kept.max(0).cast_unsigned()) else { return Ok((0, 0)) };
    let mut oldest = connection.prepare_cached("SELECT seq, at, count FROM removed ORDER BY seq")?;
    let mut rows = oldest.query([])?;
    for _ in 0..Pruning::MAX_RUNS {
        let Some(row) = rows.next()? else { break };
        let number = |at| row.get::<_, i64>(at).map(|number| number.max(0).cast_unsigned());
        if !pruning.take(number(0)?, Timestamp::from_ms(number(1)?), number(2)?) {
            break;
        }
    }
    drop(rows);
    if pruning.count > 0 {
        let floor = pruning.floor.cast_signed();
        connection.prepare_cached("DELETE FROM removed WHERE seq <= ?1")?.execute([floor])?;
    }
    Ok((pruning.count.cast_signed(), pruning.floor.cast_signed()))
}
