//! The codec of heads and lattice states. Nothing else in the workspace names the crate behind it.

use super::{Body, Content};
use crate::{Error, ErrorKind, Result};
use bincode::config::standard;
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes an encoded structure has, and the most that decoding one ever claims.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// Up to this input a structure always decodes: a byte claims at most 16, as the widest integer written in one.
const ALWAYS_FITS_BYTES: usize = MAX_BYTES / WIDEST;
const WIDEST: usize = 16;

/// Room for a head with its checksum, so that it is made in one allocation.
const USUAL_BYTES: usize = 192;

/// The one encoding of `value`: equal values give equal bytes.
///
/// # Errors
/// `TooLarge` when [`decode`] would refuse the bytes.
pub(crate) fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<Vec<u8>> {
    let failed = |message, error| Error::new(ErrorKind::Internal, message).because(error);
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bincode::serde::encode_into_std_write(value, &mut bytes, standard())
        .map_err(|error| failed("a state cannot be encoded", error.to_string()))?;
    if bytes.len() > ALWAYS_FITS_BYTES {
        // What numbers claim depends on their types, so only a trial tells.
        match decode_prefix::<T>(&bytes) {
            Ok(_) => {}
            Err(DecodeError::LimitExceeded) => return Err(too_large()),
            Err(error) => return Err(failed("an encoded state does not decode", error.to_string())),
        }
    }
    Ok(bytes)
}

/// A value from `bytes`, all of which must belong to it.
///
/// # Errors
/// `Corrupt` for any other bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match decode_prefix(bytes) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(corrupt("stored metadata has bytes left over")),
        Err(error) => Err(corrupt("stored metadata does not decode").because(error)),
    }
}

/// The lattice state in `body`, which may have up to `limit` bytes.
///
/// # Errors
/// As [`Body::open`]; `Corrupt` when the body is no state or another one.
pub(crate) fn decode_state<T: DeserializeOwned>(body: &Body, limit: usize) -> Result<T> {
    match body.content() {
        Content::State => decode(&body.open(limit)?),
        Content::Value(_) => Err(corrupt("the stored value is a plain value where a lattice state belongs")),
    }
}

/// Decodes what `bytes` begin with.
///
/// A length prefix is believed before what it announces is there, so the claim is bound to the input's length:
/// at most 64 KiB or 256 times the input.
fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    use bincode::serde::decode_from_slice as from_slice;
    const SMALL: usize = 4 << 10;
    const MEDIUM: usize = 64 << 10;
    const LARGE: usize = 1 << 20;
    match bytes.len() {
        len if len <= SMALL => from_slice(bytes, standard().with_limit::<{ SMALL * WIDEST }>()),
        len if len <= MEDIUM => from_slice(bytes, standard().with_limit::<{ MEDIUM * WIDEST }>()),
        len if len <= LARGE => from_slice(bytes, standard().with_limit::<{ LARGE * WIDEST }>()),
        _ => from_slice(bytes, standard().with_limit::<MAX_BYTES>()),
    }
}

/// Reads what [`encode`] wrote field by field, without serde: heads are decoded on every read.
///
/// Each step answers `None` where the bytes end or are not of its type.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An unsigned number: a byte up to 250, or one of 251 to 253 and 2, 4 or 8 bytes, the lowest first.
    pub(crate) fn number(&mut self) -> Option<u64> {
        match self.byte()? {
            251 => self.array().map(|bytes| u16::from_le_bytes(bytes).into()),
            252 => self.array().map(|bytes| u32::from_le_bytes(bytes).into()),
            253 => self.array().map(u64::from_le_bytes),
            254.. => None,
            small => Some(small.into()),
        }
    }

    /// A number of a narrower type, which has no wider form.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Option<T> {
        let widest = match size_of::<T>() {
            2 => 251,
            4 => 252,
            _ => 253,
        };
        let is_wide = self.0.first().is_some_and(|first| *first > widest);
        self.number().filter(|_| !is_wide).and_then(|number| number.try_into().ok())
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// What `read` reads, where there is something.
    pub(crate) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn too_large() -> Error {
    let message = "the entry's state would pass 256 MiB: store less under one key";
    Error::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Head;
    use bytes::Bytes;
    use memlife_crdt::{Changed, Counter, Lattice, MultiValue, ReplicaId};
    use proptest::prelude::*;
    use std::error::Error as _;

    /// A byte string that announces `len` bytes, followed by `rest`.
    fn announcing(len: u64, rest: usize) -> Vec<u8> {
        let mut bytes = bincode::serde::encode_to_vec(len, standard()).unwrap();
        bytes.resize(bytes.len() + rest, 0);
        bytes
    }

    #[test]
    fn a_short_input_cannot_claim_much() {
        for (len, rest) in
            [(65_536, 5), (200 << 20, 5), (u64::MAX, 0), (1 << 20, 65_000), (17 << 20, 1_000_000)]
        {
            let error = decode::<Bytes>(&announcing(len, rest)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains("LimitExceeded"), "{len} after {rest}: {cause}");
        }
    }

    #[test]
    fn numbers_that_claim_most_fit_at_every_size() {
        for count in [0, 1, 4_090, 4_100, 65_530, 65_540, 1 << 20, (1 << 20) + 9] {
            let ones = vec![1_u128; count];
            assert_eq!(decode::<Vec<u128>>(&encode(&ones).unwrap()).unwrap(), ones, "{count}");
        }
    }

    #[test]
    fn what_would_not_decode_is_not_encoded() {
        let fits = Bytes::from(vec![0; ALWAYS_FITS_BYTES + 1]);
        assert_eq!(decode::<Bytes>(&encode(&fits).unwrap()).unwrap(), fits);
        let error = encode(&Bytes::from(vec![0; MAX_BYTES])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn bytes_left_over_are_noticed() {
        let mut bytes = encode(&Counter::default()).unwrap();
        bytes.push(0);
        assert_eq!(decode::<Counter>(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_plain_value_is_no_state() {
        // One zero byte is also the encoding of an empty counter.
        let body = Body::pack(Content::Value(crate::Encoding::Bytes), &[0], crate::record::Compression::NONE);
        let error = decode_state::<Counter>(&body.unwrap(), MAX_BYTES).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_corrupt(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let is_corrupt = |error: Error| error.kind() == ErrorKind::Corrupt;
            prop_assert!(decode::<Head>(&bytes).err().is_none_or(is_corrupt));
            match decode::<Counter>(&bytes) {
                Ok(mut counter) => {
                    let _ = counter.add(ReplicaId(1), 1, i64::MIN);
                    prop_assert_eq!(counter.join(&counter.clone()), Changed::No);
                    let _ = counter.value();
                }
                Err(error) => prop_assert!(is_corrupt(error)),
            }
            match decode::<MultiValue>(&bytes) {
                Ok(mut register) => prop_assert_eq!(register.join(&register.clone()), Changed::No),
                Err(error) => prop_assert!(is_corrupt(error)),
            }
        }
    }
}
