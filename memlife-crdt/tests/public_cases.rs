//! Cases in which a public crate of such types (`crdts` 7.3.2) miscounts, diverges or cannot be written.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_crdt::{
    Contribution, Counter, Hlc, Lattice, Map, MultiValue, OrSet, Register, ReplicaId, Resettable, Stamp,
    Timestamp,
};

const HERE: ReplicaId = ReplicaId(1);
const THERE: ReplicaId = ReplicaId(2);

fn stamp(ms: u64, replica: ReplicaId) -> Stamp {
    Stamp::new(Hlc::new(Timestamp::from_ms(ms)), replica)
}

/// Joins both ways and returns what both are then.
fn converged<T: Lattice + Clone + PartialEq + std::fmt::Debug>(mut here: T, mut there: T) -> T {
    let before = here.clone();
    let _ = here.join(&there);
    let _ = there.join(&before);
    assert_eq!(here, there);
    here
}

/// There the removal is undone, and 1005 comes out.
#[test]
fn a_counter_in_a_map_keeps_just_what_the_removal_had_not_seen() {
    let mut here = Map::default();
    here.change::<Counter>("n", |n| n.add(HERE, 1, 1_000)).unwrap();
    let mut there = here.clone();
    here.remove(b"n");
    there.change::<Counter>("n", |n| n.add(THERE, 1, 5)).unwrap();
    let map = converged(here, there);
    assert_eq!(map.get::<Counter>(b"n").map(Counter::value), Some(5));
}

#[test]
fn a_counter_that_is_reset_keeps_just_what_the_reset_had_not_seen() {
    let mut here = Counter::default();
    here.add(HERE, 1, 1_000).unwrap();
    let mut there = here.clone();
    here.reset();
    there.add(THERE, 1, 5).unwrap();
    assert_eq!(converged(here, there).value(), 5);
}

/// There two clients that share an actor give one clock to two values, and the replicas differ for ever. Here the store
/// mints one dot after the other, whoever writes through it.
#[test]
fn two_clients_of_one_replica_leave_two_values() {
    let write = |seq, writer: &str| Contribution {
        replica: HERE,
        seq,
        stamp: stamp(seq, HERE),
        writer: Some(writer.to_owned()),
        value: writer.to_owned().into(),
    };
    let mut here = MultiValue::default();
    let first = here.put(write(1, "one")).unwrap();
    let second = here.put(write(2, "other")).unwrap();
    // Two replicas get the two writes in different orders.
    let (mut near, mut far) = (MultiValue::default(), MultiValue::default());
    for delta in [&first, &second] {
        let _ = near.join(delta);
    }
    for delta in [&second, &first] {
        let _ = far.join(delta);
    }
    assert_eq!(near.len(), 2);
    assert_eq!(converged(near, far), here);
}

/// Even a copied store, which does give one dot to two values, leaves no replica with another than the rest.
#[test]
fn one_dot_for_two_values_comes_to_one_value() {
    let write = |value: &'static str| {
        let mut register = MultiValue::default();
        let contribution =
            Contribution { replica: HERE, seq: 1, stamp: stamp(1, HERE), writer: None, value: value.into() };
        register.put(contribution).unwrap();
        register
    };
    assert_eq!(converged(write("one"), write("other")).len(), 1);
}

/// There the replica keeps what it saw first.
#[test]
fn equal_markers_come_to_one_value() {
    let register = |value: &'static str| Register { stamp: stamp(7, HERE), value: Some(value.into()) };
    assert_eq!(converged(register("a"), register("b")).value.as_deref(), Some(&b"b"[..]));
}

/// There the removal waits in a map whose keys are no strings, which JSON cannot hold.
#[test]
fn a_removal_that_comes_before_its_insertion_is_written_as_json() {
    let mut here = OrSet::default();
    let insertion = here.insert(HERE, 1, "a").unwrap();
    let removal = here.remove(b"a");
    let mut there = OrSet::default();
    let _ = there.join(&removal);
    let json = serde_json::to_string(&there).unwrap();
    let mut again: OrSet = serde_json::from_str(&json).unwrap();
    assert_eq!(again, there);
    let _ = again.join(&insertion);
    assert!(!again.contains(b"a"), "removed before it came");
}
