//! Bodies and heads.

use super::{HERE, LIMIT, THERE, golden, json, rewritten, stamp};
use memlife_core::record::{Body, Codec, Compression, Content, ExpiryOrigin, Head, Kind, ReclaimClass};
use memlife_core::{Encoding, Hlc, Key, Timestamp, Ttl, Value};
use memlife_crdt::Life;

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
        let how = Compression { codec, level: 6, threshold_bytes: 1, dictionary: 0 };
        let written = Body::of_value(&json(), how).unwrap();
        let read = Body::from_stored(golden(name, written.as_bytes()).into()).unwrap();
        assert_eq!((read.content(), read.codec()), (Content::Value(Encoding::Json), codec), "{name}");
        assert_eq!(read.value(LIMIT).unwrap(), json(), "{name}");
    }
}

/// A living register; no field has the value of its neighbours.
pub fn register_head() -> Head {
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
