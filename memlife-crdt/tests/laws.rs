//! The laws of a join semilattice, for every type, on states that replicas reach.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;
mod simulation;

use cases::config;
use memlife_crdt::{
    CausalContext, Changed, Counter, Hlc, Lattice, Life, MultiValue, Register, ReplicaId, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simulation::{
    change_context, change_counter, change_multi_value, context_op, counter_op, history, multi_value_op,
    play, value,
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
    let bound = join.clone();
    prop_assert_eq!(join.join(a), Changed::No);
    prop_assert_eq!(join.join(b), Changed::No);
    prop_assert_eq!(join, bound);
    Ok(())
}

/// All states come to one, however they are ordered, repeated and grouped.
fn converges<T: Lattice + Clone + Eq + Debug>(states: &[T], disorder: &[usize]) -> Checked {
    let in_order: Vec<usize> = (0..states.len()).collect();
    let mut disordered = disorder.to_vec();
    disordered.extend(in_order.iter().rev());
    let (left, right) = disordered.split_at(disordered.len().div_ceil(2));
    let grouped =
        if right.is_empty() { fold(states, left) } else { joined(&fold(states, left), &fold(states, right)) };
    prop_assert_eq!(&fold(states, &in_order), &fold(states, &disordered));
    prop_assert_eq!(&fold(states, &in_order), &grouped);
    Ok(())
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

fn counters() -> impl Strategy<Value = Vec<Counter>> {
    history(counter_op()).prop_map(|steps| {
        play(
            &steps,
            |counter, turn, op| {
                change_counter(counter, turn, op);
            },
            join,
        )
    })
}

fn multi_values() -> impl Strategy<Value = Vec<MultiValue>> {
    history(multi_value_op()).prop_map(|steps| play(&steps, change_multi_value, join))
}

fn contexts() -> impl Strategy<Value = Vec<CausalContext>> {
    history(context_op()).prop_map(|steps| {
        play(
            &steps,
            |context, turn, op| {
                change_context(context, turn, op);
            },
            join,
        )
    })
}

fn join<T: Lattice>(mine: &mut T, theirs: &T) {
    let _ = mine.join(theirs);
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (0..3_u64, 0..2_u16, 1..3_u64).prop_map(|(ms, counter, replica)| {
        Stamp::new(Hlc { at: Timestamp::from_ms(ms), counter }, ReplicaId(replica))
    })
}

/// One test per law for the states that `$states` generates.
macro_rules! laws {
    ($name:ident, $state:ty, $states:expr) => {
        mod $name {
            use super::*;

            fn pick(states: &[$state], at: usize) -> &$state {
                &states[at % states.len()]
            }

            proptest! {
                #![proptest_config(config())]

                #[test]
                fn join_is_associative(states in $states, picks in any::<[[usize; 3]; 8]>()) {
                    for [a, b, c] in picks {
                        is_associative(pick(&states, a), pick(&states, b), pick(&states, c))?;
                    }
                }

                #[test]
                fn join_is_commutative(states in $states, picks in any::<[[usize; 2]; 8]>()) {
                    for [a, b] in picks {
                        is_commutative(pick(&states, a), pick(&states, b))?;
                    }
                }

                #[test]
                fn join_is_idempotent(states in $states) {
                    states.iter().try_for_each(is_idempotent)?;
                }

                #[test]
                fn join_tells_whether_it_inflated(states in $states, picks in any::<[[usize; 2]; 8]>()) {
                    for [a, b] in picks {
                        inflates(pick(&states, a), pick(&states, b))?;
                    }
                }

                #[test]
                fn any_order_repetition_and_grouping_converges(
                    states in $states,
                    disorder in vec(any::<usize>(), 0..20),
                ) {
                    converges(&states, &disorder)?;
                }

                #[test]
                fn equal_states_are_equal_bytes(states in $states, picks in any::<[[usize; 2]; 8]>()) {
                    for [a, b] in picks {
                        is_equal_as_its_bytes_are(pick(&states, a), pick(&states, b))?;
                    }
                }

                #[test]
                fn every_state_is_read_back(states in $states) {
                    states.iter().try_for_each(is_read_back)?;
                }
            }
        }
    };
}

laws!(register, Register, registers());
laws!(life, Life, lives());
laws!(counter, Counter, counters());
laws!(causal_context, CausalContext, contexts());
laws!(multi_value, MultiValue, multi_values());
