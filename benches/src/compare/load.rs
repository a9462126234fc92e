use super::operation::Stored;
use super::who::Level;
use crate::drive::{Pair, TASKS};
use crate::workload::{self, Item, Random};
use crate::{drive, stage};
use anyhow::Result;
use memlife::{Clock, SystemClock, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// The most entries that a sweep finds due.
const MOST_DUE: usize = 10_000;

/// The work, the same for everyone.
#[derive(Debug)]
pub struct Load {
    /// Entries of a usual measurement.
    pub entries: usize,
    /// Bytes of a value's text.
    pub value_bytes: usize,
    /// What many tasks put and everyone reads.
    pub small: Arc<Vec<Pair>>,
    /// What one task puts, under other keys.
    pub others: Arc<Vec<Pair>>,
    /// Some of `small`, to be replaced.
    pub few: Arc<Vec<Pair>>,
    /// The keys of `small` in the order in which they are read.
    pub mixed: Arc<Vec<Pair>>,
    /// Keys under which nothing is.
    pub absent: Arc<Vec<Pair>>,
    /// Values above every threshold of compression.
    pub large: Arc<Vec<Pair>>,
    /// What has expired when it is put.
    pub due: Arc<Vec<Pair>>,
    /// Counters, as many as tasks, each again and again.
    pub own_counters: Arc<Vec<Pair>>,
    /// One counter, again and again.
    pub hot_counter: Arc<Vec<Pair>>,
    /// The lines of an import.
    pub lines: Vec<String>,
}

/// A line of an export, and of an import.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line<'a> {
    /// The key.
    pub key: &'a str,
    /// The value, as JSON.
    #[serde(borrow)]
    pub value: &'a RawValue,
    /// When it expires.
    pub expires_at: jiff::Timestamp,
}

impl Load {
    /// Of `entries` entries with texts of `value_bytes`, for writes at `level`.
    pub fn new(entries: usize, value_bytes: usize, level: Level) -> Result<Self> {
        let under = |letter: &str, count| workload::under("session", letter, count, value_bytes);
        let small = drive::pairs(&under("k", entries))?;
        let mut mixed = small.clone();
        Random::new(5).shuffle(&mut mixed);
        let few = (entries / 10).max(TASKS);
        // One task waits for a sync with each.
        let others = if level == Level::Disk { few } else { entries };
        let counter = |at: usize| Item { key: format!("metrics/agent{at}/count"), value: 1.into() };
        let load = Load {
            entries,
            value_bytes,
            small: Arc::new(small),
            others: Arc::new(drive::pairs(&under("o", others))?),
            few: Arc::new(mixed.iter().take(few).cloned().collect()),
            mixed: Arc::new(mixed),
            absent: Arc::new(drive::pairs(&under("absent", entries))?),
            large: Arc::new(drive::pairs(&workload::large(few))?),
            due: Arc::new(drive::pairs(&workload::under(
                "coordination",
                "e",
                entries.min(MOST_DUE),
                value_bytes,
            ))?),
            own_counters: Arc::new(drive::pairs(
                &(0..few).map(|at| counter(at % TASKS)).collect::<Vec<_>>(),
            )?),
            hot_counter: Arc::new(drive::pairs(&vec![counter(TASKS); few])?),
            lines: Vec::new(),
        };
        let lines = load.living(0..entries)?;
        Ok(Load { lines, ..load })
    }

    /// How many entries a sweep finds due.
    pub fn due_count(&self) -> usize {
        self.due.len()
    }

    /// How many entries live where a sweep finds some due.
    pub fn stored(&self, stored: Stored) -> usize {
        self.due_count() * stored.times()
    }

    /// The lines of entries that live for long.
    pub fn living(&self, range: Range<usize>) -> Result<Vec<String>> {
        let mut random = Random::new(range.start as u64);
        let expires_at = jiff::Timestamp::from_millisecond(century().cast_signed())?;
        range
            .map(|at| {
                let value = workload::value_of(&mut random, self.value_bytes);
                let value = serde_json::value::to_raw_value(&value)?;
                let key = living_key(at);
                Ok(serde_json::to_string(&Line { key: &key, value: &value, expires_at })?)
            })
            .collect()
    }
}

/// The key of the entry number `at` of those that live for long.
pub fn living_key(at: usize) -> String {
    format!("session/agent{}/l{at:07}", at % 97)
}

/// An instant a century from now: the lines have no word for never, and this is as good.
fn century() -> u64 {
    SystemClock.now().plus_ms(100 * 365 * 24 * stage::HOUR_MS).ms()
}

/// What a line says, to be put.
pub fn pair(line: &str) -> Result<Pair> {
    let line: Line<'_> = serde_json::from_str(line)?;
    Ok((line.key.to_owned(), Value::json_text(line.value.get().as_bytes().to_vec())?))
}
