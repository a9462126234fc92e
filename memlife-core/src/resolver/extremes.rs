//! The greatest and the least number.

use super::Mint;
use super::lattice::{Shape, exhausted, json_of, mismatch};
use crate::record::Kind;
use crate::{Result, Value};
use memlife_crdt::{Max, Min, Number};

macro_rules! extreme {
    ($extreme:ident, $about:literal) => {
        impl Shape for $extreme {
            const KIND: Kind = Kind::$extreme;
            const ABOUT: &'static str = $about;

            fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
                let number = number_of(&json_of::<$extreme>(value)?);
                let number = number.ok_or_else(|| mismatch::<$extreme>("this value"))?;
                self.offer(mint.replica, mint.seq, number).map(drop).map_err(exhausted)
            }

            fn show(&self) -> String {
                self.value().map_or(serde_json::Value::Null, shown).to_string()
            }
        }
    };
}

extreme!(Max, "the greatest number, which takes numbers");
extreme!(Min, "the least number, which takes numbers");

/// The number in `value`; `None` for what is none, and for integers from 2^63 on, which no double tells apart.
fn number_of(value: &serde_json::Value) -> Option<Number> {
    match value.as_i64() {
        Some(integer) => Some(integer.into()),
        None if value.is_u64() => None,
        None => Number::from_f64(value.as_f64()?),
    }
}

pub(super) fn shown(number: Number) -> serde_json::Value {
    number.as_i64().map_or_else(|| number.as_f64().into(), serde_json::Value::from)
}
