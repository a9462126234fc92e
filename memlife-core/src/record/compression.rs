use super::dictionary::{self, DICTIONARY_THRESHOLD_BYTES, Dictionary};
use super::unpacked;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use zstd::bulk::{Compressor, Decompressor};

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952; what the Python original wrote.
    Gzip,
    /// RFC 8878.
    #[default]
    Zstd,
}

/// When and how to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The algorithm.
    pub codec: Codec,
    /// Its level: 0 to 9 for gzip, 1 to 19 for zstd.
    pub level: u8,
    /// The smallest value that is compressed, in bytes.
    pub threshold_bytes: u32,
    /// The [`Dictionary`](super::Dictionary) to compress with by zstd, from 48 bytes on, where the process knows it; 0 for none.
    pub dictionary: u32,
}

impl Compression {
    /// No compression.
    pub const NONE: Compression =
        Compression { codec: Codec::None, level: 0, threshold_bytes: u32::MAX, dictionary: 0 };
    /// zstd, level 1, from 1 KiB: values are small, and at a few KiB of text higher levels take longer and make it
    /// no smaller.
    pub const DEFAULT: Compression =
        Compression { codec: Codec::Zstd, level: 1, threshold_bytes: 1024, dictionary: 0 };
}

impl Default for Compression {
    fn default() -> Self {
        Compression::DEFAULT
    }
}

impl Codec {
    pub(super) fn code(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Zstd => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Zstd),
            _ => Err(Error::new(ErrorKind::Corrupt, "the stored value is compressed by an unknown codec")),
        }
    }
}

/// How a payload was compressed: the algorithm and the dictionary, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By(pub(super) Codec, pub(super) u32);

/// `raw` compressed, where `how` asks for it and it gets smaller.
pub(super) fn compress(raw: &[u8], how: Compression) -> Option<(By, Vec<u8>)> {
    let (by, packed) = match with_dictionary(raw, how) {
        Some(packed) => (By(Codec::Zstd, how.dictionary), packed),
        None => (By(how.codec, 0), without_dictionary(raw, how)?),
    };
    if packed.len() >= raw.len() {
        return None;
    }
    unpacked::remember(by, &packed, &Bytes::copy_from_slice(raw));
    Some((by, packed))
}

fn with_dictionary(raw: &[u8], how: Compression) -> Option<Vec<u8>> {
    if how.dictionary == 0 || how.codec != Codec::Zstd || raw.len() < DICTIONARY_THRESHOLD_BYTES {
        return None;
    }
    dictionary::compress(raw, Dictionary::known(how.dictionary)?, zstd_level(how)).ok()
}

fn without_dictionary(raw: &[u8], how: Compression) -> Option<Vec<u8>> {
    if raw.len() < how.threshold_bytes as usize {
        return None;
    }
    match how.codec {
        Codec::None => None,
        Codec::Gzip => {
            let level = flate2::Compression::new(u32::from(how.level.min(9)));
            let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(raw.len() / 2), level);
            encoder.write_all(raw).and_then(|()| encoder.finish()).ok()
        }
        Codec::Zstd => zstd_compress(raw, zstd_level(how)).ok(),
    }
}

fn zstd_level(how: Compression) -> i32 {
    i32::from(how.level.clamp(1, 19))
}

/// Exactly `raw_len` bytes out of `packed`, or an error; reads no further than that.
pub(super) fn decompress(packed: &[u8], by: By, raw_len: usize) -> Result<Bytes> {
    let raw = match unpacked::recall(by, packed) {
        Some(raw) => raw,
        None => {
            let raw = match by {
                By(Codec::None, _) => packed.to_vec(),
                By(Codec::Gzip, _) => gunzip(packed, raw_len)?,
                By(Codec::Zstd, 0) => zstd_decompress(packed, raw_len).map_err(corrupt)?,
                By(Codec::Zstd, id) => {
                    let dictionary = Dictionary::known(id).ok_or_else(|| unknown(id))?;
                    dictionary::decompress(packed, dictionary, raw_len).map_err(corrupt)?
                }
            };
            let raw = Bytes::from(raw);
            unpacked::remember(by, packed, &raw);
            raw
        }
    };
    if raw.len() != raw_len {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "the stored value decompresses to another length than its frame says",
        ));
    }
    Ok(raw)
}

fn unknown(id: u32) -> Error {
    let message =
        format!("the stored value is compressed with dictionary {id:08x}, which is not in the store");
    Error::new(ErrorKind::Corrupt, message)
}

thread_local! {
    // Their tables are larger than most values: making them anew would take longer than the work.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn zstd_compress(raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(level)?),
        };
        compressor.set_compression_level(level)?;
        compressor.compress(raw)
    })
}

fn zstd_decompress(packed: &[u8], raw_len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        decompressor.decompress(packed, raw_len)
    })
}

/// Decompresses one gzip stream of at most `limit` bytes.
///
/// # Errors
/// `Corrupt` when it is no gzip stream; `TooLarge` when it holds more than `limit`, found out without reading it all.
pub fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(limit.min(packed.len().saturating_mul(4)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::GzDecoder::new(packed).take(most).read_to_end(&mut raw).map_err(corrupt)?;
    if raw.len() > limit {
        let message = format!("a compressed value holds more than the {limit} bytes allowed");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(raw)
}

fn corrupt(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the stored value does not decompress").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let how = Compression { codec: Codec::Gzip, level: 9, threshold_bytes: 0, dictionary: 0 };
        let (_, packed) = compress(&vec![0; 8 << 20], how).unwrap();
        assert!(packed.len() < 20_000);
        assert_eq!(gunzip(&packed, 1 << 20).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
