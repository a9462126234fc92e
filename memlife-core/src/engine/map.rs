use super::typed::{element_of, field_op};
use super::{Memory, Receipt};
use crate::key::IntoKey;
use crate::record::Kind;
use crate::store::FieldOp;
use crate::{Error, ErrorKind, Key, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An object under one key whose fields merge each for itself. Made by [`Memory::map`].
#[derive(Clone, Debug)]
pub struct MapHandle {
    memory: Memory,
    key: Key,
}

/// One field of a map. Made by [`MapHandle::field`].
#[derive(Clone, Debug)]
pub struct FieldHandle {
    map: MapHandle,
    name: Arc<str>,
}

impl Memory {
    /// The map at `key`, which a rule makes `map`. Nothing is created before a field is first written.
    ///
    /// # Errors
    /// `Invalid` for what is no key.
    pub fn map(&self, key: impl IntoKey) -> Result<MapHandle> {
        Ok(MapHandle { memory: self.clone(), key: key.into_key()? })
    }
}

impl MapHandle {
    /// The field `name`. The first write decides what it holds: a plain value, a counter, a set or a flag.
    pub fn field(&self, name: impl Into<Arc<str>>) -> FieldHandle {
        FieldHandle { map: self.clone(), name: name.into() }
    }

    /// All fields and what they show; `None` when nothing is visible.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else, or a field is no `T`.
    pub async fn fields<T: DeserializeOwned>(&self) -> Result<Option<BTreeMap<String, T>>> {
        self.memory.typed(&self.key, &[Kind::Map], "map fields").await
    }
}

impl FieldHandle {
    /// Puts a plain value; of concurrent puts the newest wins.
    ///
    /// # Errors
    /// `TypeMismatch` when the key is no map, or the field holds something else.
    pub async fn put<T: Serialize + ?Sized>(&self, value: &T) -> Result<Receipt> {
        self.change(FieldOp::Put(element_of(value)?)).await
    }

    /// Adds to a counter.
    ///
    /// # Errors
    /// As [`FieldHandle::put`]; `Invalid` on overflow.
    pub async fn add(&self, amount: i64) -> Result<Receipt> {
        self.change(FieldOp::Add(amount)).await
    }

    /// Inserts `element` into a set, in which concurrent insertions win.
    ///
    /// # Errors
    /// As [`FieldHandle::put`].
    pub async fn insert<T: Serialize + ?Sized>(&self, element: &T) -> Result<Receipt> {
        self.change(FieldOp::Insert(vec![element_of(element)?])).await
    }

    /// Removes `element` from a set.
    ///
    /// # Errors
    /// As [`FieldHandle::put`].
    pub async fn take<T: Serialize + ?Sized>(&self, element: &T) -> Result<Receipt> {
        self.change(FieldOp::Remove(vec![element_of(element)?])).await
    }

    /// Sets a flag, which concurrent writes enable.
    ///
    /// # Errors
    /// As [`FieldHandle::put`].
    pub async fn switch(&self, is_on: bool) -> Result<Receipt> {
        self.change(FieldOp::Switch(is_on)).await
    }

    /// Removes the field, whatever it holds; what others write concurrently stays.
    ///
    /// # Errors
    /// `TypeMismatch` when the key is no map.
    pub async fn remove(&self) -> Result<Receipt> {
        self.change(FieldOp::Clear).await
    }

    /// What the field shows; `None` when it holds nothing.
    ///
    /// # Errors
    /// `TypeMismatch` when the key is no map, or the field is no `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let fields: Option<BTreeMap<String, serde_json::Value>> = self.map.fields().await?;
        let Some(value) = fields.and_then(|mut fields| fields.remove(&*self.name)) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| {
            let message = format!("the field {:?} is not of the type asked for: {error}", self.name);
            Error::new(ErrorKind::TypeMismatch, message).during("map get").on(&self.map.key)
        })
    }

    async fn change(&self, op: FieldOp) -> Result<Receipt> {
        let MapHandle { memory, key } = &self.map;
        Ok(memory.operate(key, field_op(&self.name, op)?, "map change").await?.0)
    }
}
