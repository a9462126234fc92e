use super::Memory;
use crate::key::IntoKey;
use crate::record::{Kind, Record};
use crate::store::Op;
use crate::{Error, ErrorKind, Key, Result};

/// A counter under one key. Made by [`Memory::counter`].
#[derive(Clone, Debug)]
pub struct CounterHandle {
    memory: Memory,
    key: Key,
}

impl Memory {
    /// The counter at `key`. Nothing is created before the first [`CounterHandle::add`].
    ///
    /// # Errors
    /// `Invalid` for what is no key.
    pub fn counter(&self, key: impl IntoKey) -> Result<CounterHandle> {
        Ok(CounterHandle { memory: self.clone(), key: key.into_key()? })
    }
}

impl CounterHandle {
    /// Adds `amount`, which may be negative, and returns the new value. Concurrent additions all count.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else or its rule makes it something else; `Invalid` on overflow.
    pub async fn add(&self, amount: i64) -> Result<i128> {
        let during = "counter add";
        let (_, record) = self.memory.operate(&self.key, Op::Add(amount), during).await?;
        self.value_of(&record).map_err(|error| error.during(during).on(&self.key))
    }

    /// The value; `None` when nothing is visible.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds no integer.
    pub async fn get(&self) -> Result<Option<i128>> {
        let during = "counter get";
        // What the original wrote is a plain integer until a rule judges it.
        let kinds = [Kind::Counter, Kind::GCounter, Kind::Lww];
        let Some(value) = self.memory.typed_value(&self.key, &kinds, during).await? else { return Ok(None) };
        self.parse(&value.bytes).map(Some).map_err(|error| error.during(during).on(&self.key))
    }

    fn value_of(&self, record: &Record) -> Result<i128> {
        let resolver = self.memory.inner.resolver(&record.head.kind, &self.key)?;
        let held = resolver.read(&record.head, record.body()?, self.memory.limits().value_bytes)?;
        self.parse(held.first().map_or(&[][..], |held| &held.value.bytes))
    }

    fn parse(&self, bytes: &[u8]) -> Result<i128> {
        std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
            Error::new(ErrorKind::TypeMismatch, "the key holds a value that is not an integer")
        })
    }
}
