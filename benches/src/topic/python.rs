use super::sweep::sweep;
use crate::args::Args;
use crate::child;
use crate::comparison::{Comparisons, Target};
use crate::drive::{self, pairs};
use crate::figure::Figure;
use crate::measure::{Duel, Stopwatch, seconds};
use crate::report::Section;
use crate::script::{self, Script};
use crate::stage::{self, Stage};
use crate::workload::{self, Item, Random};
use anyhow::{Context, Result, ensure};
use memlife::{Memory, PutOptions};
use std::sync::Arc;

const ABOUT: [&str; 3] = [
    "The same work: the same keys, values of the same shape, the same rules. Values go in as JSON values and come out \
     parsed. The ratio is how many times as fast memlife is.",
    "Ours is at `process` level. The original syncs its metadata, by SQLite's default, and does not sync the files \
     that hold its values: what it acknowledged survives `kill -9` and no power cut, which is the same level. Part \
     of its time is that sync.",
    "As with the original, what is read was put by the same process. Ours then still holds the last 16 MiB of large \
     values decompressed; `after opening anew` is `retrieve_compressed` without that, each value read for the first \
     time.",
];

const CACHE_ABOUT: [&str; 1] = ["\
     Python's diskcache keeps strings in SQLite with a write-ahead log and without a sync per commit: `process` level \
     as ours. It stores and returns the JSON text, so does ours here. It has one task: of 64 tasks of ours each put stands \
     beside one of its own."];

/// The operations, as the script names them.
const OPERATIONS: [&str; 5] = ["store", "retrieve", "store_compressed", "retrieve_compressed", "cleanup"];
/// The operation of the original that reading compressed values in a new process stands beside.
const RETRIEVE_COMPRESSED: usize = 3;
const SQLITE_TARGETS: [Option<f64>; 5] = [Some(28.0), Some(400.0), None, Some(150.0), Some(8.0)];
const FS_TARGETS: [Option<f64>; 5] = [Some(5.0), Some(20.0), None, Some(20.0), Some(0.9)];

/// Seconds per operation, in the order of [`OPERATIONS`].
type Taken = [f64; 5];

/// What a rehearsal found.
struct Rehearsed {
    taken: Taken,
    /// Seconds to read one compressed value in a new process.
    anew: f64,
}

/// The same work as the Python original, and as diskcache.
pub async fn measure(stage: &Stage, args: &Args) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let original = script::original(&args.places);
    match original.missing() {
        None => sections.push(beside_original(stage, &original).await?),
        Some(why) => eprintln!("left out: the Python original; {why}"),
    }
    let diskcache = script::diskcache(&args.places);
    match diskcache.missing() {
        None => sections.push(beside_diskcache(stage, &diskcache).await?),
        Some(why) => eprintln!("left out: diskcache; {why}"),
    }
    Ok(sections)
}

async fn beside_original(stage: &Stage, script: &Script) -> Result<Section> {
    let entries = stage.scale.entries.to_string();
    let (mut sqlite, mut fs) = (duels::<5>(), duels::<5>());
    let (mut sqlite_anew, mut fs_anew) = (Duel::default(), Duel::default());
    for _ in 0..rounds(stage) {
        let before = [rehearse(stage, "sqlite").await?, rehearse(stage, "sqlite").await?];
        let told = script.run(&["bench", "--entries", &entries])?;
        let in_fs = rehearse(stage, "fs").await?;
        let after = [rehearse(stage, "sqlite").await?, rehearse(stage, "sqlite").await?];
        for (at, operation) in OPERATIONS.into_iter().enumerate() {
            let peer = told.seconds(operation)?;
            for in_sqlite in before.iter().chain(&after) {
                sqlite[at].push(in_sqlite.taken[at], peer);
            }
            fs[at].push(in_fs.taken[at], peer);
        }
        let peer = told.seconds(OPERATIONS[RETRIEVE_COMPRESSED])?;
        for in_sqlite in before.iter().chain(&after) {
            sqlite_anew.push(in_sqlite.anew, peer);
        }
        fs_anew.push(in_fs.anew, peer);
    }
    let mut table = Comparisons::new("Beside the Python original", &ABOUT);
    for (backend, duels, anew, targets) in
        [("sqlite", &sqlite, &sqlite_anew, SQLITE_TARGETS), ("fs", &fs, &fs_anew, FS_TARGETS)]
    {
        for ((operation, duel), target) in OPERATIONS.into_iter().zip(duels).zip(targets) {
            add(&mut table, backend, operation, duel, target)?;
        }
        add(&mut table, backend, "retrieve_compressed, after opening anew", anew, None)?;
    }
    Ok(table.finish())
}

/// Rounds that the scripts take part in: each takes them a minute.
fn rounds(stage: &Stage) -> usize {
    stage.scale.long_rounds.div_ceil(2)
}

fn duels<const COUNT: usize>() -> [Duel; COUNT] {
    std::array::from_fn(|_| Duel::default())
}

fn add(
    table: &mut Comparisons,
    backend: &str,
    operation: &str,
    duel: &Duel,
    target: Option<f64>,
) -> Result<()> {
    let figure = |seconds: &[f64]| match operation {
        "cleanup" => Figure::time(seconds),
        _ => Figure::rate(1, seconds),
    };
    let (ours, peer) = (figure(&duel.ours)?, figure(&duel.peer)?);
    table.ratio(&format!("{backend}: {operation}"), ours, peer, duel.speed()?, target.map(Target::AtLeast));
    Ok(())
}

/// Does in a fresh store what the script does.
async fn rehearse(stage: &Stage, backend: &str) -> Result<Rehearsed> {
    let folder = stage.folder()?;
    let url = format!("{backend}:{}", folder.path().join("store").display());
    let memory = stage::open(&url).await?;
    let entries = stage.scale.entries;
    let mut small = workload::small(entries);
    let large = workload::large(entries / 10);
    let store = put_each(&memory, &small).await?;
    let store_large = put_each(&memory, &large).await?;
    Random::new(17).shuffle(&mut small);
    let retrieve = get_each(&memory, &small).await?;
    let retrieve_large = get_each(&memory, &large).await?;
    let past = memory.clock().now().minus_ms(7_200_000);
    for Item { key, value } in workload::coordination(entries) {
        memory.put_with(key, &value, PutOptions::new().expires_at(past)).await?;
    }
    let cleanup = sweep(&memory, entries).await?;
    stage::close(memory).await?;
    let anew = child::send("read-large", &url)?;
    ensure!(
        anew.entries == large.len() as u64,
        "{} of {} large entries were read",
        anew.entries,
        large.len()
    );
    let anew = anew.seconds / large.len() as f64;
    Ok(Rehearsed { taken: [store, retrieve, store_large, retrieve_large, cleanup], anew })
}

/// Seconds per put.
async fn put_each(memory: &Memory, items: &[Item]) -> Result<f64> {
    let watch = Stopwatch::start();
    for Item { key, value } in items {
        memory.put(key.as_str(), value).await?;
    }
    Ok(watch.seconds() / items.len() as f64)
}

/// Seconds per get.
async fn get_each(memory: &Memory, items: &[Item]) -> Result<f64> {
    let watch = Stopwatch::start();
    for Item { key, .. } in items {
        let value: serde_json::Value = memory.get(key.as_str()).await?.context("an entry is missing")?;
        std::hint::black_box(value);
    }
    Ok(watch.seconds() / items.len() as f64)
}

async fn beside_diskcache(stage: &Stage, script: &Script) -> Result<Section> {
    // What ours does, what of the peer's stands beside it, and the target.
    const ROWS: [(&str, &str, Option<f64>); 4] = [
        ("store", "store", Some(1.2)),
        ("store, 64 tasks", "store", Some(4.0)),
        ("retrieve", "retrieve", Some(2.5)),
        ("cleanup", "cleanup", None),
    ];
    let entries = stage.scale.entries.to_string();
    let mut duels = duels::<4>();
    for _ in 0..rounds(stage) {
        let ours = rehearse_text(stage).await?;
        let told = script.run(&["--entries", &entries])?;
        for (((_, peer, _), duel), ours) in ROWS.into_iter().zip(&mut duels).zip(ours) {
            duel.push(ours, told.seconds(peer)?);
        }
    }
    let mut table = Comparisons::new("Beside Python's diskcache", &CACHE_ABOUT);
    for ((operation, _, target), duel) in ROWS.into_iter().zip(&duels) {
        add(&mut table, "sqlite", operation, duel, target)?;
    }
    Ok(table.finish())
}

/// Seconds of a put, of one of many tasks' puts, of a get, and of a sweep.
async fn rehearse_text(stage: &Stage) -> Result<[f64; 4]> {
    let folder = stage.folder()?;
    let mut small = pairs(&workload::small(stage.scale.entries))?;
    let count = small.len() as f64;
    let memory = stage::open(&stage::url(&folder.path().join("shared.db"))).await?;
    let shared = seconds(drive::put_shared(&memory, &Arc::new(small.clone()), drive::TASKS)).await?;
    stage::close(memory).await?;
    let memory = stage::open(&stage::url(&folder.path().join("store.db"))).await?;
    let store = seconds(drive::put_each(&memory, &small, &PutOptions::new())).await?;
    Random::new(17).shuffle(&mut small);
    let retrieve = seconds(drive::get_each(&memory, &small)).await?;
    let past = memory.clock().now().minus_ms(7_200_000);
    let expired = pairs(&workload::coordination(stage.scale.entries))?;
    drive::put_each(&memory, &expired, &PutOptions::new().expires_at(past)).await?;
    let cleanup = sweep(&memory, expired.len()).await?;
    stage::close(memory).await?;
    Ok([store / count, shared / count, retrieve / count, cleanup])
}
