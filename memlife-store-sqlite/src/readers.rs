use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use crate::error::from_sqlite;
use memlife_core::Result;
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Connections for reading, opened when first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    config: SqliteConfig,
    role: Role,
    slots: Box<[Mutex<Option<Connection>>]>,
    next: AtomicUsize,
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
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut slot = self.take();
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => empty.insert(connection::open_configured(&self.config, self.role)?),
        };
        read(connection)
    }

    /// Reads one state of the store by several statements.
    pub(crate) fn read_snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read(|connection| snapshot(connection, || read(connection)))
    }

    fn take(&self) -> MutexGuard<'_, Option<Connection>> {
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
