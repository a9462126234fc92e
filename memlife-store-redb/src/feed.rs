use crate::error::Trouble;
use crate::read::state;
use crate::removals::{StoredRun, damaged};
use crate::rows;
use crate::schema::{CHANGES, ENTRY, REMOVED};
use memlife_core::Result;
use memlife_core::record::Record;
use memlife_core::store::{Changes, Cursor, CursorPart, Feed, FeedItem, FeedPage, Want};
use redb::ReadTransaction;
use std::ops::Bound::{Excluded, Unbounded};

/// What changed after the cursor, in one snapshot.
pub(crate) fn changes(
    transaction: &ReadTransaction,
    incarnation: u64,
    query: &Feed,
) -> Result<Changes, Trouble> {
    let state = state(transaction)?;
    let (head, floor) = (state.ledger.seq, state.floor);
    let cursor = |seq| Cursor { parts: vec![CursorPart { incarnation, seq }] };
    let page =
        |items, seq| Changes::Page(FeedPage { items, next: cursor(seq), clock: state.ledger.clock.at });
    let after = match query.after.as_ref().map(|after| after.parts.as_slice()) {
        None => return Ok(page(Vec::new(), head)),
        Some([]) if floor == 0 => 0,
        Some([part]) if part.incarnation == incarnation && (floor..=head).contains(&part.seq) => part.seq,
        Some(_) => return Ok(Changes::Gap(cursor(head))),
    };
    let limit = query.limit.max(1);
    let mut items = records(transaction, after, limit, query.want)?;
    items.extend(removals(transaction, after, limit)?);
    items.sort_unstable_by_key(|(seq, _)| *seq);
    items.truncate(limit);
    let next = match items.last() {
        Some((seq, _)) if items.len() == limit => *seq,
        _ => head,
    };
    Ok(page(items.into_iter().map(|(_, item)| item).collect(), next))
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
        let run = StoredRun::read(seq.value(), row.value()).ok_or_else(damaged);
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
