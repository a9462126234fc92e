use crate::child;
use crate::comparison::{Comparisons, Target};
use crate::figure::{Figure, Unit, grouped};
use crate::footprint::Footprint;
use crate::measure::{Spread, Stopwatch};
use crate::report::Section;
use crate::stage::{self, Stage};
use anyhow::{Result, ensure};

/// The most that opening may read: a few pages, however big the file is.
const OPEN_READS: f64 = 1.0;

const ABOUT: [&str; 2] = [
    "`sqlite`, filled by imports. The file is in the system's cache. `open` ends when the store answers; what it read \
     shows that nothing was scanned.",
    "List, export and a mixed load run each in a process of its own; peak memory is the most it ever had resident \
     (`VmHWM`), the program itself and SQLite's caches included. The mixed load is 64 tasks that get seven times of ten, put \
     over what is there twice and put a new key once, at random places.",
];

/// A store of a million entries.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let big = stage.big().await?;
    let url = stage::url(&big.path);
    let stored = big.living + 2 * big.due;
    let size = std::fs::metadata(&big.path)?.len();
    let mut table = Comparisons::new(&format!("A store of {} entries", grouped(stored as u64)), &ABOUT);
    let filling = Figure::rate(stored, &[big.filling.as_secs_f64()])?;
    table.alone("import, the making of the values included", filling, None);
    table.alone("size of the file", Figure::bytes(size as f64)?, None);

    let (mut opens, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..stage.scale.rounds {
        let before = Footprint::now()?;
        let watch = Stopwatch::start();
        let memory = stage::open(&url).await?;
        memory.get_value("session/agent1/nothing").await?;
        opens.push(watch.seconds());
        reads.push((Footprint::now()? - before).bytes_read as f64 / 1_048_576.0);
        stage::close(memory).await?;
    }
    table.alone("open and first get", Figure::time(&opens)?, Some(Target::AtMost(50.0)));
    let read = Figure { spread: Spread::of(reads)?, unit: Unit::Mebibytes };
    table.alone("read by that", read, Some(Target::AtMost(OPEN_READS)));

    for errand in ["list", "export"] {
        let found = child::send(errand, &url)?;
        ensure!(found.entries >= big.living as u64, "{errand} found {} entries", found.entries);
        let rate = Figure::rate(usize::try_from(found.entries)?, &[found.seconds])?;
        table.alone(&format!("{errand}, all entries"), rate, None);
        let peak = Figure::bytes(found.peak_bytes as f64)?;
        table.alone(&format!("{errand}, peak memory"), peak, Some(Target::AtMost(100.0)));
    }
    let found = child::send("mix", &url)?;
    let rate = Figure::rate(usize::try_from(found.entries)?, &[found.seconds])?;
    table.alone("gets and puts of 64 tasks", rate, None);
    let peak = Figure::bytes(found.peak_bytes as f64)?;
    table.alone("gets and puts of 64 tasks, peak memory", peak, Some(Target::AtMost(64.0)));
    Ok(table.finish())
}
