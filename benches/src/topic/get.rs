use crate::comparison::{Comparisons, Target};
use crate::measure::{Stopwatch, duel};
use crate::raw::sqlite::Raw;
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{Item, Random};
use crate::{fill, workload};
use anyhow::{Context, Result};

const ABOUT: [&str; 2] = [
    "`process` level on both sides. Ours is `Memory::get_value`: the key is checked, head and body are read and \
     checked against their checksums, and the time to live is judged by the wall clock and by the store's. Beside \
     it a prepared `SELECT reclaim_at, body FROM entry WHERE key = ?` in autocommit, judged by the wall clock, on a \
     copy of the same file.",
    "Both read every key once, in random order. Both run one read transaction per get and no write.",
];

/// Reads by key beside plain SQL.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let (path, twin) = (folder.path().join("ours.db"), folder.path().join("raw.db"));
    let items = workload::small(stage.scale.entries);
    let memory = stage::open(&stage::url(&path)).await?;
    let lines = items.iter().map(|Item { key, value }| (key.clone(), value.clone(), fill::Life::ByRule));
    fill::import(&memory, lines).await?;
    stage::close(memory).await?;
    std::fs::copy(&path, &twin)?;

    let mut keys: Vec<String> = items.into_iter().map(|item| item.key).collect();
    Random::new(5).shuffle(&mut keys);
    let memory = stage::open(&stage::url(&path)).await?;
    let raw = Raw::open(&twin)?;
    let mut getter = raw.getter()?;
    let duel = duel(
        // Each is short, and the machine has its moods.
        8 * stage.scale.rounds,
        async || {
            let watch = Stopwatch::start();
            for key in &keys {
                let value = memory.get_value(key.as_str()).await?.context("an entry is missing")?;
                std::hint::black_box(value.bytes);
            }
            Ok(watch.seconds())
        },
        || {
            let watch = Stopwatch::start();
            for key in &keys {
                std::hint::black_box(getter.get(key)?.context("a row is missing")?);
            }
            Ok(watch.seconds())
        },
    )
    .await?;
    let mut table = Comparisons::new("SQLite: get, beside a prepared SELECT", &ABOUT);
    let what = format!("get of {} entries of some 250 bytes", crate::figure::grouped(keys.len() as u64));
    table.speed(&what, keys.len(), &duel, Some(Target::AtLeast(0.85)))?;
    Ok(table.finish())
}
