//! The codec of heads and lattice states. Nothing else in the workspace names the crate behind it.

use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes one decoded structure may claim, whatever its input says.
const LIMIT: usize = 256 << 20;

/// The one encoding of `value`: equal values give equal bytes.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| Error::new(ErrorKind::Internal, "a state cannot be encoded").because(error))
}

/// A value from `bytes`, all of which must belong to it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    match bincode::serde::decode_from_slice(bytes, config) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(Error::new(ErrorKind::Corrupt, "stored metadata has bytes left over")),
        Err(error) => Err(Error::new(ErrorKind::Corrupt, "stored metadata does not decode").because(error)),
    }
}
