//! Entries as stores hold them, and the only code that writes or reads their bytes.

mod body;
pub(crate) mod codec;
mod compression;
mod dictionary;
mod head;
mod unpacked;

pub use body::{Body, Content, FRAME_BYTES, MAX_RAW_BYTES};
pub use compression::{Codec, Compression, gunzip};
pub use dictionary::{DICTIONARY_THRESHOLD_BYTES, Dictionary, MAX_DICTIONARY_BYTES};
pub use head::{ExpiryOrigin, Head, Kind, ReclaimClass};

use crate::{Error, ErrorKind, Key, Result};
use std::borrow::Cow;

/// One entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// Everything but the value.
    pub head: Head,
    /// The value or state; `None` where only the head was asked for and for a register's tombstone.
    pub body: Option<Body>,
}

impl Record {
    /// The record as it is readable without the store that it is from: its value compressed with no dictionary.
    ///
    /// # Errors
    /// Those of [`Body::open`].
    pub fn apart(&self) -> Result<Cow<'_, Record>> {
        let Some(body) = self.body.as_ref().filter(|body| body.dictionary() != 0) else {
            return Ok(Cow::Borrowed(self));
        };
        let body = Body::pack(body.content(), &body.open(MAX_RAW_BYTES)?, Compression::DEFAULT)?;
        let mut apart = Record { key: self.key.clone(), head: self.head.clone(), body: Some(body) };
        apart.head.measure(apart.body.as_ref());
        Ok(Cow::Owned(apart))
    }

    /// The body.
    ///
    /// # Errors
    /// `Corrupt` when a living entry has none.
    pub fn body(&self) -> Result<&Body> {
        self.body.as_ref().ok_or_else(|| bodiless(&self.key))
    }

    /// The body alone.
    ///
    /// # Errors
    /// As [`Record::body`].
    pub fn into_body(self) -> Result<Body> {
        self.body.ok_or_else(|| bodiless(&self.key))
    }

    /// The record without its body.
    #[must_use]
    pub fn without_body(&self) -> Record {
        Record { key: self.key.clone(), head: self.head.clone(), body: None }
    }
}

fn bodiless(key: &Key) -> Error {
    Error::new(ErrorKind::Corrupt, "an entry has metadata and no value").on(key)
}
