use crate::frame::{Reader, Writer};
use memlife_core::store::{Cause, Tally, Totals};
use memlife_core::{Hlc, Ledger, ReplicaId, Result, Timestamp};
use memlife_store_local::identity;
use redb::TableDefinition;

/// The format this build writes.
pub(crate) const FORMAT: u64 = 1;

/// The store's own rows: [`IDENTITY`] and [`LEDGER`]. A file without this table is not ours.
pub(crate) const OWN: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("memlife");
/// Records by key: see `rows`.
pub(crate) const ENTRY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entry");
/// Keys by class, instant and change number: see [`crate::rows::due_row`].
pub(crate) const DUE: TableDefinition<'_, &DueKey, &[u8]> = TableDefinition::new("due");
/// Users' keys by the number of their latest change.
pub(crate) const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// Runs of removals by the number of the last: see `removals`.
pub(crate) const REMOVED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("removed");
/// Tallies by group: see `usage`.
pub(crate) const USAGE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("usage");
/// Rows that a repair found damaged, by the number that it gave them.
pub(crate) const LOST_FOUND: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lost_found");

/// Class, instant and change number in the order they are sorted by, the highest byte first.
pub(crate) type DueKey = [u8; 17];

/// The row of [`OWN`] that says who the store is.
pub(crate) const IDENTITY: u8 = 0;
/// The row of [`OWN`] that every commit writes.
pub(crate) const LEDGER: u8 = 1;

/// Who the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) replica: ReplicaId,
    pub(crate) incarnation: u64,
    /// Tells the file from a copy of it.
    pub(crate) fingerprint: u64,
}

impl Identity {
    /// Somebody new, in the file with this fingerprint.
    pub(crate) fn random(fingerprint: u64) -> Result<Self> {
        Ok(Identity {
            replica: ReplicaId(identity::random()?),
            incarnation: identity::random()?,
            fingerprint,
        })
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        Writer::default()
            .number(FORMAT)
            .number(self.replica.0)
            .number(self.incarnation)
            .number(self.fingerprint)
            .sealed()
    }

    /// The format and, where it is this one, the identity. Every format begins with its number and ends with a seal.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Option<Identity>)> {
        let mut row = Reader::sealed(bytes)?;
        let format = row.number()?;
        if format != FORMAT {
            return Some((format, None));
        }
        let identity = Identity {
            replica: ReplicaId(row.number()?),
            incarnation: row.number()?,
            fingerprint: row.number()?,
        };
        Some((format, Some(identity)))
    }
}

/// What every commit writes: where the store is, and its totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// Removals up to this number may have been forgotten.
    pub(crate) floor: u64,
    /// Removals that are kept.
    pub(crate) kept: u64,
    pub(crate) totals: Totals,
}

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tally = self.totals.tally;
        let row = Writer::default()
            .number(self.ledger.seq)
            .number(self.ledger.clock.at.ms())
            .number(self.ledger.clock.counter.into())
            .number(self.ledger.grace_ms)
            .number(self.floor)
            .number(self.kept)
            .number(tally.entries)
            .number(tally.stored_bytes)
            .number(tally.raw_bytes)
            .number(tally.compressed);
        self.totals.removed.iter().fold(row, |row, count| row.number(*count)).sealed()
    }

    /// Reads what [`State::encode`] wrote. A wrong change number would be given out twice and a wrong clock would
    /// hide what lives, so neither is believed without the seal.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut row = Reader::sealed(bytes)?;
        let seq = row.number()?;
        let at = Timestamp::from_ms(row.number()?);
        let clock = Hlc { at, counter: row.number()?.try_into().ok()? };
        let (grace_ms, floor, kept) = (row.number()?, row.number()?, row.number()?);
        let tally = Tally {
            entries: row.number()?,
            stored_bytes: row.number()?,
            raw_bytes: row.number()?,
            compressed: row.number()?,
        };
        let mut removed = [0; Cause::ALL.len()];
        for count in &mut removed {
            *count = row.number()?;
        }
        let ledger = Ledger { seq, clock, grace_ms };
        Some(State { ledger, floor, kept, totals: Totals { tally, removed } })
    }
}
