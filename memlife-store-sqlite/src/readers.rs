use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use crate::error::from_sqlite;
use crate::read;
use memlife_core::{Result, Timestamp};
use rusqlite::{Connection, FileControl, MAIN_DB};
use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Connections for reading, opened when first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    config: SqliteConfig,
    role: Role,
    slots: Box<[Mutex<Option<Reader>>]>,
    next: AtomicUsize,
}

/// A connection for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    /// The store's clock, and at which of SQLite's data versions it stood there.
    clock: Cell<Option<(u32, Timestamp)>>,
}

impl Reader {
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

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Readers {
    pub(crate) fn new(config: &SqliteConfig, role: Role) -> Self {
        let slots = (0..config.readers.max(1)).map(|_| Mutex::new(None)).collect();
        Readers { config: config.clone(), role, slots, next: AtomicUsize::new(0) }
    }

    /// How connections for reading are opened.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Reads by a connection that nobody else uses meanwhile.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Reader) -> Result<T>) -> Result<T> {
        let mut slot = self.take();
        let reader = match &mut *slot {
            Some(reader) => reader,
            empty => {
                let connection = connection::open_configured(&self.config, self.role)?;
                empty.insert(Reader { connection, clock: Cell::new(None) })
            }
        };
        read(reader)
    }

    /// Reads one state of the store by several statements.
    pub(crate) fn read_snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read(|reader| snapshot(reader, || read(reader)))
    }

    fn take(&self) -> MutexGuard<'_, Option<Reader>> {
        for slot in &self.slots {
            match slot.try_lock() {
                Ok(slot) => return slot,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        self.slots[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `read` in a read transaction.
pub(crate) fn snapshot<T>(connection: &Connection, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    if !connection.is_autocommit() {
        // Left by a panic.
        run("ROLLBACK").map_err(from_sqlite)?;
    }
    run("BEGIN").map_err(from_sqlite)?;
    let result = read();
    let ended = run("COMMIT").map_err(from_sqlite);
    result.and_then(|value| ended.map(|_| value))
}
