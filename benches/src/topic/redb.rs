use crate::comparison::{Comparisons, Target};
use crate::drive::{Pair, TASKS, get_each, pairs, put_shared};
use crate::figure::grouped;
use crate::measure::{Stopwatch, duel, seconds};
use crate::raw::redb::Raw;
use crate::report::Section;
use crate::stage::{self, HOUR_MS, Stage};
use crate::workload::{self, Random};
use anyhow::{Context, Result};
use memlife::{Clock, OpenOptions, SystemClock};
use redb::Durability;
use std::path::Path;
use std::sync::Arc;

const ABOUT: [&str; 2] = [
    "Gets of ours share the records of the last commit until the next write; beside each a read transaction of redb's own \
     with a `get` that copies the row, on a copy of the same file. While commits go on each get of ours begins one, too.",
    "A put at `disk` is acknowledged once its commit is synced; 64 tasks share commits. Beside it one durable transaction \
     per put, which writes the same five tables, and one per 64 puts by one who has them all at hand.",
];

/// redb beside itself.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let mut table = Comparisons::new("redb, beside its own transactions", &ABOUT);
    let path = folder.path().join("ours.redb");
    let url = format!("redb:{}", path.display());
    let mut load = pairs(&workload::small(stage.scale.entries))?;
    let memory = stage::open(&url).await?;
    put_shared(&memory, &Arc::new(load.clone()), TASKS).await?;
    stage::close(memory).await?;
    let twin = folder.path().join("raw.redb");
    std::fs::copy(&path, &twin)?;
    Random::new(5).shuffle(&mut load);
    let (memory, raw) = (stage::open(&url).await?, Raw::open(&twin, Durability::Immediate)?);
    let gets = duel(
        4 * stage.scale.rounds,
        async || seconds(get_each(&memory, &load)).await,
        || {
            let watch = Stopwatch::start();
            for (key, _) in &load {
                let row = raw.entries()?.get(key.as_bytes())?.context("a row is missing")?;
                std::hint::black_box(row.value().to_vec());
            }
            Ok(watch.seconds())
        },
    )
    .await?;
    stage::close(memory).await?;
    let what = format!("get of {} entries", grouped(load.len() as u64));
    table.speed(&what, load.len(), &gets, Some(Target::AtLeast(0.85)))?;

    // One at a time takes long. The others need enough commits that the first, which a task has for itself, is few of them.
    let beside = [
        ("one at a time", 1, stage.scale.entries / 10, 8.0),
        ("64 at once", TASKS, stage.scale.entries, 0.75),
    ];
    for (what, at_once, puts, least) in beside {
        let load = Arc::new(load[..puts].to_vec());
        let rounds = duel(
            stage.scale.long_rounds,
            async || {
                let folder = stage.folder()?;
                let options = OpenOptions::new().durability(memlife::Durability::Disk);
                let url = format!("redb:{}", folder.path().join("store.redb").display());
                let memory = memlife::open_with(&url, options).await?;
                let taken = seconds(put_shared(&memory, &load, TASKS)).await?;
                stage::close(memory).await?;
                Ok(taken)
            },
            || put_each(&stage.folder()?.path().join("raw.redb"), &load, at_once),
        )
        .await?;
        let what = format!("put at `disk`, 64 tasks, beside {what}");
        table.speed(&what, puts, &rounds, Some(Target::AtLeast(least)))?;
    }
    Ok(table.finish())
}

/// Seconds of durable transactions of `at_once` puts, in a new file.
fn put_each(path: &Path, pairs: &[Pair], at_once: usize) -> Result<f64> {
    let raw = Raw::open(path, Durability::Immediate)?;
    let watch = Stopwatch::start();
    for pairs in pairs.chunks(at_once) {
        raw.write(|tables| {
            let deadline = SystemClock.now().plus_ms(HOUR_MS).ms();
            pairs.iter().try_for_each(|(key, value)| tables.put(key, &value.bytes, deadline))
        })?;
    }
    Ok(watch.seconds())
}
