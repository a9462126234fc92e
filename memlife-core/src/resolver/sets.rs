//! Sets of JSON values.

use super::Mint;
use super::lattice::{Shape, exhausted, json_of, mismatch};
use crate::record::Kind;
use crate::store::Op;
use crate::{Result, Value};
use bytes::Bytes;
use memlife_crdt::{OrSet, RwSet};
use std::collections::BTreeSet;

/// What both sets can do.
trait Elements: Shape {
    fn insert_one(&mut self, element: &Bytes, mint: &Mint<'_>) -> Result<()>;
    fn remove_one(&mut self, element: &Bytes, mint: &Mint<'_>) -> Result<()>;
    fn members(&self) -> Vec<Bytes>;
}

impl Elements for OrSet {
    fn insert_one(&mut self, element: &Bytes, mint: &Mint<'_>) -> Result<()> {
        self.insert(mint.replica, mint.seq, element.clone()).map(drop).map_err(exhausted)
    }

    fn remove_one(&mut self, element: &Bytes, _mint: &Mint<'_>) -> Result<()> {
        self.remove(element);
        Ok(())
    }

    fn members(&self) -> Vec<Bytes> {
        self.iter().cloned().collect()
    }
}

impl Elements for RwSet {
    fn insert_one(&mut self, element: &Bytes, mint: &Mint<'_>) -> Result<()> {
        self.insert(mint.replica, mint.seq, element.clone()).map(drop).map_err(exhausted)
    }

    fn remove_one(&mut self, element: &Bytes, mint: &Mint<'_>) -> Result<()> {
        self.remove(mint.replica, mint.seq, element.clone()).map(drop).map_err(exhausted)
    }

    fn members(&self) -> Vec<Bytes> {
        self.iter().cloned().collect()
    }
}

macro_rules! set {
    ($set:ident, $about:literal) => {
        impl Shape for $set {
            const KIND: Kind = Kind::$set;
            const ABOUT: &'static str = $about;

            fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
                elements_of::<$set>(value)?.iter().try_for_each(|element| self.insert_one(element, mint))
            }

            fn operate(&mut self, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
                operate(self, op, mint)
            }

            fn show(&self) -> String {
                shown(self.members().iter()).to_string()
            }
        }
    };
}

set!(OrSet, "a set, which takes an array of elements");
set!(RwSet, "a set in which removals win, which takes an array of elements");

fn operate<S: Elements>(set: &mut S, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
    match op {
        Op::Insert(elements) => Some(elements.iter().try_for_each(|one| set.insert_one(one, mint))),
        Op::Remove(elements) => Some(elements.iter().try_for_each(|one| set.remove_one(one, mint))),
        _ => None,
    }
}

/// The elements of an array, each in the one form of its value.
fn elements_of<S: Shape>(value: &Value) -> Result<BTreeSet<Bytes>> {
    let serde_json::Value::Array(elements) = json_of::<S>(value)? else {
        return Err(mismatch::<S>("a value that is no array"));
    };
    Ok(elements.into_iter().map(crate::value::canonical).collect())
}

/// Elements as a JSON array, in the order of their bytes.
pub(super) fn shown<'a>(elements: impl Iterator<Item = &'a Bytes>) -> serde_json::Value {
    // Who wrote an element made sure that it is JSON; bytes that are not were never an element.
    elements.filter_map(|element| serde_json::from_slice::<serde_json::Value>(element).ok()).collect()
}
