use super::typed::element_of;
use super::{Memory, Receipt};
use crate::key::IntoKey;
use crate::record::Kind;
use crate::store::Op;
use crate::{Key, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A set of JSON values under one key. Made by [`Memory::set`].
#[derive(Clone, Debug)]
pub struct SetHandle {
    memory: Memory,
    key: Key,
}

const KINDS: [Kind; 2] = [Kind::OrSet, Kind::RwSet];

impl Memory {
    /// The set at `key`, which a rule makes `or_set` or `rw_set`. Nothing is created before the first
    /// [`SetHandle::insert`].
    ///
    /// # Errors
    /// `Invalid` for what is no key.
    pub fn set(&self, key: impl IntoKey) -> Result<SetHandle> {
        Ok(SetHandle { memory: self.clone(), key: key.into_key()? })
    }
}

impl SetHandle {
    /// Inserts `element`. Concurrent insertions of different elements all stay.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else or its rule makes it something else.
    pub async fn insert<T: Serialize + ?Sized>(&self, element: &T) -> Result<Receipt> {
        self.insert_all([element]).await
    }

    /// Inserts several elements at once.
    ///
    /// # Errors
    /// As [`SetHandle::insert`].
    pub async fn insert_all<T: Serialize>(&self, elements: impl IntoIterator<Item = T>) -> Result<Receipt> {
        let elements = elements.into_iter().map(|element| element_of(&element)).collect::<Result<_>>()?;
        Ok(self.memory.operate(&self.key, Op::Insert(elements), "set insert").await?.0)
    }

    /// Removes `element`. Against a concurrent insertion it loses in an `or_set` and wins in an `rw_set`.
    ///
    /// # Errors
    /// As [`SetHandle::insert`].
    pub async fn remove<T: Serialize + ?Sized>(&self, element: &T) -> Result<Receipt> {
        self.remove_all([element]).await
    }

    /// Removes several elements at once.
    ///
    /// # Errors
    /// As [`SetHandle::insert`].
    pub async fn remove_all<T: Serialize>(&self, elements: impl IntoIterator<Item = T>) -> Result<Receipt> {
        let elements = elements.into_iter().map(|element| element_of(&element)).collect::<Result<_>>()?;
        Ok(self.memory.operate(&self.key, Op::Remove(elements), "set remove").await?.0)
    }

    /// The elements, in the order of their JSON texts; `None` when nothing is visible.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else, or an element is no `T`.
    pub async fn members<T: DeserializeOwned>(&self) -> Result<Option<Vec<T>>> {
        self.memory.typed(&self.key, &KINDS, "set members").await
    }

    /// Whether `element` is in the set.
    ///
    /// # Errors
    /// As [`SetHandle::members`].
    pub async fn contains<T: Serialize + ?Sized>(&self, element: &T) -> Result<bool> {
        let element: serde_json::Value =
            crate::Value { encoding: crate::Encoding::Json, bytes: element_of(element)? }.parse()?;
        let members: Option<Vec<serde_json::Value>> = self.members().await?;
        Ok(members.is_some_and(|members| members.contains(&element)))
    }
}
