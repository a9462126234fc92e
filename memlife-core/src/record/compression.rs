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
}

impl Compression {
    /// No compression.
    pub const NONE: Compression = Compression { codec: Codec::None, level: 0, threshold_bytes: u32::MAX };
    /// zstd, level 1, from 1 KiB: values are small, and at a few KiB of text higher levels take longer and make it
    /// no smaller.
    pub const DEFAULT: Compression = Compression { codec: Codec::Zstd, level: 1, threshold_bytes: 1024 };
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

/// `raw` compressed, where `how` asks for it and it gets smaller.
pub(super) fn compress(raw: &[u8], how: Compression) -> Option<Vec<u8>> {
    if raw.len() < how.threshold_bytes as usize {
        return None;
    }
    let packed = match how.codec {
        Codec::None => return None,
        Codec::Gzip => {
            let level = flate2::Compression::new(u32::from(how.level.min(9)));
            let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(raw.len() / 2), level);
            encoder.write_all(raw).and_then(|()| encoder.finish()).ok()?
        }
        Codec::Zstd => zstd_compress(raw, i32::from(how.level.clamp(1, 19))).ok()?,
    };
    if packed.len() >= raw.len() {
        return None;
    }
    unpacked::remember(how.codec, &packed, &Bytes::copy_from_slice(raw));
    Some(packed)
}

/// Exactly `raw_len` bytes out of `packed`, or an error; reads no further than that.
pub(super) fn decompress(packed: &[u8], codec: Codec, raw_len: usize) -> Result<Bytes> {
    let raw = match unpacked::recall(codec, packed) {
        Some(raw) => raw,
        None => {
            let raw = match codec {
                Codec::None => packed.to_vec(),
                Codec::Gzip => gunzip(packed, raw_len)?,
                Codec::Zstd => zstd_decompress(packed, raw_len).map_err(corrupt)?,
            };
            let raw = Bytes::from(raw);
            unpacked::remember(codec, packed, &raw);
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
        let how = Compression { codec: Codec::Gzip, level: 9, threshold_bytes: 0 };
        let packed = compress(&vec![0; 8 << 20], how).unwrap();
        assert!(packed.len() < 20_000);
        assert_eq!(gunzip(&packed, 1 << 20).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
