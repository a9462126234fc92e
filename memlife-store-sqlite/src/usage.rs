use crate::pending::{self, Pending};
use memlife_core::record::{Codec, Head};
use memlife_core::store::{Group, Tally};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;

/// The most groups whose row numbers are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// How usage changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) entries: i64,
    pub(crate) stored: i64,
    pub(crate) raw: i64,
    pub(crate) compressed: i64,
}

impl Delta {
    pub(crate) fn of(head: &Head) -> Self {
        Delta {
            entries: 1,
            stored: i64::from(head.stored_len),
            raw: i64::from(head.raw_len),
            compressed: i64::from(head.codec != Codec::None),
        }
    }

    /// The sizes of one entry in one column: 31 bits as stored, 1 for compressed, 31 before compression.
    pub(crate) fn pack(self) -> i64 {
        self.stored | self.compressed << 31 | self.raw << 32
    }

    /// Reads what [`Delta::pack`] wrote.
    pub(crate) fn unpack(sizes: i64) -> Self {
        Delta { entries: 1, stored: sizes & 0x7fff_ffff, raw: sizes >> 32, compressed: sizes >> 31 & 1 }
    }

    pub(crate) fn add(&mut self, other: Delta) {
        self.entries += other.entries;
        self.stored += other.stored;
        self.raw += other.raw;
        self.compressed += other.compressed;
    }

    pub(crate) fn subtract(&mut self, other: Delta) {
        self.entries -= other.entries;
        self.stored -= other.stored;
        self.raw -= other.raw;
        self.compressed -= other.compressed;
    }
}

/// The usage of groups as one transaction changes it, and where their rows are.
///
/// Which rows there are is remembered between transactions and trusted while the store's count of group
/// changes, read by each transaction, is the one it was learnt at.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    rows: HashMap<String, i64>,
    learnt_at: i64,
    changes: i64,
    deltas: HashMap<i64, Delta>,
    created: Vec<i64>,
    pending: Pending,
    tag: String,
}

impl Groups {
    /// Starts a transaction that found `changes` group changes in the store, and what is `pending` of usage.
    pub(crate) fn begin(&mut self, changes: i64, pending: ValueRef<'_>) {
        if self.learnt_at != changes || self.rows.len() > MAX_REMEMBERED {
            self.rows.clear();
        }
        self.learnt_at = changes;
        self.changes = changes;
        self.deltas.clear();
        self.created.clear();
        self.pending.load(pending);
    }

    /// Ends a transaction that committed.
    pub(crate) fn committed(&mut self) {
        self.learnt_at = self.changes;
    }

    /// Ends a transaction that did not.
    pub(crate) fn rolled_back(&mut self) {
        self.rows.clear();
    }

    /// Group changes in the store, with those of this transaction.
    pub(crate) fn changes(&self) -> i64 {
        self.changes
    }

    /// The row of the group of `rule` and `namespace`, if it is remembered.
    pub(crate) fn known(&mut self, rule: &str, namespace: &str) -> Option<i64> {
        self.tag.clear();
        self.tag.push_str(rule);
        self.tag.push(Group::SEPARATOR);
        self.tag.push_str(namespace);
        self.rows.get(&self.tag).copied()
    }

    /// The row of the group of `rule` and `namespace`; a new one is made under the number `seq`.
    pub(crate) fn row_of(
        &mut self,
        connection: &Connection,
        rule: &str,
        namespace: &str,
        seq: u64,
    ) -> rusqlite::Result<i64> {
        if let Some(id) = self.known(rule, namespace) {
            return Ok(id);
        }
        let mut find = connection.prepare_cached("SELECT id FROM ledger WHERE tag = ?1")?;
        let id = match find.query_row([&self.tag], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                let id = seq.cast_signed();
                let mut insert = connection.prepare_cached("INSERT INTO ledger(id, tag) VALUES(?1, ?2)")?;
                insert.execute((id, &self.tag))?;
                self.changes += 1;
                self.created.push(id);
                id
            }
        };
        self.rows.insert(self.tag.clone(), id);
        Ok(id)
    }

    /// Counts an entry in; group 0 is not counted.
    pub(crate) fn add(&mut self, group: i64, delta: Delta) {
        if group != 0 {
            self.deltas.entry(group).or_default().add(delta);
        }
    }

    /// Counts an entry out.
    pub(crate) fn subtract(&mut self, group: i64, delta: Delta) {
        if group != 0 {
            self.deltas.entry(group).or_default().subtract(delta);
        }
    }

    /// What is pending once the changes are written.
    pub(crate) fn pending(&self) -> Option<Vec<u8>> {
        self.pending.stored()
    }

    /// Writes what changed or leaves it pending, and gives its sum.
    pub(crate) fn flush(&mut self, connection: &Connection) -> rusqlite::Result<Delta> {
        let mut sum = Delta::default();
        for (id, delta) in self.deltas.iter().filter(|(_, delta)| **delta != Delta::default()) {
            sum.add(*delta);
            self.pending.note(*id, *delta);
        }
        for (id, delta) in self.pending.settle() {
            if delta != Delta::default() {
                update(connection, id, delta)?;
            }
            if delta.entries <= 0 {
                self.delete_if_empty(connection, id)?;
            }
        }
        // One that came and went within the transaction left nothing pending.
        for id in std::mem::take(&mut self.created) {
            if self.deltas.get(&id).is_none_or(|delta| *delta == Delta::default()) {
                self.delete_if_empty(connection, id)?;
            }
        }
        Ok(sum)
    }

    fn delete_if_empty(&mut self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        let mut delete = connection.prepare_cached("DELETE FROM ledger WHERE id = ?1 AND entries <= 0")?;
        if delete.execute([id])? > 0 {
            self.changes += 1;
            self.rows.retain(|_, row| *row != id);
        }
        Ok(())
    }
}

fn update(connection: &Connection, id: i64, delta: Delta) -> rusqlite::Result<usize> {
    let mut update = connection.prepare_cached(
        "UPDATE ledger SET entries = entries + ?2, stored = stored + ?3, raw = raw + ?4,
         compressed = compressed + ?5 WHERE id = ?1",
    )?;
    update.execute((id, delta.entries, delta.stored, delta.raw, delta.compressed))
}

/// The columns `entries, stored, raw, compressed` from column `first` on.
pub(crate) fn columns(row: &Row<'_>, first: usize) -> rusqlite::Result<Delta> {
    let number = |at: usize| row.get(first + at);
    Ok(Delta { entries: number(0)?, stored: number(1)?, raw: number(2)?, compressed: number(3)? })
}

impl From<Delta> for Tally {
    fn from(usage: Delta) -> Self {
        // Never below 0 in a sound store; a damaged one is for `verify` to mend, not a reason to fail.
        let count = |number: i64| number.max(0).cast_unsigned();
        Tally {
            entries: count(usage.entries),
            stored_bytes: count(usage.stored),
            raw_bytes: count(usage.raw),
            compressed: count(usage.compressed),
        }
    }
}

/// The groups behind `after`, in order: at most `limit` that have any usage, what is pending included.
pub(crate) fn groups(
    connection: &Connection,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<(Group, Tally)>> {
    let pending = pending::read(connection)?;
    let mut select = connection.prepare_cached(
        "SELECT id, tag, entries, stored, raw, compressed FROM ledger WHERE tag > ?1 ORDER BY tag",
    )?;
    let mut rows = select.query([after])?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let Some(group) = row.get_ref(1)?.as_str().ok().and_then(Group::of_tag) else { continue };
        let mut usage = columns(row, 2)?;
        usage.add(pending.get(&row.get(0)?).copied().unwrap_or_default());
        if usage != Delta::default() {
            found.push((group, usage.into()));
        }
    }
    Ok(found)
}
