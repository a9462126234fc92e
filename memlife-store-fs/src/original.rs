//! Entry files as the Python original wrote them.

use crate::error::corrupt;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memlife_core::record::{
    Body, Codec, Compression, Content, ExpiryOrigin, Head, Kind, ReclaimClass, Record, gunzip,
};
use memlife_core::resolver::{Held, Mint, beside_each_other};
use memlife_core::{Encoding, Error, ErrorKind, Hlc, Key, ReplicaId, Result, Stamp, Timestamp, Value};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Who wrote what the original wrote, whichever store finds it: copies of one directory stay equal.
pub(crate) const ORIGINAL_REPLICA: ReplicaId = ReplicaId(0);

/// How a gzip stream begins in base64.
const GZIP_IN_BASE64: &str = "H4sI";

/// What of the original's fields matters.
pub(crate) struct Original<'a> {
    pub(crate) key: Key,
    pub(crate) value: &'a RawValue,
    pub(crate) timestamp: f64,
    pub(crate) compressed: bool,
    pub(crate) conflicted: bool,
    /// Newest first.
    pub(crate) conflict_values: Vec<(&'a RawValue, f64)>,
}

impl Original<'_> {
    /// The entry as memlife holds it: its numbers are 0 until an index gives it some, and no rule judged it.
    ///
    /// # Errors
    /// `Corrupt`, or `TooLarge` when a compressed value holds more than `limit` bytes.
    pub(crate) fn record(&self, limit: usize) -> Result<Record> {
        let stamp = stamp_of(self.timestamp)?;
        let (kind, stamp, siblings, body) = if self.conflicted || !self.conflict_values.is_empty() {
            let held = self.held(stamp, limit)?;
            let newest = held.iter().map(|held| held.stamp).max().unwrap_or(stamp);
            let resolved = beside_each_other(&held, &mint(newest))?;
            let body = resolved.body.ok_or_else(|| corrupt("the entry has no values"))?;
            (Kind::MultiValue, newest, resolved.siblings, body)
        } else {
            (Kind::Lww, stamp, 1, self.register(limit)?)
        };
        let mut head = unjudged(kind, stamp, siblings);
        head.measure(Some(&body));
        Ok(Record { key: self.key.clone(), head, body: Some(body) })
    }

    fn register(&self, limit: usize) -> Result<Body> {
        if self.compressed {
            let (packed, raw) = unpack(self.value, limit)?;
            let raw_len = u32::try_from(raw.len()).unwrap_or(u32::MAX);
            return Body::from_parts(Content::Value(Encoding::Json), (Codec::Gzip, 0), raw_len, &packed);
        }
        Body::pack(Content::Value(Encoding::Json), compact(self.value.get()).as_bytes(), Compression::NONE)
    }

    fn held(&self, stamp: Stamp, limit: usize) -> Result<Vec<Held>> {
        let mut held = Vec::with_capacity(self.conflict_values.len() + 1);
        let newest = if self.compressed {
            Value { encoding: Encoding::Json, bytes: unpack(self.value, limit)?.1.into() }
        } else {
            json(self.value)
        };
        held.push(Held { value: newest, stamp, writer: None });
        for (value, timestamp) in &self.conflict_values {
            let value = sibling(value, limit)?;
            held.push(Held { value, stamp: stamp_of(*timestamp)?, writer: None });
        }
        Ok(held)
    }
}

/// A conflict value stands in the file as its own file had it, compressed or not, without saying which.
fn sibling(value: &RawValue, limit: usize) -> Result<Value> {
    let looks_compressed = value.get().strip_prefix('"').is_some_and(|text| text.starts_with(GZIP_IN_BASE64));
    match looks_compressed.then(|| unpack(value, limit)) {
        Some(Ok((_, raw))) => Ok(Value { encoding: Encoding::Json, bytes: raw.into() }),
        Some(Err(error)) if error.kind() == ErrorKind::TooLarge => Err(error),
        _ => Ok(json(value)),
    }
}

/// The gzip stream and the JSON text in it.
fn unpack(value: &RawValue, limit: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let text: std::borrow::Cow<'_, str> = serde_json::from_str(value.get())
        .map_err(|error| corrupt("a compressed value is no string").because(error))?;
    let packed = BASE64_STANDARD
        .decode(text.as_bytes())
        .map_err(|error| corrupt("a compressed value is not base64").because(error))?;
    let raw = gunzip(&packed, limit)?;
    serde_json::from_slice::<IgnoredAny>(&raw)
        .map_err(|error| corrupt("a compressed value holds no JSON").because(error))?;
    Ok((packed, raw))
}

fn json(value: &RawValue) -> Value {
    Value { encoding: Encoding::Json, bytes: compact(value.get()).into() }
}

/// The original indented its files; the value's own text is what is left without that.
fn compact(text: &str) -> String {
    let mut compacted = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        if !in_string && matches!(character, ' ' | '\n' | '\r' | '\t') {
            continue;
        }
        compacted.push(character);
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    compacted
}

fn stamp_of(seconds: f64) -> Result<Stamp> {
    let ms = (seconds * 1_000.0).round();
    // A comparison with NaN is false, so that NaN is refused here as well.
    if !(ms >= 0.0 && ms <= Timestamp::MAX.ms() as f64) {
        return Err(corrupt(format!("the timestamp {seconds} is no time")));
    }
    Ok(Stamp::new(Hlc::new(Timestamp::from_ms(ms as u64)), ORIGINAL_REPLICA))
}

fn mint(stamp: Stamp) -> Mint<'static> {
    Mint {
        // Names the presence of the original in this entry: the same file gives the same state everywhere.
        seq: stamp.at().ms(),
        stamp,
        replica: ORIGINAL_REPLICA,
        writer: None,
        compression: Compression::NONE,
        max_siblings: u32::MAX,
    }
}

fn unjudged(kind: Kind, stamp: Stamp, siblings: u32) -> Head {
    let mut head = Head {
        kind,
        kind_epoch: Hlc::default(),
        alive: true,
        seq: 0,
        version: 0,
        stamp,
        created_at: stamp.at(),
        life: Default::default(),
        origin: ExpiryOrigin::Unjudged,
        rule_ttl: None,
        keep_until: Timestamp::EPOCH,
        class: ReclaimClass::Unjudged,
        rule: "".into(),
        writer: None,
        siblings,
        raw_len: 0,
        stored_len: 0,
        codec: Codec::None,
    };
    head.life.epoch = stamp;
    head
}

/// A damaged file as an error that names it.
pub(crate) fn not_an_entry(error: serde_json::Error) -> Error {
    corrupt("the file is no entry: it is cut short, damaged or of another program").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacts_outside_of_strings_only() {
        let text = "{\n  \"a b\": [1,  2.50],\n\t\"q\\\" \\\\\": \" x \\\" \"\r\n}";
        assert_eq!(compact(text), "{\"a b\":[1,2.50],\"q\\\" \\\\\":\" x \\\" \"}");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001, -5.0, 1e300, 2.9e11] {
            assert_eq!(stamp_of(seconds).unwrap_err().kind(), ErrorKind::Corrupt, "{seconds}");
        }
        assert_eq!(stamp_of(0.0).unwrap().at(), Timestamp::EPOCH);
        assert_eq!(stamp_of(1_795_348_339.334_787).unwrap().at(), Timestamp::from_ms(1_795_348_339_335));
    }
}
