//! Entries as they are printed.

use crate::instant;
use anyhow::Result;
use memlife::policy::Rule;
use memlife::record::{Codec, ExpiryOrigin};
use memlife::{Encoding, Entry, ExportLine, Value};
use serde::Serialize;
use serde_json::value::RawValue;

/// The metadata of an entry, and its newest value where that was read.
#[derive(Serialize)]
pub struct EntryView<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    version: u64,
    stamp: String,
    created_at: String,
    written_at: String,
    expires_at: Option<String>,
    expiry_by: &'static str,
    writer: Option<&'a str>,
    kind: &'a str,
    rule: &'a str,
    siblings: u32,
    raw_bytes: u32,
    stored_bytes: u32,
    compression: &'static str,
}

impl<'a> EntryView<'a> {
    /// The metadata of `entry` alone.
    pub fn of(entry: &'a Entry) -> Self {
        EntryView {
            key: entry.key.as_str(),
            value: None,
            encoding: None,
            version: entry.version,
            stamp: entry.stamp.to_string(),
            created_at: instant::show(entry.created_at),
            written_at: instant::show(entry.stamp.at()),
            expires_at: entry.expires_at.map(instant::show),
            expiry_by: match entry.origin {
                ExpiryOrigin::Caller => "caller",
                ExpiryOrigin::Rule | ExpiryOrigin::Unjudged => "rule",
            },
            writer: entry.writer.as_deref(),
            kind: entry.kind.name(),
            rule: Rule::title(&entry.rule),
            siblings: entry.siblings,
            raw_bytes: entry.raw_len,
            stored_bytes: entry.stored_len,
            compression: match entry.codec {
                Codec::None => "none",
                Codec::Gzip => "gzip",
                Codec::Zstd => "zstd",
            },
        }
    }

    /// The metadata and the newest value of `entry`.
    ///
    /// # Errors
    /// When the stored value is damaged.
    pub fn whole(entry: &'a Entry) -> Result<Self> {
        let line = ExportLine::of(entry)?;
        Ok(EntryView { value: Some(line.value), encoding: line.encoding, ..EntryView::of(entry) })
    }

    /// The metadata as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let never = || "never".to_owned();
        vec![
            format!("key         {}", self.key),
            format!("version     {}", self.version),
            format!("stamp       {}", self.stamp),
            format!("created     {}", self.created_at),
            format!("written     {}", self.written_at),
            format!("writer      {}", self.writer.unwrap_or("-")),
            format!("expires     {} (by {})", self.expires_at.clone().unwrap_or_else(never), self.expiry_by),
            format!("kind        {}", self.kind),
            format!("rule        {}", self.rule),
            format!("siblings    {}", self.siblings),
            format!("bytes       {} ({} as stored, {})", self.raw_bytes, self.stored_bytes, self.compression),
        ]
    }
}

/// A key and its newest value.
#[derive(Serialize)]
pub struct KeyValueView<'a> {
    /// The key.
    pub key: &'a str,
    /// The value; base64 text for plain bytes.
    pub value: Box<RawValue>,
    /// `base64` for plain bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// A value for people: a string without its quotes, other JSON as it was put, bytes where they are text.
pub fn text_of(value: &Value) -> String {
    let text = String::from_utf8_lossy(&value.bytes);
    match value.encoding {
        Encoding::Json if text.trim_start().starts_with('"') => {
            // What no reader takes as a string, such as half a surrogate pair, is shown as it was put.
            serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned())
        }
        Encoding::Json | Encoding::Bytes => text.into_owned(),
    }
}
