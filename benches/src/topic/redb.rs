use crate::comparison::{Comparisons, Target};
use crate::drive::{Pair, TASKS, get_each, pairs, put_shared};
use crate::figure::grouped;
use crate::measure::{Duel, Stopwatch, duel, seconds};
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{self, Random};
use anyhow::{Context, Result};
use memlife::{Clock, Durability, OpenOptions, SystemClock};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;
use std::sync::Arc;

const ABOUT: [&str; 2] = [
    "Gets of ours share the records of the last commit until the next write; beside each a read transaction of redb's own \
     with a `get` that copies the row, on a copy of the same file. While commits go on each get of ours begins one, too.",
    "A put at `disk` is acknowledged once its commit is synced; 64 tasks share commits. Beside it one durable transaction \
     per put, which writes the same five tables, and one per 64 puts by one who has them all at hand.",
];

const OWN: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("memlife");
const ENTRY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entry");
const DUE: TableDefinition<'_, &[u8; 17], &[u8]> = TableDefinition::new("due");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const USAGE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("usage");
/// The row of `OWN` that every commit writes, and its bytes.
const LEDGER: (u8, [u8; 120]) = (1, [0; 120]);
/// Bytes of a row beside the value, and of a tally.
const HEAD: usize = 120;
const TALLY: [u8; 32] = [0; 32];

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
    let (memory, raw) = (stage::open(&url).await?, Database::open(&twin)?);
    let gets = duel(
        4 * stage.scale.rounds,
        async || seconds(get_each(&memory, &load)).await,
        || {
            let watch = Stopwatch::start();
            for (key, _) in &load {
                std::hint::black_box(get(&raw, key)?);
            }
            Ok(watch.seconds())
        },
    )
    .await?;
    stage::close(memory).await?;
    let what = format!("get of {} entries", grouped(load.len() as u64));
    table.speed(&what, load.len(), &gets, Some(Target::AtLeast(0.85)))?;

    load.truncate(stage.scale.entries / 10);
    let load = Arc::new(load);
    let [mut puts, mut many] = std::array::from_fn(|_| Duel::default());
    for round in 0..stage.scale.long_rounds {
        let file = |name: &str| folder.path().join(format!("{name}{round}.redb"));
        let options = OpenOptions::new().durability(Durability::Disk);
        let memory = memlife::open_with(&format!("redb:{}", file("ours").display()), options).await?;
        let taken = seconds(put_shared(&memory, &load, TASKS)).await?;
        stage::close(memory).await?;
        puts.push(taken, put_each(&file("raw"), &load, 1)?);
        many.push(taken, put_each(&file("many"), &load, TASKS)?);
    }
    table.speed(
        "put at `disk`, 64 tasks, beside one at a time",
        load.len(),
        &puts,
        Some(Target::AtLeast(8.0)),
    )?;
    table.speed(
        "put at `disk`, 64 tasks, beside 64 at once",
        load.len(),
        &many,
        Some(Target::AtLeast(0.75)),
    )?;
    Ok(table.finish())
}

fn get(raw: &Database, key: &str) -> Result<Vec<u8>> {
    let row = raw.begin_read()?.open_table(ENTRY)?.get(key.as_bytes())?.context("a row is missing")?;
    Ok(row.value().to_vec())
}

/// Seconds of durable transactions of `at_once` puts, in a new file.
fn put_each(path: &Path, pairs: &[Pair], at_once: usize) -> Result<f64> {
    let raw = Database::create(path)?;
    let watch = Stopwatch::start();
    let mut seq = 0_u64;
    for pairs in pairs.chunks(at_once) {
        let transaction = raw.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRY)?;
            let (mut dues, mut changes) = (transaction.open_table(DUE)?, transaction.open_table(CHANGES)?);
            for (key, value) in pairs {
                seq += 1;
                let mut due = [0; 17];
                due[1..9].copy_from_slice(&SystemClock.now().ms().to_be_bytes());
                due[9..].copy_from_slice(&seq.to_be_bytes());
                let row = [&[0; HEAD][..], &value.bytes[..]].concat();
                entries.insert(key.as_bytes(), &row[..])?;
                dues.insert(&due, key.as_bytes())?;
                changes.insert(seq, key.as_bytes())?;
            }
            transaction.open_table(USAGE)?.insert(&b"session"[..], &TALLY[..])?;
            transaction.open_table(OWN)?.insert(LEDGER.0, &LEDGER.1[..])?;
        }
        transaction.commit()?;
    }
    Ok(watch.seconds())
}
