//! Flips bits of what a store left on disk, cuts its files, and reads it again.
//!
//! What is checked after each damage: nothing panics; what is read is what was written, or an error; an entry is
//! missing only if the store's own check finds something wrong; a damaged entry is named by that check; a repair loses
//! nothing that could be read before it, unless it says so.

use crate::random::Random;
use crate::{Session, draft, effort};
use memlife_core::record::Record;
use memlife_core::resolver::native;
use memlife_core::store::{Repair, Scan, Verification, Want};
use memlife_core::{ErrorKind, Key, Result, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much a store is damaged.
#[derive(Clone, Copy, Debug)]
pub struct Rot {
    /// How often one copy of the store is damaged in one place.
    pub cases: u32,
    /// One case in so many also repairs the store and checks it again.
    pub repair_one_in: u32,
    /// Which damages: the same seed gives the same ones.
    pub seed: u64,
    /// How many seeds from there on, each with as many cases.
    pub seeds: u32,
}

impl Default for Rot {
    /// 5,000 cases, always the same, so that a failure is one that anybody can see again; those of more seeds in the
    /// long run.
    fn default() -> Self {
        Rot { cases: 5_000, repair_one_in: 20, seed: 1, seeds: effort::factor() }
    }
}

/// Everything below a folder: relative paths and contents.
type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// What a key held before the damage: version and value.
type Expected = BTreeMap<Key, (u64, Vec<Vec<u8>>)>;

impl Rot {
    /// Damages copies of a small store that `open` finds in the directory it is given.
    ///
    /// # Panics
    /// Where damage is not noticed.
    pub fn run<F>(self, open: impl Fn(PathBuf) -> F)
    where
        F: Future<Output = Result<Arc<dyn Store>>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = scratch();
        let place = folder.path().join("store");
        let expected = runtime.block_on(fill(&open, &place));
        let good = snapshot(&place);
        for seed in (self.seed..).take(self.seeds as usize) {
            println!("{} damages of {} files, seed {seed}", self.cases, good.len());
            let mut random = Random::new(seed);
            for case in 0..self.cases {
                let (bad, what) = damaged(&good, &mut random);
                restore(&place, &bad);
                let repair = random.below(u64::from(self.repair_one_in)) == 0;
                let checked = runtime.block_on(check(&open, &place, &expected, repair));
                if let Err(problem) = checked {
                    panic!("case {case} of seed {seed}, {what}: {problem}");
                }
            }
        }
    }
}

/// A folder in memory where the system has such a place: thousands of repairs sync, and none of it is about that.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

async fn fill<F>(open: impl Fn(PathBuf) -> F, place: &Path) -> Expected
where
    F: Future<Output = Result<Arc<dyn Store>>>,
{
    std::fs::create_dir_all(place).unwrap();
    let session = Session::on(open(place.to_owned()).await.unwrap());
    for i in 0..12 {
        let text = format!("\"{}\"", "memory ".repeat(1 + i * 7));
        session.apply(draft::put(&format!("notes/{i}"), &text)).await;
        session.apply(draft::put(&format!("shared/{}", i % 4), &text).multi_value()).await;
        session.apply(draft::add(&format!("count/{}", i % 3), i as i64).counter()).await;
    }
    session.apply(draft::delete("notes/3")).await;
    let scan = Scan { limit: 1_000, want: Want::Whole, ..Scan::default() };
    let page = session.store().scan(&scan).await.unwrap();
    page.records.into_iter().map(|record| expected(&record.unwrap())).collect()
}

fn expected(record: &Record) -> (Key, (u64, Vec<Vec<u8>>)) {
    (record.key.clone(), (record.head.version, values(record).unwrap()))
}

fn values(record: &Record) -> Result<Vec<Vec<u8>>> {
    if !record.head.alive {
        return Ok(Vec::new());
    }
    let resolver = native(&record.head.kind).unwrap();
    let held = resolver.read(&record.head, record.body()?, 1 << 20)?;
    Ok(held.into_iter().map(|held| held.value.bytes.to_vec()).collect())
}

async fn check<F>(
    open: impl Fn(PathBuf) -> F,
    place: &Path,
    expected: &Expected,
    repair: bool,
) -> std::result::Result<(), String>
where
    F: Future<Output = Result<Arc<dyn Store>>>,
{
    let store = match open(place.to_owned()).await {
        Ok(store) => store,
        Err(error) => return is_told(&error, "opening"),
    };
    let before = read_all(&*store, expected).await?;
    scan_all(&*store, expected).await?;
    let found = match store.verify(Repair::No).await {
        Ok(found) => found,
        Err(error) => return is_told(&error, "checking"),
    };
    is_named(&found, &before)?;
    if repair {
        return check_repair(&*store, expected, &before).await;
    }
    Ok(())
}

/// The keys that do not read as what was written.
#[derive(Debug, Default)]
struct Lost {
    missing: Vec<Key>,
    corrupt: Vec<Key>,
}

impl Lost {
    fn has(&self, key: &Key) -> bool {
        self.missing.contains(key) || self.corrupt.contains(key)
    }
}

async fn read_all(store: &dyn Store, expected: &Expected) -> std::result::Result<Lost, String> {
    let mut lost = Lost::default();
    for (key, good) in expected {
        match store.get(std::slice::from_ref(key), Want::Whole).await {
            Ok(fetched) => match fetched.slots.into_iter().next().flatten() {
                Some(record) => compare(&record, good, &mut lost.corrupt)?,
                // A register's tombstone may be nothing at all.
                None if good.1.is_empty() => {}
                None => lost.missing.push(key.clone()),
            },
            Err(error) => {
                is_told(&error, "reading")?;
                lost.corrupt.push(key.clone());
            }
        }
    }
    Ok(lost)
}

fn compare(
    record: &Record,
    good: &(u64, Vec<Vec<u8>>),
    corrupt: &mut Vec<Key>,
) -> std::result::Result<(), String> {
    match values(record) {
        Ok(values) if record.head.version == good.0 && values == good.1 => Ok(()),
        Ok(values) => Err(format!("{} reads as {values:?}, version {}", record.key, record.head.version)),
        Err(error) => {
            corrupt.push(record.key.clone());
            is_told(&error, "decoding")
        }
    }
}

async fn scan_all(store: &dyn Store, expected: &Expected) -> std::result::Result<(), String> {
    let scan = Scan { limit: 1_000, want: Want::Whole, ..Scan::default() };
    let page = match store.scan(&scan).await {
        Ok(page) => page,
        Err(error) => return is_told(&error, "scanning"),
    };
    for record in page.records {
        match record {
            Ok(record) => {
                let good =
                    expected.get(&record.key).ok_or_else(|| format!("{} was never put", record.key))?;
                compare(&record, good, &mut Vec::new())?;
            }
            Err(error) => is_told(&error, "scanning")?,
        }
    }
    Ok(())
}

fn is_named(found: &Verification, lost: &Lost) -> std::result::Result<(), String> {
    if found.problems == 0 && !(lost.missing.is_empty() && lost.corrupt.is_empty()) {
        return Err(format!("{lost:?}, and the check finds nothing"));
    }
    Ok(())
}

async fn check_repair(
    store: &dyn Store,
    expected: &Expected,
    before: &Lost,
) -> std::result::Result<(), String> {
    let repair = store.verify(Repair::Yes).await;
    // One that was given up has not told of anything, and may not have lost anything.
    let repaired = match &repair {
        Ok(repaired) => repaired,
        Err(error) => {
            is_told(error, "repairing")?;
            &Verification::default()
        }
    };
    let after = read_all(store, expected).await?;
    let is_told_of = |key: &Key| repaired.findings.iter().any(|finding| finding.key.as_ref() == Some(key));
    let untold = expected.keys().find(|key| after.has(key) && !before.has(key) && !is_told_of(key));
    if let Some(key) = untold {
        return Err(format!("{key} could be read before the repair, which told of {:?}", repaired.findings));
    }
    scan_all(store, expected).await?;
    let left = match store.verify(Repair::No).await {
        Ok(left) => left,
        Err(error) => return is_told(&error, "checking after the repair"),
    };
    if repaired.problems == 0 {
        is_named(&left, &after)?;
    }
    if repair.is_ok() && repaired.unrepaired() == 0 && left.problems > 0 {
        return Err(format!("the repair said it mended everything, and left {:?}", left.findings));
    }
    Ok(())
}

/// Whether an error says plainly that something is wrong with what is stored.
fn is_told(error: &memlife_core::Error, during: &str) -> std::result::Result<(), String> {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::TooLarge => Ok(()),
        ErrorKind::Unavailable | ErrorKind::Poisoned => Ok(()),
        _ => Err(format!("{during} gives {error:?}")),
    }
}

fn snapshot(folder: &Path) -> Snapshot {
    let mut files = Snapshot::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn restore(folder: &Path, files: &Snapshot) {
    std::fs::remove_dir_all(folder).unwrap();
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A copy with one damage, in a file chosen by its size, and what it is.
fn damaged(good: &Snapshot, random: &mut Random) -> (Snapshot, String) {
    let is_data = |(path, bytes): &(&PathBuf, &Vec<u8>)| !bytes.is_empty() && !is_reserve(path);
    let files: Vec<(&PathBuf, &Vec<u8>)> = good.iter().filter(is_data).collect();
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut at = random.below(total as u64) as usize;
    let mut chosen = files[0];
    for file in files {
        chosen = file;
        if at < file.1.len() {
            break;
        }
        at -= file.1.len();
    }
    let (path, bytes) = chosen;
    let mut bytes = bytes.clone();
    let what = match random.below(10) {
        0 | 1 => {
            bytes.truncate(at);
            format!("{} cut at {at}", path.display())
        }
        2 => {
            let end = (at + 512).min(bytes.len());
            bytes[at..end].fill(0);
            format!("{} zeroed from {at}", path.display())
        }
        _ => {
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("{} bit {bit} of byte {at}", path.display())
        }
    };
    let mut bad = good.clone();
    bad.insert(path.clone(), bytes);
    (bad, what)
}

/// A file that is only there to be given up holds no data.
fn is_reserve(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-reserve")
}
