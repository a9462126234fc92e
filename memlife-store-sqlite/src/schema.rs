use crate::error::from_sqlite;
use crate::ledger;
use memlife_core::{Error, ErrorKind, Ledger, Result};
use rusqlite::Connection;
use std::path::Path;

/// The format this build writes: the number of migrations.
pub(crate) const FORMAT: i64 = MIGRATIONS.len() as i64;

/// `migrations[n]` leads from format n to n + 1; format 0 is an empty file.
const MIGRATIONS: [&str; 2] = [CREATE, LET_USAGE_PEND];

/// Whose file it is: `MLif` for a store, `MLix` for the index of one that keeps its records elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Store,
    Index,
}

impl Sort {
    pub(crate) const fn application_id(self) -> i32 {
        match self {
            Sort::Store => 0x4d4c_6966,
            Sort::Index => 0x4d4c_6978,
        }
    }
}

/// Row 0 of `ledger` is the store's own: the last change number and the clock under their mark, and the totals;
/// row n is the usage of one group, created at change n, less what is still pending in row 0. One small table, so that
/// a commit touches one page for all of them.
///
/// `entry.sizes` is what usage counts of an entry, packed by `usage::Delta`. `entry.id` is the change number at which the row came to be, so that no id is ever used twice. `grp` is 0 for
/// what usage does not count. `removed` has one row per run of removals, under the number of the last.
const CREATE: &str = "
CREATE TABLE entry(
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL UNIQUE,
    class INTEGER NOT NULL,
    reclaim_at INTEGER,
    grp INTEGER NOT NULL,
    sizes INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB
) STRICT;
CREATE INDEX due ON entry(class, reclaim_at) WHERE reclaim_at IS NOT NULL;
CREATE TABLE ledger(
    id INTEGER PRIMARY KEY,
    tag TEXT UNIQUE,
    entries INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    raw INTEGER NOT NULL DEFAULT 0,
    compressed INTEGER NOT NULL DEFAULT 0,
    seq INTEGER,
    clock INTEGER,
    mark INTEGER,
    format INTEGER,
    group_changes INTEGER,
    grace_ms INTEGER,
    floor INTEGER,
    kept INTEGER,
    expired INTEGER,
    deleted INTEGER,
    evicted INTEGER,
    purged INTEGER
) STRICT;
INSERT INTO ledger(id, seq, clock, format, group_changes, grace_ms, floor, kept, expired, deleted, evicted, purged)
    VALUES(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE removed(
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    count INTEGER NOT NULL,
    keys BLOB NOT NULL
) STRICT;
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// See [`pending`](crate::pending); in row 0 alone.
const LET_USAGE_PEND: &str = "ALTER TABLE ledger ADD COLUMN pending BLOB";

/// What a file is before memlife touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// An empty database.
    Empty,
    /// One of ours, of this format.
    Ours(i64),
}

/// Looks at the file behind `connection`, which this does not change.
pub(crate) fn inspect(connection: &Connection, sort: Sort, path: &Path) -> Result<State> {
    let number = |sql: &str| -> Result<i64> {
        connection.query_row(sql, [], |row| row.get(0)).map_err(|error| unreadable(error, path))
    };
    let mut application_id = number("PRAGMA application_id")?;
    let mut tables = 0;
    if application_id == 0 {
        tables = number("SELECT count(*) FROM sqlite_schema")?;
        // The mark after the tables: should another process have created the store in between, it is there by now.
        application_id = number("PRAGMA application_id")?;
    }
    let format = number("PRAGMA user_version")?;
    if application_id == i64::from(sort.application_id()) {
        return match format {
            1..=FORMAT => Ok(State::Ours(format)),
            _ => Err(newer(format, path)),
        };
    }
    if application_id == 0 && tables == 0 {
        return Ok(State::Empty);
    }
    let other = match (sort, application_id) {
        (Sort::Store, id) if id == i64::from(Sort::Index.application_id()) => {
            "is the index of a store of files: open the folder above it with fs: instead"
        }
        _ => "is a SQLite database of another program: give the path of a memlife store, or of a new file",
    };
    Err(Error::new(ErrorKind::Invalid, format!("{} {other}", path.display())))
}

/// Brings the file to this format. The caller holds a write transaction and looked at the file inside it.
pub(crate) fn migrate(connection: &Connection, from: i64, sort: Sort) -> rusqlite::Result<()> {
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        connection.execute_batch(migration)?;
    }
    if from == 0 {
        ledger::write(connection, Ledger::default())?;
    }
    connection.execute("UPDATE ledger SET format = ?1 WHERE id = 0", [FORMAT])?;
    connection.pragma_update(None, "application_id", sort.application_id())?;
    connection.pragma_update(None, "user_version", FORMAT)
}

pub(crate) fn newer(format: i64, path: &Path) -> Error {
    let message = format!(
        "{} has format {format} and this build reads up to {FORMAT}: upgrade memlife to open it",
        path.display()
    );
    Error::new(ErrorKind::Unsupported, message)
}

fn unreadable(error: rusqlite::Error, path: &Path) -> Error {
    let path = path.display();
    let message = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            format!(
                "{path} is no memlife store, or its first page is damaged: check the path, or restore a backup"
            )
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            format!("{path} is cut off or damaged: restore a backup")
        }
        // These statements are sound, so it is the file that is not.
        Some(rusqlite::ErrorCode::Unknown) => {
            format!(
                "{path} has a format that SQLite cannot read, or its first page is damaged: restore a backup"
            )
        }
        _ => return from_sqlite(error),
    };
    Error::new(ErrorKind::Corrupt, message).because(error)
}
