//! The store's own row of the ledger: the last change number, the clock and the grace, under a checksum.
//!
//! Everything else in the file is checked when it is read or can be counted anew. A wrong change number would be
//! given out twice, a wrong clock would hide what lives, and a wrong grace would free what replicas still need, so
//! these are not believed without a check.

use crate::transaction::{pack_clock, unpack_clock};
use memlife_core::Ledger;
use rusqlite::Connection;

/// The ledger as columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) seq: i64,
    pub(crate) clock: i64,
    pub(crate) grace_ms: i64,
}

impl Columns {
    pub(crate) fn of(ledger: Ledger) -> Self {
        Columns {
            seq: ledger.seq.cast_signed(),
            clock: pack_clock(ledger.clock),
            grace_ms: ledger.grace_ms.cast_signed(),
        }
    }

    /// The checksum of the columns: CRC-32 of their bytes, a grace of 0 left out.
    pub(crate) fn mark(self) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.clock.to_le_bytes());
        if self.grace_ms != 0 {
            hasher.update(&self.grace_ms.to_le_bytes());
        }
        i64::from(hasher.finalize())
    }

    /// The ledger; `None` when `mark` is not theirs.
    pub(crate) fn checked(self, mark: i64) -> Option<Ledger> {
        (mark == self.mark()).then(|| Ledger {
            seq: self.seq.cast_unsigned(),
            clock: unpack_clock(self.clock),
            grace_ms: self.grace_ms.cast_unsigned(),
        })
    }
}

/// Reads the ledger; `None` when it is not what was written.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<Ledger>> {
    let mut select =
        connection.prepare_cached("SELECT seq, clock, grace_ms, mark FROM ledger WHERE id = 0")?;
    select.query_row([], |row| {
        let columns = Columns { seq: row.get(0)?, clock: row.get(1)?, grace_ms: row.get(2)? };
        Ok(columns.checked(row.get(3)?))
    })
}

/// Writes the ledger.
pub(crate) fn write(connection: &Connection, ledger: Ledger) -> rusqlite::Result<()> {
    let columns = Columns::of(ledger);
    let mut update = connection
        .prepare_cached("UPDATE ledger SET seq = ?1, clock = ?2, grace_ms = ?3, mark = ?4 WHERE id = 0")?;
    update.execute((columns.seq, columns.clock, columns.grace_ms, columns.mark())).map(drop)
}
