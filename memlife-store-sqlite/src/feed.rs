use crate::error::from_sqlite;
use crate::read::Outside;
use crate::removals::read;
use crate::rows;
use crate::transaction::unpack_clock;
use memlife_core::Result;
use memlife_core::record::Record;
use memlife_core::store::{Changes, Feed, FeedItem, FeedState, RemovalRun, Want};
use rusqlite::{Connection, Row};
use std::ops::ControlFlow;

/// What changed after the cursor, in one snapshot that the caller holds.
pub(crate) fn changes(
    connection: &Connection,
    outside: Outside<'_>,
    incarnation: u64,
    query: &Feed,
) -> Result<Changes> {
    let state = state(connection, incarnation).map_err(from_sqlite)?;
    let after = match state.position(query) {
        ControlFlow::Continue(after) => after,
        ControlFlow::Break(answer) => return Ok(answer),
    };
    let limit = query.limit.max(1);
    let mut items = records(connection, outside, after, limit, query.want)?;
    items.extend(removals(connection, after, limit).map_err(from_sqlite)?);
    Ok(state.page(items, limit))
}

fn state(connection: &Connection, incarnation: u64) -> rusqlite::Result<FeedState> {
    let mut select = connection.prepare_cached("SELECT seq, floor, clock FROM ledger WHERE id = 0")?;
    select.query_row([], |row| {
        Ok(FeedState {
            incarnation,
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            floor: row.get::<_, i64>(1)?.cast_unsigned(),
            clock: unpack_clock(row.get(2)?).at,
        })
    })
}

/// The first `limit` records after `after`. A damaged one is left out: it is an error for whoever asks for its
/// key, and must not keep a consumer from all that follows.
fn records(
    connection: &Connection,
    outside: Outside<'_>,
    after: u64,
    limit: usize,
    want: Want,
) -> Result<Vec<(u64, FeedItem)>> {
    let sql = match want {
        Want::Head => "SELECT seq, key, head FROM entry WHERE seq > ?1 ORDER BY seq",
        Want::Whole => "SELECT seq, key, head, body FROM entry WHERE seq > ?1 ORDER BY seq",
    };
    let mut select = connection.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = select.query([after.cast_signed()]).map_err(from_sqlite)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let seq = row.get::<_, i64>(0).map_err(from_sqlite)?.cast_unsigned();
        match record(row, outside, want) {
            Ok(Some(record)) => items.push((seq, FeedItem::Record(Box::new(record)))),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, seq, "a damaged entry is left out of the feed"),
        }
        if items.len() == limit {
            break;
        }
    }
    Ok(items)
}

/// The record of a row `seq, key, head[, body]`; `None` for a system key and where nothing is there outside.
fn record(row: &Row<'_>, outside: Outside<'_>, want: Want) -> Result<Option<Record>> {
    let key = rows::key(row, 1)?;
    if key.is_system() {
        return Ok(None);
    }
    let record = rows::record(row, 2, key.clone(), want)?;
    match outside.filter(|_| want == Want::Whole) {
        Some(bodies) => bodies.load(&key, Some(record), want),
        None => Ok(Some(record)),
    }
}

/// The first removals after `after`: at least `limit`, or all.
fn removals(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Vec<(u64, FeedItem)>> {
    let mut select = connection
        .prepare_cached("SELECT seq, at, cause, count, keys FROM removed WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = select.query([after.cast_signed()])?;
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(row) = rows.next()?
    {
        match read(row)?.ok_or_else(RemovalRun::damaged).and_then(|run| run.removals(after)) {
            Ok(removals) => {
                items.extend(removals.into_iter().map(|removal| (removal.seq, FeedItem::Removed(removal))));
            }
            Err(error) => tracing::warn!(%error, "removals are left out of the feed"),
        }
    }
    Ok(items)
}
