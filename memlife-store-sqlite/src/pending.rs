//! What usage changed by since the rows of its groups were written.
//!
//! To write those rows takes a commit a statement for each group and a page more than it writes anyway. So it notes in
//! the store's own row, which it writes in any case, by how much the usage of a group changed, and the rows follow once
//! too many groups are noted. Whoever asks for usage adds the two.

use crate::usage::Delta;
use bincode::config;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;

/// The most bytes of notes: half a page, so that the rows of usage have the other half.
const MAX_BYTES: usize = 2 << 10;
/// What is made room for at once: some dozen notes, so that no commit has to write many rows for others before it.
const ROOM_BYTES: usize = 128;
const CHECKSUM_BYTES: usize = 4;

/// Usage by the row of its group.
pub(crate) type Sums = BTreeMap<i64, Delta>;

/// A group and by how much it has more entries, stored bytes, raw bytes and compressed ones.
type Note = (i64, [i64; 4]);

/// The notes, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<u8>);

impl Pending {
    /// Reads what [`Pending::stored`] gave. What is damaged counts as nothing, which `verify` finds and counts anew.
    pub(crate) fn load(&mut self, stored: ValueRef<'_>) {
        self.0.clear();
        let notes = match stored {
            ValueRef::Null => Some([].as_slice()),
            ValueRef::Blob(bytes) => checked(bytes),
            _ => None,
        };
        match notes {
            Some(notes) => self.0.extend_from_slice(notes),
            None => tracing::warn!("the usage of some namespaces is damaged: run `memlife verify --repair`"),
        }
    }

    /// The notes as they are stored, under a checksum; `None` when there are none.
    pub(crate) fn stored(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut stored = Vec::with_capacity(CHECKSUM_BYTES + self.0.len());
        stored.extend_from_slice(&crc32fast::hash(&self.0).to_le_bytes());
        stored.extend_from_slice(&self.0);
        Some(stored)
    }

    /// Notes a change.
    pub(crate) fn note(&mut self, group: i64, delta: Delta) {
        let note: Note = (group, [delta.entries, delta.stored, delta.raw, delta.compressed]);
        // A vector takes every byte, and numbers have no form that is refused.
        let noted = bincode::encode_into_std_write(note, &mut self.0, config::standard());
        debug_assert!(noted.is_ok(), "a note is numbers");
    }

    /// What all notes come to, groups included that are as they were.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        let mut notes = self.0.as_slice();
        while let Ok(((group, [entries, stored, raw, compressed]), length)) =
            bincode::decode_from_slice::<Note, _>(notes, config::standard())
        {
            sums.entry(group).or_default().add(Delta { entries, stored, raw, compressed });
            notes = &notes[length..];
        }
        sums
    }

    /// Makes room where there are too many notes: what is to go into the rows now, the oldest groups first. Those that
    /// came and went are among them, since they may have left an empty row.
    pub(crate) fn settle(&mut self) -> Sums {
        if self.0.len() <= MAX_BYTES {
            return Sums::new();
        }
        let (mut settled, sums): (Sums, Sums) =
            self.sums().into_iter().partition(|(_, sum)| *sum == Delta::default());
        self.0.clear();
        for (group, sum) in sums.into_iter().rev() {
            if self.0.len() < MAX_BYTES - ROOM_BYTES {
                self.note(group, sum);
            } else {
                settled.insert(group, sum);
            }
        }
        settled
    }
}

/// The notes behind their checksum.
fn checked(stored: &[u8]) -> Option<&[u8]> {
    let (checksum, notes) = stored.split_first_chunk()?;
    (crc32fast::hash(notes) == u32::from_le_bytes(*checksum)).then_some(notes)
}

/// What is noted in the store, for whoever reads.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Sums> {
    let mut select = connection.prepare_cached("SELECT pending FROM ledger WHERE id = 0")?;
    let mut rows = select.query([])?;
    let mut pending = Pending::default();
    if let Some(row) = rows.next()? {
        pending.load(row.get_ref(0)?);
    }
    Ok(pending.sums())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(entries: i64, stored: i64) -> Delta {
        Delta { entries, stored, raw: 2 * stored, compressed: 0 }
    }

    fn reloaded(pending: &Pending) -> Pending {
        let mut again = Pending::default();
        again.load(pending.stored().as_deref().into());
        again
    }

    #[test]
    fn notes_of_a_group_are_summed_up() {
        let mut pending = Pending::default();
        assert_eq!(pending.stored(), None);
        pending.note(7, delta(1, 300));
        pending.note(i64::MAX, delta(-1, i64::from(i32::MIN)));
        pending.note(7, delta(2, -100));
        let expected = Sums::from([(7, delta(3, 200)), (i64::MAX, delta(-1, i64::from(i32::MIN)))]);
        assert_eq!(reloaded(&pending).sums(), expected);
    }

    #[test]
    fn what_is_damaged_counts_as_nothing() {
        let mut pending = Pending::default();
        pending.note(7, delta(1, 300));
        let stored = pending.stored().unwrap_or_default();
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 1;
            for cut in [damaged.as_slice(), &stored[..at]] {
                pending.load(cut.into());
                assert!(pending.sums().is_empty());
            }
        }
        pending.note(7, delta(1, 300));
        pending.load(ValueRef::Integer(7));
        assert!(pending.sums().is_empty());
    }

    #[test]
    fn few_groups_stay_notes_however_often_they_change() {
        let mut pending = Pending::default();
        for round in 1..=10_000 {
            pending.note(round % 50, delta(1, 300));
            assert!(pending.settle().is_empty());
        }
        assert_eq!(pending.sums(), (0..50).map(|group| (group, delta(200, 60_000))).collect());
    }

    #[test]
    fn many_groups_go_into_their_rows() {
        let mut pending = Pending::default();
        let mut rows = Sums::new();
        for group in 0..1_000 {
            pending.note(group, delta(1, 300));
            let settled = pending.settle();
            assert!(settled.len() <= ROOM_BYTES / 4, "{} rows for one commit", settled.len());
            for (group, sum) in settled {
                rows.entry(group).or_default().add(sum);
            }
        }
        assert!(rows.len() > 700);
        assert!(pending.stored().is_none_or(|stored| stored.len() <= CHECKSUM_BYTES + MAX_BYTES));
        for (group, sum) in pending.sums() {
            rows.entry(group).or_default().add(sum);
        }
        assert_eq!(rows, (0..1_000).map(|group| (group, delta(1, 300))).collect());
    }

    #[test]
    fn who_came_and_went_is_told_once() {
        let mut pending = Pending::default();
        let mut idle = Vec::new();
        for _ in 0..1_000 {
            for entries in [1, -1] {
                pending.note(9, delta(entries, 300 * entries));
                idle.extend(pending.settle());
            }
        }
        assert!(!idle.is_empty());
        assert!(idle.iter().all(|(group, sum)| (*group, *sum) == (9, Delta::default())));
    }
}
