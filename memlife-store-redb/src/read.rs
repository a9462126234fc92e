use crate::database::Entries;
use crate::error::Trouble;
use crate::rows;
use crate::schema::{CHANGES, DUE, ENTRY, OWN, REMOVED, State, USAGE};
use crate::transaction;
use crate::usage::decode;
use memlife_core::record::Record;
use memlife_core::store::{Due, DuePage, Group, Page, Room, Scan, UsagePage, UsageQuery, Want};
use memlife_core::{Key, Result, Timestamp};
use memlife_store_local::error::corrupt;
use redb::ReadTransaction;
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Where the store is.
pub(crate) fn state(transaction: &ReadTransaction) -> Result<State, Trouble> {
    transaction::state(&transaction.open_table(OWN)?)
}

/// Opens every table that a write needs.
pub(crate) fn tables(transaction: &ReadTransaction) -> Result<(), Trouble> {
    transaction.open_table(OWN)?;
    transaction.open_table(ENTRY)?;
    transaction.open_table(DUE)?;
    transaction.open_table(CHANGES)?;
    transaction.open_table(REMOVED)?;
    transaction.open_table(USAGE)?;
    Ok(())
}

/// One slot per key.
pub(crate) fn get(entries: &Entries, keys: &[Key], want: Want) -> Result<Vec<Option<Record>>, Trouble> {
    keys.iter().map(|key| get_one(entries, key, want)).collect()
}

fn get_one(entries: &Entries, key: &Key, want: Want) -> Result<Option<Record>, Trouble> {
    let row = entries.get(key.as_str().as_bytes()).map_err(|error| match Trouble::of_read(error) {
        Trouble::One(error) => Trouble::One(error.on(key)),
        trouble => trouble,
    })?;
    Ok(row.map(|row| rows::record(key.clone(), row.value(), want)).transpose()?)
}

/// One page of records in key order.
pub(crate) fn scan(transaction: &ReadTransaction, query: &Scan) -> Result<Page, Trouble> {
    let clock = state(transaction)?.ledger.clock.at;
    let mut page = Page { records: Vec::new(), next: None, clock };
    if query.is_of_other_keys() {
        return Ok(page);
    }
    let entries = transaction.open_table(ENTRY)?;
    let mut room = Room::of(query);
    if let Some(key) = query.first()
        && let Some(found) = one_of_page(get_one(&entries, &key, query.want))?.transpose()
    {
        room.take(&found);
        page.records.push(found);
        page.next = Some(key);
    }
    fill(&entries, query, &mut room, &mut page)?;
    Ok(page)
}

/// A damaged record is an error in the page, and any other error that of the page.
fn one_of_page<T>(found: Result<T, Trouble>) -> Result<Result<T>, Trouble> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Trouble::One(error)) => Ok(Err(error)),
        Err(trouble) => Err(trouble),
    }
}

fn fill(entries: &Entries, query: &Scan, room: &mut Room, page: &mut Page) -> Result<(), Trouble> {
    let (from, to) = query.bounds();
    let after = query.after.as_ref().map(Key::as_str).filter(|after| *after >= from.as_str());
    if after.is_some_and(|after| to.as_deref().is_some_and(|to| after >= to)) {
        page.next = None;
        return Ok(());
    }
    let lower = after.map_or(Included(from.as_bytes()), |after| Excluded(after.as_bytes()));
    let upper = to.as_deref().map_or(Unbounded, |to| Excluded(to.as_bytes()));
    let mut last: Option<Vec<u8>> = None;
    for row in entries.range::<&[u8]>((lower, upper))? {
        let (bytes, row) = row?;
        // Damaged pages may lead back to one another: a page that turns back would never come to an end.
        if last.as_deref().is_some_and(|last| bytes.value() <= last) {
            let message = "the keys of the store are not in order: run `memlife verify --repair`";
            return Err(Trouble::One(corrupt(message)));
        }
        last = Some(bytes.value().to_vec());
        // A row whose key cannot be read comes on top of the limit: no page could start behind it.
        let key = match rows::key(bytes.value()) {
            Ok(key) => key,
            Err(error) => {
                page.records.push(Err(error));
                continue;
            }
        };
        if room.is_full() {
            return Ok(());
        }
        let record = rows::record(key.clone(), row.value(), query.want);
        room.take(&record);
        page.records.push(record);
        page.next = Some(key);
    }
    page.next = None;
    Ok(())
}

/// Entries whose bytes may go, oldest first.
pub(crate) fn due(transaction: &ReadTransaction, query: &Due) -> Result<DuePage, Trouble> {
    let state = state(transaction)?;
    let mut page = DuePage { entries: Vec::new(), clock: state.ledger.clock.at };
    // Who asks for `until` wants what a guard would let go then, and guards wait for the grace.
    let Some(until) = query.until.ms().checked_sub(state.ledger.grace_ms) else { return Ok(page) };
    let (at, seq) = query.after.map_or((Timestamp::EPOCH, 0), |(at, locator)| (at, locator.0));
    let first = rows::due_key(query.class, at, seq);
    let last = rows::due_key(query.class, Timestamp::from_ms(until), u64::MAX);
    // No entry has the number 0, so that nothing is lost by starting behind it.
    if first >= last {
        return Ok(page);
    }
    let due = transaction.open_table(DUE)?;
    for row in due.range::<&[u8; 17]>((Excluded(&first), Included(&last)))? {
        let (place, row) = row?;
        // A row that cannot be read is for `verify` to find: nobody can ask to erase it by key.
        page.entries.extend(rows::due_entry(place.value(), row.value()));
        if page.entries.len() >= query.limit.max(1) {
            break;
        }
    }
    Ok(page)
}

/// Usage by group, and the totals.
pub(crate) fn usage(transaction: &ReadTransaction, query: &UsageQuery) -> Result<UsagePage, Trouble> {
    let state = state(transaction)?;
    let mut page = UsagePage { totals: state.totals, clock: state.ledger.clock.at, ..UsagePage::default() };
    if query.limit == 0 {
        return Ok(page);
    }
    let table = transaction.open_table(USAGE)?;
    let after = query.after.as_ref().map(Group::tag).unwrap_or_default();
    for row in table.range::<&[u8]>((Excluded(after.as_bytes()), Unbounded))? {
        let (tag, row) = row?;
        // One that cannot be read is for `verify` to mend, not a reason to fail.
        let group = std::str::from_utf8(tag.value()).ok().and_then(Group::of_tag);
        if let (Some(group), Some(tally)) = (group, decode(row.value())) {
            page.groups.push((group, tally));
        }
        if page.groups.len() >= query.limit {
            page.next = page.groups.last().map(|(group, _)| group.clone());
            break;
        }
    }
    Ok(page)
}
