use anyhow::Result;
use memlife::{Clock, SystemClock};
use rusqlite::{Connection, Rows, Statement, StatementStatus, params};
use std::path::Path;

/// The same work on the tables of a memlife store in plain SQL: no checksums, no change numbers to keep, no usage,
/// no removals. What is left is what SQLite itself costs.
#[derive(Debug)]
pub struct Raw {
    connection: Connection,
}

/// What a row holds beside its number.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its key.
    pub key: String,
    class: i64,
    /// Whose usage it counts to.
    pub group: i64,
    /// Its sizes.
    pub stored: i64,
    /// Its metadata.
    pub head: Vec<u8>,
    /// Nothing where the value stands elsewhere.
    body: Option<Vec<u8>>,
}

impl Raw {
    /// Opens a store's file with the settings that the store itself makes.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
             PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -8192;
             PRAGMA wal_autocheckpoint = 2000;",
        )?;
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        anyhow::ensure!(mode == "wal", "the store's journal mode is {mode}: durability would not be equal");
        Ok(Raw { connection })
    }

    /// The connection alone.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Every user's row, as memlife wrote it.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let mut select = self.connection.prepare(
            "SELECT key, class, grp, sizes, head, body FROM entry WHERE key > char(2) ORDER BY id",
        )?;
        let rows = select.query_map([], Row::of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The row of `key`, as memlife wrote it.
    pub fn row(&self, key: &str) -> Result<Row> {
        let sql = "SELECT key, class, grp, sizes, head, body FROM entry WHERE key = ?1";
        Ok(self.connection.query_row(sql, [key], Row::of)?)
    }

    /// How many users' rows there are.
    pub fn count(&self) -> Result<u64> {
        let count: i64 =
            self.connection
                .query_row("SELECT count(*) FROM entry WHERE key > char(2)", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Reads by key what has not expired.
    pub fn getter(&self) -> Result<Getter<'_>> {
        Ok(Getter(self.connection.prepare("SELECT reclaim_at, body FROM entry WHERE key = ?1")?))
    }

    /// Writes row by row.
    pub fn putter(&self) -> Result<Putter<'_>> {
        let last: i64 = self.connection.query_row("SELECT max(seq) FROM entry", [], |row| {
            Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0))
        })?;
        Ok(Putter {
            begin: self.connection.prepare("BEGIN IMMEDIATE")?,
            upsert: self.connection.prepare(
                "INSERT INTO entry(id, key, seq, class, reclaim_at, grp, sizes, head, body)
                 VALUES(?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT(key) DO UPDATE SET seq = excluded.seq, class = excluded.class,
                 reclaim_at = excluded.reclaim_at, grp = excluded.grp, sizes = excluded.sizes,
                 head = excluded.head, body = excluded.body",
            )?,
            commit: self.connection.prepare("COMMIT")?,
            seq: last,
        })
    }

    /// Removes what is due, in one statement; returns how many rows went.
    pub fn sweep(&self, class: u8, until_ms: u64) -> Result<usize> {
        let mut delete =
            self.connection.prepare("DELETE FROM entry WHERE class = ?1 AND reclaim_at <= ?2")?;
        Ok(delete.execute((class, until_ms.cast_signed()))?)
    }

    /// What finding the due rows costs: the query of a sweep, page by page.
    pub fn due_steps(&self, class: u8, until_ms: u64) -> Result<Steps> {
        const PAGE: i64 = 2_500;
        let mut within = self.connection.prepare(
            "SELECT id, key, reclaim_at, sizes, grp FROM entry
             WHERE class = ?1 AND reclaim_at = ?2 AND id > ?3 AND ?2 <= ?4 ORDER BY id LIMIT ?5",
        )?;
        let mut behind = self.connection.prepare(
            "SELECT id, key, reclaim_at, sizes, grp FROM entry
             WHERE class = ?1 AND reclaim_at > ?2 AND reclaim_at <= ?3 ORDER BY reclaim_at, id LIMIT ?4",
        )?;
        let until = until_ms.cast_signed();
        let (mut after, mut found) = ((-1_i64, -1_i64), 0_i64);
        loop {
            let mut page = places(within.query((class, after.0, after.1, until, PAGE))?)?;
            let room = PAGE - page.len() as i64;
            page.extend(places(behind.query((class, after.0, until, room))?)?);
            let Some(last) = page.last() else { break };
            after = *last;
            found += page.len() as i64;
        }
        let steps = |status| (within.get_status(status) + behind.get_status(status)).unsigned_abs();
        Ok(Steps {
            rows: found.unsigned_abs(),
            machine: steps(StatementStatus::VmStep),
            scanned: steps(StatementStatus::FullscanStep),
            sorts: steps(StatementStatus::Sort),
        })
    }
}

impl Row {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Row {
            key: row.get(0)?,
            class: row.get(1)?,
            group: row.get(2)?,
            stored: row.get(3)?,
            head: row.get(4)?,
            body: row.get(5)?,
        })
    }
}

/// Where due rows stand: the instant and the row number of each.
fn places(mut rows: Rows<'_>) -> Result<Vec<(i64, i64)>> {
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        places.push((row.get(2)?, row.get(0)?));
    }
    Ok(places)
}

/// What SQLite did for a query.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Rows found.
    pub rows: u64,
    /// Steps of its virtual machine.
    pub machine: u32,
    /// Steps through a whole table.
    pub scanned: u32,
    /// Sorts.
    pub sorts: u32,
}

/// See [`Raw::getter`].
#[derive(Debug)]
pub struct Getter<'c>(Statement<'c>);

impl Getter<'_> {
    /// The body under `key`, if its time has not come by the wall clock.
    pub fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut rows = self.0.query([key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let now = SystemClock.now().ms().cast_signed();
        let is_over = row.get::<_, Option<i64>>(0)?.is_some_and(|end| end <= now);
        if is_over { Ok(None) } else { Ok(Some(row.get(1)?)) }
    }
}

/// See [`Raw::putter`].
#[derive(Debug)]
pub struct Putter<'c> {
    begin: Statement<'c>,
    upsert: Statement<'c>,
    commit: Statement<'c>,
    seq: i64,
}

impl Putter<'_> {
    /// Puts rows, each with when its bytes may go, in one transaction.
    pub fn put<'r>(&mut self, rows: impl IntoIterator<Item = (&'r Row, u64)>) -> Result<()> {
        self.begin.execute([])?;
        for (row, reclaim_at_ms) in rows {
            self.seq += 1;
            self.upsert.execute(params![
                self.seq,
                row.key,
                row.class,
                reclaim_at_ms.cast_signed(),
                row.group,
                row.stored,
                row.head,
                row.body
            ])?;
        }
        self.commit.execute([])?;
        Ok(())
    }
}
