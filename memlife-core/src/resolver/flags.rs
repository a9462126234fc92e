//! Flags.

use super::Mint;
use super::lattice::{Shape, exhausted, json_of, mismatch};
use crate::record::Kind;
use crate::store::Op;
use crate::{Result, Value};
use memlife_crdt::{FlagDw, FlagEw};

macro_rules! flag {
    ($flag:ident, $about:literal) => {
        impl Shape for $flag {
            const KIND: Kind = Kind::$flag;
            const ABOUT: &'static str = $about;

            fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
                let serde_json::Value::Bool(is_on) = json_of::<$flag>(value)? else {
                    return Err(mismatch::<$flag>("this value"));
                };
                self.set(mint.replica, mint.seq, is_on).map(drop).map_err(exhausted)
            }

            /// A flag's every write replaces what it has seen.
            fn assign(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
                self.put(value, mint)
            }

            fn operate(&mut self, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
                match op {
                    Op::Switch(is_on) => {
                        Some(self.set(mint.replica, mint.seq, *is_on).map(drop).map_err(exhausted))
                    }
                    _ => None,
                }
            }

            fn show(&self) -> String {
                self.is_on().to_string()
            }
        }
    };
}

flag!(FlagEw, "a flag, which takes true or false");
flag!(FlagDw, "a flag that is off when anybody says so, which takes true or false");
