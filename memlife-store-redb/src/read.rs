use crate::error::{Trouble, corrupt};
use crate::rows;
use crate::schema::{DUE, ENTRY, OWN, State, USAGE};
use crate::transaction;
use crate::usage::{decode, group_of, tag_of};
use memlife_core::record::Record;
use memlife_core::store::{Due, DuePage, Fetched, Page, Scan, UsagePage, UsageQuery, Want};
use memlife_core::{Key, Result, Timestamp};
use redb::{ReadOnlyTable, ReadTransaction};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// The first text behind every system key.
const FIRST_USER_KEY: &str = "\u{2}";

/// The table of records in a read transaction.
type Entries = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Where the store is.
pub(crate) fn state(transaction: &ReadTransaction) -> Result<State, Trouble> {
    transaction::state(&transaction.open_table(OWN)?)
}

/// One slot per key.
pub(crate) fn get(transaction: &ReadTransaction, keys: &[Key], want: Want) -> Result<Fetched, Trouble> {
    let clock = state(transaction)?.ledger.clock.at;
    let entries = transaction.open_table(ENTRY)?;
    let slots = keys.iter().map(|key| get_one(&entries, key, want)).collect::<Result<_, _>>()?;
    Ok(Fetched { slots, clock })
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
    // A prefix says itself whose keys it is for.
    if query.within.as_ref().is_some_and(|within| within.starts_with('\u{1}') != query.system) {
        return Ok(page);
    }
    let entries = transaction.open_table(ENTRY)?;
    let mut room = Room::of(query);
    let after = query.after.as_ref().map(Key::as_str);
    // Between `a/b` and `a/b/` stand keys such as `a/b-x`, so the key itself comes apart from those below it.
    if let Some(within) = query.within.as_deref().filter(|within| after.is_none_or(|after| after < *within))
        && let Ok(key) = Key::from_stored(within)
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
    let (from, to) = bounds(query);
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

/// The first text of a scan, and the first behind it.
fn bounds(query: &Scan) -> (String, Option<String>) {
    match query.within.as_deref() {
        // `0` follows `/`.
        Some(within) => (format!("{within}/"), Some(format!("{within}0"))),
        None if query.system => (String::new(), Some(FIRST_USER_KEY.to_owned())),
        None => (FIRST_USER_KEY.to_owned(), None),
    }
}

/// What still fits a page.
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    fn of(query: &Scan) -> Self {
        // No page is as large as that.
        let bytes = if query.bytes == 0 { usize::MAX } else { query.bytes };
        Room { records: query.limit.max(1), bytes }
    }

    fn take(&mut self, record: &Result<Record>) {
        let body = record.as_ref().ok().and_then(|record| record.body.as_ref());
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(body.map_or(0, |body| body.as_bytes().len()));
    }

    fn is_full(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }
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
    let after = query.after.as_ref().map(tag_of).unwrap_or_default();
    for row in table.range::<&[u8]>((Excluded(after.as_bytes()), Unbounded))? {
        let (tag, row) = row?;
        // One that cannot be read is for `verify` to mend, not a reason to fail.
        if let (Some(group), Some(tally)) = (group_of(tag.value()), decode(row.value())) {
            page.groups.push((group, tally));
        }
        if page.groups.len() >= query.limit {
            page.next = page.groups.last().map(|(group, _)| group.clone());
            break;
        }
    }
    Ok(page)
}
