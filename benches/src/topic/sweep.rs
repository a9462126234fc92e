use crate::comparison::{Comparisons, Target};
use crate::measure::{Duel, Stopwatch};
use crate::raw::sqlite::Raw;
use crate::report::Section;
use crate::stage::{self, ADJACENT_AFTER, Big, SPREAD_AFTER, Stage};
use anyhow::{Result, ensure};
use memlife::record::ReclaimClass;
use memlife::{Clock, ManualClock, Memory, SweepOptions, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ABOUT: [&str; 2] = [
    "`process` level on both sides. Ours is `Memory::sweep`: every entry is judged by its rule, its removal is \
     recorded for watchers and replicas, usage is counted down, a report is kept; one commit per 2,500 entries and \
     one for the report. Beside it `DELETE FROM entry WHERE class = ? AND reclaim_at <= ?`, one statement and one \
     commit, on a copy of the same file.",
    "Both begin with an empty page cache of their own, the file being in the system's. `adjacent`: the expired keys \
     are neighbours and were put one after the other. `spread`: they lie among as many living ones.",
];

/// Sweeps beside plain SQL.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let entries = stage.scale.entries;
    let big = Big::fill(folder.path().join("template.db"), entries, entries).await?;
    let (mut adjacent, mut spread) = (Duel::default(), Duel::default());
    for round in 0..2 * stage.scale.rounds {
        let path = folder.path().join(format!("ours{round}.db"));
        let twin = folder.path().join(format!("raw{round}.db"));
        std::fs::copy(&big.path, &path)?;
        std::fs::copy(&big.path, &twin)?;
        let mut peer = [0.0; 2];
        if round % 2 == 1 {
            peer = plain(&twin, &big)?;
        }
        let ours = ours(&path, &big).await?;
        if round % 2 == 0 {
            peer = plain(&twin, &big)?;
        }
        for (duel, at) in [(&mut adjacent, 0), (&mut spread, 1)] {
            duel.push(ours[at], peer[at]);
        }
    }
    let mut table = Comparisons::new("SQLite: sweep, beside one DELETE", &ABOUT);
    let what = |lot| format!("{} expired, {lot}", crate::figure::grouped(entries as u64));
    table.time(&what("adjacent"), &adjacent, Some(Target::AtMost(1.25)))?;
    table.time(&what("spread"), &spread, Some(Target::AtMost(1.25)))?;
    Ok(table.finish())
}

async fn ours(path: &Path, big: &Big) -> Result<[f64; 2]> {
    let clock = Arc::new(ManualClock::new(after(big.filled_at, ADJACENT_AFTER)));
    let memory = stage::open_at(&stage::url(path), Arc::clone(&clock) as Arc<dyn Clock>).await?;
    let adjacent = sweep(&memory, big.due).await?;
    clock.advance(SPREAD_AFTER);
    let spread = sweep(&memory, big.due).await?;
    stage::close(memory).await?;
    Ok([adjacent, spread])
}

/// Sweeps `due` entries and returns the seconds it took.
pub async fn sweep(memory: &Memory, due: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    let report = memory.sweep(SweepOptions::new()).await?;
    let seconds = watch.seconds();
    ensure!(report.deleted == due as u64, "the sweep removed {} of {due} entries", report.deleted);
    Ok(seconds)
}

fn plain(path: &Path, big: &Big) -> Result<[f64; 2]> {
    let raw = Raw::open(path)?;
    let mut taken = [0.0; 2];
    for (taken, after_filling) in taken.iter_mut().zip([ADJACENT_AFTER, ADJACENT_AFTER + SPREAD_AFTER]) {
        let until = after(big.filled_at, after_filling);
        let watch = Stopwatch::start();
        let swept = raw.sweep(ReclaimClass::Lazy.code(), until.ms())?;
        *taken = watch.seconds();
        ensure!(swept == big.due, "plain SQL removed {swept} of {} rows", big.due);
    }
    Ok(taken)
}

/// The instant `later` than `start`.
pub fn after(start: Timestamp, later: Duration) -> Timestamp {
    start.plus_ms(u64::try_from(later.as_millis()).unwrap_or(u64::MAX))
}
