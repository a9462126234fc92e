use crate::record::{Codec, ExpiryOrigin, Kind, Record};
use crate::resolver::Held;
use crate::{Error, ErrorKind, Key, Result, Stamp, Timestamp, Value};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// One entry as users see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// What it holds, newest first; more than one only under `multi_value`. Empty where only metadata was read.
    pub values: Vec<Held>,
    /// How many values it holds, read or not.
    pub siblings: u32,
    /// The token for compare-and-swap: changes with the content, never repeats.
    pub version: u64,
    /// When and where the content was last written.
    pub stamp: Stamp,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When it expires; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Where the expiry came from.
    pub origin: ExpiryOrigin,
    /// Who wrote it last, where the writer gave a name.
    pub writer: Option<Arc<str>>,
    /// How its states merge.
    pub kind: Kind,
    /// The pattern of the rule it was written or applied under.
    pub rule: Arc<str>,
    /// Bytes before compression.
    pub raw_len: u32,
    /// Bytes as stored.
    pub stored_len: u32,
    /// How it is compressed.
    pub codec: Codec,
}

impl Entry {
    /// The newest value.
    ///
    /// # Errors
    /// `Invalid` when only metadata was read.
    pub fn value(&self) -> Result<&Value> {
        self.values.first().map(|held| &held.value).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "only metadata was read: ask for the value").on(&self.key)
        })
    }

    /// The newest value, read as `T`.
    ///
    /// # Errors
    /// As [`Entry::value`] and [`Value::parse`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        self.value()?.parse().map_err(|error| error.on(&self.key))
    }

    /// An entry from `record`, holding `values`, that expires at `expires_at` by the present rule.
    pub(super) fn new(record: Record, values: Vec<Held>, expires_at: Option<Timestamp>) -> Self {
        let head = record.head;
        Entry {
            key: record.key,
            values,
            siblings: head.siblings,
            version: head.version,
            stamp: head.stamp,
            created_at: head.created_at,
            expires_at,
            origin: head.origin,
            writer: head.writer,
            kind: head.kind,
            rule: head.rule,
            raw_len: head.raw_len,
            stored_len: head.stored_len,
            codec: head.codec,
        }
    }
}
