use super::{Memory, PutOptions, Receipt, Written};
use crate::key::IntoKey;
use crate::store::Guard;
use crate::{Result, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Memory {
    /// Reads the value of `key`, lets `change` compute the next one, and puts it if nobody wrote meanwhile;
    /// otherwise starts over with what is there then.
    ///
    /// `change` gets `None` when nothing is visible. It may run several times; when it returns `None` nothing is
    /// written. The put replaces all that the version held, siblings too, and sets counters.
    ///
    /// # Errors
    /// `Contended` when others kept writing for as long as the limits allow; as [`Memory::get`] and [`Memory::put`].
    pub async fn update<T, F>(&self, key: impl IntoKey, change: F) -> Result<Option<Receipt>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Option<T>,
    {
        self.update_with(key, PutOptions::new(), change).await
    }

    /// As [`Memory::update`], with options; their guard is not used.
    ///
    /// # Errors
    /// As [`Memory::update`].
    pub async fn update_with<T, F>(
        &self,
        key: impl IntoKey,
        options: PutOptions,
        mut change: F,
    ) -> Result<Option<Receipt>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Option<T>,
    {
        let key = key.into_key()?;
        let mut patience = self.patience();
        loop {
            let entry = self.entry(&key).await?;
            let guard = entry.as_ref().map_or(Guard::Absent, |entry| Guard::Version(entry.version));
            let current = entry.map(|entry| entry.parse()).transpose()?;
            let Some(next) = change(current) else { return Ok(None) };
            let next = Value::json(&next).map_err(|error| error.during("update").on(&key))?;
            match self.put_value(&key, next, options.clone().guard(guard)).await? {
                Written::Applied(receipt) => return Ok(Some(receipt)),
                Written::Superseded | Written::Refused(_) => self.pause(&mut patience, &key).await?,
            }
        }
    }
}
