use crate::{Changed, Lattice, ReplicaId, pairs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

    /// What it contributes to the value.
    fn value(&self) -> i128 {
        let net = |total: u64, base: u64| i128::from(total) - i128::from(base);
        net(self.added, self.added_base) - net(self.subtracted, self.subtracted_base)
    }

    /// The row after one more write of `amount`; `None` when a total cannot hold it.
    fn plus(self, amount: i64) -> Option<Row> {
        let writes = self.writes.checked_add(1)?;
        if amount >= 0 {
            let added = self.added.checked_add(amount.unsigned_abs())?;
            Some(Row { added, writes, ..self })
        } else {
            let subtracted = self.subtracted.checked_add(amount.unsigned_abs())?;
            Some(Row { subtracted, writes, ..self })
        }
    }
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
/// use memlife_crdt::{Counter, Lattice, ReplicaId};
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded")]
pub struct Counter {
    #[serde(serialize_with = "pairs::serialize")]
    rows: BTreeMap<ReplicaId, Row>,
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
    /// Adds `amount` for `replica`; `seq` names its presence when it has no row yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica's total cannot hold it; the counter is unchanged then.
    pub fn add(&mut self, replica: ReplicaId, seq: u64, amount: i64) -> Result<(), Overflow> {
        let fresh = Row { generation: seq, ..Row::default() };
        let row = *self.rows.get(&replica).unwrap_or(&fresh);
        let grown = match row.plus(amount) {
            // A row whose every write was reset counts for nothing: a new presence may start from zero.
            None if !row.is_live() && seq > row.generation => fresh.plus(amount),
            grown => grown,
        };
        self.rows.insert(replica, grown.ok_or(Overflow)?);
        Ok(())
    }

    /// Takes back every contribution seen here; those of others that this state has not seen still count.
    pub fn reset(&mut self) {
        for row in self.rows.values_mut() {
            row.added_base = row.added;
            row.subtracted_base = row.subtracted;
            row.writes_base = row.writes;
        }
    }

    /// The sum of what was added and not reset.
    pub fn value(&self) -> i128 {
        self.rows.values().map(Row::value).sum()
    }

    /// Whether any write is not reset: a counter that was written and stands at 0 lives.
    pub fn is_live(&self) -> bool {
        self.rows.values().any(Row::is_live)
    }
}

impl Lattice for Counter {
    fn join(&mut self, other: &Self) -> Changed {
        let mut changed = Changed::No;
        for (&replica, theirs) in &other.rows {
            let mine = self.rows.entry(replica).or_insert_with(|| {
                changed = Changed::Yes;
                *theirs
            });
            let joined = match mine.generation.cmp(&theirs.generation) {
                std::cmp::Ordering::Less => *theirs,
                std::cmp::Ordering::Greater => *mine,
                std::cmp::Ordering::Equal => Row {
                    generation: mine.generation,
                    added: mine.added.max(theirs.added),
                    subtracted: mine.subtracted.max(theirs.subtracted),
                    added_base: mine.added_base.max(theirs.added_base),
                    subtracted_base: mine.subtracted_base.max(theirs.subtracted_base),
                    writes: mine.writes.max(theirs.writes),
                    writes_base: mine.writes_base.max(theirs.writes_base),
                },
            };
            changed = changed.or(Changed::when(joined != *mine));
            *mine = joined;
        }
        changed
    }
}

/// A counter as read, before it is known to be one.
#[derive(Deserialize)]
#[serde(rename = "Counter")]
struct Encoded {
    rows: Vec<(ReplicaId, Row)>,
}

impl TryFrom<Encoded> for Counter {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        if !pairs::ascend(encoded.rows.iter().map(|(replica, _)| replica)) {
            return Err("the replicas of a counter are out of order");
        }
        if !encoded.rows.iter().all(|(_, row)| row.is_sound()) {
            return Err("a counter was reset by more than it held");
        }
        Ok(Counter { rows: encoded.rows.into_iter().collect() })
    }
}
