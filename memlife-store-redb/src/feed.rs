use crate::error::Trouble;
use crate::read::state;
use crate::removals::decode;
use crate::rows;
use crate::schema::{CHANGES, ENTRY, REMOVED};
use memlife_core::Result;
use memlife_core::record::Record;
use memlife_core::store::{Changes, Feed, FeedItem, FeedState, RemovalRun, Want};
use redb::ReadTransaction;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::ControlFlow;

/// What changed after the cursor, in one snapshot.
pub(crate) fn changes(
    transaction: &ReadTransaction,
    incarnation: u64,
    query: &Feed,
) -> Result<Changes, Trouble> {
    let state = state(transaction)?;
    let feed =
        FeedState { incarnation, seq: state.ledger.seq, floor: state.floor, clock: state.ledger.clock.at };
    let after = match feed.position(query) {
        ControlFlow::Continue(after) => after,
        ControlFlow::Break(answer) => return Ok(answer),
    };
    let limit = query.limit.max(1);
    let mut items = records(transaction, after, limit, query.want)?;
    items.extend(removals(transaction, after, limit)?);
    Ok(feed.page(items, limit))
}

/// The first `limit` records after `after`. A damaged one is left out: it is an error for whoever asks for its
/// key, and must not keep a consumer from all that follows.
fn records(
    transaction: &ReadTransaction,
    after: u64,
    limit: usize,
    want: Want,
) -> Result<Vec<(u64, FeedItem)>, Trouble> {
    let entries = transaction.open_table(ENTRY)?;
    let mut items = Vec::new();
    for row in transaction.open_table(CHANGES)?.range::<u64>((Excluded(after), Unbounded))? {
        let (seq, bytes) = row?;
        let look = || -> Result<Option<Record>, Trouble> {
            let key = rows::key(bytes.value())?;
            let row = entries.get(bytes.value())?;
            Ok(row.map(|row| rows::record(key, row.value(), want)).transpose()?)
        };
        match look() {
            Ok(Some(record)) => items.push((seq.value(), FeedItem::Record(Box::new(record)))),
            Ok(None) => {}
            Err(Trouble::One(error)) => {
                tracing::warn!(%error, seq = seq.value(), "a damaged entry is left out of the feed");
            }
            Err(trouble) => return Err(trouble),
        }
        if items.len() == limit {
            break;
        }
    }
    Ok(items)
}

/// The first removals after `after`: at least `limit`, or all.
fn removals(
    transaction: &ReadTransaction,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, FeedItem)>, Trouble> {
    let mut items = Vec::new();
    for row in transaction.open_table(REMOVED)?.range::<u64>((Excluded(after), Unbounded))? {
        let (seq, row) = row?;
        let run = decode(seq.value(), row.value()).ok_or_else(RemovalRun::damaged);
        match run.and_then(|run| run.removals(after)) {
            Ok(removals) => {
                items.extend(removals.into_iter().map(|removal| (removal.seq, FeedItem::Removed(removal))));
            }
            Err(error) => tracing::warn!(%error, "removals are left out of the feed"),
        }
        if items.len() >= limit {
            break;
        }
    }
    Ok(items)
}
