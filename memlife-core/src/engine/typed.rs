//! What the typed handles share.

use super::{Memory, Receipt, Written};
use crate::record::{Kind, Record};
use crate::store::{FieldOp, Guard, Op, Outcome, Reply};
use crate::{Error, ErrorKind, Key, Result, Value};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

impl Memory {
    /// Does a typed operation, and returns its receipt and the record after it.
    pub(super) async fn operate(&self, key: &Key, op: Op, during: &'static str) -> Result<(Receipt, Record)> {
        let mut write = self.operation(key, Guard::Any, op);
        write.reply = Reply::Whole;
        let on_key = |error: Error| error.during(during).on(key);
        let mut outcome = self.submit(write, None).await.map_err(on_key)?;
        let record = match &mut outcome {
            Outcome::Applied { record, .. } => record.take(),
            // An operation that adds nothing, such as the removal of what is not there.
            Outcome::Unchanged { current } => current.take(),
            Outcome::Refused { .. } | Outcome::NotNative { .. } => None,
        };
        let lost = || on_key(Error::new(ErrorKind::Internal, "the store did not hand back the entry"));
        let record = *record.ok_or_else(lost)?;
        match self.written(outcome, false).map_err(on_key)? {
            Written::Applied(receipt) => Ok((receipt, record)),
            Written::Superseded | Written::Refused(_) => Err(lost()),
        }
    }

    /// The value of an entry of one of `kinds`; `None` when nothing is visible.
    pub(super) async fn typed_value(
        &self,
        key: &Key,
        kinds: &[Kind],
        during: &'static str,
    ) -> Result<Option<Value>> {
        let Some(mut entry) = self.entry(key).await? else { return Ok(None) };
        if !kinds.contains(&entry.kind) {
            let message = format!("the key holds an entry of kind {}", entry.kind);
            return Err(Error::new(ErrorKind::TypeMismatch, message).during(during).on(key));
        }
        Ok((!entry.values.is_empty()).then(|| entry.values.swap_remove(0).value))
    }

    /// As [`Memory::typed_value`], parsed.
    pub(super) async fn typed<T: DeserializeOwned>(
        &self,
        key: &Key,
        kinds: &[Kind],
        during: &'static str,
    ) -> Result<Option<T>> {
        let value = self.typed_value(key, kinds, during).await?;
        value.map(|value| value.parse().map_err(|error| error.during(during).on(key))).transpose()
    }
}

/// The one JSON text of `element`.
///
/// # Errors
/// `Invalid` when it cannot be written as JSON.
pub(super) fn element_of<T: Serialize + ?Sized>(element: &T) -> Result<Bytes> {
    Ok(crate::value::canonical(Value::json(element)?.parse()?))
}

/// An operation on the field `name`.
///
/// # Errors
/// `Invalid` for an empty name.
pub(super) fn field_op(name: &Arc<str>, op: FieldOp) -> Result<Op> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "a field has no name: give it one"));
    }
    Ok(Op::Field { name: Arc::clone(name), op })
}
