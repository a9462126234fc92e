use crate::{Meter, Result};
use bytes::Bytes;
use memlife_core::{Hlc, ReplicaId, Stamp, Timestamp};
use memlife_crdt::{Contribution, Counter, Lattice, MultiValue, OrSet, Register};

const REPLICAS: u64 = 64;
const ELEMENTS: usize = 10_000;

fn stamp(ms: u64, replica: u64) -> Stamp {
    Stamp::new(Hlc::new(Timestamp::from_ms(1_790_000_000_000 + ms)), ReplicaId(replica))
}

fn value(at: u64) -> Bytes {
    format!("a value of thirty-two bytes {at:04}").into()
}

/// The other side is the newer.
pub(crate) fn register_join(meter: &mut impl Meter) -> Result {
    let register = |at| Register { stamp: stamp(at, at), value: Some(value(at)) };
    joins(meter, &register(1), &register(2))
}

/// Four concurrent values into four others.
pub(crate) fn multi_value_join(meter: &mut impl Meter) -> Result {
    let build = |first: u64| -> Result<MultiValue> {
        let mut register = MultiValue::default();
        for at in first..first + 4 {
            let (replica, stamp) = (ReplicaId(at), stamp(at, at));
            register.put(Contribution { replica, seq: 1, stamp, writer: None, value: value(at) })?;
        }
        Ok(register)
    };
    joins(meter, &build(1)?, &build(5)?)
}

/// 64 replicas, of which half have gone on.
pub(crate) fn counter_join(meter: &mut impl Meter) -> Result {
    let mut mine = Counter::default();
    for replica in 0..REPLICAS {
        mine.add(ReplicaId(replica), 1_000 + replica, 300 * replica as i64)?;
    }
    let mut theirs = mine.clone();
    for replica in (0..REPLICAS).step_by(2) {
        theirs.add(ReplicaId(replica), 9_000 + replica, 7)?;
    }
    joins(meter, &mine, &theirs)
}

fn joins<S: Lattice + Clone>(meter: &mut impl Meter, mine: &S, theirs: &S) -> Result {
    meter.measure(
        || (mine.clone(), theirs.clone()),
        |(mut mine, theirs)| {
            let changed = mine.absorb(theirs);
            Ok((mine, changed))
        },
    )
}

/// One element into 10,000, and out again.
pub(crate) fn or_set_join(meter: &mut impl Meter) -> Result {
    let element = |at: usize| format!("element{at:05}");
    let mut set = OrSet::default();
    for at in 0..ELEMENTS {
        set.insert(ReplicaId(1), 1, element(2 * at))?;
    }
    let mut other = OrSet::default();
    let new = element(ELEMENTS + 1);
    meter.measure(
        || {
            let inserted = other.insert(ReplicaId(2), 1, new.clone());
            (inserted, other.remove(new.as_bytes()))
        },
        |(inserted, removed)| {
            let inserted = inserted?;
            let changed = set.join(&inserted).or(set.join(&removed));
            Ok((inserted, removed, changed))
        },
    )
}
