//! Bytes that an earlier build wrote, one file for each form of format version 1: they are read for ever, and what
//! is not compressed is written the same for ever.
//!
//! `MEMLIFE_BLESS=1` writes the files that are missing. It never writes over one that is there: a format that
//! changes gets a new version and new files beside these.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say so at once")]

use memlife_core::record::{Body, Codec, Compression, Content, ExpiryOrigin, Head, Kind, ReclaimClass};
use memlife_core::resolver::{Held, Mint, MultiValueResolver, Resolver, Side, native};
use memlife_core::store::Op;
use memlife_core::{Encoding, Hlc, Key, ReplicaId, Stamp, Timestamp, Ttl, Value};
use memlife_crdt::Life;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

const LIMIT: usize = 1 << 20;
const HERE: ReplicaId = ReplicaId(0x0123_4567_89ab_cdef);
const THERE: ReplicaId = ReplicaId(7);
const TEXT: &str = r#"{"plan":"rest rest rest rest rest rest rest rest rest rest","step":3}"#;

/// The bytes of a golden file: hexadecimal digits, 32 bytes to a line.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden/v1");
    let path = folder.join(name).with_extension("hex");
    if std::env::var_os("MEMLIFE_BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, to_hex(written)).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    from_hex(&text)
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    assert_eq!(digits.len() % 2, 0, "half a byte");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn stamp(ms: u64, counter: u16, replica: ReplicaId) -> Stamp {
    Stamp::new(Hlc { at: Timestamp::from_ms(ms), counter }, replica)
}

fn json() -> Value {
    Value::json_text(TEXT).unwrap()
}

/// The bytes of a golden file that this build writes the same.
fn rewritten(name: &str, written: &[u8]) -> Vec<u8> {
    let bytes = golden(name, written);
    assert_eq!(to_hex(&bytes), to_hex(written), "{name}: written otherwise than before");
    bytes
}

#[test]
fn plain_bodies() {
    let bytes = Value::bytes(vec![0, 1, 2, 253, 254, 255]);
    let empty = Value::bytes(Vec::new());
    for (name, value) in [("body-json", json()), ("body-bytes", bytes), ("body-empty", empty)] {
        let written = Body::of_value(&value, Compression::NONE).unwrap();
        let read = Body::from_stored(rewritten(name, written.as_bytes()).into()).unwrap();
        assert_eq!(read.value(LIMIT).unwrap(), value, "{name}");
    }
}

/// Compressors may change what they write; what they once wrote is read all the same.
#[test]
fn compressed_bodies_are_read() {
    for (name, codec) in [("body-json-gzip", Codec::Gzip), ("body-json-zstd", Codec::Zstd)] {
        let how = Compression { codec, level: 6, threshold_bytes: 1 };
        let written = Body::of_value(&json(), how).unwrap();
        let read = Body::from_stored(golden(name, written.as_bytes()).into()).unwrap();
        assert_eq!((read.content(), read.codec()), (Content::Value(Encoding::Json), codec), "{name}");
        assert_eq!(read.value(LIMIT).unwrap(), json(), "{name}");
    }
}

/// A living register; no field has the value of its neighbours.
fn register_head() -> Head {
    Head {
        kind: Kind::Lww,
        kind_epoch: Hlc { at: Timestamp::from_ms(1_700_000_000_001), counter: 2 },
        alive: true,
        seq: 70_003,
        version: 70_002,
        stamp: stamp(1_700_000_000_004, 5, HERE),
        created_at: Timestamp::from_ms(1_700_000_000_006),
        life: Life::new(stamp(1_700_000_000_007, 8, THERE), Some(Timestamp::from_ms(1_700_003_600_009))),
        origin: ExpiryOrigin::Caller,
        rule_ttl: Some(Ttl::from_ms(3_600_010).unwrap()),
        keep_until: Timestamp::from_ms(11),
        class: ReclaimClass::Lazy,
        rule: "coordination/*".into(),
        writer: Some("agent-1".into()),
        siblings: 1,
        raw_len: 3_000,
        stored_len: 300,
        codec: Codec::Zstd,
    }
}

/// What other entries have otherwise, so that every variant is in some file.
fn heads() -> [(&'static str, Head); 5] {
    let permanent = Head {
        kind: Kind::MultiValue,
        life: Life::new(stamp(1_700_000_000_004, 5, HERE), None),
        origin: ExpiryOrigin::Rule,
        rule_ttl: None,
        class: ReclaimClass::Manual,
        rule: "".into(),
        writer: None,
        siblings: 32,
        codec: Codec::None,
        ..register_head()
    };
    let counter = Head { kind: Kind::Counter, class: ReclaimClass::Scheduled, ..permanent.clone() };
    let original = Head {
        origin: ExpiryOrigin::Unjudged,
        class: ReclaimClass::Unjudged,
        codec: Codec::Gzip,
        ..register_head()
    };
    let tombstone = Head {
        kind: Kind::Custom("votes".into()),
        alive: false,
        keep_until: Timestamp::from_ms(1_700_086_400_012),
        class: ReclaimClass::Tombstone,
        siblings: 0,
        raw_len: 0,
        stored_len: 0,
        codec: Codec::None,
        ..register_head()
    };
    [
        ("head-register", register_head()),
        ("head-multi-value", permanent),
        ("head-counter", counter),
        ("head-original", original),
        ("head-tombstone", tombstone),
    ]
}

#[test]
fn heads_of_every_sort() {
    let key = Key::new("coordination/agent-1/Größe").unwrap();
    for (name, head) in heads() {
        let bytes = rewritten(name, &head.encode(&key).unwrap());
        assert_eq!(Head::decode(&key, &bytes).unwrap(), head, "{name}");
    }
}

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

    let stored = Body::from_stored(rewritten("state-counter", state.as_bytes()).into()).unwrap();
    assert_eq!(stored.content(), Content::State);
    let value = i128::from(i64::MAX) - 70_000;
    assert_eq!(
        read(native(&Kind::Counter).unwrap(), &stored)[0].value,
        Value::json_text(value.to_string()).unwrap()
    );
    assert_eq!(joined(native(&Kind::Counter).unwrap(), &stored, &there), state);
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
        let stored = Body::from_stored(rewritten(name, deleted.as_bytes()).into()).unwrap();
        assert_eq!(joined(resolver, &full, &stored), deleted, "{name}");
    }
}
