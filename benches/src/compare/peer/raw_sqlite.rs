use super::{Life, Peer};
use crate::compare::load::Line;
use crate::compare::place::Place;
use crate::compare::who::Level;
use crate::drive::Pair;
use crate::raw::sqlite::{Raw, Row};
use crate::stage::{self, HOUR_MS};
use anyhow::Result;
use bytes::Bytes;
use memlife::record::ReclaimClass;
use memlife::{Clock, PutOptions, SystemClock, Value};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The same tables in plain SQL. Statements come from rusqlite's cache of prepared ones.
pub struct RawSqlite {
    writer: Mutex<Writer>,
    readers: [Mutex<Connection>; crate::WORKERS],
    /// What a row of memlife's holds beside its key, its deadline and its value.
    pattern: Row,
}

struct Writer {
    connection: Connection,
    seq: i64,
}

/// The key of the row that others are like.
const PATTERN: &str = "session/a/pattern";
/// The class of what a sweep may remove.
const CLASS: u8 = ReclaimClass::Lazy.code();

const UPSERT: &str = "
    INSERT INTO entry(id, key, seq, class, reclaim_at, grp, sizes, head, body) VALUES(?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT(key) DO UPDATE SET seq = excluded.seq, class = excluded.class, reclaim_at = excluded.reclaim_at,
    grp = excluded.grp, sizes = excluded.sizes, head = excluded.head, body = excluded.body";
const ADD: &str = "
    INSERT INTO entry(id, key, seq, class, reclaim_at, grp, sizes, head, body) VALUES(?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7, x'31')
    ON CONFLICT(key) DO UPDATE SET seq = excluded.seq, reclaim_at = excluded.reclaim_at,
    body = CAST(CAST(CAST(body AS TEXT) AS INTEGER) + 1 AS BLOB)";

impl Peer for RawSqlite {
    async fn open(place: &Place) -> Result<Self> {
        let path = place.path("raw.db");
        if !path.exists() {
            make(&path).await?;
        }
        let open = || connection(&path, place.level);
        let pattern = Raw::open(&path)?.row(PATTERN)?;
        let connection = open()?;
        let seq = connection.query_row("SELECT max(seq) FROM entry", [], |row| row.get(0))?;
        let writer = Mutex::new(Writer { connection, seq });
        Ok(RawSqlite { writer, readers: [Mutex::new(open()?), Mutex::new(open()?)], pattern })
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        let mut writer = lock(&self.writer);
        writer.in_transaction(|writer| writer.upsert(key, &value.bytes, deadline(life), &self.pattern))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let reader = self.reader();
        let mut select = reader.prepare_cached("SELECT reclaim_at, body FROM entry WHERE key = ?1")?;
        let mut rows = select.query([key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let now = SystemClock.now().ms().cast_signed();
        let is_over = row.get::<_, Option<i64>>(0)?.is_some_and(|end| end <= now);
        if is_over { Ok(None) } else { Ok(Some(Bytes::from(row.get::<_, Vec<u8>>(1)?))) }
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let seen: Option<i64> = {
            let reader = self.reader();
            let mut select =
                reader.prepare_cached("SELECT seq, reclaim_at, body FROM entry WHERE key = ?1")?;
            let seen = select.query_row([key], |row| {
                std::hint::black_box((row.get::<_, Option<i64>>(1)?, row.get::<_, Vec<u8>>(2)?));
                row.get(0)
            });
            seen.optional()?
        };
        let mut writer = lock(&self.writer);
        let seq = writer.next();
        let mut update = writer.connection.prepare_cached(
            "UPDATE entry SET seq = ?1, reclaim_at = ?2, body = ?3 WHERE key = ?4 AND seq = ?5",
        )?;
        Ok(update.execute(params![seq, deadline(Life::Hour), &value.bytes[..], key, seen])? == 1)
    }

    async fn add(&self, key: &str) -> Result<()> {
        let mut writer = lock(&self.writer);
        let (seq, row) = (writer.next(), &self.pattern);
        let mut add = writer.connection.prepare_cached(ADD)?;
        add.execute(params![seq, key, CLASS, deadline(Life::Hour), row.group, row.stored, row.head])?;
        Ok(())
    }

    async fn page(&self, after: Option<String>, limit: usize) -> Result<Option<String>> {
        let reader = self.reader();
        let mut select = reader.prepare_cached(
            "SELECT key, reclaim_at, sizes, head FROM entry WHERE key > ?1 ORDER BY key LIMIT ?2",
        )?;
        // Keys that begin with this are memlife's own.
        let mut rows = select.query(params![after.as_deref().unwrap_or("\u{2}"), limit as i64])?;
        let (mut last, mut count) = (None, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            std::hint::black_box((
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ));
            last = Some(row.get(0)?);
        }
        Ok(last.filter(|_| count == limit))
    }

    async fn export(&self) -> Result<Vec<String>> {
        let reader = self.reader();
        let mut select = reader.prepare_cached(
            "SELECT key, reclaim_at, body FROM entry WHERE key > char(2) AND reclaim_at > ?1 ORDER BY key",
        )?;
        let mut rows = select.query([SystemClock.now().ms().cast_signed()])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let value: &RawValue = serde_json::from_slice(row.get_ref(2)?.as_blob()?)?;
            let expires_at = jiff::Timestamp::from_millisecond(row.get(1)?)?;
            lines.push(serde_json::to_string(&Line { key: row.get_ref(0)?.as_str()?, value, expires_at })?);
        }
        Ok(lines)
    }

    async fn import(&self, lines: &[String]) -> Result<()> {
        lock(&self.writer).in_transaction(|writer| {
            for line in lines {
                let line: Line<'_> = serde_json::from_str(line)?;
                let end = line.expires_at.as_millisecond();
                writer.upsert(line.key, line.value.get().as_bytes(), end, &self.pattern)?;
            }
            Ok(())
        })
    }

    async fn sweep(&self) -> Result<u64> {
        let writer = lock(&self.writer);
        let mut delete =
            writer.connection.prepare_cached("DELETE FROM entry WHERE class = ?1 AND reclaim_at <= ?2")?;
        Ok(delete.execute((CLASS, SystemClock.now().ms().cast_signed()))? as u64)
    }
}

impl RawSqlite {
    /// A connection that nobody reads with, or the first.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| lock(&self.readers[0]))
    }
}

impl Writer {
    fn next(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    fn in_transaction(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        match work(self) {
            Ok(()) => self.connection.prepare_cached("COMMIT")?.execute([])?,
            Err(error) => {
                self.connection.prepare_cached("ROLLBACK")?.execute([])?;
                return Err(error);
            }
        };
        Ok(())
    }

    fn upsert(&mut self, key: &str, body: &[u8], deadline: i64, row: &Row) -> Result<()> {
        let seq = self.next();
        let mut upsert = self.connection.prepare_cached(UPSERT)?;
        upsert.execute(params![seq, key, CLASS, deadline, row.group, row.stored, row.head, body])?;
        Ok(())
    }
}

/// Has memlife make its tables, and one row to take as a pattern.
async fn make(path: &Path) -> Result<()> {
    let memory = stage::open(&stage::url(path)).await?;
    // It has no deadline, so that no export and no sweep takes it.
    memory.put_value(PATTERN, Value::json(&"a row to be like")?, PutOptions::new().permanent()).await?;
    stage::close(memory).await
}

fn connection(path: &Path, level: Level) -> Result<Connection> {
    let connection = Raw::open(path)?.into_connection();
    if level == Level::Disk {
        connection.execute_batch("PRAGMA synchronous = FULL")?;
    }
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn deadline(life: Life) -> i64 {
    let now = SystemClock.now();
    let end = match life {
        Life::Hour => now.plus_ms(HOUR_MS),
        Life::Over => now.minus_ms(HOUR_MS),
    };
    end.ms().cast_signed()
}

/// A panic elsewhere leaves the connection as it is: whole, or in a transaction that fails the next one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
