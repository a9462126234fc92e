use super::Memory;
use crate::key::IntoKey;
use crate::record::Record;
use crate::store::{Guard, Op, Outcome, Reply};
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
        let mut write = self.memory.operation(&self.key, Guard::Any, Op::Add(amount));
        write.reply = Reply::Whole;
        let during = |error: Error| error.during("counter add").on(&self.key);
        match self.memory.submit(write, None).await.map_err(during)? {
            Outcome::Applied { record: Some(record), .. } => self.value_of(&record).map_err(during),
            _ => Err(during(Error::new(ErrorKind::Internal, "the store did not hand back the counter"))),
        }
    }

    /// The value; `None` when nothing is visible.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else.
    pub async fn get(&self) -> Result<Option<i128>> {
        let Some(value) = self.memory.get_value(&self.key).await? else { return Ok(None) };
        self.parse(&value.bytes).map(Some).map_err(|error| error.during("counter get").on(&self.key))
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
