use crate::record::{Body, Head, Record};
use crate::{Error, ErrorKind, Key, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// The stored form of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateLine {
    /// Its metadata, base64.
    pub head: String,
    /// Its value or state, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl StateLine {
    pub(super) fn of(record: &Record) -> Result<Self> {
        let record = record.apart().map_err(|error| error.on(&record.key))?;
        let head = BASE64.encode(record.head.encode(&record.key)?);
        Ok(StateLine { head, body: record.body.as_ref().map(|body| BASE64.encode(body.as_bytes())) })
    }

    pub(super) fn record(&self, key: &Key) -> Result<Record> {
        let bytes = |text: &str| {
            BASE64.decode(text).map_err(|error| {
                Error::new(ErrorKind::Invalid, "the state is not base64").because(error).on(key)
            })
        };
        let damaged = |error: Error| {
            let message = "the state is damaged: export the entry anew";
            Error::new(ErrorKind::Invalid, message).because(error).on(key)
        };
        let head = Head::decode(key, &bytes(&self.head)?).map_err(damaged)?;
        let body = self.body.as_deref().map(bytes).transpose()?;
        let body = body.map(|body| Body::from_stored(body.into()).map_err(damaged)).transpose()?;
        let record = Record { key: key.clone(), head, body };
        if record.head.alive {
            record.body().map_err(damaged)?;
        }
        Ok(record)
    }
}
