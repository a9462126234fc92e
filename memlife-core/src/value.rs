use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use memlife_crdt::Number;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One JSON text.
    Json,
    /// Bytes that memlife does not look into.
    Bytes,
}

/// The deepest that JSON values may nest: what JSON readers in common use take.
const MAX_JSON_DEPTH: usize = 128;

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
        check_depth(&text)?;
        Ok(Value { encoding: Encoding::Json, bytes: text.into() })
    }

    /// A JSON text, checked to be one.
    ///
    /// # Errors
    /// `Invalid` when it is not JSON, nests deeper than 128 levels or holds a number JSON readers cannot hold.
    pub fn json_text(text: impl Into<Bytes>) -> Result<Self> {
        let bytes: Bytes = text.into();
        check_depth(&bytes)?;
        serde_json::from_slice::<Readable>(&bytes).map_err(|error| {
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

/// The one text of a JSON value: fields in order, no white space, whole numbers as integers. Values that say the same
/// are equal bytes on every replica.
pub(crate) fn canonical(mut value: serde_json::Value) -> Bytes {
    normalise(&mut value);
    value.to_string().into()
}

/// Numbers in one form; depth is bounded by the parser.
fn normalise(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(normalise),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(normalise),
        serde_json::Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().and_then(Number::from_f64).and_then(Number::as_i64);
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        _ => {}
    }
}

/// Any JSON whose strings and numbers can be read, without keeping it.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Readable)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Readable>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(self)
    }
}

/// Refuses text that readers could not parse again for its depth.
fn check_depth(text: &[u8]) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth >= MAX_JSON_DEPTH {
            let message = format!(
                "the value nests {MAX_JSON_DEPTH} levels deep or deeper: flatten it, or store it as bytes"
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let value = Value::json_text(nested(127)).unwrap();
        assert!(value.parse::<serde_json::Value>().is_ok());
        for depth in [128, 10_000, 1_000_000] {
            assert_eq!(Value::json_text(nested(depth)).unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(Value::json_text(format!("[\"{}\"]", "[\\\"".repeat(1_000))).is_ok(), "brackets in a string");
    }

    #[test]
    fn values_that_say_the_same_have_one_text() {
        let text = |json: &str| canonical(serde_json::from_str(json).unwrap());
        assert_eq!(text("{\"b\": 1.0, \"a\": [ -0.0, 1e3 ]}"), "{\"a\":[0,1000],\"b\":1}");
        assert_eq!(text("1.5"), "1.5");
        assert_eq!(text("18446744073709551615"), "18446744073709551615");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "1e999", "[1,]", "\"\\ud800\"", "nul", "{\"a\":1} x"] {
            assert_eq!(Value::json_text(text.to_owned()).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
        assert!(Value::json_text(vec![b'"', 0xff, b'"']).is_err());
    }
}
