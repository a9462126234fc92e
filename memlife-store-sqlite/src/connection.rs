use crate::config::SqliteConfig;
use crate::error::Fault;
use crate::read;
use memlife_core::{Result, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, FileControl, MAIN_DB, OpenFlags};
use std::cell::Cell;
use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Statements a connection keeps prepared: more than there are.
const PREPARED_STATEMENTS: usize = 64;
/// The longest row: a body at its limit with its head.
const ROW_BYTES: usize = (512 << 20) + (1 << 20);

/// Memory for pages that each connection keeps, in KiB: the working set of some 20,000 small entries.
const CACHE_KIB: usize = 8 << 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Changes the store; waits for locks by itself.
    Write,
    /// Only reads.
    Read,
    /// Only reads a file that cannot be written and that nobody else writes.
    ReadImmutable,
}

/// A connection that reads, and what it knows of the store's clock.
#[derive(Debug)]
pub(crate) struct Clocked {
    connection: Connection,
    /// The store's clock, and at which of SQLite's data versions it stood there.
    clock: Cell<Option<(u32, Timestamp)>>,
}

impl Clocked {
    pub(crate) fn new(connection: Connection) -> Self {
        Clocked { connection, clock: Cell::new(None) }
    }

    /// The store's clock, no older than what this connection has read last, and known without reading where that found
    /// the file unchanged: only a read notices that others have changed it.
    pub(crate) fn clock_of_last_read(&self) -> rusqlite::Result<Timestamp> {
        let seen = self.data_version()?;
        if let Some((version, clock)) = self.clock.get()
            && version == seen
        {
            return Ok(clock);
        }
        let clock = read::clock(self)?;
        self.clock.set(Some((self.data_version()?, clock)));
        Ok(clock)
    }

    /// Changes with every commit that this connection has read of, whoever made it.
    fn data_version(&self) -> rusqlite::Result<u32> {
        let mut version = 0;
        self.connection.file_control(Some(MAIN_DB), FileControl::DataVersion(&mut version))?;
        Ok(version)
    }
}

impl Deref for Clocked {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Opens the file with every setting that protects it and us.
pub(crate) fn open(config: &SqliteConfig, role: Role) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = match role {
        Role::Write | Role::Read => {
            flags |= OpenFlags::SQLITE_OPEN_READ_WRITE;
            Connection::open_with_flags(&config.path, flags)?
        }
        Role::ReadImmutable => {
            flags |= OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(&config.path), flags)?
        }
    };
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Plans do not depend on what is bound: otherwise some statements were prepared anew whenever it changed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !config.checkpoint_on_close)?;
    set_limits(&connection)?;
    if role == Role::Write {
        connection.busy_timeout(Duration::ZERO)?;
    } else {
        let mut pauses = Pauses::new(config.busy_timeout);
        connection.busy_handler(Some(move |count| {
            if count == 0 {
                pauses.restart();
            }
            pauses.sleep()
        }))?;
    }
    Ok(connection)
}

/// The settings that read the file: to be made only once it is known to be a store.
pub(crate) fn configure(connection: &Connection, role: Role) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF;",
    )?;
    connection.pragma_update(None, "cache_size", -(CACHE_KIB as i64))?;
    if role != Role::Write {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(())
}

fn set_limits(connection: &Connection) -> rusqlite::Result<()> {
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, i32::try_from(ROW_BYTES).unwrap_or(i32::MAX)),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 16 << 10),
        (Limit::SQLITE_LIMIT_COLUMN, 32),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 20),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 3),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 16),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    Ok(())
}

fn immutable_uri(path: &Path) -> PathBuf {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(*byte),
            _ => uri.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    OsString::from_vec(uri).into()
}

/// Runs `attempt` again while others hold the lock, for at most `patience`.
pub(crate) fn wait_for_others<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut pauses = Pauses::new(patience);
    loop {
        match attempt() {
            Err(error) if Fault::of(&error) == Fault::Busy && pauses.sleep() => {}
            result => return result,
        }
    }
}

/// Opens one connection more, ready for use.
pub(crate) fn open_configured(config: &SqliteConfig, role: Role) -> Result<Connection> {
    let open = || {
        let connection = open(config, role)?;
        configure(&connection, role)?;
        Ok(connection)
    };
    open().map_err(crate::error::from_sqlite)
}

/// Short sleeps of random length that grow to a few milliseconds, up to a sum.
///
/// SQLite's own grow to 100 ms, and a writer among many then starves behind those that ask more often.
#[derive(Debug)]
pub(crate) struct Pauses {
    patience: Duration,
    left: Duration,
    step_us: u64,
    random: u64,
}

const FIRST_STEP_US: u64 = 100;
const LAST_STEP_US: u64 = 4_000;

impl Pauses {
    pub(crate) fn new(patience: Duration) -> Self {
        Pauses { patience, left: patience, step_us: FIRST_STEP_US, random: 0 }
    }

    fn restart(&mut self) {
        self.left = self.patience;
        self.step_us = FIRST_STEP_US;
    }

    /// Sleeps; false when patience is used up.
    pub(crate) fn sleep(&mut self) -> bool {
        if self.left.is_zero() {
            return false;
        }
        if self.random == 0 {
            // Asked for only now: most commits meet nobody. Without randomness the sleeps are merely even.
            self.random = getrandom::u64().unwrap_or(0) | 1;
        }
        // xorshift64, G. Marsaglia 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let pause = Duration::from_micros(self.step_us / 2 + self.random % self.step_us).min(self.left);
        std::thread::sleep(pause);
        self.left -= pause;
        self.step_us = (self.step_us * 5 / 4).min(LAST_STEP_US);
        true
    }
}
