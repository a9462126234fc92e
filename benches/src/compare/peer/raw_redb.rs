use super::{Life, Peer};
use crate::compare::load::Line;
use crate::compare::place::Place;
use crate::compare::who::Level;
use crate::drive::Pair;
use crate::stage::HOUR_MS;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use memlife::{Clock, SystemClock};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde_json::value::RawValue;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

const OWN: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("memlife");
const ENTRY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entry");
const DUE: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("due");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const USAGE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("usage");
/// What every commit writes of the ledger, and of a tally.
const LEDGER: (u8, [u8; 120]) = (1, [0; 120]);
const TALLY: [u8; 32] = [0; 32];
/// Bytes of a row beside the value: its deadline, its change number, and as many as memlife's metadata take.
const HEAD: usize = 120;
/// What memlife's store lets redb cache.
const CACHE_BYTES: usize = 32 << 20;

/// The same tables in plain redb.
pub struct RawRedb {
    database: Database,
    durability: Durability,
    seq: AtomicU64,
}

/// A row as it is read.
struct Row<'a>(&'a [u8]);

impl Peer for RawRedb {
    async fn open(place: &Place) -> Result<Self> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(place.path("raw.redb"))?;
        let durability = if place.level == Level::Memory { Durability::None } else { Durability::Immediate };
        let raw = RawRedb { database, durability, seq: AtomicU64::new(0) };
        // Tables are made by the first transaction that writes; a read finds none before.
        let last = raw.write(|tables| Ok(tables.changes.last()?.map_or(0, |(seq, _)| seq.value())))?;
        raw.seq.store(last, Ordering::Relaxed);
        Ok(raw)
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        self.write(|tables| tables.put(key, &value.bytes, deadline(life), self.next()))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let Some(row) = self.database.begin_read()?.open_table(ENTRY)?.get(key.as_bytes())? else {
            return Ok(None);
        };
        let row = Row(row.value());
        let is_over = row.deadline()? <= SystemClock.now().ms();
        Ok(if is_over { None } else { Some(Bytes::copy_from_slice(row.value()?)) })
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let seen = {
            let row = self.database.begin_read()?.open_table(ENTRY)?.get(key.as_bytes())?;
            let row = row.with_context(|| format!("{key} is missing"))?;
            std::hint::black_box(Row(row.value()).value()?.to_vec());
            Row(row.value()).seq()?
        };
        self.write(|tables| {
            let is_same = match tables.entry.get(key.as_bytes())? {
                Some(row) => Row(row.value()).seq()? == seen,
                None => false,
            };
            if is_same {
                tables.put(key, &value.bytes, deadline(Life::Hour), self.next())?;
            }
            Ok(is_same)
        })
    }

    async fn add(&self, key: &str) -> Result<()> {
        self.write(|tables| {
            let count: u64 = match tables.entry.get(key.as_bytes())? {
                Some(row) => std::str::from_utf8(Row(row.value()).value()?)?.parse()?,
                None => 0,
            };
            let count = (count + 1).to_string();
            tables.put(key, count.as_bytes(), deadline(Life::Hour), self.next())
        })
    }

    async fn page(&self, after: Option<String>, limit: usize) -> Result<Option<String>> {
        let table = self.database.begin_read()?.open_table(ENTRY)?;
        let start = after.as_deref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let (mut last, mut count) = (None, 0);
        for row in table.range::<&[u8]>((start, Bound::Unbounded))?.take(limit) {
            let (key, row) = row?;
            std::hint::black_box(Row(row.value()).deadline()?);
            count += 1;
            last = Some(std::str::from_utf8(key.value())?.to_owned());
        }
        Ok(last.filter(|_| count == limit))
    }

    async fn export(&self) -> Result<Vec<String>> {
        let table = self.database.begin_read()?.open_table(ENTRY)?;
        let now = SystemClock.now().ms();
        let mut lines = Vec::new();
        for row in table.iter()? {
            let (key, row) = row?;
            let row = Row(row.value());
            if row.deadline()? <= now {
                continue;
            }
            let value: &RawValue = serde_json::from_slice(row.value()?)?;
            let expires_at = jiff::Timestamp::from_millisecond(row.deadline()?.cast_signed())?;
            lines.push(serde_json::to_string(&Line {
                key: std::str::from_utf8(key.value())?,
                value,
                expires_at,
            })?);
        }
        Ok(lines)
    }

    async fn import(&self, lines: &[String]) -> Result<()> {
        self.write(|tables| {
            for line in lines {
                let line: Line<'_> = serde_json::from_str(line)?;
                let end = line.expires_at.as_millisecond();
                ensure!(end >= 0, "{} ends before 1970", line.key);
                tables.put(line.key, line.value.get().as_bytes(), end.unsigned_abs(), self.next())?;
            }
            Ok(())
        })
    }

    async fn sweep(&self) -> Result<u64> {
        let mut end = [u8::MAX; 16];
        end[..8].copy_from_slice(&SystemClock.now().ms().to_be_bytes());
        self.write(|tables| {
            let mut swept = 0;
            for due in tables.due.extract_from_if::<&[u8; 16], _>(..=&end, |_, _| true)? {
                let (place, key) = due?;
                let (_, seq) = place.value().split_at(8);
                tables.entry.remove(key.value())?;
                tables.changes.remove(u64::from_be_bytes(seq.try_into()?))?;
                swept += 1;
            }
            Ok(swept)
        })
    }

    async fn close(self) -> Result<()> {
        // What was committed without a sync goes with the next commit that has one.
        Ok(self.database.begin_write()?.commit()?)
    }
}

impl RawRedb {
    fn next(&self) -> u64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One transaction over all five tables.
    fn write<T>(&self, work: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        let done = work(&mut Tables::open(&transaction)?)?;
        transaction.commit()?;
        Ok(done)
    }
}

struct Tables<'t> {
    entry: Table<'t, &'static [u8], &'static [u8]>,
    due: Table<'t, &'static [u8; 16], &'static [u8]>,
    changes: Table<'t, u64, &'static [u8]>,
    usage: Table<'t, &'static [u8], &'static [u8]>,
    own: Table<'t, u8, &'static [u8]>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Tables {
            entry: transaction.open_table(ENTRY)?,
            due: transaction.open_table(DUE)?,
            changes: transaction.open_table(CHANGES)?,
            usage: transaction.open_table(USAGE)?,
            own: transaction.open_table(OWN)?,
        })
    }

    fn put(&mut self, key: &str, value: &[u8], deadline: u64, seq: u64) -> Result<()> {
        let (deadline, seq) = (deadline.to_be_bytes(), seq.to_be_bytes());
        let place = |row: &Row<'_>| -> Result<([u8; 16], u64)> {
            Ok((row.0.first_chunk().copied().context("a row is cut short")?, row.seq()?))
        };
        let row = [&deadline[..], &seq, &[0; HEAD - 16], value].concat();
        let before =
            self.entry.insert(key.as_bytes(), &row[..])?.map(|row| place(&Row(row.value()))).transpose()?;
        if let Some((due, seq)) = before {
            self.due.remove(&due)?;
            self.changes.remove(seq)?;
        }
        let (due, _) = place(&Row(&row))?;
        self.due.insert(&due, key.as_bytes())?;
        self.changes.insert(u64::from_be_bytes(seq), key.as_bytes())?;
        self.usage.insert(&b"session"[..], &TALLY[..])?;
        self.own.insert(LEDGER.0, &LEDGER.1[..])?;
        Ok(())
    }
}

impl<'a> Row<'a> {
    fn number(&self, at: usize) -> Result<u64> {
        let bytes = self.0.get(at..at + 8).context("a row is cut short")?;
        Ok(u64::from_be_bytes(bytes.try_into()?))
    }

    fn deadline(&self) -> Result<u64> {
        self.number(0)
    }

    fn seq(&self) -> Result<u64> {
        self.number(8)
    }

    fn value(&self) -> Result<&'a [u8]> {
        self.0.get(HEAD..).context("a row is cut short")
    }
}

fn deadline(life: Life) -> u64 {
    let now = SystemClock.now();
    match life {
        Life::Hour => now.plus_ms(HOUR_MS).ms(),
        Life::Over => now.minus_ms(HOUR_MS).ms(),
    }
}
