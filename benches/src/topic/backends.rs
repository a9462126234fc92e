use super::sweep::sweep;
use crate::drive::{TASKS, get_each, pairs, put_each, put_shared};
use crate::figure::{Figure, Unit, grouped, show};
use crate::measure::{Spread, Stopwatch, seconds};
use crate::report::Section;
use crate::stage::Stage;
use crate::workload::{self, Random};
use anyhow::{Result, ensure};
use memlife::{Durability, ListOptions, Memory, OpenOptions, PutOptions};
use std::sync::Arc;

const ABOUT: [&str; 2] = [
    "The same work on each backend, at the level that the column `survives` names; rows of different levels are not \
     to be compared with each other. Values go in and come out as JSON text. `list` reads metadata, `export` values.",
    "Counts per put: `sqlite` 1 commit, `fs` 1 commit of its index, one new file and one rename. At `disk` level a \
     commit is 1 sync, and a put in `fs` 2 more, of the file and of its folder; 64 tasks share a commit's.",
];

const COLUMNS: [&str; 10] = [
    "backend",
    "survives",
    "entries",
    "put, new",
    "put, again",
    "put, 64 tasks",
    "get",
    "list",
    "export",
    "sweep",
];

/// One line of the table.
struct Setup {
    backend: &'static str,
    level: Durability,
    /// One of so many entries of the usual number: a sync takes its time.
    share: usize,
}

const SETUPS: [Setup; 5] = [
    Setup { backend: "memory", level: Durability::Memory, share: 1 },
    Setup { backend: "sqlite", level: Durability::Process, share: 1 },
    Setup { backend: "fs", level: Durability::Process, share: 1 },
    Setup { backend: "sqlite", level: Durability::Disk, share: 10 },
    Setup { backend: "fs", level: Durability::Disk, share: 10 },
];

/// Operations of a line, in the order of the columns.
const OPERATIONS: usize = 7;

/// The backends beside each other.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let mut section = Section::new("Backends", &ABOUT, &COLUMNS);
    for setup in &SETUPS {
        let entries = stage.scale.entries / setup.share;
        let mut rounds = Vec::new();
        for _ in 0..stage.scale.long_rounds.div_ceil(2) {
            rounds.push(rehearse(stage, setup, entries).await?);
        }
        let mut row = vec![setup.backend.to_owned(), setup.level.to_string(), grouped(entries as u64)];
        for at in 0..OPERATIONS {
            let seconds: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
            row.push(match at {
                6 => show(Spread::of(seconds)?.median * 1e3, Unit::Milliseconds),
                _ => Figure::rate(entries, &seconds)?.show(),
            });
        }
        section.push(row);
    }
    Ok(section)
}

/// Seconds per operation over all entries.
async fn rehearse(stage: &Stage, setup: &Setup, entries: usize) -> Result<[f64; OPERATIONS]> {
    let folder = stage.folder()?;
    let url = match setup.backend {
        "memory" => "memory:".to_owned(),
        backend => format!("{backend}:{}", folder.path().join("store").display()),
    };
    let memory = memlife::open_with(&url, OpenOptions::new().durability(setup.level)).await?;
    let options = PutOptions::new();
    let mut small = pairs(&workload::small(entries))?;
    let new = seconds(put_each(&memory, &small, &options)).await?;
    Random::new(19).shuffle(&mut small);
    let again = seconds(put_each(&memory, &small, &options)).await?;
    let get = seconds(get_each(&memory, &small)).await?;
    let shared = seconds(put_shared(&memory, &Arc::new(small), TASKS)).await?;
    let list = walk_list(&memory, entries).await?;
    let export = walk_export(&memory, entries).await?;
    let past = memory.clock().now().minus_ms(7_200_000);
    put_each(&memory, &pairs(&workload::coordination(entries))?, &options.expires_at(past)).await?;
    let swept = sweep(&memory, entries).await?;
    memory.close().await?;
    Ok([new, again, shared, get, list, export, swept])
}

async fn walk_list(memory: &Memory, entries: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    let mut listing = memory.list(ListOptions::new());
    let mut seen = 0;
    while listing.next().await?.is_some() {
        seen += 1;
    }
    ensure!(seen == entries, "the list holds {seen} of {entries} entries");
    Ok(watch.seconds())
}

async fn walk_export(memory: &Memory, entries: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    let mut export = memory.export(ListOptions::new());
    let mut seen = 0;
    while let Some(line) = export.next().await? {
        std::hint::black_box(line);
        seen += 1;
    }
    ensure!(seen == entries, "the export holds {seen} of {entries} entries");
    Ok(watch.seconds())
}
