use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One JSON text.
    Json,
    /// Bytes that memlife does not look into.
    Bytes,
}

/// A value as users give and get it: JSON text or plain bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What the bytes are.
    pub encoding: Encoding,
    /// The bytes.
    pub bytes: Bytes,
}

impl Value {
    /// `value` as JSON.
    ///
    /// # Errors
    /// `Invalid` when it cannot be written as JSON, for example a map whose keys are not strings.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|error| {
            Error::new(ErrorKind::Invalid, "the value cannot be written as JSON").because(error)
        })?;
        Ok(Value { encoding: Encoding::Json, bytes: text.into() })
    }

    /// A JSON text, checked to be one.
    ///
    /// # Errors
    /// `Invalid` when it is not JSON, nests deeper than 128 levels or holds a number JSON readers cannot hold.
    pub fn json_text(text: impl Into<Bytes>) -> Result<Self> {
        let bytes: Bytes = text.into();
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("the value is not JSON that can be stored: {error}"))
        })?;
        Ok(Value { encoding: Encoding::Json, bytes })
    }

    /// Plain bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Value { encoding: Encoding::Bytes, bytes: bytes.into() }
    }

    /// Reads a JSON value as `T`.
    ///
    /// # Errors
    /// `TypeMismatch` when the value is plain bytes or JSON of another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        if self.encoding == Encoding::Bytes {
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                "the value is plain bytes: read it with get_value",
            ));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| {
            Error::new(
                ErrorKind::TypeMismatch,
                format!("the stored value is not of the type asked for: {error}"),
            )
        })
    }

    /// The value as an integer, where it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self.encoding {
            Encoding::Json => serde_json::from_slice(&self.bytes).ok(),
            Encoding::Bytes => None,
        }
    }
}
