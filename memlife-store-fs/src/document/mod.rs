//! Entry files as memlife writes them: JSON that people and `jq` can read, and the exact record.

mod shown;

use crate::error::corrupt;
use crate::original::{Original, not_an_entry};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memlife_core::record::{Body, Codec, Content, FRAME_BYTES, Head, Record};
use memlife_core::{Encoding, Error, ErrorKind, Key, Result, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use shown::{MAX_SHOWN_BYTES, Shown};
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
    /// What the value is compressed with; 0 for none.
    #[serde(default)]
    dictionary: u32,
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
        let by = (head.codec, self.dictionary);
        if let Some(state) = &self.state {
            return Body::from_parts(Content::State, by, head.raw_len, &unbase64(state)?);
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
            return Body::from_parts(content, by, head.raw_len, shown);
        }
        let shown: Cow<'_, str> = serde_json::from_slice(shown).map_err(not_an_entry)?;
        Body::from_parts(content, by, head.raw_len, &unbase64(&shown)?)
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
    // Writing to a text cannot fail.
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
    if body.dictionary() != 0 {
        let _ = writeln!(text, "    \"dictionary\": {},", body.dictionary());
    }
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

fn opening(key: &Key) -> Result<String> {
    Ok(format!("{{\n  \"key\": {},\n  \"value\": ", quoted(key.as_str())?))
}

fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text)
        .map_err(|error| Error::new(ErrorKind::Internal, "a text cannot be written as JSON").because(error))
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
mod tests;
