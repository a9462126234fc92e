//! The laws of a join semilattice, for every type, on states that replicas reach.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;
mod simulation;

use cases::config;
use memlife_crdt::{
    CausalContext, Changed, Counter, FlagDw, FlagEw, GCounter, Hlc, Lattice, Life, Map, Max, Min, MultiValue,
    OrSet, Register, ReplicaId, Resettable, RwSet, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simulation::{
    Entry, Lww, Made, Record, Turn, change_context, change_counter, change_entry, change_flag_dw,
    change_flag_ew, change_g_counter, change_lww, change_map, change_max, change_min, change_multi_value,
    change_or_set, change_rw_set, context_op, counter_op, entry_op, extreme_op, flag_op, g_counter_op,
    history, map_op, multi_value_op, record, set_op, value,
};
use std::fmt::Debug;

type Checked = Result<(), TestCaseError>;

fn joined<T: Lattice + Clone>(a: &T, b: &T) -> T {
    let mut join = a.clone();
    let _ = join.join(b);
    join
}

/// Joins the states at `picks`, at least one, one after the other.
fn fold<T: Lattice + Clone>(states: &[T], picks: &[usize]) -> T {
    let mut picked = picks.iter().map(|pick| &states[pick % states.len()]);
    let first = picked.next().unwrap().clone();
    picked.fold(first, |sum, state| joined(&sum, state))
}

fn encoded<T: Serialize>(state: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(state, bincode::config::standard()).unwrap()
}

fn is_associative<T: Lattice + Clone + Eq + Debug>(a: &T, b: &T, c: &T) -> Checked {
    prop_assert_eq!(joined(&joined(a, b), c), joined(a, &joined(b, c)));
    Ok(())
}

fn is_commutative<T: Lattice + Clone + Eq + Debug>(a: &T, b: &T) -> Checked {
    prop_assert_eq!(joined(a, b), joined(b, a));
    Ok(())
}

fn is_idempotent<T: Lattice + Clone + Eq + Debug>(a: &T) -> Checked {
    let mut twice = a.clone();
    prop_assert_eq!(twice.join(a), Changed::No);
    prop_assert_eq!(&twice, a);
    Ok(())
}

/// The join tells whether it changed anything, and neither side has anything new for it afterwards.
fn inflates<T: Lattice + Clone + Eq + Debug>(a: &T, b: &T) -> Checked {
    let mut join = a.clone();
    let changed = join.join(b);
    prop_assert_eq!(changed, Changed::when(join != *a));
    let mut taken = a.clone();
    prop_assert_eq!(taken.absorb(b.clone()), changed);
    prop_assert_eq!(&taken, &join);
    let bound = join.clone();
    prop_assert_eq!(join.join(a), Changed::No);
    prop_assert_eq!(join.join(b), Changed::No);
    prop_assert_eq!(join, bound);
    Ok(())
}

/// A change is the join of its delta, which both sides of it hold already.
fn is_its_delta<T: Lattice + Clone + Eq + Debug>(made: &Made<T>) -> Checked {
    prop_assert_eq!(&joined(&made.before, &made.delta), &made.after);
    let mut after = made.after.clone();
    prop_assert_eq!(after.join(&made.delta), Changed::No);
    Ok(())
}

/// The deltas alone come to what the states of all replicas come to, however they are ordered, repeated and grouped.
fn deltas_suffice<T: Lattice + Clone + Default + Eq + Debug>(
    record: &Record<T>,
    disorder: &[usize],
) -> Checked {
    let everything = record.states.iter().fold(T::default(), |sum, state| joined(&sum, state));
    let mut deltas = vec![T::default()];
    deltas.extend(record.changes.iter().map(|made| made.delta.clone()));
    let all = converges(&deltas, disorder)?;
    prop_assert_eq!(all, everything);
    Ok(())
}

/// All states come to one, however they are ordered, repeated and grouped.
fn converges<T: Lattice + Clone + Eq + Debug>(states: &[T], disorder: &[usize]) -> Result<T, TestCaseError> {
    let in_order: Vec<usize> = (0..states.len()).collect();
    let mut disordered = disorder.to_vec();
    disordered.extend(in_order.iter().rev());
    let (left, right) = disordered.split_at(disordered.len().div_ceil(2));
    let grouped =
        if right.is_empty() { fold(states, left) } else { joined(&fold(states, left), &fold(states, right)) };
    let all = fold(states, &in_order);
    prop_assert_eq!(&all, &fold(states, &disordered));
    prop_assert_eq!(&all, &grouped);
    Ok(all)
}

fn is_equal_as_its_bytes_are<T: Eq + Debug + Serialize>(a: &T, b: &T) -> Checked {
    prop_assert_eq!(a == b, encoded(a) == encoded(b));
    Ok(())
}

fn is_read_back<T: Eq + Debug + Serialize + DeserializeOwned>(state: &T) -> Checked {
    let bytes = encoded(state);
    let (again, used) = bincode::serde::decode_from_slice(&bytes, bincode::config::standard())
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!((state, bytes.len()), (&again, used));
    let json = serde_json::to_string(state).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(state, &serde_json::from_str::<T>(&json).unwrap());
    Ok(())
}

/// Registers of few stamps, so that equal ones meet, as they do after an import.
fn registers() -> impl Strategy<Value = Vec<Register>> {
    let register = (stamp(), prop::option::of(value())).prop_map(|(stamp, value)| Register { stamp, value });
    vec(register, 1..12)
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let expires_at = prop_oneof![Just(None), (0..4_u64).prop_map(|ms| Some(Timestamp::from_ms(ms)))];
    let expires_at = prop_oneof![4 => expires_at, 1 => Just(Some(Timestamp::MAX))];
    vec((stamp(), expires_at).prop_map(|(epoch, expires_at)| Life { epoch, expires_at }), 1..12)
}

/// The delta of a dot seen is the context of it alone.
fn see(context: &mut CausalContext, turn: Turn, op: &simulation::ContextOp) -> Option<CausalContext> {
    let mut delta = CausalContext::default();
    let _ = delta.insert(change_context(context, turn, op));
    Some(delta)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (0..3_u64, 0..2_u16, 1..3_u64).prop_map(|(ms, counter, replica)| {
        Stamp::new(Hlc { at: Timestamp::from_ms(ms), counter }, ReplicaId(replica))
    })
}

/// One test per law for the states that `$states` generates.
macro_rules! laws {
    ($state:ty, $states:expr) => {
        fn pick(states: &[$state], at: usize) -> &$state {
            &states[at % states.len()]
        }

        proptest! {
            #![proptest_config(config())]

            #[test]
            fn join_is_associative(states in $states, picks in any::<[[usize; 3]; 2]>()) {
                for [a, b, c] in picks {
                    is_associative(pick(&states, a), pick(&states, b), pick(&states, c))?;
                }
            }

            #[test]
            fn join_is_commutative(states in $states, picks in any::<[[usize; 2]; 2]>()) {
                for [a, b] in picks {
                    is_commutative(pick(&states, a), pick(&states, b))?;
                }
            }

            #[test]
            fn join_is_idempotent(states in $states, picks in any::<[usize; 2]>()) {
                for a in picks {
                    is_idempotent(pick(&states, a))?;
                }
            }

            #[test]
            fn join_tells_whether_it_inflated(states in $states, picks in any::<[[usize; 2]; 2]>()) {
                for [a, b] in picks {
                    inflates(pick(&states, a), pick(&states, b))?;
                }
            }

            #[test]
            fn any_order_repetition_and_grouping_converges(
                states in $states,
                disorder in vec(any::<usize>(), 0..10),
            ) {
                converges(&states, &disorder)?;
            }

            #[test]
            fn equal_states_are_equal_bytes(states in $states, picks in any::<[[usize; 2]; 2]>()) {
                for [a, b] in picks {
                    is_equal_as_its_bytes_are(pick(&states, a), pick(&states, b))?;
                }
            }

            #[test]
            fn every_state_is_read_back(states in $states, picks in any::<[usize; 2]>()) {
                for a in picks {
                    is_read_back(pick(&states, a))?;
                }
            }
        }
    };
}

/// The laws for the states and the deltas of histories of `$op`, which `$change` carries out.
macro_rules! delta_laws {
    ($name:ident, $state:ty, $op:expr, $change:expr) => {
        mod $name {
            use super::*;

            // Boxed, as they are compiled with each law otherwise.
            fn records() -> BoxedStrategy<Record<$state>> {
                history($op, 24).prop_map(|steps| record(&steps, $change)).boxed()
            }

            /// States and deltas, which are states, too.
            fn states() -> BoxedStrategy<Vec<$state>> {
                let all = |record: Record<$state>| {
                    let deltas = record.changes.into_iter().map(|made| made.delta);
                    record.states.into_iter().chain(deltas).collect()
                };
                records().prop_map(all).boxed()
            }

            laws!($state, states());

            proptest! {
                #![proptest_config(config())]

                #[test]
                fn a_change_is_the_join_of_its_delta(record in records()) {
                    record.changes.iter().try_for_each(is_its_delta)?;
                }

                #[test]
                fn deltas_in_any_order_repetition_and_grouping_are_the_states_of_all(
                    record in records(),
                    disorder in vec(any::<usize>(), 0..10),
                ) {
                    deltas_suffice(&record, &disorder)?;
                }
            }
        }
    };
}

/// The laws for whole entries, whose state `$change` changes and `$delete` deletes.
macro_rules! entry_laws {
    ($name:ident, $state:ty, $op:expr, $change:expr, $delete:expr) => {
        delta_laws!($name, Entry<$state>, entry_op($op), |entry: &mut Entry<$state>, turn, op| {
            change_entry(entry, turn, op, $change, $delete)
        });
    };
}

mod register {
    use super::*;
    laws!(Register, registers());
}

mod life {
    use super::*;
    laws!(Life, lives());
}

delta_laws!(lww, Lww, prop::option::of(value()), change_lww);
delta_laws!(causal_context, CausalContext, context_op(), see);
delta_laws!(multi_value, MultiValue, multi_value_op(), change_multi_value);
delta_laws!(counter, Counter, counter_op(), change_counter);
delta_laws!(g_counter, GCounter, g_counter_op(), change_g_counter);
delta_laws!(or_set, OrSet, set_op(), change_or_set);
delta_laws!(rw_set, RwSet, set_op(), change_rw_set);
delta_laws!(max, Max, extreme_op(), change_max);
delta_laws!(min, Min, extreme_op(), change_min);
delta_laws!(flag_ew, FlagEw, flag_op(), change_flag_ew);
delta_laws!(flag_dw, FlagDw, flag_op(), change_flag_dw);
delta_laws!(map, Map, map_op(), change_map);

entry_laws!(entry_of_lww, Lww, value(), |lww, turn, value| change_lww(lww, turn, &Some(value.clone())), bury);
entry_laws!(entry_of_counter, Counter, counter_op(), change_counter, reset);
entry_laws!(entry_of_or_set, OrSet, set_op(), change_or_set, reset);
entry_laws!(entry_of_map, Map, map_op(), change_map, reset);

fn bury(lww: &mut Lww, turn: Turn) -> Lww {
    change_lww(lww, turn, &None).unwrap()
}

fn reset<S: Resettable>(state: &mut S, _: Turn) -> S {
    state.reset()
}
