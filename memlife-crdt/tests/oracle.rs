//! What a state shows is a function of the changes it has seen: each type against that function, at every
//! replica after every step.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;
mod simulation;

use bytes::Bytes;
use cases::config;
use memlife_crdt::{
    CausalContext, Changed, Counter, Dot, Hlc, Lattice, Life, MultiValue, Register, ReplicaId, Resettable,
    Stamp, Timestamp,
};
use proptest::prelude::*;
use simulation::{
    ContextOp, CounterOp, MultiValueOp, Step, Turn, change_context, change_counter, change_multi_value,
    context_op, counter_op, history, multi_value_op, play,
};
use std::collections::{BTreeMap, BTreeSet};

/// The changes that a replica has seen, by their `seq`, and those that a visible removal had seen.
#[derive(Clone, Debug)]
struct Seen<T> {
    made: BTreeMap<u64, T>,
    removed: BTreeSet<u64>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Seen { made: BTreeMap::new(), removed: BTreeSet::new() }
    }
}

impl<T: Clone> Seen<T> {
    fn join(&mut self, other: &Self) {
        self.made.extend(other.made.iter().map(|(seq, change)| (*seq, change.clone())));
        self.removed.extend(&other.removed);
    }

    fn live(&self) -> impl Iterator<Item = (u64, &T)> {
        self.made.iter().filter(|(seq, _)| !self.removed.contains(seq)).map(|(seq, change)| (*seq, change))
    }

    fn remove_where(&mut self, mut goes: impl FnMut(&T) -> bool) {
        let going: Vec<u64> = self.live().filter(|(_, change)| goes(change)).map(|(seq, _)| seq).collect();
        self.removed.extend(going);
    }
}

type CounterRun = (Counter, Seen<i64>);

fn count((counter, seen): &mut CounterRun, turn: Turn, op: &CounterOp) {
    let before = counter.clone();
    if change_counter(counter, turn, op).is_none() {
        assert_eq!(*counter, before, "a refused change changed something");
        return;
    }
    match op {
        CounterOp::Add(amount) => {
            seen.made.insert(turn.seq, *amount);
        }
        CounterOp::Reset => seen.remove_where(|_| true),
    }
}

#[derive(Clone, Debug)]
struct Written {
    replica: ReplicaId,
    stamp: Stamp,
    writer: Option<String>,
    value: Bytes,
}

type MultiValueRun = (MultiValue, Seen<Written>);

fn write((register, seen): &mut MultiValueRun, turn: Turn, op: &MultiValueOp) {
    change_multi_value(register, turn, op).unwrap();
    let add = |seen: &mut Seen<Written>, writer: &Option<String>, value: &Bytes| {
        let written = Written {
            replica: turn.replica,
            stamp: turn.stamp,
            writer: writer.clone(),
            value: value.clone(),
        };
        seen.made.insert(turn.seq, written);
    };
    match op {
        MultiValueOp::Put { writer, value } => {
            seen.remove_where(|old| writer.is_some() && old.writer == *writer && old.replica == turn.replica);
            add(seen, writer, value);
        }
        MultiValueOp::Assign { value } => {
            seen.remove_where(|_| true);
            add(seen, &None, value);
        }
        MultiValueOp::Reset => seen.remove_where(|_| true),
        MultiValueOp::Cap(most) => {
            let mut stamps: Vec<Stamp> = seen.live().map(|(_, written)| written.stamp).collect();
            stamps.sort();
            stamps.truncate(stamps.len().saturating_sub(*most));
            seen.remove_where(|old| stamps.contains(&old.stamp));
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_counter_is_the_sum_that_no_visible_reset_has_seen(steps in history(counter_op())) {
        let runs = play::<CounterRun, _>(&steps, count, |mine, theirs| {
            let _ = mine.0.join(&theirs.0);
            mine.1.join(&theirs.1);
        });
        for (counter, seen) in runs {
            let sum: i128 = seen.live().map(|(_, amount)| i128::from(*amount)).sum();
            prop_assert_eq!(counter.value(), sum);
            prop_assert_eq!(counter.is_live(), seen.live().next().is_some());
        }
    }

    #[test]
    fn a_value_survives_exactly_if_no_visible_write_has_seen_and_removed_it(
        steps in history(multi_value_op()),
    ) {
        let runs = play::<MultiValueRun, _>(&steps, write, |mine, theirs| {
            let _ = mine.0.join(&theirs.0);
            mine.1.join(&theirs.1);
        });
        for (register, seen) in runs {
            let mut expected: Vec<&Written> = seen.live().map(|(_, written)| written).collect();
            expected.sort_by_key(|written| std::cmp::Reverse(written.stamp));
            let expected: Vec<_> =
                expected.iter().map(|written| (written.stamp, &written.writer, &written.value)).collect();
            let held: Vec<_> = register
                .newest_first()
                .into_iter()
                .map(|sibling| (sibling.stamp, &sibling.writer, &sibling.value))
                .collect();
            prop_assert_eq!(held, expected);
        }
    }

    #[test]
    fn a_context_is_the_set_of_dots_seen(steps in history(context_op())) {
        type Run = (CausalContext, BTreeSet<Dot>);
        let runs = play::<Run, _>(
            &steps,
            |(context, seen), turn, op| {
                let before = context.clone();
                let dot = change_context(context, turn, op);
                if matches!(op, ContextOp::Mint) {
                    let mut own = seen.iter().filter(|seen| seen.actor.replica == turn.replica);
                    assert!(own.all(|seen| *seen < dot), "{dot:?} is not past what its replica minted");
                }
                let is_new = seen.insert(dot);
                assert_eq!(is_new, *context != before);
            },
            |mine, theirs| {
                let _ = mine.0.join(&theirs.0);
                mine.1.extend(&theirs.1);
            },
        );
        let all: BTreeSet<Dot> = runs.iter().flat_map(|(_, seen)| seen.iter().copied()).collect();
        for (context, seen) in &runs {
            for dot in &all {
                prop_assert_eq!(context.contains(*dot), seen.contains(dot));
            }
            for (other, other_seen) in &runs {
                prop_assert_eq!(context == other, seen == other_seen);
            }
        }
    }
}

#[test]
fn a_history_delivers_and_changes() {
    // The tests above say nothing if their histories never join.
    let steps = [
        Step::Change { replica: 0, wall_ms: 1, op: CounterOp::Add(5) },
        Step::Deliver { to: 1, state: 1 },
        Step::Change { replica: 1, wall_ms: 1, op: CounterOp::Reset },
        Step::Change { replica: 0, wall_ms: 2, op: CounterOp::Add(1) },
        Step::Deliver { to: 1, state: 4 },
    ];
    let runs = play::<CounterRun, _>(&steps, count, |mine, theirs| {
        let _ = mine.0.join(&theirs.0);
    });
    let values: Vec<i128> = runs.iter().map(|(counter, _)| counter.value()).collect();
    assert_eq!(values, [0, 5, 5, 0, 6, 1]);
}

#[test]
fn a_register_keeps_the_newest_then_a_removal_then_the_greater_value() {
    let register =
        |ms, value: Option<&'static str>| Register { stamp: stamp(ms), value: value.map(Bytes::from) };
    let rising = [
        register(1, Some("z")),
        register(2, Some("a")),
        register(2, Some("b")),
        register(2, None),
        register(3, Some("a")),
    ];
    for pair in rising.windows(2) {
        assert!(pair[1].wins_over(&pair[0]) && !pair[0].wins_over(&pair[1]), "{pair:?}");
    }
}

#[test]
fn a_life_is_the_longest_of_the_newest_epoch() {
    let life = |ms, end: Option<u64>| Life::new(stamp(ms), end.map(Timestamp::from_ms));
    let rising = [
        life(1, None),
        life(2, Some(5)),
        life(2, Some(9)),
        life(2, Some(u64::MAX)),
        life(2, None),
        life(3, Some(4)),
    ];
    for pair in rising.windows(2) {
        let (mut lesser, mut greater) = (pair[0], pair[1]);
        assert_eq!((greater.join(&pair[0]), greater), (Changed::No, pair[1]));
        assert_eq!((lesser.join(&pair[1]), lesser), (Changed::Yes, pair[1]));
    }
}

fn stamp(ms: u64) -> Stamp {
    Stamp::new(Hlc::new(Timestamp::from_ms(ms)), ReplicaId(1))
}

#[test]
fn a_counter_created_anew_after_a_purge_ignores_the_straggler() {
    let (here, there) = (ReplicaId(1), ReplicaId(2));
    let mut old = Counter::default();
    old.add(here, 3, 10).unwrap();
    let mut straggler = old.clone();
    straggler.add(there, 1, 2).unwrap();

    let mut anew = Counter::default();
    anew.add(here, 9, 1).unwrap(); // the old metadata is gone, so the presence is a later one
    let _ = anew.join(&straggler);
    let _ = straggler.join(&anew);
    assert_eq!((anew.value(), straggler.value()), (3, 3));
}

#[test]
fn a_full_counter_starts_again_after_a_reset() {
    let here = ReplicaId(1);
    let mut counter = Counter::default();
    counter.add(here, 1, i64::MAX).unwrap();
    counter.add(here, 2, i64::MAX).unwrap();
    counter.add(here, 3, 1).unwrap(); // 2^64 - 1
    let full = counter.clone();
    assert!(counter.add(here, 4, 1).is_err());
    assert_eq!(counter, full);

    counter.reset();
    counter.add(here, 5, 7).unwrap();
    let _ = counter.join(&full);
    assert_eq!(counter.value(), 7);
}

#[test]
fn the_least_amount_is_no_overflow() {
    let mut counter = Counter::default();
    counter.add(ReplicaId(1), 1, i64::MIN).unwrap();
    counter.add(ReplicaId(1), 2, i64::MIN + 1).unwrap();
    assert_eq!(counter.value(), i128::from(i64::MIN) * 2 + 1);
}
