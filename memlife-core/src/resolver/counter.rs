//! Counters: integers that add up; deleting takes back what was seen and nothing else.

use super::Mint;
use super::lattice::{Shape, mismatch};
use crate::record::Kind;
use crate::store::Op;
use crate::{Error, ErrorKind, Result, Value};
use memlife_crdt::{Counter, GCounter, Overflow};

impl Shape for Counter {
    const KIND: Kind = Kind::Counter;
    const ABOUT: &'static str = "a counter, which takes integers of 64 bits only";

    fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
        let amount = value.as_integer().ok_or_else(|| mismatch::<Counter>("this value"))?;
        self.add(mint.replica, mint.seq, amount).map(drop).map_err(overflow)
    }

    fn operate(&mut self, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
        match op {
            Op::Add(amount) => Some(self.add(mint.replica, mint.seq, *amount).map(drop).map_err(overflow)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        // A sum may pass 64 bits, and JSON knows no such limit.
        self.value().to_string()
    }
}

impl Shape for GCounter {
    const KIND: Kind = Kind::GCounter;
    const ABOUT: &'static str = "a counter that only goes up, which takes integers from 0 to 2^63 - 1";

    fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
        let amount = value.as_integer().ok_or_else(|| mismatch::<GCounter>("this value"))?;
        grow(self, amount, mint)
    }

    fn operate(&mut self, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
        match op {
            Op::Add(amount) => Some(grow(self, *amount, mint)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.value().to_string()
    }
}

fn grow(counter: &mut GCounter, amount: i64, mint: &Mint<'_>) -> Result<()> {
    let amount = u64::try_from(amount).map_err(|_| mismatch::<GCounter>("a negative number"))?;
    counter.add(mint.replica, mint.seq, amount).map(drop).map_err(overflow)
}

fn overflow(overflow: Overflow) -> Error {
    let message = "the counter would pass 2^64 - 1: delete it to start again";
    Error::new(ErrorKind::Invalid, message).because(overflow)
}
