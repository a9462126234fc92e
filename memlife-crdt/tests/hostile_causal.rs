//! Damaged states, and those of copied stores, whose dots name two values: decoding answers with a state that works,
//! or with an error, and joins stay joins.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;
mod simulation;

use bincode::config::standard;
use cases::config;
use memlife_crdt::{
    Changed, FlagDw, FlagEw, GCounter, Hlc, Map, Max, Min, MultiValue, Number, OrSet, ReplicaId, Resettable,
    RwSet, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simulation::{
    Turn, change_flag_dw, change_flag_ew, change_g_counter, change_map, change_max, change_min,
    change_multi_value, change_or_set, change_rw_set, extreme_op, flag_op, g_counter_op, history, map_op,
    multi_value_op, play, set_op,
};
use std::fmt::Debug;

/// Steps of a history.
const STEPS: usize = 12;

trait State: Resettable + Clone + Default + Eq + Debug + Serialize + DeserializeOwned {}

impl<T: Resettable + Clone + Default + Eq + Debug + Serialize + DeserializeOwned> State for T {}

fn encode<T: Serialize>(state: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(state, standard()).unwrap()
}

/// The limit is what memlife-core sets for inputs as short as these.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let limit = standard().with_limit::<{ 64 << 10 }>();
    bincode::serde::decode_from_slice(bytes, limit).ok().map(|(state, _)| state)
}

/// What is written is read as the same, with all that a state derives from what it writes.
fn is_read_back<T: State>(state: &T) -> Result<(), TestCaseError> {
    let again: Option<T> = decode(&encode(state));
    prop_assert_eq!(again.as_ref(), Some(state));
    Ok(())
}

fn joined<T: State>(one: &T, other: &T) -> Result<T, TestCaseError> {
    let mut join = one.clone();
    let changed = join.join(other);
    prop_assert_eq!(changed, Changed::when(join != *one));
    is_read_back(&join)?;
    Ok(join)
}

/// Any two states join alike in both orders, and any three in both groupings.
fn join_as_lattices_do<T: State>(a: &T, b: &T, c: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(joined(a, a)?, a.clone());
    prop_assert_eq!(joined(a, b)?, joined(b, a)?);
    prop_assert_eq!(joined(&joined(a, b)?, c)?, joined(a, &joined(b, c)?)?);
    Ok(())
}

fn states<T: State, Op: Clone + Debug>(
    op: impl Strategy<Value = Op>,
    change: impl Fn(&mut T, Turn, &Op) -> Option<T> + Clone,
) -> impl Strategy<Value = Vec<T>> {
    history(op, STEPS).prop_map(move |steps| {
        let join = |mine: &mut T, theirs: &T| {
            let _ = mine.join(theirs);
        };
        play(&steps, |state, turn, op| drop(change(state, turn, op)), join)
    })
}

/// `bytes` with some of them others, and perhaps cut.
fn damaged(bytes: &[u8], damage: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in damage {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
    bytes
}

macro_rules! hostile {
    ($name:ident, $state:ty, $op:expr, $change:expr, $write:expr) => {
        mod $name {
            use super::*;

            /// What decodes can be written, reset, renewed and read again.
            fn works(mut state: $state, good: &$state) -> Result<(), TestCaseError> {
                join_as_lattices_do(&state, good, &<$state>::default())?;
                let write: fn(&mut $state, Turn) = $write;
                for (replica, seq) in [(1, 90), (2, u64::MAX), (u64::MAX, 0)] {
                    let replica = ReplicaId(replica);
                    let stamp = Stamp::new(Hlc::new(Timestamp::from_ms(seq)), replica);
                    write(&mut state, Turn { replica, seq, stamp });
                    is_read_back(&state)?;
                    let _ = state.renew(replica, seq);
                    is_read_back(&state)?;
                }
                let before = state.clone();
                let delta = state.reset();
                prop_assert!(!state.is_live());
                is_read_back(&state)?;
                is_read_back(&delta)?;
                prop_assert_eq!(joined(&before, &delta)?, state);
                Ok(())
            }

            proptest! {
                #![proptest_config(config())]

                #[test]
                fn a_damaged_state_works_or_is_refused(
                    states in states::<$state, _>($op, $change),
                    damage in vec((any::<prop::sample::Index>(), prop_oneof![0..4_u8, any::<u8>()]), 1..4),
                    cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
                ) {
                    let good = states.last().unwrap();
                    if let Some(state) = decode::<$state>(&damaged(&encode(good), &damage, cut)) {
                        works(state, good)?;
                    }
                }

                #[test]
                fn any_bytes_work_or_are_refused(
                    bytes in vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..120),
                ) {
                    if let Some(state) = decode::<$state>(&bytes) {
                        works(state, &<$state>::default())?;
                    }
                }

                /// Replicas of one name that do not know of each other.
                #[test]
                fn states_of_copied_stores_join(
                    a in states::<$state, _>($op, $change),
                    b in states::<$state, _>($op, $change),
                    c in states::<$state, _>($op, $change),
                ) {
                    join_as_lattices_do(a.last().unwrap(), b.last().unwrap(), c.last().unwrap())?;
                }
            }
        }
    };
}

hostile!(multi_value, MultiValue, multi_value_op(), change_multi_value, |_, _| {});
hostile!(g_counter, GCounter, g_counter_op(), change_g_counter, |counter, turn| {
    let _ = counter.add(turn.replica, turn.seq, u64::MAX);
});
hostile!(or_set, OrSet, set_op(), change_or_set, |set, turn| {
    let _ = set.insert(turn.replica, turn.seq, "new");
    set.remove(b"a");
});
hostile!(rw_set, RwSet, set_op(), change_rw_set, |set, turn| {
    let _ = set.insert(turn.replica, turn.seq, "new");
    let _ = set.remove(turn.replica, turn.seq, "a");
});
hostile!(max, Max, extreme_op(), change_max, |max, turn| {
    let _ = max.offer(turn.replica, turn.seq, Number::from(i64::MAX));
});
hostile!(min, Min, extreme_op(), change_min, |min, turn| {
    let _ = min.offer(turn.replica, turn.seq, Number::from(i64::MIN));
});
hostile!(flag_ew, FlagEw, flag_op(), change_flag_ew, |flag, turn| {
    let _ = flag.set(turn.replica, turn.seq, true);
});
hostile!(flag_dw, FlagDw, flag_op(), change_flag_dw, |flag, turn| {
    let _ = flag.set(turn.replica, turn.seq, false);
});
hostile!(map, Map, map_op(), change_map, |map, turn| {
    let _ = map.put(turn.replica, turn.seq, turn.stamp, "new", "value");
    map.remove(b"a");
});
