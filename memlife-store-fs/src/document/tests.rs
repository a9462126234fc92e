use super::*;
use memlife_core::record::{Compression, ExpiryOrigin, Kind, ReclaimClass};
use memlife_core::resolver::{self, Held, Mint, beside_each_other};
use memlife_core::{Hlc, ReplicaId, Stamp, Value};
use serde_json::Value as Json;

const LIMIT: usize = 1 << 20;
const GZIP: Compression = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 100, dictionary: 0 };

fn stamp(ms: u64) -> Stamp {
    Stamp::new(Hlc { at: Timestamp::from_ms(ms), counter: 3 }, ReplicaId(u64::MAX - 1))
}

fn record(kind: Kind, siblings: u32, body: Body) -> Record {
    let mut head = Head {
        kind,
        kind_epoch: Hlc::new(Timestamp::from_ms(9)),
        alive: true,
        seq: 12,
        version: 11,
        stamp: stamp(1_763_812_345_007),
        created_at: Timestamp::from_ms(5),
        life: Default::default(),
        origin: ExpiryOrigin::Caller,
        rule_ttl: Some(memlife_core::Ttl::from_ms(1_500).unwrap()),
        keep_until: Timestamp::EPOCH,
        class: ReclaimClass::Lazy,
        rule: "session/*".into(),
        writer: Some("agent \"7\"".into()),
        siblings,
        raw_len: 0,
        stored_len: 0,
        codec: Codec::None,
    };
    head.life.expires_at = Some(Timestamp::MAX);
    head.measure(Some(&body));
    Record { key: Key::new("session/\u{e9} \"x\"/y").unwrap(), head, body: Some(body) }
}

fn register(value: &Value, how: Compression) -> Record {
    record(Kind::Lww, 1, Body::of_value(value, how).unwrap())
}

fn json(text: &str) -> Value {
    Value::json_text(text.to_owned()).unwrap()
}

fn siblings(values: &[&str], how: Compression) -> Record {
    let held: Vec<Held> = values
        .iter()
        .zip((1..=values.len() as u64).rev())
        .map(|(text, at)| Held { value: json(text), stamp: stamp(at * 1_000), writer: None })
        .collect();
    let mint = Mint {
        seq: 4,
        stamp: stamp(1),
        replica: ReplicaId(1),
        writer: None,
        compression: how,
        max_siblings: 32,
    };
    let resolved = beside_each_other(&held, &mint).unwrap();
    record(Kind::MultiValue, resolved.siblings, resolved.body.unwrap())
}

fn round_trip(record: &Record) -> Json {
    let text = write(record).unwrap();
    let document = read(&text, LIMIT).unwrap();
    assert_eq!(document.record, *record);
    assert_eq!(document.author, Author::Memlife);
    assert!(text.len() <= max_bytes(record.head.stored_len as usize));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn json_values_stand_there_byte_for_byte() {
    for text in
        ["{\"task\":\"running\"}", " [1,\n 2.50 , 1e2]\n\t", "\"}, \\\"timestamp\\\": \"", "null", "1 "]
    {
        let file = round_trip(&register(&json(text), Compression::NONE));
        assert_eq!(file["value"], serde_json::from_str::<Json>(text).unwrap());
        assert_eq!(file["compressed"], false);
    }
}

#[test]
fn the_fields_of_the_original_are_there() {
    let file = round_trip(&register(&json("8"), Compression::NONE));
    assert_eq!(file["key"], "session/\u{e9} \"x\"/y");
    assert_eq!(file["timestamp"], 1_763_812_345.007);
    assert_eq!(file["namespace"], "session/\u{e9} \"x\"");
    assert_eq!((&file["version"], &file["conflicted"]), (&Json::from(11), &Json::from(false)));
    assert_eq!(file["conflict_values"], Json::Array(vec![]));
}

/// Files of this format are out there: neither may its reading change nor, by accident, its writing.
#[test]
fn the_format_stays_as_it_is() {
    let golden = [
        ("register", register(&json("{\"task\": [1, 2.50]}"), Compression::NONE)),
        ("bytes", register(&Value::bytes(vec![0, 159, 146, 150]), Compression::NONE)),
        ("siblings", siblings(&["\"option_b\"", "\"option_a\""], Compression::NONE)),
    ];
    for (name, record) in golden {
        let path = format!("{}/tests/data/format-1-{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).unwrap();
        assert_eq!(read(&text, LIMIT).unwrap().record, record, "{name}");
        assert_eq!(String::from_utf8(write(&record).unwrap()), String::from_utf8(text), "{name}");
    }
}

#[test]
fn bytes_and_compressed_values_are_base64() {
    let bytes = Value::bytes(vec![0, 159, 146, 150]);
    assert_eq!(round_trip(&register(&bytes, Compression::NONE))["value"], "AJ+Slg==");
    let long = json(&format!("\"{}\"", "x".repeat(5_000)));
    let file = round_trip(&register(&long, GZIP));
    assert!(file["value"].as_str().unwrap().starts_with("H4sI"), "the original reads gzip in base64");
    assert_eq!(file["compressed"], true);
    round_trip(&register(&long, Compression::DEFAULT));
    round_trip(&register(&Value::bytes(vec![7; 5_000]), Compression::DEFAULT));
    round_trip(&register(&Value::bytes(vec![]), Compression::NONE));
}

#[test]
fn siblings_are_shown_newest_first() {
    let file = round_trip(&siblings(&["\"option_b\"", "\"option_a\""], Compression::NONE));
    assert_eq!((&file["value"], &file["conflicted"]), (&Json::from("option_b"), &Json::from(true)));
    assert_eq!(file["conflict_values"], serde_json::json!([["option_a", 1.0]]));
    let long = format!("\"{}\"", "x".repeat(5_000));
    let file = round_trip(&siblings(&[&long, "1"], GZIP));
    assert_eq!(file["compressed"], true);
    assert_eq!(file["conflict_values"], serde_json::json!([[1, 1.0]]));
}

#[test]
fn a_counter_is_shown_as_its_integer() {
    let one = register(&json("8"), Compression::NONE);
    let mint = Mint {
        seq: 4,
        stamp: stamp(1),
        replica: ReplicaId(1),
        writer: None,
        compression: Compression::NONE,
        max_siblings: 32,
    };
    let body = resolver::convert(&one, &Kind::Counter, &mint).unwrap().unwrap().body.unwrap();
    assert_eq!(round_trip(&record(Kind::Counter, 1, body))["value"], 8);
}

#[test]
fn a_strategy_of_a_program_is_kept_without_being_shown() {
    let body = Body::pack(Content::State, b"opaque", Compression::NONE).unwrap();
    assert_eq!(round_trip(&record(Kind::Custom("best_of".into()), 1, body))["value"], Json::Null);
}

#[test]
fn every_flipped_bit_is_noticed() {
    for record in [
        register(&json("{\"a\": 1}"), Compression::NONE),
        register(&Value::bytes(vec![1, 2, 3]), Compression::NONE),
        siblings(&["2", "1"], Compression::NONE),
    ] {
        let good = write(&record).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = read(&bad, LIMIT).map(|_| ()).unwrap_err();
            let newer = error.kind() == ErrorKind::Unsupported;
            assert!(newer || error.kind() == ErrorKind::Corrupt, "bit {bit}: {error}");
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let good = write(&siblings(&["2", "1"], Compression::NONE)).unwrap();
    for end in 0..good.len() {
        // Without its last line feed it is the same JSON, and still not what was written.
        assert_eq!(read(&good[..end], LIMIT).map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt, "{end}");
    }
}

#[test]
fn values_that_are_no_json_are_refused() {
    let body = Body::pack(Content::Value(Encoding::Json), b"{", Compression::NONE).unwrap();
    let error = write(&record(Kind::Lww, 1, body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn newer_formats_and_other_programs_are_told_apart() {
    let newer = b"{\"key\": \"a\", \"value\": 1, \"timestamp\": 1.0, \"memlife\": {\"format\": 2}}";
    assert_eq!(read(newer, LIMIT).map(|_| ()).unwrap_err().kind(), ErrorKind::Unsupported);
    for foreign in
        ["", "[]", "{}", "{\"name\": \"package\"}", "{\"key\": \"a//b\", \"value\": 1, \"timestamp\": 1}"]
    {
        let error = read(foreign.as_bytes(), LIMIT).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{foreign}");
    }
}
