use crate::fill::{self, Life};
use crate::workload;
use anyhow::{Context, Result};
use memlife::{Clock, Durability, ManualClock, Memory, OpenOptions, SystemClock, Timestamp};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// How long a server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Entries of a usual measurement.
    pub entries: usize,
    /// Entries of a big store.
    pub many: usize,
    /// Rounds of a comparison.
    pub rounds: usize,
    /// Rounds of what takes seconds.
    pub long_rounds: usize,
    /// Runs of the command.
    pub runs: usize,
}

const WHOLE: Scale = Scale { entries: 10_000, many: 1_000_000, rounds: 11, long_rounds: 5, runs: 50 };
const QUICK: Scale = Scale { entries: 10_000, many: 100_000, rounds: 3, long_rounds: 1, runs: 10 };

/// Where stores are made, and the big one that several topics share.
#[derive(Debug)]
pub struct Stage {
    /// How much is measured.
    pub scale: Scale,
    root: TempDir,
    big: OnceCell<Big>,
}

/// A store with living entries and two lots that expire: first `adjacent`, keys beside each other and put one after
/// the other; later `spread`, keys among all others and put among them.
#[derive(Clone, Debug)]
pub struct Big {
    /// Its file, closed.
    pub path: PathBuf,
    /// Entries that live on.
    pub living: usize,
    /// Entries of each lot.
    pub due: usize,
    /// When it was filled.
    pub filled_at: Timestamp,
    /// How long that took.
    pub filling: Duration,
}

/// When the adjacent lot of a big store has expired, after it was filled.
pub const ADJACENT_AFTER: Duration = Duration::from_secs(2 * 3600);
/// When the spread lot has, after the adjacent one.
pub const SPREAD_AFTER: Duration = Duration::from_secs(2 * 3600);
/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;

impl Stage {
    /// A stage in `folder`, or beside this program.
    pub fn build(folder: Option<&Path>, is_quick: bool) -> Result<Self> {
        let beside = std::env::current_exe().context("cannot tell where this program is")?;
        let parent = folder.or(beside.parent()).context("this program is nowhere")?;
        let root = tempfile::Builder::new()
            .prefix("benches-")
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let scale = if is_quick { QUICK } else { WHOLE };
        Ok(Stage { scale, root, big: OnceCell::new() })
    }

    /// The folder that holds all others.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A new folder, which goes when it is dropped.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.root.path())?)
    }

    /// The big store, filled when first asked for.
    pub async fn big(&self) -> Result<&Big> {
        let fill = || Big::fill(self.root.path().join("big.db"), self.scale.many, self.scale.entries);
        self.big.get_or_try_init(fill).await
    }
}

impl Big {
    /// Fills a store of `living` entries and `due` of each lot.
    pub async fn fill(path: PathBuf, living: usize, due: usize) -> Result<Self> {
        let watch = crate::measure::Stopwatch::start();
        let filled_at = SystemClock.now();
        let clock = Arc::new(ManualClock::new(filled_at));
        let memory = open_at(&url(&path), Arc::clone(&clock) as Arc<dyn Clock>).await?;
        let mut random = workload::Random::new(3);
        // Some dozens end at the same instant, as if they had been put one by one.
        let end = |hours: u64, at: usize| Life::Until(filled_at.plus_ms(hours * HOUR_MS + at as u64 / 32));
        let adjacent = (0..due).map(|at| (format!("coordination/lot/e{at:07}"), end(1, at)));
        let every = (living + due) / due.max(1);
        // One of `every` keys is due, at a random place among them.
        let mixed = (0..living + due).map(|at| {
            let turn = at % every == (at / every * 7919) % every && at / every < due;
            (format!("session/agent{}/k{at:07}", at % 97), if turn { end(3, at) } else { Life::Permanent })
        });
        let all = adjacent
            .chain(mixed)
            .map(|(key, life)| (key, workload::value_of(&mut random, workload::SMALL), life));
        fill::import(&memory, all).await?;
        close(memory).await?;
        Ok(Big { path, living, due, filled_at, filling: watch.elapsed() })
    }
}

/// The URL of a SQLite store at `path`.
pub fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Opens a store at the level that everything is compared at.
pub async fn open(url: &str) -> Result<Memory> {
    open_at(url, Arc::new(SystemClock)).await
}

/// The same by another clock.
pub async fn open_at(url: &str, clock: Arc<dyn Clock>) -> Result<Memory> {
    let options = OpenOptions::new().durability(Durability::Process).clock(clock);
    Ok(memlife::open_with(url, options).await?)
}

/// Closes a store, so that its file alone holds everything.
pub async fn close(memory: Memory) -> Result<()> {
    Ok(memory.close().await?)
}

/// A connection of the plain client, which waits as long for an answer as memlife's do: a server whose disk is busy
/// answers late.
pub async fn plain_connection(url: &str) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await?)
}
