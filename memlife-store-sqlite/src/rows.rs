use crate::error::{Fault, from_sqlite};
use crate::usage::Delta;
use bytes::Bytes;
use memlife_core::record::{Body, Head, Record};
use memlife_core::store::Want;
use memlife_core::{Error, Key, Result, Timestamp};
use memlife_store_local::error::corrupt;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row};
use std::fmt;

/// What ended: one write, or the transaction with all of them.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// This write fails, and the transaction goes on.
    One(Error),
    /// The transaction must be rolled back.
    All(rusqlite::Error),
    /// The same, and what was done outside the file may stay.
    Outside(Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::All(error)
    }
}

impl Trouble {
    /// What a failed read means: damage to one entry's pages leaves the others readable.
    fn of_read(error: rusqlite::Error, key: &Key) -> Self {
        match Fault::of(&error) {
            Fault::Corrupt => Trouble::One(from_sqlite(error).on(key)),
            _ => Trouble::All(error),
        }
    }
}

/// An entry's record and where its row is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) group: i64,
    pub(crate) record: Record,
}

/// The table of entries as one transaction sees it, with the statements that it runs for one write after the other.
pub(crate) struct Table<'c> {
    connection: &'c Connection,
    find: Option<CachedStatement<'c>>,
    insert: Option<CachedStatement<'c>>,
    update: Option<CachedStatement<'c>>,
    update_due: Option<CachedStatement<'c>>,
}

impl<'c> Table<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Table { connection, find: None, insert: None, update: None, update_due: None }
    }

    /// Finds the row of `key`; the record is without its body.
    pub(crate) fn find(&mut self, key: &Key) -> Result<Option<Found>, Trouble> {
        let sql = "SELECT id, grp, head FROM entry WHERE key = ?1";
        let mut rows = kept(&mut self.find, self.connection, sql)?.query([key.as_str()])?;
        let Some(row) = rows.next().map_err(|error| Trouble::of_read(error, key))? else { return Ok(None) };
        let head = head(row, 2, key).map_err(Trouble::One)?;
        let record = Record { key: key.clone(), head, body: None };
        Ok(Some(Found { id: row.get(0)?, group: row.get(1)?, record }))
    }

    /// Puts `record` into the row `old`, or into a new one; false, and nothing done, where that has its row already.
    /// `body` is what the row holds of it.
    pub(crate) fn put(
        &mut self,
        old: Option<&Found>,
        record: &Record,
        group: i64,
        body: Option<&Body>,
    ) -> Result<bool, Trouble> {
        let head = &record.head;
        let bytes = head.encode(&record.key).map_err(Trouble::One)?;
        let body = body.map(|body| body.as_bytes().as_ref());
        let seq = head.seq.cast_signed();
        let class = head.class.code();
        let reclaim_at = head.reclaim_at().map(stored_instant);
        let sizes = Delta::of(head).pack();
        let written = match old {
            Some(old) if is_due_alike(&old.record.head, head) => {
                let sql =
                    "UPDATE entry SET seq = ?2, grp = ?3, sizes = ?4, head = ?5, body = ?6 WHERE id = ?1";
                let update = kept(&mut self.update, self.connection, sql)?;
                update.execute((old.id, seq, group, sizes, bytes, body))?
            }
            Some(old) => {
                let sql = "UPDATE entry SET seq = ?2, grp = ?3, sizes = ?4, head = ?5, body = ?6, class = ?7,
                           reclaim_at = ?8 WHERE id = ?1";
                let update = kept(&mut self.update_due, self.connection, sql)?;
                update.execute((old.id, seq, group, sizes, bytes, body, class, reclaim_at))?
            }
            None => {
                let sql = "INSERT INTO entry(id, seq, grp, sizes, head, body, class, reclaim_at, key)
                           VALUES(?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(key) DO NOTHING";
                let insert = kept(&mut self.insert, self.connection, sql)?;
                let key = record.key.as_str();
                insert.execute((seq, group, sizes, bytes, body, class, reclaim_at, key))?
            }
        };
        Ok(written > 0)
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// The statement in `slot`, prepared if it is not yet.
fn kept<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'c>> {
    match slot {
        Some(statement) => Ok(statement),
        empty => Ok(empty.insert(connection.prepare_cached(sql)?)),
    }
}

/// Reads the body of a row; `None` where the row has none.
pub(crate) fn load_body(connection: &Connection, id: i64, key: &Key) -> Result<Option<Body>, Trouble> {
    let mut select = connection.prepare_cached("SELECT body FROM entry WHERE id = ?1")?;
    let mut rows = select.query([id])?;
    match rows.next().map_err(|error| Trouble::of_read(error, key))? {
        Some(row) => body(row, 0, key).map_err(Trouble::One),
        None => Ok(None),
    }
}

/// Decodes the head in column `at`.
pub(crate) fn head(row: &Row<'_>, at: usize, key: &Key) -> Result<Head> {
    match row.get_ref(at) {
        Ok(ValueRef::Blob(bytes)) => Head::decode(key, bytes),
        _ => Err(corrupt("the stored metadata is missing").on(key)),
    }
}

/// Checks and takes the body in column `at`.
pub(crate) fn body(row: &Row<'_>, at: usize, key: &Key) -> Result<Option<Body>> {
    match row.get_ref(at) {
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Blob(bytes)) => {
            let body = Body::from_stored(Bytes::copy_from_slice(bytes));
            body.map(Some).map_err(|error| error.on(key))
        }
        _ => Err(corrupt("the stored value is not bytes").on(key)),
    }
}

/// The record whose head is in column `at` and whose body, where wanted, in the next.
pub(crate) fn record(row: &Row<'_>, at: usize, key: Key, want: Want) -> Result<Record> {
    let head = head(row, at, &key)?;
    let body = match want {
        Want::Head => None,
        Want::Whole => body(row, at + 1, &key)?,
    };
    Ok(Record { key, head, body })
}

/// Reads the key in column `at`.
pub(crate) fn key(row: &Row<'_>, at: usize) -> Result<Key> {
    let text = row.get_ref(at).ok().and_then(|value| value.as_str().ok());
    text.map_or_else(|| Err(corrupt("a stored key is not text")), Key::from_stored)
}

/// Removes a row.
pub(crate) fn delete(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM entry WHERE id = ?1")?.execute([id]).map(drop)
}

/// Whether the due index stays as it is: writing its columns again would write its pages again.
fn is_due_alike(old: &Head, new: &Head) -> bool {
    old.class == new.class && old.reclaim_at() == new.reclaim_at()
}

/// An instant as a column holds it; the far future stays in order.
pub(crate) fn stored_instant(at: Timestamp) -> i64 {
    i64::try_from(at.ms()).unwrap_or(i64::MAX)
}

/// What is asked for by row number, for erasures in sets.
pub(crate) fn select_by_id(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached("SELECT key, grp, head FROM entry WHERE id = ?1")
}
