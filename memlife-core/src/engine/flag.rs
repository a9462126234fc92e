use super::{Memory, Receipt};
use crate::key::IntoKey;
use crate::record::Kind;
use crate::store::Op;
use crate::{Key, Result};

/// A flag under one key. Made by [`Memory::flag`].
#[derive(Clone, Debug)]
pub struct FlagHandle {
    memory: Memory,
    key: Key,
}

impl Memory {
    /// The flag at `key`, which a rule makes `flag_ew` or `flag_dw`. Nothing is created before it is first set.
    ///
    /// # Errors
    /// `Invalid` for what is no key.
    pub fn flag(&self, key: impl IntoKey) -> Result<FlagHandle> {
        Ok(FlagHandle { memory: self.clone(), key: key.into_key()? })
    }
}

impl FlagHandle {
    /// Sets the flag. Of concurrent writes, those that enable win under `flag_ew`, those that disable under `flag_dw`.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else or its rule makes it something else.
    pub async fn set(&self, is_on: bool) -> Result<Receipt> {
        Ok(self.memory.operate(&self.key, Op::Switch(is_on), "flag set").await?.0)
    }

    /// Whether the flag is on; `None` when nothing is visible.
    ///
    /// # Errors
    /// `TypeMismatch` when the key holds something else.
    pub async fn get(&self) -> Result<Option<bool>> {
        self.memory.typed(&self.key, &[Kind::FlagEw, Kind::FlagDw], "flag get").await
    }
}
