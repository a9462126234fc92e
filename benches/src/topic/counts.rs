use super::put::rows;
use super::sweep::{after, sweep};
use crate::drive::{TASKS, get_each, pairs, put_each, put_shared};
use crate::footprint::{Footprint, Log, LogCounter};
use crate::raw::sqlite::Raw;
use crate::report::Section;
use crate::stage::{self, ADJACENT_AFTER, Big, Stage};
use crate::workload;
use anyhow::{Context, Result};
use memlife::record::ReclaimClass;
use memlife::{Clock, ManualClock, PutOptions, SystemClock};
use std::path::Path;
use std::sync::Arc;

/// Operations that are counted: few enough for the log to stay in one piece.
const OPERATIONS: usize = 1_000;

const ABOUT: [&str; 2] = [
    "Counted, per operation, before anything is timed: commits and pages in the write-ahead log, and read and write \
     calls of the process. `beside` is the plain SQL that the operation is compared with below.",
    "Syncs: at `process` level a commit makes none. SQLite makes three each time it folds the log into the file, which \
     is every 2,000 pages, on both sides alike; memlife has a thread for it. At `disk` level each commit makes one. Embedded stores have no round \
     trips.",
];

const COLUMNS: [&str; 6] = ["what", "side", "commits", "pages written", "read calls", "write calls"];

/// Commits, pages and calls, counted.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let mut table = Counts(Section::new("SQLite: counts", &ABOUT, &COLUMNS));
    let folder = stage.folder()?;
    ours(folder.path(), &mut table).await?;
    plain(folder.path(), &mut table).await?;
    sweeps(stage, folder.path(), &mut table).await?;
    Ok(table.0)
}

struct Counts(Section);

impl Counts {
    fn push(&mut self, what: &str, side: &str, count: usize, (log, footprint): (Log, Footprint)) {
        let each = |number: u64| format!("{:.2}", number as f64 / count as f64);
        let numbers = [log.commits, log.pages, footprint.reads, footprint.writes].map(each);
        self.0.push([what.to_owned(), side.to_owned()].into_iter().chain(numbers).collect());
    }
}

/// What `work` on the database at `path` asks for.
async fn counted(path: &Path, work: impl AsyncFnOnce() -> Result<()>) -> Result<(Log, Footprint)> {
    let counter = LogCounter::watch(path)?;
    let (log, footprint) = (counter.read()?, Footprint::now()?);
    work().await?;
    let footprint = Footprint::now()? - footprint;
    Ok((counter.read()?.since(log), footprint))
}

async fn ours(folder: &Path, table: &mut Counts) -> Result<()> {
    let path = folder.join("ours.db");
    let memory = stage::open(&stage::url(&path)).await?;
    // The first put starts the log and prepares every statement.
    memory.put("session/first/k", "started").await?;
    let pairs = pairs(&workload::small(2 * OPERATIONS))?;
    let (one, shared) = pairs.split_at(OPERATIONS);
    let shared = Arc::new(shared.to_vec());
    let options = PutOptions::new();
    for what in ["put, new key, one task", "put, overwrite, one task"] {
        let work = async || put_each(&memory, one, &options).await;
        table.push(what, "memlife", OPERATIONS, counted(&path, work).await?);
    }
    for what in ["put, new key, 64 tasks", "put, overwrite, 64 tasks"] {
        let work = async || put_shared(&memory, &shared, TASKS).await;
        table.push(what, "memlife", OPERATIONS, counted(&path, work).await?);
    }
    table.push("get", "memlife", OPERATIONS, counted(&path, async || get_each(&memory, one).await).await?);
    stage::close(memory).await
}

async fn plain(folder: &Path, table: &mut Counts) -> Result<()> {
    let rows = rows(folder, &workload::small(OPERATIONS)).await?;
    let path = folder.join("raw.db");
    let memory = stage::open(&stage::url(&path)).await?;
    memory.put("session/first/k", "started").await?;
    stage::close(memory).await?;
    let raw = Raw::open(&path)?;
    let mut putter = raw.putter()?;
    let expiry = SystemClock.now().plus_ms(3_600_000).ms();
    for (what, later) in [("put, new key, one task", 0), ("put, overwrite, one task", 1_000)] {
        let work = async || rows.iter().try_for_each(|row| putter.put([(row, expiry + later)]));
        table.push(what, "beside", OPERATIONS, counted(&path, work).await?);
    }
    let mut getter = raw.getter()?;
    let work =
        async || rows.iter().try_for_each(|row| getter.get(&row.key)?.map(drop).context("a row is missing"));
    table.push("get", "beside", OPERATIONS, counted(&path, work).await?);
    Ok(())
}

async fn sweeps(stage: &Stage, folder: &Path, table: &mut Counts) -> Result<()> {
    let entries = stage.scale.entries;
    let big = Big::fill(folder.join("swept.db"), entries, entries).await?;
    let twin = folder.join("swept-raw.db");
    std::fs::copy(&big.path, &twin)?;
    let now = after(big.filled_at, ADJACENT_AFTER);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    let memory = stage::open_at(&stage::url(&big.path), clock).await?;
    let work = async || sweep(&memory, entries).await.map(drop);
    let what = format!("sweep of {} entries, all", crate::figure::grouped(entries as u64));
    table.push(&what, "memlife", 1, counted(&big.path, work).await?);
    stage::close(memory).await?;
    let raw = Raw::open(&twin)?;
    let work = async || raw.sweep(ReclaimClass::Lazy.code(), now.ms()).map(drop);
    table.push(&what, "beside", 1, counted(&twin, work).await?);
    Ok(())
}
