//! States of lattices.

use super::records::register_head;
use super::{HERE, LIMIT, THERE, earlier, json, rewritten, stamp};
use memlife_core::record::{Body, Compression, Content, Kind};
use memlife_core::resolver::{Held, Mint, MultiValueResolver, Resolver, Side, native};
use memlife_core::store::Op;
use memlife_core::{ReplicaId, Value};
use memlife_crdt::{
    Counter, FlagDw, FlagEw, GCounter, Lattice, Map, Max, Min, Number, OrSet, Overflow, Resettable, RwSet,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// A third replica, of the greatest number.
const FAR: ReplicaId = ReplicaId(u64::MAX);

/// What a change of the `seq`-th number is named after.
fn mint(seq: u64, replica: ReplicaId, writer: Option<&Arc<str>>) -> Mint<'_> {
    Mint {
        seq,
        stamp: stamp(1_700_000_000_000 + seq, 0, replica),
        replica,
        writer,
        compression: Compression::NONE,
        max_siblings: 32,
    }
}

fn changed(resolver: &dyn Resolver, current: Option<&Body>, op: &Op, mint: &Mint<'_>) -> Body {
    resolver.change(current, op, mint).unwrap().body.unwrap()
}

fn joined(resolver: &dyn Resolver, mine: &Body, theirs: &Body) -> Body {
    let head = register_head();
    let side = |body| Side { head: &head, body: Some(body) };
    resolver.join(side(mine), side(theirs), Compression::NONE).unwrap().body.unwrap()
}

fn read(resolver: &dyn Resolver, body: &Body) -> Vec<Held> {
    resolver.read(&register_head(), body, LIMIT).unwrap()
}

/// Two replicas, a reset that saw one increment, and increments it did not see.
#[test]
fn a_counter_state() {
    let add = |current, amount, seq, replica| {
        changed(native(&Kind::Counter).unwrap(), current, &Op::Add(amount), &mint(seq, replica, None))
    };
    let first = add(None, 1_000, 3, HERE);
    let there = add(Some(&first), -70_000, 2, THERE);
    let reset = changed(native(&Kind::Counter).unwrap(), Some(&first), &Op::Delete, &mint(4, HERE, None));
    let here = add(Some(&reset), i64::MAX, 5, HERE);
    let state = joined(native(&Kind::Counter).unwrap(), &here, &there);

    let written = rewritten("state-counter", state.as_bytes());
    for bytes in [written, earlier("state-counter").unwrap()] {
        let stored = Body::from_stored(bytes.into()).unwrap();
        assert_eq!(stored.content(), Content::State);
        let value = i128::from(i64::MAX) - 70_000;
        assert_eq!(
            read(native(&Kind::Counter).unwrap(), &stored)[0].value,
            Value::json_text(value.to_string()).unwrap()
        );
        assert_eq!(joined(native(&Kind::Counter).unwrap(), &stored, &there), state);
    }
}

/// Three values of two replicas side by side, one of them by a named writer and one plain bytes, and one replaced.
#[test]
fn a_multi_value_state() {
    let ann: Arc<str> = "ann".into();
    let put = |current, value: &Value, mint: &Mint<'_>| {
        let op = Op::Put(Body::of_value(value, Compression::NONE).unwrap());
        changed(&MultiValueResolver, current, &op, mint)
    };
    let (draft, plan, bytes) = (Value::json_text("1").unwrap(), json(), Value::bytes(vec![0, 255]));
    let first = put(None, &draft, &mint(3, HERE, Some(&ann)));
    let here = put(Some(&first), &plan, &mint(4, HERE, Some(&ann)));
    let here = put(Some(&here), &bytes, &mint(5, HERE, None));
    let there = put(Some(&first), &draft, &mint(6, THERE, None));
    let state = joined(&MultiValueResolver, &here, &there);

    let stored = Body::from_stored(rewritten("state-multi-value", state.as_bytes()).into()).unwrap();
    let held = read(&MultiValueResolver, &stored);
    let one = |value, seq, replica, writer: Option<&Arc<str>>| Held {
        value,
        stamp: mint(seq, replica, None).stamp,
        writer: writer.cloned(),
    };
    let expected = [one(draft, 6, THERE, None), one(bytes, 5, HERE, None), one(plan, 4, HERE, Some(&ann))];
    assert_eq!(held, expected);
    assert_eq!(joined(&MultiValueResolver, &stored, &there), state);
}

/// The deleted forms stay: they are what later joins need to know.
#[test]
fn states_of_deleted_entries() {
    let add = mint(3, HERE, None);
    let one = Op::Put(Body::of_value(&Value::json_text("1").unwrap(), Compression::NONE).unwrap());
    let resolvers: [(&str, &dyn Resolver); 2] = [
        ("state-counter-deleted", native(&Kind::Counter).unwrap()),
        ("state-multi-value-deleted", &MultiValueResolver),
    ];
    for (name, resolver) in resolvers {
        let full = changed(resolver, None, &one, &add);
        let deleted = changed(resolver, Some(&full), &Op::Delete, &mint(4, HERE, None));
        for bytes in [Some(rewritten(name, deleted.as_bytes())), earlier(name)].into_iter().flatten() {
            let stored = Body::from_stored(bytes.into()).unwrap();
            assert_eq!(joined(resolver, &full, &stored), deleted, "{name}");
        }
    }
}

/// The join of `deltas`.
fn merged<S: Lattice + Default>(deltas: impl IntoIterator<Item = S>) -> S {
    deltas.into_iter().fold(S::default(), |mut state, delta| {
        let _ = state.absorb(delta);
        state
    })
}

/// The first and the fourth write of one replica, the third of another and the only one of a third: what is missing
/// between leaves dots that are out of order. `write` makes the `n`-th write of a replica and returns its delta.
fn gathered<S: Lattice + Default>(write: impl Fn(&mut S, ReplicaId, u64) -> Result<S, Overflow>) -> S {
    let arrived: [(ReplicaId, u64, &[u64]); 3] = [(HERE, 4, &[1, 4]), (THERE, 3, &[3]), (FAR, 1, &[1])];
    merged(arrived.into_iter().flat_map(|(replica, count, numbers)| {
        let mut own = S::default();
        let deltas: Vec<(u64, S)> = (1..=count).map(|n| (n, write(&mut own, replica, n).unwrap())).collect();
        deltas.into_iter().filter(|(n, _)| numbers.contains(n)).map(|(_, delta)| delta)
    }))
}

fn packed<S: Serialize>(state: &S) -> Body {
    let raw = bincode::serde::encode_to_vec(state, bincode::config::standard()).unwrap();
    Body::pack(Content::State, &raw, Compression::NONE).unwrap()
}

/// The stored body of the golden file `name`, which this build writes the same and which is `state`, as is what an
/// earlier build wrote of it.
fn stored<S: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, kind: &Kind, state: &S) -> Body {
    let (resolver, body) = (native(kind).unwrap(), packed(state));
    let written = joined(resolver, &body, &body);
    let is_state = |bytes: Vec<u8>| {
        let stored = Body::from_stored(bytes.into()).unwrap();
        assert_eq!(stored.content(), Content::State, "{name}");
        let decode = bincode::serde::decode_from_slice::<S, _>;
        let (read, used) = decode(&stored.payload(), bincode::config::standard()).unwrap();
        assert_eq!((&read, used), (state, stored.raw_len()), "{name}");
        stored
    };
    earlier(name).map(is_state);
    is_state(rewritten(name, written.as_bytes()))
}

/// `state` in its golden file, where it shows `shown`, and deleted in a file of its own.
fn pinned<S>(name: &str, kind: &Kind, state: &S, shown: &str)
where
    S: Resettable + Clone + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let resolver = native(kind).unwrap();
    let full = stored(name, kind, state);
    let value: serde_json::Value = read(resolver, &full)[0].value.parse().unwrap();
    assert_eq!(value, serde_json::from_str::<serde_json::Value>(shown).unwrap(), "{name}");

    let mut rest = state.clone();
    let _ = rest.reset();
    assert!(state.is_live() && !rest.is_live(), "{name}");
    let deleted = stored(&format!("{name}-deleted"), kind, &rest);
    assert_eq!(changed(resolver, Some(&full), &Op::Delete, &mint(900, HERE, None)), deleted, "{name}");
    assert_eq!(joined(resolver, &full, &deleted), deleted, "{name}");
}

/// Three replicas, a reset that saw all but one of the writes, and a write after it.
#[test]
fn a_growing_counter_state() {
    let mut state = gathered(|counter: &mut GCounter, replica, n| counter.add(replica, 300 + n, n * 100));
    let mut copy = state.clone();
    let unseen = copy.add(THERE, 900, u64::from(u32::MAX)).unwrap();
    let _ = state.reset();
    state.add(HERE, 900, 5).unwrap();
    let _ = state.join(&unseen);
    pinned("state-g-counter", &Kind::GCounter, &state, "4294967300");
}

fn element(n: u64) -> String {
    format!("[{n},\"Größe\"]")
}

/// One element of two insertions, one of a single one, one that was removed.
#[test]
fn states_of_sets() {
    let mut set = gathered(|set: &mut OrSet, replica, n| set.insert(replica, 300 + n, element(n)));
    set.remove(element(4).as_bytes());
    pinned("state-or-set", &Kind::OrSet, &set, r#"[[1,"Größe"],[3,"Größe"]]"#);

    let denied = gathered(|set: &mut RwSet, replica, n| match n {
        4 => set.remove(replica, 300 + n, element(n)),
        _ => set.insert(replica, 300 + n, element(n)),
    });
    pinned("state-rw-set", &Kind::RwSet, &denied, r#"[[1,"Größe"],[3,"Größe"]]"#);
}

/// Integers of one replica, the doubles of another, and one beyond both.
fn number(replica: ReplicaId, n: u64) -> Number {
    let whole = n as f64;
    let number = match replica {
        HERE => Number::from_f64(whole * 1_000.0),
        THERE => Number::from_f64(whole + 0.5),
        _ => Number::from_f64(1e19),
    };
    number.unwrap()
}

#[test]
fn states_of_extremes() {
    let max = gathered(|max: &mut Max, replica, n| max.offer(replica, 300 + n, number(replica, n)));
    pinned("state-max", &Kind::Max, &max, "1e19");
    let down = |replica, n| number(replica, 10 - n);
    let min = gathered(|min: &mut Min, replica, n| min.offer(replica, 300 + n, down(replica, n)));
    pinned("state-min", &Kind::Min, &min, "7.5");
}

/// Positions of three replicas side by side, on and off.
#[test]
fn states_of_flags() {
    let on = gathered(|flag: &mut FlagEw, replica, n| flag.set(replica, 300 + n, n % 2 == 1));
    pinned("state-flag-ew", &Kind::FlagEw, &on, "true");
    let off = gathered(|flag: &mut FlagDw, replica, n| flag.set(replica, 300 + n, n % 2 == 1));
    pinned("state-flag-dw", &Kind::FlagDw, &off, "false");
}

/// A field of every kind, all written alike.
fn write_fields(map: &mut Map, replica: ReplicaId, n: u64) -> Result<Map, Overflow> {
    let (seq, at) = (300 + n, stamp(1_700_000_000_000 + n, 1, replica));
    Ok(merged([
        map.put(replica, seq, at, "plain", n.to_string())?,
        map.put(replica, seq, at, format!("of {n}"), element(n))?,
        map.change::<Max>("max", |max| max.offer(replica, seq, number(replica, n)))?,
        map.change::<Min>("min", |min| min.offer(replica, seq, number(replica, 10 - n)))?,
        map.change::<FlagEw>("on", |flag| flag.set(replica, seq, n % 2 == 1))?,
        map.change::<FlagDw>("off", |flag| flag.set(replica, seq, n % 2 == 1))?,
        map.change::<GCounter>("up", |counter| counter.add(replica, seq, n))?,
        map.change::<Counter>("sum", |counter| counter.add(replica, seq, -3))?,
        map.change::<OrSet>("set", |set| set.insert(replica, seq, element(n)))?,
        map.change::<RwSet>("denied", |set| set.remove(replica, seq, element(n)))?,
        map.change::<Counter>("gone", |counter| counter.add(replica, seq, 1))?,
    ]))
}

/// Fields of all kinds, a counter that was removed and added to again, and fields that were removed.
#[test]
fn a_map_state() {
    let mut map = gathered(write_fields);
    for removed in [&b"sum"[..], b"gone", b"of 4"] {
        map.remove(removed);
    }
    map.change::<Counter>("sum", |sum| sum.add(HERE, 900, 11)).unwrap();
    let shown = concat!(
        r#"{"denied":[],"max":1e19,"min":7.5,"of 1":[1,"Größe"],"of 3":[3,"Größe"],"off":false,"on":true,"#,
        r#""plain":4,"set":[[1,"Größe"],[3,"Größe"],[4,"Größe"]],"sum":11,"up":17}"#,
    );
    pinned("state-map", &Kind::Map, &map, shown);
}
