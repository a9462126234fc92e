//! Objects whose fields merge each for itself.

use super::lattice::{Shape, exhausted, json_of, mismatch};
use super::{Mint, extremes, sets};
use crate::record::Kind;
use crate::store::{FieldOp, Op};
use crate::value::canonical;
use crate::{Error, ErrorKind, Result, Value};
use bytes::Bytes;
use memlife_crdt::{Counter, Field, FieldKind, FieldRef, FlagEw, Map, OrSet};
use std::collections::BTreeMap;

impl Shape for Map {
    const KIND: Kind = Kind::Map;
    const ABOUT: &'static str = "a map, which takes an object of fields";

    fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
        fields_of(value)?
            .into_iter()
            .try_for_each(|(name, value)| change_field(self, &name, &FieldOp::Put(value), mint))
    }

    /// A field that shows what it is to hold stays as it is, a counter a counter.
    fn assign(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
        let fields = fields_of(value)?;
        let stays = |name: &Bytes, held| fields.get(&text(name)) == Some(&canonical(shown(held)));
        let gone: Vec<Bytes> =
            self.iter().filter(|(name, held)| !stays(name, *held)).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| drop(self.remove(name)));
        for (name, value) in fields {
            if self.field(name.as_bytes()).is_none() {
                change_field(self, &name, &FieldOp::Put(value), mint)?;
            }
        }
        Ok(())
    }

    fn operate(&mut self, op: &Op, mint: &Mint<'_>) -> Option<Result<()>> {
        match op {
            Op::Field { name, op } => Some(change_field(self, name, op, mint)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let fields =
            self.iter().map(|(field, held)| (text(field), shown(held))).collect::<serde_json::Map<_, _>>();
        serde_json::Value::Object(fields).to_string()
    }
}

/// The fields of an object, each as JSON text in canonical form.
fn fields_of(value: &Value) -> Result<BTreeMap<String, Bytes>> {
    let serde_json::Value::Object(fields) = json_of::<Map>(value)? else {
        return Err(mismatch::<Map>("a value that is no object"));
    };
    Ok(fields.into_iter().map(|(name, value)| (name, canonical(value))).collect())
}

fn text(name: &Bytes) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn change_field(map: &mut Map, name: &str, op: &FieldOp, mint: &Mint<'_>) -> Result<()> {
    let field = Bytes::copy_from_slice(name.as_bytes());
    let wanted = kind_of(op);
    let there = map.field(&field).map(|held| held.kind());
    if let (Some(wanted), Some(there)) = (wanted, there)
        && wanted != there
    {
        let message = format!("the field {name:?} holds {}: remove it first", named(there));
        return Err(Error::new(ErrorKind::TypeMismatch, message));
    }
    let (replica, seq) = (mint.replica, mint.seq);
    let changed = match op {
        FieldOp::Put(value) => map.put(replica, seq, mint.stamp, field, value.clone()),
        FieldOp::Add(amount) => map.change::<Counter>(field, |counter| counter.add(replica, seq, *amount)),
        FieldOp::Switch(is_on) => map.change::<FlagEw>(field, |flag| flag.set(replica, seq, *is_on)),
        FieldOp::Insert(elements) => elements.iter().try_fold(Map::default(), |_, element| {
            map.change::<OrSet>(field.clone(), |set| set.insert(replica, seq, element.clone()))
        }),
        FieldOp::Remove(elements) => elements.iter().try_fold(Map::default(), |_, element| {
            map.change::<OrSet>(field.clone(), |set| Ok(set.remove(element)))
        }),
        FieldOp::Clear => Ok(map.remove(&field)),
    };
    changed.map(drop).map_err(exhausted)
}

/// The kind of field that `op` is for.
fn kind_of(op: &FieldOp) -> Option<FieldKind> {
    match op {
        FieldOp::Put(_) => Some(FieldKind::Plain),
        FieldOp::Add(_) => Some(FieldKind::Counter),
        FieldOp::Insert(_) | FieldOp::Remove(_) => Some(FieldKind::OrSet),
        FieldOp::Switch(_) => Some(FieldKind::FlagEw),
        FieldOp::Clear => None,
    }
}

fn named(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Plain => "a plain value",
        FieldKind::Max => "a greatest number",
        FieldKind::Min => "a least number",
        FieldKind::FlagEw | FieldKind::FlagDw => "a flag",
        FieldKind::GCounter | FieldKind::Counter => "a counter",
        FieldKind::OrSet | FieldKind::RwSet => "a set",
    }
}

fn shown(held: FieldRef<'_>) -> serde_json::Value {
    match held {
        FieldRef::Plain(value) => serde_json::from_slice(value).unwrap_or_default(),
        FieldRef::Typed(field) => match field {
            Field::Max(max) => max.value().map_or(serde_json::Value::Null, extremes::shown),
            Field::Min(min) => min.value().map_or(serde_json::Value::Null, extremes::shown),
            Field::FlagEw(flag) => flag.is_on().into(),
            Field::FlagDw(flag) => flag.is_on().into(),
            Field::GCounter(counter) => sum(i128::try_from(counter.value()).unwrap_or(i128::MAX)),
            Field::Counter(counter) => sum(counter.value()),
            Field::OrSet(set) => sets::shown(set.iter()),
            Field::RwSet(set) => sets::shown(set.iter()),
        },
    }
}

/// A sum as a number, where JSON's readers have one of that size.
fn sum(sum: i128) -> serde_json::Value {
    match (i64::try_from(sum), u64::try_from(sum)) {
        (Ok(sum), _) => sum.into(),
        (_, Ok(sum)) => sum.into(),
        _ => sum.to_string().into(),
    }
}
