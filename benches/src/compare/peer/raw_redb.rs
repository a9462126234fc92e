use super::{Life, Peer};
use crate::compare::load::Line;
use crate::compare::place::Place;
use crate::compare::who::Level;
use crate::drive::Pair;
use crate::raw::redb::{Raw, Row};
use crate::stage::HOUR_MS;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use memlife::{Clock, SystemClock};
use redb::{Durability, ReadableTable};
use serde_json::value::RawValue;
use std::ops::Bound;

/// The same tables in plain redb.
pub struct RawRedb(Raw);

impl Peer for RawRedb {
    async fn open(place: &Place) -> Result<Self> {
        let durability = if place.level == Level::Memory { Durability::None } else { Durability::Immediate };
        Ok(RawRedb(Raw::open(&place.path("raw.redb"), durability)?))
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        self.0.write(|tables| tables.put(key, &value.bytes, deadline(life)))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let Some(row) = self.0.entries()?.get(key.as_bytes())? else { return Ok(None) };
        let row = Row(row.value());
        let is_over = row.deadline()? <= SystemClock.now().ms();
        Ok(if is_over { None } else { Some(Bytes::copy_from_slice(row.value()?)) })
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let seen = {
            let row = self.0.entries()?.get(key.as_bytes())?.with_context(|| format!("{key} is missing"))?;
            std::hint::black_box(Row(row.value()).value()?.to_vec());
            Row(row.value()).seq()?
        };
        self.0.write(|tables| {
            let is_same = tables.get(key, |row| row.seq())? == Some(seen);
            if is_same {
                tables.put(key, &value.bytes, deadline(Life::Hour))?;
            }
            Ok(is_same)
        })
    }

    async fn add(&self, key: &str) -> Result<()> {
        self.0.write(|tables| {
            let count = |row: Row<'_>| Ok(std::str::from_utf8(row.value()?)?.parse::<u64>()?);
            let count = tables.get(key, count)?.unwrap_or(0) + 1;
            tables.put(key, count.to_string().as_bytes(), deadline(Life::Hour))
        })
    }

    async fn page(&self, after: Option<String>, limit: usize) -> Result<Option<String>> {
        let start = after.as_deref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let (mut last, mut count) = (None, 0);
        for row in self.0.entries()?.range::<&[u8]>((start, Bound::Unbounded))?.take(limit) {
            let (key, row) = row?;
            std::hint::black_box(Row(row.value()).deadline()?);
            count += 1;
            last = Some(std::str::from_utf8(key.value())?.to_owned());
        }
        Ok(last.filter(|_| count == limit))
    }

    async fn export(&self) -> Result<Vec<String>> {
        let now = SystemClock.now().ms();
        let mut lines = Vec::new();
        for row in self.0.entries()?.iter()? {
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
        self.0.write(|tables| {
            for line in lines {
                let line: Line<'_> = serde_json::from_str(line)?;
                let end = line.expires_at.as_millisecond();
                ensure!(end >= 0, "{} ends before 1970", line.key);
                tables.put(line.key, line.value.get().as_bytes(), end.unsigned_abs())?;
            }
            Ok(())
        })
    }

    async fn sweep(&self) -> Result<u64> {
        let now = SystemClock.now().ms();
        self.0.write(|tables| tables.sweep(now))
    }

    async fn close(self) -> Result<()> {
        self.0.sync()
    }
}

fn deadline(life: Life) -> u64 {
    let now = SystemClock.now();
    match life {
        Life::Hour => now.plus_ms(HOUR_MS).ms(),
        Life::Over => now.minus_ms(HOUR_MS).ms(),
    }
}
