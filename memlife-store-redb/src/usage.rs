use crate::error::Trouble;
use crate::frame::{Reader, Writer};
use memlife_core::Key;
use memlife_core::record::Head;
use memlife_core::store::{Group, Tally};
use redb::{ReadableTable, Table};
use std::collections::BTreeMap;

/// What one transaction adds to and takes from the tallies of groups.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, (Tally, Tally)>);

impl Groups {
    /// Counts an entry in, if usage counts it.
    pub(crate) fn add(&mut self, key: &Key, head: &Head) {
        if let Some(tag) = Group::tag_of_entry(key, head) {
            self.0.entry(tag).or_default().0.add(Tally::of(head));
        }
    }

    /// Counts an entry out.
    pub(crate) fn subtract(&mut self, key: &Key, head: &Head) {
        if let Some(tag) = Group::tag_of_entry(key, head) {
            self.0.entry(tag).or_default().1.add(Tally::of(head));
        }
    }

    /// Writes what changed, and carries it over to `total`.
    pub(crate) fn flush(
        self,
        table: &mut Table<'_, &'static [u8], &'static [u8]>,
        total: &mut Tally,
    ) -> Result<(), Trouble> {
        for (tag, (added, taken)) in self.0.into_iter().filter(|(_, (added, taken))| added != taken) {
            let mut tally =
                table.get(tag.as_bytes())?.and_then(|row| decode(row.value())).unwrap_or_default();
            for tally in [&mut tally, &mut *total] {
                tally.add(added);
                tally.subtract(taken);
            }
            if tally.entries == 0 {
                table.remove(tag.as_bytes())?;
            } else {
                table.insert(tag.as_bytes(), encode(tally).as_slice())?;
            }
        }
        Ok(())
    }
}

pub(crate) fn encode(tally: Tally) -> Vec<u8> {
    Writer::default()
        .number(tally.entries)
        .number(tally.stored_bytes)
        .number(tally.raw_bytes)
        .number(tally.compressed)
        .plain()
}

pub(crate) fn decode(row: &[u8]) -> Option<Tally> {
    let mut row = Reader::plain(row);
    Some(Tally {
        entries: row.number()?,
        stored_bytes: row.number()?,
        raw_bytes: row.number()?,
        compressed: row.number()?,
    })
}
