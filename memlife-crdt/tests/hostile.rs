//! Bytes that no honest replica wrote: decoding answers with a state that works, or with an error.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;

use bincode::config::standard;
use bytes::Bytes;
use cases::config;
use memlife_crdt::{
    CausalContext, Changed, Contribution, Counter, Hlc, Lattice, Life, MultiValue, Register, ReplicaId,
    Resettable, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

type Checked = Result<(), TestCaseError>;
/// Replica and generation.
type Actor = (u64, u64);
type Dot = (Actor, u64);
/// Generation, added, subtracted, their baselines, writes and their baseline.
type Row = (u64, u64, u64, u64, u64, u64, u64);
type Context = (Vec<(Actor, u64)>, Vec<Dot>);
/// Dot, stamp, writer and value.
type Sibling = (Dot, ((u64, u16), u64), Option<String>, Bytes);

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, standard()).unwrap()
}

/// The limit is what memlife-core sets for inputs as short as these.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let limit = standard().with_limit::<{ 64 << 10 }>();
    bincode::serde::decode_from_slice(bytes, limit).ok().map(|(value, _)| value)
}

/// What decodes and is written again is read again: nothing done to it makes an entry unreadable.
fn stays_readable<T: Serialize + DeserializeOwned + Eq + Debug>(state: &T) -> Checked {
    let again: Option<T> = decode(&encode(state));
    prop_assert_eq!(again.as_ref(), Some(state));
    Ok(())
}

fn contribution(replica: u64, seq: u64, value: &'static str) -> Contribution {
    Contribution {
        replica: ReplicaId(replica),
        seq,
        stamp: Stamp::default(),
        writer: Some("ann".to_owned()),
        value: value.into(),
    }
}

fn use_counter(mut counter: Counter, other: &Counter) -> Checked {
    let _ = counter.add(ReplicaId(1), 7, i64::MAX);
    let _ = counter.add(ReplicaId(2), u64::MAX, i64::MIN);
    let _ = counter.join(other);
    stays_readable(&counter)?;
    let _ = counter.value();
    counter.reset();
    prop_assert_eq!(counter.value(), 0);
    prop_assert!(!counter.is_live());
    stays_readable(&counter)
}

fn use_register(mut register: MultiValue, other: &MultiValue) -> Checked {
    for (seq, replica) in [(7, 1), (u64::MAX, 2)] {
        let before = register.clone();
        if register.put(contribution(replica, seq, "put")).is_err() {
            prop_assert_eq!(&register, &before);
        }
    }
    let _ = register.join(other);
    let _ = register.newest_first();
    stays_readable(&register)?;
    register.cap(1);
    prop_assert!(register.len() <= 1);
    stays_readable(&register)?;
    let _ = register.assign(contribution(3, 0, "assigned"));
    stays_readable(&register)
}

fn use_context(mut context: CausalContext, other: &CausalContext) -> Checked {
    for replica in 0..3 {
        if let Ok(dot) = context.mint(ReplicaId(replica), 5) {
            prop_assert!(context.contains(dot));
        }
    }
    let _ = context.join(other);
    stays_readable(&context)
}

/// Small numbers, which meet each other, and those at the edges.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..4_u64, 1 => u64::MAX - 2..=u64::MAX, 1 => any::<u64>()]
}

fn rows() -> impl Strategy<Value = Vec<(u64, Row)>> {
    let row = (number(), number(), number(), number(), number(), number(), number());
    vec((number(), row), 0..4)
}

/// A counter's rows that decode: in order, and no baseline beyond its total.
fn sound(mut rows: Vec<(u64, Row)>) -> Vec<(u64, Row)> {
    rows.sort();
    rows.dedup_by_key(|(replica, _)| *replica);
    for (_, (_, added, subtracted, added_base, subtracted_base, writes, writes_base)) in &mut rows {
        *added_base = (*added_base).min(*added);
        *subtracted_base = (*subtracted_base).min(*subtracted);
        *writes_base = (*writes_base).min(*writes);
    }
    rows
}

/// Few dots, so that registers and their contexts share most of them.
fn dot() -> impl Strategy<Value = Dot> {
    let generation = prop_oneof![8 => 0..2_u64, 1 => number()];
    let n = prop_oneof![8 => 1..4_u64, 1 => number()];
    ((0..2_u64, generation), n)
}

fn context() -> impl Strategy<Value = Context> {
    (vec(dot(), 0..4), vec(dot(), 0..3))
}

fn siblings() -> impl Strategy<Value = Vec<Sibling>> {
    let value = vec(any::<u8>(), 0..3).prop_map(Bytes::from);
    let writer = prop_oneof![Just(None), Just(Some("ann".to_owned()))];
    vec((dot(), ((0..3_u64, 0..2_u16), 0..3_u64), writer, value), 0..4)
}

/// A register that decodes: what of `siblings` the repaired context has seen, in order.
fn repaired((mut siblings, (mut vector, mut cloud)): (Vec<Sibling>, Context)) -> (Vec<Sibling>, Context) {
    vector.sort();
    vector.dedup_by_key(|(actor, _)| *actor);
    vector.retain(|&(_, n)| n > 0);
    let seen = |actor: Actor| vector.iter().find(|(one, _)| *one == actor).map_or(0, |&(_, n)| n);
    cloud.sort();
    cloud.dedup();
    cloud.retain(|&(actor, n)| n > seen(actor).saturating_add(1));
    siblings.sort();
    siblings.dedup_by_key(|(dot, ..)| *dot);
    siblings.retain(|&((actor, n), ..)| n > 0 && (n <= seen(actor) || cloud.contains(&(actor, n))));
    (siblings, (vector, cloud))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(bytes in vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..120)) {
        if let Some(counter) = decode::<Counter>(&bytes) {
            use_counter(counter.clone(), &counter)?;
        }
        if let Some(register) = decode::<MultiValue>(&bytes) {
            use_register(register.clone(), &register)?;
        }
        if let Some(context) = decode::<CausalContext>(&bytes) {
            use_context(context.clone(), &context)?;
        }
        if let Some(mut register) = decode::<Register>(&bytes) {
            prop_assert_eq!(register.join(&register.clone()), Changed::No);
        }
        if let Some(mut life) = decode::<Life>(&bytes) {
            prop_assert_eq!(life.join(&life.clone()), Changed::No);
        }
    }

    #[test]
    fn any_rows(mine in rows(), theirs in rows()) {
        for rows in [&mine, &theirs] {
            let (mine, sound) = (encode(rows), encode(&sound(rows.clone())));
            prop_assert_eq!(decode::<Counter>(&mine).is_some(), mine == sound);
        }
        let sound = |rows| decode::<Counter>(&encode(&sound(rows))).unwrap();
        use_counter(sound(mine), &sound(theirs))?;
    }

    #[test]
    fn any_context(mine in context(), theirs in context()) {
        for context in [&mine, &theirs] {
            let is_repaired = repaired((Vec::new(), context.clone())).1 == *context;
            prop_assert_eq!(decode::<CausalContext>(&encode(context)).is_some(), is_repaired);
        }
        let repaired = |context| decode::<CausalContext>(&encode(&repaired((Vec::new(), context)).1)).unwrap();
        use_context(repaired(mine), &repaired(theirs))?;
    }

    /// Replicas that were copied mint one dot for two values; even then all come to the same.
    #[test]
    fn any_siblings(registers in [(siblings(), context()), (siblings(), context()), (siblings(), context())]) {
        for register in &registers {
            let is_repaired = repaired(register.clone()) == *register;
            prop_assert_eq!(decode::<MultiValue>(&encode(register)).is_some(), is_repaired);
        }
        let [a, b, c] = registers.map(|register| decode::<MultiValue>(&encode(&repaired(register))).unwrap());
        let joined = |a: &MultiValue, b: &MultiValue| {
            let mut join = a.clone();
            let changed = join.join(b);
            assert_eq!(changed, Changed::when(join != *a));
            join
        };
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        use_register(a, &b)?;
    }

    #[test]
    fn a_damaged_state(rows in rows(), register in (siblings(), context()), at in any::<usize>(), bit in 0..8_u8) {
        let damaged = |mut bytes: Vec<u8>| {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes
        };
        let bytes = damaged(encode(&sound(rows)));
        if let Some(counter) = decode::<Counter>(&bytes) {
            use_counter(counter.clone(), &counter)?;
        }
        let bytes = damaged(encode(&repaired(register)));
        if let Some(register) = decode::<MultiValue>(&bytes) {
            use_register(register.clone(), &register)?;
        }
    }
}

#[test]
fn a_replica_without_numbers_left_takes_a_later_presence() {
    let full: Context = (vec![((1, 4), u64::MAX)], Vec::new());
    let mut context: CausalContext = decode(&encode(&full)).unwrap();
    let before = context.clone();
    assert!(context.mint(ReplicaId(1), 4).is_err());
    assert_eq!(context, before);
    let dot = context.mint(ReplicaId(1), 5).unwrap();
    assert_eq!((dot.actor.generation, dot.n), (5, 1));
}

#[test]
fn copies_of_one_store_agree_on_the_value_of_a_dot() {
    let mut here = MultiValue::default();
    let mut there = MultiValue::default();
    here.put(contribution(1, 1, "one")).unwrap();
    there.put(contribution(1, 1, "other")).unwrap();
    let (mine, theirs) = (here.clone(), there.clone());
    assert_eq!(here.join(&theirs), Changed::Yes);
    assert_eq!(there.join(&mine), Changed::No);
    assert_eq!(here, there);
    assert_eq!(&here.newest_first()[0].value[..], b"other");
}

#[test]
fn a_timestamp_past_the_last_is_refused() {
    assert!(decode::<Timestamp>(&encode(&(1_u64 << 48))).is_none());
    assert_eq!(decode::<Hlc>(&encode(&((1_u64 << 48) - 1, u16::MAX))).unwrap().at, Timestamp::MAX);
}
