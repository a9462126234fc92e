//! Entry files as memlife writes them: JSON that people and `jq` can read, and the exact record.

use crate::error::corrupt;
use crate::original::{Original, not_an_entry};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memlife_core::record::{Body, Codec, Compression, Content, FRAME_BYTES, Head, Record};
use memlife_core::resolver;
use memlife_core::{Encoding, Error, ErrorKind, Key, Result, Timestamp, Value};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The format that is written.
const FORMAT: u32 = 1;
/// What stands before and after the eight digits of the checksum, to the end of the file.
const CHECK_BEFORE: &str = "    \"check\": \"";
const CHECK_AFTER: &str = "\"\n  }\n}\n";
const CHECK_DIGITS: usize = 8;
/// What follows the value.
const AFTER_VALUE: &str = ",\n  \"timestamp\": ";
/// How values that are only shown are compressed beside a compressed state: as the original did.
const SHOWN: Compression = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 1 };

/// Values beside the newest are shown while they fit in this; their state holds them all.
const MAX_SHOWN_BYTES: usize = 1 << 20;

/// What an entry file holds.
pub(crate) struct Document {
    /// The record; its numbers are 0 when the original wrote the file.
    pub(crate) record: Record,
    /// Who wrote it.
    pub(crate) author: Author,
}

/// Who wrote an entry file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// memlife.
    Memlife,
    /// The Python original.
    Original,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    timestamp: f64,
    #[serde(default)]
    compressed: bool,
    #[serde(default)]
    conflicted: bool,
    #[serde(borrow, default)]
    conflict_values: Vec<(&'a RawValue, f64)>,
    #[serde(borrow, default)]
    memlife: Option<Own<'a>>,
}

#[derive(Deserialize)]
struct Own<'a> {
    format: u32,
    // Read only once the format is known to be this one's.
    #[serde(borrow, default)]
    head: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encoding: Cow<'a, str>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
}

/// Reads an entry file; compressed values of the original hold at most `limit` bytes.
///
/// # Errors
/// `Corrupt` when any byte is not as it was written, `TooLarge` past `limit`, `Unsupported` for a newer format.
pub(crate) fn read(text: &[u8], limit: usize) -> Result<Document> {
    let fields: Fields<'_> = serde_json::from_slice(text).map_err(not_an_entry)?;
    let key = Key::new(&fields.key).map_err(|error| corrupt("the file's key is none").because(error))?;
    match fields.memlife {
        Some(own) => {
            let record = own.record(&key, text).map_err(|error| error.on(&key))?;
            Ok(Document { record, author: Author::Memlife })
        }
        // One flipped bit in the name of the field must not make it another program's file.
        None if split_check(text).is_some() => Err(corrupt("the file lost a part of its metadata").on(&key)),
        None => {
            let original = Original {
                key: key.clone(),
                value: fields.value,
                timestamp: fields.timestamp,
                compressed: fields.compressed,
                conflicted: fields.conflicted,
                conflict_values: fields.conflict_values,
            };
            let record = original.record(limit).map_err(|error| error.on(&key))?;
            Ok(Document { record, author: Author::Original })
        }
    }
}

impl Own<'_> {
    fn record(&self, key: &Key, text: &[u8]) -> Result<Record> {
        if self.format != FORMAT {
            let message = format!("the file is of format {}: read it with a newer memlife", self.format);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let (covered, check) = split_check(text).ok_or_else(|| corrupt("the file's checksum is damaged"))?;
        if check != checksum(covered).as_bytes() {
            return Err(corrupt("the file does not match its checksum"));
        }
        let head = self.head.ok_or_else(|| corrupt("the file has no metadata"))?;
        let head: Head = serde_json::from_str(head.get())
            .map_err(|error| corrupt("the file's metadata does not read").because(error))?;
        let body = self.body(key, &head, text)?;
        if body.as_bytes().len() != head.stored_len as usize {
            return Err(corrupt("the value has another length than its metadata says"));
        }
        Ok(Record { key: key.clone(), head, body: Some(body) })
    }

    fn body(&self, key: &Key, head: &Head, text: &[u8]) -> Result<Body> {
        if let Some(state) = &self.state {
            return Body::from_parts(Content::State, head.codec, head.raw_len, &unbase64(state)?);
        }
        let encoding = match &*self.encoding {
            "json" => Encoding::Json,
            "base64" => Encoding::Bytes,
            other => return Err(corrupt(format!("the value has the unknown encoding {other:?}"))),
        };
        let content = Content::Value(encoding);
        let plain = head.codec == Codec::None && encoding == Encoding::Json;
        let shown_len = if plain { Some(head.raw_len as usize) } else { None };
        let shown = value_text(key, text, shown_len)?;
        if plain {
            return Body::from_parts(content, Codec::None, head.raw_len, shown);
        }
        let shown: Cow<'_, str> = serde_json::from_slice(shown).map_err(not_an_entry)?;
        Body::from_parts(content, head.codec, head.raw_len, &unbase64(&shown)?)
    }
}

/// The bytes of the value as they stand in the file, the white space around them included.
///
/// A text of known length is taken by its length, since a user's JSON may begin or end with white space and
/// may contain anything; every other value is a string of base64 on one line.
fn value_text<'a>(key: &Key, text: &'a [u8], len: Option<usize>) -> Result<&'a [u8]> {
    let found = || {
        let rest = text.strip_prefix(opening(key).ok()?.as_bytes())?;
        let len = match len {
            Some(len) => len,
            None => rest.iter().position(|&byte| byte == b',')?,
        };
        let value = rest.get(..len)?;
        rest[len..].starts_with(AFTER_VALUE.as_bytes()).then_some(value)
    };
    found().ok_or_else(|| corrupt("the file is not laid out as memlife writes it"))
}

/// Writes the entry file of a living record.
///
/// # Errors
/// `Invalid` when a JSON value is no JSON; `Corrupt` when the record has no body.
pub(crate) fn write(record: &Record) -> Result<Vec<u8>> {
    let body = record.body()?;
    let shown = Shown::of(record, body).map_err(|error| error.on(&record.key))?;
    let head = &record.head;
    let mut text = opening(&record.key)?;
    text.reserve(shown.value.len() + shown.state.as_ref().map_or(0, String::len) + 1_024);
    text.push_str(&shown.value);
    let _ = write!(text, "{AFTER_VALUE}{}", seconds(head.stamp.at()));
    let _ = write!(text, ",\n  \"namespace\": {}", quoted(record.key.namespace())?);
    let _ = write!(text, ",\n  \"compressed\": {},\n  \"version\": {}", shown.compressed, head.version);
    let _ = write!(text, ",\n  \"conflicted\": {},\n  \"conflict_values\": [", !shown.others.is_empty());
    for (i, (value, at)) in shown.others.iter().enumerate() {
        let _ = write!(text, "{}[{value}, {}]", if i == 0 { "" } else { ", " }, seconds(*at));
    }
    let encoded = serde_json::to_string(head)
        .map_err(|error| Error::new(ErrorKind::Internal, "metadata cannot be written").because(error))?;
    let _ = write!(text, "],\n  \"memlife\": {{\n    \"format\": {FORMAT},\n    \"head\": {encoded},\n");
    match shown.state {
        Some(state) => text.extend(["    \"state\": \"", &state, "\",\n"]),
        None => text.extend(["    \"encoding\": \"", shown.encoding, "\",\n"]),
    }
    text.push_str(CHECK_BEFORE);
    let check = checksum(text.as_bytes());
    text.extend([check.as_str(), CHECK_AFTER]);
    Ok(text.into_bytes())
}

/// The key that a damaged file still begins with.
pub(crate) fn mentioned_key(text: &[u8]) -> Option<Key> {
    let rest = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"key\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let key = serde_json::Deserializer::from_slice(rest).into_iter::<String>().next()?.ok()?;
    Key::new(&key).ok()
}

/// Whether a damaged file has a part that only entry files have, or nothing at all, as after a power cut.
pub(crate) fn has_remains(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    text.iter().all(|&byte| byte == 0) || has(b"\"conflict_values\": [") || has(b"\"memlife\": {")
}

/// The most bytes of a file whose body has `body_bytes`: a state stands in it twice, once to be read by people.
pub(crate) fn max_bytes(body_bytes: usize) -> usize {
    let base64 = body_bytes.saturating_add(FRAME_BYTES).div_ceil(3).saturating_mul(4);
    base64.saturating_mul(2).saturating_add(MAX_SHOWN_BYTES + (64 << 10))
}

/// A record's values as text.
struct Shown {
    value: String,
    compressed: bool,
    encoding: &'static str,
    /// The values beside the newest, newest first.
    others: Vec<(String, Timestamp)>,
    state: Option<String>,
}

impl Shown {
    fn of(record: &Record, body: &Body) -> Result<Self> {
        let Content::Value(encoding) = body.content() else { return Shown::of_state(record, body) };
        let compressed = body.codec() != Codec::None;
        let value = match encoding {
            Encoding::Json if !compressed => json(&body.payload())?.to_owned(),
            _ => base64_text(&body.payload()),
        };
        let encoding = match encoding {
            Encoding::Json => "json",
            Encoding::Bytes => "base64",
        };
        Ok(Shown { value, compressed, encoding, others: Vec::new(), state: None })
    }

    fn of_state(record: &Record, body: &Body) -> Result<Self> {
        let limit = body.raw_len();
        let held = resolver::native(&record.head.kind).map(|kind| kind.read(&record.head, body, limit));
        // What a program's own strategy keeps is shown by nobody but that program.
        let held = held.transpose()?.unwrap_or_default();
        let small = body.codec() != Codec::None;
        let mut values = Vec::with_capacity(held.len());
        let mut bytes = 0;
        for held in &held {
            let (text, compressed) = shown(&held.value, small)?;
            bytes += text.len();
            if bytes > MAX_SHOWN_BYTES && !values.is_empty() {
                break;
            }
            values.push(((text, compressed), held.stamp.at()));
        }
        let mut values = values.into_iter();
        let ((value, compressed), _) =
            values.next().unwrap_or_else(|| (("null".to_owned(), false), Timestamp::EPOCH));
        let others = values.map(|((value, _), at)| (value, at)).collect();
        let state = Some(BASE64_STANDARD.encode(body.payload()));
        Ok(Shown { value, compressed, encoding: "", others, state })
    }
}

/// A value to be looked at, and whether it is compressed.
fn shown(value: &Value, small: bool) -> Result<(String, bool)> {
    if value.encoding == Encoding::Bytes {
        return Ok((base64_text(&value.bytes), false));
    }
    let text = json(&value.bytes)?;
    if small {
        let packed = Body::of_value(value, SHOWN)?;
        if packed.codec() == Codec::Gzip {
            return Ok((base64_text(&packed.payload()), true));
        }
    }
    Ok((text.to_owned(), false))
}

fn opening(key: &Key) -> Result<String> {
    Ok(format!("{{\n  \"key\": {},\n  \"value\": ", quoted(key.as_str())?))
}

fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text)
        .map_err(|error| Error::new(ErrorKind::Internal, "a text cannot be written as JSON").because(error))
}

fn json(bytes: &[u8]) -> Result<&str> {
    let invalid = || Error::new(ErrorKind::Invalid, "the value is not JSON: give it as plain bytes");
    let text = std::str::from_utf8(bytes).map_err(|error| invalid().because(error))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| invalid().because(error))?;
    Ok(text)
}

fn base64_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    text.push('"');
    BASE64_STANDARD.encode_string(bytes, &mut text);
    text.push('"');
    text
}

fn unbase64(text: &str) -> Result<Vec<u8>> {
    BASE64_STANDARD.decode(text).map_err(|error| corrupt("the value is not base64").because(error))
}

/// Seconds since 1970, as the original counts them.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.ms() / 1_000, at.ms() % 1_000)
}

/// What the checksum covers, and its digits; `None` when the file does not end as memlife ends it.
fn split_check(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_suffix(CHECK_AFTER.as_bytes())?;
    let (covered, digits) = rest.split_at_checked(rest.len().checked_sub(CHECK_DIGITS)?)?;
    covered.ends_with(CHECK_BEFORE.as_bytes()).then_some((covered, digits))
}

fn checksum(covered: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(covered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memlife_core::record::{ExpiryOrigin, Kind, ReclaimClass};
    use memlife_core::resolver::{Held, Mint, beside_each_other};
    use memlife_core::{Hlc, ReplicaId, Stamp};
    use serde_json::Value as Json;

    const LIMIT: usize = 1 << 20;
    const GZIP: Compression = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 100 };

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
            assert_eq!(
                read(&good[..end], LIMIT).map(|_| ()).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{end}"
            );
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
}
