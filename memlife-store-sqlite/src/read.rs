use crate::bodies::Bodies;
use crate::connection::Clocked;
use crate::error::from_sqlite;
use crate::recent::{Recent, RecentEntry, RecentPage};
use crate::rows;
use crate::transaction::unpack_clock;
use crate::usage::{self, Delta};
use memlife_core::record::Record;
use memlife_core::store::{
    Due, DueEntry, DuePage, Fetched, Group, Locator, Page, Room, Scan, Totals, UsagePage, UsageQuery, Want,
};
use memlife_core::{Key, Result, Timestamp};
use memlife_store_local::error::corrupt;
use rusqlite::{Connection, Rows};

/// Behind every key: no key has a code point above it, or may begin with it.
const BEHIND_ALL_KEYS: &str = "\u{10ffff}";

/// What reads need beside a connection.
pub(crate) type Outside<'a> = Option<&'a dyn Bodies>;

/// The store's clock.
pub(crate) fn clock(connection: &Connection) -> rusqlite::Result<Timestamp> {
    let mut select = connection.prepare_cached("SELECT clock FROM ledger WHERE id = 0")?;
    select.query_row([], |row| Ok(unpack_clock(row.get(0)?).at))
}

/// One entry.
fn get_one(connection: &Connection, outside: Outside<'_>, key: &Key, want: Want) -> Result<Option<Record>> {
    let sql = match want {
        Want::Head => "SELECT head FROM entry WHERE key=?1",
        Want::Whole => "SELECT head,body FROM entry WHERE key=?1",
    };
    let on_key = |error| from_sqlite(error).on(key);
    let mut select = connection.prepare_cached(sql).map_err(on_key)?;
    let mut rows = select.query([key.as_str()]).map_err(on_key)?;
    let row = rows.next().map_err(on_key)?;
    let record = row.map(|row| rows::record(row, 0, key.clone(), want)).transpose()?;
    match outside.filter(|_| !key.is_system()) {
        Some(bodies) => bodies.load(key, record, want),
        None => Ok(record),
    }
}

/// One slot per key.
pub(crate) fn get(reader: &Clocked, outside: Outside<'_>, keys: &[Key], want: Want) -> Result<Fetched> {
    let slots = keys.iter().map(|key| get_one(reader, outside, key, want)).collect::<Result<_>>()?;
    // After the records: whatever clock judged what is there stands no later.
    let clock = if keys.is_empty() { clock(reader) } else { reader.clock_of_last_read() };
    Ok(Fetched { slots, clock: clock.map_err(from_sqlite)? })
}

/// One page of records in key order.
pub(crate) fn scan(connection: &Connection, outside: Outside<'_>, query: &Scan) -> Result<Page> {
    let clock = clock(connection).map_err(from_sqlite)?;
    let mut page = Page { records: Vec::new(), next: None, clock };
    if query.is_of_other_keys() {
        return Ok(page);
    }
    if let Some(key) = query.first()
        && let Some(found) = get_one(connection, outside, &key, query.want).transpose()
    {
        page.records.push(found);
        page.next = Some(key);
    }
    fill(connection, outside, query, &mut page)?;
    Ok(page)
}

fn fill(connection: &Connection, outside: Outside<'_>, query: &Scan, page: &mut Page) -> Result<()> {
    let mut room = Room::of(query);
    page.records.iter().for_each(|record| room.take(record));
    let sql = match query.want {
        Want::Head => "SELECT key, head FROM entry WHERE key > ?1 AND key < ?2 ORDER BY key",
        Want::Whole => "SELECT key, head, body FROM entry WHERE key > ?1 AND key < ?2 ORDER BY key",
    };
    let mut select = connection.prepare_cached(sql).map_err(from_sqlite)?;
    let (from, to) = query.bounds();
    let after = query.after.as_ref().map(Key::as_str).filter(|after| *after > from.as_str()).unwrap_or(&from);
    let mut rows = select.query([after, to.as_deref().unwrap_or(BEHIND_ALL_KEYS)]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        // A row whose key cannot be read comes on top of the limit: no page could start behind it.
        let key = match rows::key(row, 0) {
            Ok(key) => key,
            Err(error) => {
                page.records.push(Err(error));
                continue;
            }
        };
        if room.is_full() {
            return Ok(());
        }
        // Damaged pages may lead back to one another: a page that turns back would never come to an end.
        if page.next.as_ref().is_some_and(|last| key <= *last) {
            return Err(corrupt("the keys of the store are not in order: run `memlife verify --repair`"));
        }
        let row = rows::record(row, 1, key.clone(), query.want);
        let found = match (row, outside.filter(|_| query.want == Want::Whole && !key.is_system())) {
            (Ok(row), Some(bodies)) => bodies.load(&key, Some(row), query.want).transpose(),
            (row, _) => Some(row),
        };
        found.iter().for_each(|record| room.take(record));
        page.records.extend(found);
        page.next = Some(key);
    }
    page.next = None;
    Ok(())
}

/// Entries whose bytes may go, oldest first. The page is remembered for the erasures that follow.
pub(crate) fn due(connection: &Connection, query: &Due, recent: &Recent) -> rusqlite::Result<DuePage> {
    let mut ledger = connection.prepare_cached("SELECT clock, grace_ms, seq FROM ledger WHERE id = 0")?;
    let (clock, grace_ms, seq): (i64, i64, i64) =
        ledger.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut page = DuePage { entries: Vec::new(), clock: unpack_clock(clock).at };
    // Who asks for `until` wants what a guard would let go then, and guards wait for the grace.
    let Some(until) = query.until.ms().checked_sub(grace_ms.max(0).cast_unsigned()) else { return Ok(page) };
    let mut found = RecentPage { seq: seq.cast_unsigned(), class: query.class, entries: Vec::new() };
    let mut is_whole = true;
    let class = query.class.code();
    let after = query.after.map(|(at, locator)| (rows::stored_instant(at), locator.0.cast_signed()));
    // One instant at a time: the index finds a row number within one, and not within a range of them.
    if let Some((at, id)) = after {
        let mut select = connection.prepare_cached(
            "SELECT id, key, reclaim_at, sizes, grp FROM entry
             WHERE class = ?1 AND reclaim_at = ?2 AND id > ?3 AND ?2 <= ?4 ORDER BY id",
        )?;
        let rows = select.query((class, at, id, until.cast_signed()))?;
        is_whole &= take_due(rows, query.limit, &mut page, &mut found)?;
    }
    let mut select = connection.prepare_cached(
        "SELECT id, key, reclaim_at, sizes, grp FROM entry
         WHERE class = ?1 AND reclaim_at > ?2 AND reclaim_at <= ?3 ORDER BY reclaim_at, id",
    )?;
    let rows = select.query((class, after.map_or(-1, |(at, _)| at), until.cast_signed()))?;
    is_whole &= take_due(rows, query.limit, &mut page, &mut found)?;
    if is_whole {
        recent.remember(found);
    }
    Ok(page)
}

/// Takes `rows` up to `limit` entries of the page; false when one of them cannot be read.
fn take_due(
    mut rows: Rows<'_>,
    limit: usize,
    page: &mut DuePage,
    found: &mut RecentPage,
) -> rusqlite::Result<bool> {
    let mut is_whole = true;
    while page.entries.len() < limit.max(1)
        && let Some(row) = rows.next()?
    {
        // A row whose key cannot be read is for `verify` to find: nobody can ask to erase it by key.
        let Ok(key) = rows::key(row, 1) else {
            is_whole = false;
            continue;
        };
        let reclaim_at: i64 = row.get(2)?;
        let delta = Delta::unpack(row.get(3)?);
        let entry = DueEntry {
            key,
            reclaim_at: Timestamp::from_ms(reclaim_at.max(0).cast_unsigned()),
            locator: Locator(row.get::<_, i64>(0)?.cast_unsigned()),
            stored_len: u32::try_from(delta.stored).unwrap_or(u32::MAX),
        };
        found.entries.push(RecentEntry::new(&entry, reclaim_at, row.get(4)?, delta));
        page.entries.push(entry);
    }
    Ok(is_whole)
}

/// Usage by group, and the totals.
pub(crate) fn usage(connection: &Connection, query: &UsageQuery) -> rusqlite::Result<UsagePage> {
    let mut page = UsagePage::default();
    let mut own = connection.prepare_cached(
        "SELECT clock, entries, stored, raw, compressed, expired, deleted, evicted, purged
         FROM ledger WHERE id = 0",
    )?;
    (page.clock, page.totals) = own.query_row([], |row| {
        let mut totals = Totals { tally: usage::columns(row, 1)?.into(), ..Totals::default() };
        for (at, removed) in totals.removed.iter_mut().enumerate() {
            *removed = row.get::<_, i64>(5 + at)?.max(0).cast_unsigned();
        }
        Ok((unpack_clock(row.get(0)?).at, totals))
    })?;
    if query.limit == 0 {
        return Ok(page);
    }
    let after = query.after.as_ref().map(Group::tag).unwrap_or_default();
    page.groups = usage::groups(connection, &after, query.limit)?;
    if page.groups.len() >= query.limit {
        page.next = page.groups.last().map(|(group, _)| group.clone());
    }
    Ok(page)
}
