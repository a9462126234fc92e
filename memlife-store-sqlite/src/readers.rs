use crate::config::SqliteConfig;
use crate::connection::{self, Clocked, Role};
use crate::error::from_sqlite;
use memlife_core::Result;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Connections for reading, opened when first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    config: SqliteConfig,
    role: Role,
    slots: Box<[Mutex<Option<Clocked>>]>,
    next: AtomicUsize,
    are_open: AtomicBool,
}

impl Readers {
    pub(crate) fn new(config: &SqliteConfig, role: Role) -> Self {
        let slots = (0..config.readers.max(1)).map(|_| Mutex::new(None)).collect();
        Readers {
            config: config.clone(),
            role,
            slots,
            next: AtomicUsize::new(0),
            are_open: AtomicBool::new(false),
        }
    }

    /// How connections for reading are opened.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether any was needed yet.
    pub(crate) fn are_open(&self) -> bool {
        self.are_open.load(Ordering::Relaxed)
    }

    /// Reads by a connection that nobody else uses meanwhile.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Clocked) -> Result<T>) -> Result<T> {
        let mut slot = self.take();
        let reader = match &mut *slot {
            Some(reader) => reader,
            empty => {
                let connection = connection::open_configured(&self.config, self.role)?;
                self.are_open.store(true, Ordering::Relaxed);
                empty.insert(Clocked::new(connection))
            }
        };
        read(reader)
    }

    /// Reads one state of the store by several statements.
    pub(crate) fn read_snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read(|reader| snapshot(reader, || read(reader)))
    }

    fn take(&self) -> MutexGuard<'_, Option<Clocked>> {
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
