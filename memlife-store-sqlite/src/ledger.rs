//! The store's own row of the ledger: the last change number and the clock, under a checksum.
//!
//! Everything else in the file is checked when it is read or can be counted anew. A wrong change number would be
//! given out twice, and a wrong clock would hide what lives, so these two are not believed without a check.

use crate::transaction::{pack_clock, unpack_clock};
use memlife_core::Ledger;
use rusqlite::Connection;

/// Reads the ledger; `None` when it is not what was written.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<Ledger>> {
    let mut select = connection.prepare_cached("SELECT seq, clock, mark FROM ledger WHERE id = 0")?;
    let (seq, clock, kept): (i64, i64, i64) =
        select.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(checked(seq, clock, kept))
}

/// The ledger of these columns; `None` when the mark is not theirs.
pub(crate) fn checked(seq: i64, clock: i64, kept: i64) -> Option<Ledger> {
    (kept == mark(seq, clock)).then(|| Ledger { seq: seq.cast_unsigned(), clock: unpack_clock(clock) })
}

/// Writes the ledger.
pub(crate) fn write(connection: &Connection, ledger: Ledger) -> rusqlite::Result<()> {
    let (seq, clock) = (ledger.seq.cast_signed(), pack_clock(ledger.clock));
    let mut update =
        connection.prepare_cached("UPDATE ledger SET seq = ?1, clock = ?2, mark = ?3 WHERE id = 0")?;
    update.execute((seq, clock, mark(seq, clock))).map(drop)
}

/// The checksum of the two columns: CRC-32 of their bytes.
pub(crate) fn mark(seq: i64, clock: i64) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&clock.to_le_bytes());
    i64::from(hasher.finalize())
}
