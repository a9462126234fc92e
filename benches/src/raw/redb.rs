use anyhow::{Context, Result};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const OWN: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("memlife");
const ENTRY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entry");
const DUE: TableDefinition<'_, &[u8; 17], &[u8]> = TableDefinition::new("due");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const USAGE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("usage");
/// What every transaction writes of the ledger, and of a tally.
const LEDGER: (u8, [u8; 120]) = (1, [0; 120]);
const TALLY: [u8; 32] = [0; 32];
/// Bytes of a row beside the value: its deadline, its change number, and as many as memlife's metadata take.
const HEAD: usize = 120;
/// What memlife's store lets redb cache.
const CACHE_BYTES: usize = 32 << 20;

/// The tables of a memlife store in plain redb.
#[derive(Debug)]
pub struct Raw {
    database: Database,
    durability: Durability,
    seq: AtomicU64,
}

/// All five tables in one transaction.
pub struct Tables<'t> {
    entry: Table<'t, &'static [u8], &'static [u8]>,
    due: Table<'t, &'static [u8; 17], &'static [u8]>,
    changes: Table<'t, u64, &'static [u8]>,
    usage: Table<'t, &'static [u8], &'static [u8]>,
    own: Table<'t, u8, &'static [u8]>,
    seq: &'t AtomicU64,
}

/// A row as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a>(pub &'a [u8]);

impl Raw {
    /// Opens a file, a memlife store's own or another, and makes it where there is none.
    pub fn open(path: &Path, durability: Durability) -> Result<Self> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let raw = Raw { database, durability, seq: AtomicU64::new(0) };
        // Tables are made by the first transaction that writes; a read finds none before.
        let last = raw.write(|tables| Ok(tables.changes.last()?.map_or(0, |(seq, _)| seq.value())))?;
        raw.seq.store(last, Ordering::Relaxed);
        Ok(raw)
    }

    /// The entries in a read transaction of their own.
    pub fn entries(&self) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>> {
        Ok(self.database.begin_read()?.open_table(ENTRY)?)
    }

    /// One transaction over all tables.
    pub fn write<T>(&self, work: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        let done = {
            let mut tables = Tables::open(&transaction, &self.seq)?;
            let done = work(&mut tables)?;
            tables.usage.insert(&b"session"[..], &TALLY[..])?;
            tables.own.insert(LEDGER.0, &LEDGER.1[..])?;
            done
        };
        transaction.commit()?;
        Ok(done)
    }

    /// Syncs what was committed without.
    pub fn sync(&self) -> Result<()> {
        Ok(self.database.begin_write()?.commit()?)
    }
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction, seq: &'t AtomicU64) -> Result<Self> {
        Ok(Tables {
            entry: transaction.open_table(ENTRY)?,
            due: transaction.open_table(DUE)?,
            changes: transaction.open_table(CHANGES)?,
            usage: transaction.open_table(USAGE)?,
            own: transaction.open_table(OWN)?,
            seq,
        })
    }

    /// What `read` makes of a row.
    pub fn get<T>(&self, key: &str, read: impl FnOnce(Row<'_>) -> Result<T>) -> Result<Option<T>> {
        self.entry.get(key.as_bytes())?.map(|row| read(Row(row.value()))).transpose()
    }

    /// Puts a row that ends at `deadline`, in milliseconds since 1970.
    pub fn put(&mut self, key: &str, value: &[u8], deadline: u64) -> Result<()> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let row = [&deadline.to_be_bytes()[..], &seq.to_be_bytes(), &[0; HEAD - 16], value].concat();
        let before = self.entry.insert(key.as_bytes(), &row[..])?;
        let before = before.map(|row| Row(row.value()).place()).transpose()?;
        if let Some((due, seq)) = before {
            self.due.remove(&due)?;
            self.changes.remove(seq)?;
        }
        let (due, seq) = Row(&row).place()?;
        self.due.insert(&due, key.as_bytes())?;
        self.changes.insert(seq, key.as_bytes())?;
        Ok(())
    }

    /// Removes what ends by `now`; how many went.
    pub fn sweep(&mut self, now: u64) -> Result<u64> {
        let end = due_place(now, u64::MAX);
        let mut swept = 0;
        for due in self.due.extract_from_if::<&[u8; 17], _>(..=&end, |_, _| true)? {
            let (_, key) = due?;
            let row = self.entry.remove(key.value())?.context("a row is missing")?;
            self.changes.remove(Row(row.value()).seq()?)?;
            swept += 1;
        }
        Ok(swept)
    }
}

impl<'a> Row<'a> {
    fn number(self, at: usize) -> Result<u64> {
        let bytes = self.0.get(at..at + 8).context("a row is cut short")?;
        Ok(u64::from_be_bytes(bytes.try_into()?))
    }

    /// When it ends, in milliseconds since 1970.
    pub fn deadline(self) -> Result<u64> {
        self.number(0)
    }

    /// The number of its last change.
    pub fn seq(self) -> Result<u64> {
        self.number(8)
    }

    /// The value's bytes.
    pub fn value(self) -> Result<&'a [u8]> {
        self.0.get(HEAD..).context("a row is cut short")
    }

    /// Where it stands among what ends, and among changes.
    fn place(self) -> Result<([u8; 17], u64)> {
        let seq = self.seq()?;
        Ok((due_place(self.deadline()?, seq), seq))
    }
}

/// The class of what is swept on schedule, the deadline, the number of the change.
fn due_place(deadline: u64, seq: u64) -> [u8; 17] {
    let mut place = [0; 17];
    place[1..9].copy_from_slice(&deadline.to_be_bytes());
    place[9..].copy_from_slice(&seq.to_be_bytes());
    place
}
