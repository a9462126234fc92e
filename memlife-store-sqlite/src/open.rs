use crate::config::SqliteConfig;
use crate::connection::{self, Role, wait_for_others};
use crate::error::from_sqlite;
use crate::ledger;
use crate::schema::{self, FORMAT, Sort, State};
use memlife_core::{Error, ErrorKind, ReplicaId, Result};
use memlife_store_local::error::{at_path, corrupt, emptied};
use memlife_store_local::reserve::path_of;
use memlife_store_local::{identity, place};
use rusqlite::{Connection, OptionalExtension};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A store's file, opened and known to be sound as far as its first page tells.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The connection that writes, if any may.
    pub(crate) connection: Connection,
    /// How readers are opened.
    pub(crate) reading: Role,
    pub(crate) is_read_only: bool,
    pub(crate) replica: ReplicaId,
    pub(crate) incarnation: u64,
}

/// Opens the file, creating or migrating it where needed. What is not a store of this sort is left untouched.
pub(crate) fn open(config: &SqliteConfig, sort: Sort) -> Result<Opened> {
    let path = &config.path;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("{} is a folder: give the path of a file in it", path.display());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.create => create(path)?,
        Err(error) => return Err(at_path(path, "there is no store to open at", error)),
    }
    probe(config, sort)?;
    let connection = connection::open(config, Role::Write).map_err(from_sqlite)?;
    if connection.is_readonly("main").map_err(from_sqlite)? {
        drop(connection);
        return open_read_only(config, sort);
    }
    // Whoever creates the file, or ends the log of a crash, is in the way of every look at it.
    connection.busy_timeout(config.busy_timeout).map_err(from_sqlite)?;
    prepare(&connection, config, sort)?;
    let (replica, incarnation) = identify(&connection, config)?;
    connection.busy_timeout(Duration::ZERO).map_err(from_sqlite)?;
    Ok(Opened { connection, reading: Role::Read, is_read_only: false, replica, incarnation })
}

fn create(path: &Path) -> Result<()> {
    // A reserve beside a missing file is a leftover. Beside an empty file it tells of a store that was cut off,
    // so this one must not stay.
    match std::fs::remove_file(path_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(at_path(path, "cannot remove the leftover reserve beside", error))
        }
        // Not opened again before SQLite does: closing it then would drop SQLite's locks in this process.
        _ => place::create(path),
    }
}

/// How often a file that looks damaged is looked at, while others may be changing it.
const LOOKS: usize = 3;

/// Looks at the first page without locks, logs and shared memory, so that the files of other programs stay as
/// they are. Ours has its mark there from the one write that created it.
fn probe(config: &SqliteConfig, sort: Sort) -> Result<()> {
    let mut result = look_without_locks(config, sort);
    for _ in 1..LOOKS {
        match &result {
            // Half a checkpoint, or half a creation: looking under locks will tell.
            Err(error) if error.kind() == ErrorKind::Corrupt && is_in_motion(&config.path) => return Ok(()),
            // What was in motion may have come to rest after the look and before that question.
            Err(error) if error.kind() == ErrorKind::Corrupt => result = look_without_locks(config, sort),
            _ => return result,
        }
    }
    result
}

fn look_without_locks(config: &SqliteConfig, sort: Sort) -> Result<()> {
    let connection = connection::open(config, Role::ReadImmutable).map_err(from_sqlite)?;
    let state = schema::inspect(&connection, sort, &config.path)?;
    let page_bytes: i64 =
        connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(from_sqlite)?;
    let path = &config.path;
    let length = std::fs::metadata(path).map_err(|error| at_path(path, "cannot look at", error))?.len();
    // SQLite takes what is missing of the last page for zeros.
    if state != State::Empty && length % page_bytes.max(1).cast_unsigned() != 0 {
        let message = format!("{} is cut off in the middle of a page: restore a backup", path.display());
        return Err(corrupt(&message));
    }
    Ok(())
}

/// Whether a log or a journal holds what the file does not.
fn is_in_motion(path: &Path) -> bool {
    ["-wal", "-journal"]
        .iter()
        .any(|suffix| std::fs::metadata(place::beside(path, suffix)).is_ok_and(|metadata| metadata.len() > 0))
}

/// Creates or migrates the tables if needed, and switches to write-ahead logging.
fn prepare(connection: &Connection, config: &SqliteConfig, sort: Sort) -> Result<()> {
    let path = &config.path;
    let look = || schema::inspect(connection, sort, path);
    // While another process creates the file, its lock may be in the way of looking.
    if wait_for_others(config.busy_timeout, || {
        connection.pragma_query_value(None, "user_version", |_| Ok(()))
    })
    .is_err()
        || look()? != State::Ours(FORMAT)
    {
        in_transaction(connection, config, || match look()? {
            // Looked at again under the lock: whoever lost the race finds the work done.
            State::Ours(FORMAT) => Ok(()),
            State::Ours(format) => schema::migrate(connection, format, sort).map_err(from_sqlite),
            State::Empty => found(connection, path, sort),
        })?;
    }
    let mode: String = wait_for_others(config.busy_timeout, || {
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
    })
    .map_err(from_sqlite)?;
    if mode != "wal" {
        let message = format!(
            "the file system of {} cannot share memory between processes: move the store to a local disk",
            path.display()
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    connection::configure(connection, Role::Write).map_err(from_sqlite)
}

/// Fills an empty file.
fn found(connection: &Connection, path: &Path, sort: Sort) -> Result<()> {
    if path_of(path).exists() {
        return Err(emptied(path));
    }
    schema::migrate(connection, 0, sort).map_err(from_sqlite)?;
    set_identity(connection, identity::fingerprint(path)?.cast_signed())
}

/// Who the store is; a copied or restored file becomes somebody new.
fn identify(connection: &Connection, config: &SqliteConfig) -> Result<(ReplicaId, u64)> {
    let fingerprint = identity::fingerprint(&config.path)?.cast_signed();
    if meta(connection, "identity")? != Some(fingerprint) {
        in_transaction(connection, config, || match meta(connection, "identity")? {
            Some(stored) if stored == fingerprint => Ok(()),
            _ => {
                set_identity(connection, fingerprint)?;
                leap(connection).map_err(from_sqlite)
            }
        })?;
    }
    read_identity(connection)
}

fn set_identity(connection: &Connection, fingerprint: i64) -> Result<()> {
    let numbers = [
        ("replica", identity::random()?.cast_signed()),
        ("incarnation", identity::random()?.cast_signed()),
        ("identity", fingerprint),
    ];
    for (name, value) in numbers {
        connection
            .execute("INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)", (name, value))
            .map_err(from_sqlite)?;
    }
    Ok(())
}

/// The versions that somebody new gives out are none that the original ever will.
fn leap(connection: &Connection) -> rusqlite::Result<()> {
    // Where the ledger cannot be read nothing is written until a repair leaps.
    let Some(mut ledger) = ledger::read(connection)? else { return Ok(()) };
    ledger.leap();
    ledger::write(connection, ledger)
}

fn read_identity(connection: &Connection) -> Result<(ReplicaId, u64)> {
    let replica = meta(connection, "replica")?;
    let incarnation = meta(connection, "incarnation")?;
    match (replica, incarnation) {
        (Some(replica), Some(incarnation)) => {
            Ok((ReplicaId(replica.cast_unsigned()), incarnation.cast_unsigned()))
        }
        _ => Err(corrupt("the store has lost its identity: restore a backup")),
    }
}

fn meta(connection: &Connection, name: &str) -> Result<Option<i64>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(from_sqlite)
}

fn in_transaction(
    connection: &Connection,
    config: &SqliteConfig,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    wait_for_others(config.busy_timeout, || connection.execute_batch("BEGIN IMMEDIATE"))
        .map_err(from_sqlite)?;
    let commit =
        || wait_for_others(config.busy_timeout, || connection.execute_batch("COMMIT")).map_err(from_sqlite);
    let result = work().and_then(|()| commit());
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::warn!(%error, "cannot roll back");
    }
    result
}

fn open_read_only(config: &SqliteConfig, sort: Sort) -> Result<Opened> {
    let look = |role| -> Result<Opened> {
        let connection = connection::open_configured(config, role)?;
        match schema::inspect(&connection, sort, &config.path)? {
            State::Ours(FORMAT) => {}
            _ => {
                let message = format!(
                    "{} needs a format change and may not be written: open it once with write access",
                    config.path.display()
                );
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
        let (replica, incarnation) = read_identity(&connection)?;
        Ok(Opened { connection, reading: role, is_read_only: true, replica, incarnation })
    };
    look(Role::Read).or_else(|error| {
        // Reading beside writers takes a shared-memory file. Where none can be made, and no log holds changes,
        // the file alone is the store.
        if is_in_motion(&config.path) { Err(error) } else { look(Role::ReadImmutable) }
    })
}
