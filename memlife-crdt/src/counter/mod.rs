mod form;

use crate::{Changed, Lattice, ReplicaId, Resettable};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What one replica contributed to a counter, and how much of it a reset has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    /// The presence this row belongs to: a greater one replaces a lesser whole.
    generation: u64,
    added: u64,
    subtracted: u64,
    added_base: u64,
    subtracted_base: u64,
    /// Writes, so that a written 0 is a value, too.
    writes: u64,
    writes_base: u64,
}

impl Row {
    fn is_live(&self) -> bool {
        self.writes > self.writes_base
    }

    /// Whether no reset took back more than was there.
    fn is_sound(&self) -> bool {
        self.added_base <= self.added
            && self.subtracted_base <= self.subtracted
            && self.writes_base <= self.writes
    }

    /// What was added and not reset.
    fn added(&self) -> u64 {
        self.added.saturating_sub(self.added_base)
    }

    /// What was subtracted and not reset.
    fn subtracted(&self) -> u64 {
        self.subtracted.saturating_sub(self.subtracted_base)
    }

    /// The row after one more write; `None` when a total cannot hold it.
    fn plus(self, write: Amount) -> Option<Row> {
        let writes = self.writes.checked_add(1)?;
        match write {
            Amount::Up(by) => Some(Row { added: self.added.checked_add(by)?, writes, ..self }),
            Amount::Down(by) => Some(Row { subtracted: self.subtracted.checked_add(by)?, writes, ..self }),
        }
    }

    fn reset(self) -> Row {
        Row { added_base: self.added, subtracted_base: self.subtracted, writes_base: self.writes, ..self }
    }

    /// A later presence replaces an earlier one; within one, every number only grows.
    fn joined(self, other: Row) -> Row {
        match self.generation.cmp(&other.generation) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => Row {
                generation: self.generation,
                added: self.added.max(other.added),
                subtracted: self.subtracted.max(other.subtracted),
                added_base: self.added_base.max(other.added_base),
                subtracted_base: self.subtracted_base.max(other.subtracted_base),
                writes: self.writes.max(other.writes),
                writes_base: self.writes_base.max(other.writes_base),
            },
        }
    }
}

/// What one write adds or subtracts.
#[derive(Clone, Copy, Debug)]
enum Amount {
    Up(u64),
    Down(u64),
}

/// A counter that goes up and down and can be reset exactly.
///
/// Each replica raises only its own totals; a reset raises the baselines to the totals it has seen. All these
/// numbers only grow, so the join is their maximum, and increments concurrent with a reset survive it while
/// everything the reset saw is gone.
///
/// Choose it for what many count at once: tasks done, tokens spent, errors seen. It takes about 20 bytes for
/// each replica that ever wrote, however often. Decoding refuses baselines beyond their totals.
///
/// ```
/// use memlife_crdt::{Counter, Lattice, ReplicaId, Resettable};
///
/// let (here, there) = (ReplicaId(1), ReplicaId(2));
/// let mut counter = Counter::default();
/// counter.add(here, 1, 5)?;
/// counter.add(here, 2, -2)?;
/// assert_eq!(counter.value(), 3);
///
/// let mut copy = counter.clone();
/// copy.add(there, 1, 4)?; // concurrent with the reset
/// counter.reset();
/// let _ = counter.join(&copy);
/// assert_eq!(counter.value(), 4);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// In the order of the replicas: reading them one after the other is what counters are for.
    rows: Vec<(ReplicaId, Row)>,
}

/// A count of this replica would pass 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count of this replica would pass 2^64 - 1")
    }
}

impl std::error::Error for Overflow {}

impl Counter {
    /// Adds `amount` for `replica` and returns the delta; `seq` names its presence when it has no row yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica's total cannot hold it; the counter is unchanged then.
    pub fn add(&mut self, replica: ReplicaId, seq: u64, amount: i64) -> Result<Counter, Overflow> {
        let by = amount.unsigned_abs();
        self.write(replica, seq, if amount < 0 { Amount::Down(by) } else { Amount::Up(by) })
    }

    pub(crate) fn grow(&mut self, replica: ReplicaId, seq: u64, amount: u64) -> Result<Counter, Overflow> {
        self.write(replica, seq, Amount::Up(amount))
    }

    fn write(&mut self, replica: ReplicaId, seq: u64, amount: Amount) -> Result<Counter, Overflow> {
        let fresh = Row { generation: seq, ..Row::default() };
        let place = self.place(replica);
        let row = place.map_or(fresh, |at| self.rows[at].1);
        let grown = match row.plus(amount) {
            // A row whose every write was reset counts for nothing: a new presence may start from zero.
            None if !row.is_live() && seq > row.generation => fresh.plus(amount),
            grown => grown,
        };
        let grown = grown.ok_or(Overflow)?;
        match place {
            Ok(at) => self.rows[at].1 = grown,
            Err(at) => self.rows.insert(at, (replica, grown)),
        }
        Ok(Counter { rows: vec![(replica, grown)] })
    }

    /// Where the row of `replica` is, or would be.
    fn place(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&replica, |(replica, _)| *replica)
    }

    /// Whether anything was ever subtracted.
    pub(crate) fn has_subtracted(&self) -> bool {
        self.rows.iter().any(|(_, row)| row.subtracted > 0)
    }

    /// The sum of what was added and not reset.
    pub fn value(&self) -> i128 {
        let sum =
            |part: fn(&Row) -> u64| self.rows.iter().map(|(_, row)| u128::from(part(row))).sum::<u128>();
        // Fewer rows fit into memory than would overflow.
        sum(Row::added).cast_signed() - sum(Row::subtracted).cast_signed()
    }
}

impl Lattice for Counter {
    fn join(&mut self, other: &Self) -> Changed {
        let mut changed = Changed::No;
        let mut news = Vec::new();
        let mut at = 0;
        for &(replica, theirs) in &other.rows {
            // Both are in order: what is passed over here has a lesser replica than all that follow there.
            at += self.rows[at..].iter().take_while(|(mine, _)| *mine < replica).count();
            match self.rows.get_mut(at).filter(|(mine, _)| *mine == replica) {
                Some((_, mine)) => {
                    let joined = mine.joined(theirs);
                    changed = changed.or(Changed::when(joined != *mine));
                    *mine = joined;
                }
                None => news.push((replica, theirs)),
            }
        }
        if news.is_empty() {
            return changed;
        }
        self.rows.append(&mut news);
        // Two sorted runs: the sort is one merge.
        self.rows.sort_by_key(|(replica, _)| *replica);
        Changed::Yes
    }
}

impl Resettable for Counter {
    /// Takes back every contribution seen here; those of others that this state has not seen still count.
    fn reset(&mut self) -> Counter {
        let is_open = |row: &Row| *row != row.reset();
        let open = self.rows.iter_mut().filter(|(_, row)| is_open(row));
        let rows = open.map(|(replica, row)| {
            *row = row.reset();
            (*replica, *row)
        });
        Counter { rows: rows.collect() }
    }

    /// Whether any write is not reset: a counter that was written and stands at 0 lives.
    fn is_live(&self) -> bool {
        self.rows.iter().any(|(_, row)| row.is_live())
    }

    /// The new row takes along what the old one held.
    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        match self.place(replica).map(|at| &mut self.rows[at].1) {
            Ok(row) if row.generation < seq => {
                row.generation = seq;
                Changed::Yes
            }
            _ => Changed::No,
        }
    }
}
