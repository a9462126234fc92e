use crate::comparison::{Comparisons, Target};
use crate::drive::{self, Pair, TASKS, put_shared};
use crate::fill::{self, Life};
use crate::measure::{Duel, Stopwatch, seconds};
use crate::raw::sqlite::{Raw, Row};
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{self, Item, Random};
use anyhow::{Result, ensure};
use memlife::{Clock, SystemClock};
use std::path::Path;
use std::sync::Arc;

const ABOUT: [&str; 3] = [
    "`process` level on both sides: one commit is acknowledged once it is in the write-ahead log, without a sync. \
     Ours is `Memory::put_value` under the built-in rule of `session/*`, which lives for an hour.",
    "Beside it `BEGIN IMMEDIATE; INSERT ... ON CONFLICT(key) DO UPDATE; COMMIT` of one row of the table `entry`, \
     with all its columns and indexes, prepared. It keeps no change number, clock, usage or version, which ours \
     does in the same commit.",
    "One task commits once per put. Of 64 tasks on two worker threads, those that wait share a commit; they stand \
     beside the same one-row transactions, and beside transactions of 64 rows by one who has them all at hand.",
];

/// The entries of a round in both orders.
struct Load {
    new: Arc<Vec<Pair>>,
    again: Arc<Vec<Pair>>,
}

/// Seconds that new entries took, and overwriting them.
type Taken = [f64; 2];

/// Writes beside plain SQL.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let items = workload::small(stage.scale.entries);
    let load = Load::of(&items)?;
    let empty = folder.path().join("empty.db");
    stage::close(stage::open(&stage::url(&empty)).await?).await?;
    let rows = rows(folder.path(), &items).await?;

    let [mut new, mut again, mut new_shared, mut again_shared, mut new_many, mut again_many] =
        std::array::from_fn(|_| Duel::default());
    for round in 0..2 * stage.scale.rounds {
        let path = |name: &str| folder.path().join(format!("{name}{round}.db"));
        let plain =
            || Ok([plain(&empty, &path("raw"), &rows, 1)?, plain(&empty, &path("many"), &rows, TASKS)?]);
        let before: Option<[Taken; 2]> = (round % 2 == 1).then(plain).transpose()?;
        let alone = ours(&path("alone"), &load, 1).await?;
        let shared = ours(&path("shared"), &load, TASKS).await?;
        let [raw, many] = before.map_or_else(plain, Ok::<_, anyhow::Error>)?;
        for (duel, ours, raw, at) in [
            (&mut new, alone, raw, 0),
            (&mut again, alone, raw, 1),
            (&mut new_shared, shared, raw, 0),
            (&mut again_shared, shared, raw, 1),
            (&mut new_many, shared, many, 0),
            (&mut again_many, shared, many, 1),
        ] {
            duel.push(ours[at], raw[at]);
        }
    }
    let count = items.len();
    let mut table = Comparisons::new("SQLite: put, beside a one-row transaction", &ABOUT);
    table.speed("new keys, one task", count, &new, Some(Target::AtLeast(0.85)))?;
    table.speed("overwrites, one task", count, &again, Some(Target::AtLeast(0.85)))?;
    table.speed("new keys, 64 tasks", count, &new_shared, Some(Target::AtLeast(2.5)))?;
    table.speed("overwrites, 64 tasks", count, &again_shared, Some(Target::AtLeast(2.5)))?;
    let target = Some(Target::AtLeast(0.75));
    table.speed("new keys, 64 tasks, beside 64 rows at once", count, &new_many, target)?;
    table.speed("overwrites, 64 tasks, beside 64 rows at once", count, &again_many, target)?;
    Ok(table.finish())
}

impl Load {
    fn of(items: &[Item]) -> Result<Self> {
        let new = drive::pairs(items)?;
        let mut again = new.clone();
        Random::new(13).shuffle(&mut again);
        Ok(Load { new: Arc::new(new), again: Arc::new(again) })
    }
}

/// The rows that a store makes of `items`.
pub async fn rows(folder: &Path, items: &[Item]) -> Result<Vec<Row>> {
    let path = folder.join("template.db");
    let memory = stage::open(&stage::url(&path)).await?;
    fill::import(&memory, items.iter().map(|item| (item.key.clone(), item.value.clone(), Life::ByRule)))
        .await?;
    stage::close(memory).await?;
    Raw::open(&path)?.rows()
}

async fn ours(path: &Path, load: &Load, tasks: usize) -> Result<Taken> {
    let memory = stage::open(&stage::url(path)).await?;
    let new = seconds(put_shared(&memory, &load.new, tasks)).await?;
    let again = seconds(put_shared(&memory, &load.again, tasks)).await?;
    let entries = memory.stats().await?.entries;
    ensure!(entries == load.new.len() as u64, "{entries} of {} entries are there", load.new.len());
    stage::close(memory).await?;
    Ok([new, again])
}

/// Seconds of transactions of `at_once` rows.
fn plain(empty: &Path, path: &Path, rows: &[Row], at_once: usize) -> Result<Taken> {
    std::fs::copy(empty, path)?;
    let raw = Raw::open(path)?;
    let mut putter = raw.putter()?;
    // As if some milliseconds passed, as they do for ours: the due index gets new places.
    let expiry = |at: usize| SystemClock.now().plus_ms(3_600_000 + at as u64 / 32).ms();
    let mut put = |rows: &[Row], start: u64| {
        let watch = Stopwatch::start();
        let instants = (0..rows.len() as u64).map(|at| start + at / 32);
        let mut rows = rows.iter().zip(instants).peekable();
        while rows.peek().is_some() {
            putter.put(rows.by_ref().take(at_once))?;
        }
        Ok::<_, anyhow::Error>(watch.seconds())
    };
    let new = put(rows, expiry(0))?;
    let mut again = rows.to_vec();
    Random::new(13).shuffle(&mut again);
    let again = put(&again, expiry(rows.len()))?;
    drop(putter);
    ensure!(raw.count()? == rows.len() as u64, "plain SQL lost rows");
    Ok([new, again])
}
