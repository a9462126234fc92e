use anyhow::{Context, Result};
use rusqlite::Connection;
use std::ops::Sub;
use std::path::{Path, PathBuf};

/// What work asks of the system: counted, not timed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// Read calls: a page of the file that is in none of SQLite's caches costs one.
    pub reads: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

impl Footprint {
    /// Of this process up to now.
    pub fn now() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/self/io")
            .context("this system does not count input and output")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|number| number.trim().parse().ok())
                .with_context(|| format!("no {name} is counted"))
        };
        Ok(Footprint { reads: field("syscr")?, writes: field("syscw")?, bytes_read: field("rchar")? })
    }
}

impl Sub for Footprint {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Footprint {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            bytes_read: self.bytes_read - before.bytes_read,
        }
    }
}

/// What a SQLite database's write-ahead log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Commits.
    pub commits: u64,
    /// Pages that they wrote.
    pub pages: u64,
    salt: u64,
}

impl Log {
    /// What came since `before`.
    pub fn since(self, before: Self) -> Self {
        // With another salt the log was begun anew and holds only what came since.
        let before = if before.salt == self.salt { before } else { Log::default() };
        Log { commits: self.commits - before.commits, pages: self.pages - before.pages, salt: self.salt }
    }
}

/// Keeps a database's log from being begun anew, so that it shows every commit.
#[derive(Debug)]
pub struct LogCounter {
    path: PathBuf,
    _reader: Connection,
}

impl LogCounter {
    /// Watches the log of the database at `path`.
    pub fn watch(path: &Path) -> Result<Self> {
        let reader = Connection::open(path)?;
        reader.execute_batch("BEGIN")?;
        reader.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(LogCounter { path: log.into(), _reader: reader })
    }

    /// What the log holds now. For its format see "The Database File Format", section 4, of SQLite's documentation.
    pub fn read(&self) -> Result<Log> {
        const HEADER: usize = 32;
        const FRAME_HEADER: usize = 24;
        let bytes =
            std::fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let number = |at: usize| {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            word.map(u32::from_be_bytes)
        };
        let salt_at = |at: usize| Some(u64::from(number(at)?) << 32 | u64::from(number(at + 4)?));
        let (Some(page), Some(salt)) = (number(8), salt_at(16)) else { return Ok(Log::default()) };
        let mut log = Log { salt, ..Log::default() };
        let frames = (HEADER..bytes.len()).step_by(FRAME_HEADER + page.max(512) as usize);
        for frame in frames.take_while(|&frame| salt_at(frame + 8) == Some(salt)) {
            log.pages += 1;
            log.commits += u64::from(number(frame + 4).is_some_and(|size| size > 0));
        }
        Ok(log)
    }
}
