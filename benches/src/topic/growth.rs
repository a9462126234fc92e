use super::sweep::{after, sweep};
use crate::figure::{grouped, rounded};
use crate::footprint::{Footprint, LogCounter};
use crate::measure::Spread;
use crate::raw::sqlite::{Raw, Steps};
use crate::report::{Section, Verdict};
use crate::stage::{self, ADJACENT_AFTER, Big, SPREAD_AFTER, Stage};
use anyhow::Result;
use memlife::record::ReclaimClass;
use memlife::{Clock, ManualClock};
use std::path::Path;
use std::sync::Arc;

const ABOUT: [&str; 2] = [
    "The same sweep of as many due entries in a small store and in a big one. `rows`, `steps`, `scanned` and `sorts` \
     are what SQLite counts for the query that finds what is due; `scanned` are steps through a whole table. `read \
     calls` are those of the whole sweep: SQLite starts with an empty cache and fetches a page per call. `pages \
     written` are counted in the write-ahead log.",
    "What is due alone decides the rows, the steps and the commits. Spread keys of a big store lie each on pages of \
     their own, in the table and in its three indexes: so a sweep there visits up to four leaves per due entry, and \
     the branches above them, which are few. That is bounded by what is due, too: at most twelve pages per entry.",
];

/// The table and its three indexes, each of three levels.
const PAGES_PER_ENTRY: u64 = 12;

const COLUMNS: [&str; 11] = [
    "stored",
    "due",
    "lot",
    "rows",
    "steps",
    "scanned",
    "sorts",
    "read calls",
    "pages written",
    "commits",
    "time",
];

/// What one sweep asked of the system.
struct Visit {
    steps: Steps,
    reads: u64,
    pages: u64,
    commits: u64,
    seconds: f64,
}

/// What a sweep visits, in a small store and in a big one.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let mut section = Section::new("SQLite: what a sweep visits", &ABOUT, &COLUMNS);
    let folder = stage.folder()?;
    let small = Big::fill(folder.path().join("small.db"), stage.scale.entries, stage.scale.entries).await?;
    let mut visits = Vec::new();
    for big in [&small, stage.big().await?] {
        let mut rounds = Vec::new();
        for _ in 0..stage.scale.long_rounds.div_ceil(2) {
            rounds.push(visit(folder.path(), big).await?);
        }
        for (at, lot) in ["adjacent", "spread"].into_iter().enumerate() {
            let seconds = Spread::of(rounds.iter().map(|round| round[at].seconds).collect())?;
            let Some([adjacent, spread]) = rounds.first() else { continue };
            let visit = if at == 0 { adjacent } else { spread };
            section.push(row(big, lot, visit, seconds));
            visits.push((visit.steps.machine, visit.steps.scanned, visit.reads, visit.commits));
        }
    }
    if let [small_adjacent, small_spread, big_adjacent, big_spread] = visits[..] {
        let is_alike = |one: u32, other: u32| one.abs_diff(other) <= one / 20;
        let judge = |is_met| Some(if is_met { Verdict::Met } else { Verdict::Missed });
        let same_steps = is_alike(small_adjacent.0, big_adjacent.0) && is_alike(small_spread.0, big_spread.0);
        section.judge("the steps do not grow with what is stored", judge(same_steps));
        section.judge("no table is scanned", judge(big_adjacent.1 == 0 && big_spread.1 == 0));
        let same_reads = big_adjacent.2 <= small_adjacent.2 * 2;
        section.judge("adjacent keys: the pages do not grow with what is stored", judge(same_reads));
        let is_bounded = big_spread.2 <= small.due as u64 * PAGES_PER_ENTRY;
        section.judge("spread keys: at most twelve pages per due entry", judge(is_bounded));
    }
    Ok(section)
}

fn row(big: &Big, lot: &str, visit: &Visit, seconds: Spread) -> Vec<String> {
    vec![
        grouped(big.living as u64),
        grouped(big.due as u64),
        lot.to_owned(),
        grouped(visit.steps.rows),
        grouped(visit.steps.machine.into()),
        grouped(visit.steps.scanned.into()),
        grouped(visit.steps.sorts.into()),
        grouped(visit.reads),
        grouped(visit.pages),
        grouped(visit.commits),
        format!("{} ms", rounded(seconds.median * 1e3)),
    ]
}

/// Sweeps both lots of a copy of `big`, one after the other, each from a cold cache.
async fn visit(folder: &Path, big: &Big) -> Result<[Visit; 2]> {
    let path = folder.join("visited.db");
    std::fs::copy(&big.path, &path)?;
    let first = visit_once(&path, big, ADJACENT_AFTER).await?;
    let second = visit_once(&path, big, ADJACENT_AFTER + SPREAD_AFTER).await?;
    std::fs::remove_file(&path)?;
    Ok([first, second])
}

async fn visit_once(path: &Path, big: &Big, since_filling: std::time::Duration) -> Result<Visit> {
    let now = after(big.filled_at, since_filling);
    let steps = Raw::open(path)?.due_steps(ReclaimClass::Lazy.code(), now.ms())?;
    let clock = Arc::new(ManualClock::new(now));
    let memory = stage::open_at(&stage::url(path), clock as Arc<dyn Clock>).await?;
    let counter = LogCounter::watch(path)?;
    let (log, before) = (counter.read()?, Footprint::now()?);
    let seconds = sweep(&memory, big.due).await?;
    let footprint = Footprint::now()? - before;
    let log = counter.read()?.since(log);
    drop(counter);
    stage::close(memory).await?;
    Ok(Visit { steps, reads: footprint.reads, pages: log.pages, commits: log.commits, seconds })
}
