use super::compression::{self, By, Codec, Compression};
use crate::{Encoding, Error, ErrorKind, Result, Value};
use bytes::{Buf, Bytes};

/// The first byte of every body written in this format.
const FORMAT: u8 = 1;
/// Bytes before the payload.
pub const FRAME_BYTES: usize = 16;
/// The most bytes a payload may have before compression, whatever a store allows.
pub const MAX_RAW_BYTES: usize = 1 << 30;

/// What a body's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A register's value as it was given.
    Value(Encoding),
    /// The state of a lattice, by the codec.
    State,
}

/// The stored bytes of an entry: a frame of 16 bytes and the payload.
///
/// | byte | holds |
/// |---|---|
/// | 0 | format, 1 |
/// | 1 | content: 0 JSON value, 1 plain bytes, 2 lattice state |
/// | 2 | compression: 0 none, 1 gzip, 2 zstd |
/// | 3 | flags, 0 |
/// | 4-7 | dictionary id, 0 for none |
/// | 8-11 | length before compression |
/// | 12-15 | CRC-32 of bytes 0-11 and the payload |
///
/// Numbers are little-endian. Only this module writes or reads a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// Frames `raw`, compressed as `how` says if it gets smaller by that.
    ///
    /// # Errors
    /// `TooLarge` past 1 GiB.
    pub fn pack(content: Content, raw: &[u8], how: Compression) -> Result<Self> {
        if raw.len() > MAX_RAW_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "a value has at most 1 GiB"));
        }
        let mut frame = Vec::with_capacity(FRAME_BYTES + raw.len());
        frame.extend_from_slice(&[FORMAT, content.code(), Codec::None.code(), 0]);
        frame.extend_from_slice(&0_u32.to_le_bytes());
        frame.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        match compression::compress(raw, how) {
            Some((By(codec, dictionary), packed)) => {
                frame[2] = codec.code();
                frame[4..8].copy_from_slice(&dictionary.to_le_bytes());
                frame.extend_from_slice(&packed);
            }
            None => frame.extend_from_slice(raw),
        }
        let check = checksum(&frame);
        frame[12..FRAME_BYTES].copy_from_slice(&check.to_le_bytes());
        Ok(Body(frame.into()))
    }

    /// Frames a payload that is compressed already, for stores that keep frame and payload apart.
    ///
    /// Nothing is decompressed here: a payload that does not hold `raw_len` bytes is found when it is opened.
    ///
    /// # Errors
    /// `TooLarge` past 1 GiB; `Corrupt` when a plain payload has another length than `raw_len`, or a dictionary is named
    /// where zstd is not.
    pub fn from_parts(
        content: Content,
        (codec, dictionary): (Codec, u32),
        raw_len: u32,
        payload: &[u8],
    ) -> Result<Self> {
        if raw_len as usize > MAX_RAW_BYTES || payload.len() > MAX_RAW_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "a value has at most 1 GiB"));
        }
        if dictionary != 0 && codec != Codec::Zstd {
            return Err(corrupt("the stored value names a dictionary that its codec does not have"));
        }
        if codec == Codec::None && payload.len() != raw_len as usize {
            return Err(corrupt("the stored value has another length than its metadata says"));
        }
        let mut frame = Vec::with_capacity(FRAME_BYTES + payload.len());
        frame.extend_from_slice(&[FORMAT, content.code(), codec.code(), 0]);
        frame.extend_from_slice(&dictionary.to_le_bytes());
        frame.extend_from_slice(&raw_len.to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        let check = checksum(&frame);
        frame[12..FRAME_BYTES].copy_from_slice(&check.to_le_bytes());
        Ok(Body(frame.into()))
    }

    /// Frames a register's value.
    ///
    /// # Errors
    /// As [`Body::pack`].
    pub fn of_value(value: &Value, how: Compression) -> Result<Self> {
        Body::pack(Content::Value(value.encoding), &value.bytes, how)
    }

    /// Takes stored bytes as a body, after checking the frame and the checksum.
    ///
    /// # Errors
    /// `Corrupt` when any byte is not as it was written.
    pub fn from_stored(bytes: Bytes) -> Result<Self> {
        if bytes.len() < FRAME_BYTES || bytes[0] != FORMAT || bytes[3] != 0 {
            return Err(corrupt("the stored value has no frame of a known format"));
        }
        if u32_at(&bytes, 12) != checksum(&bytes) {
            return Err(corrupt("the stored value does not match its checksum"));
        }
        let body = Body(bytes);
        Content::from_code(body.0[1])?;
        let codec = Codec::from_code(body.0[2])?;
        if body.dictionary() != 0 && codec != Codec::Zstd {
            return Err(corrupt("the stored value names a dictionary that its codec does not have"));
        }
        if codec == Codec::None && body.raw_len() != body.0.len() - FRAME_BYTES {
            return Err(corrupt("the stored value has another length than its frame says"));
        }
        Ok(body)
    }

    /// The whole frame, as a store keeps it.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// What the payload is.
    pub fn content(&self) -> Content {
        Content::from_code(self.0[1]).unwrap_or(Content::State)
    }

    /// How the payload is compressed.
    pub fn codec(&self) -> Codec {
        Codec::from_code(self.0[2]).unwrap_or(Codec::None)
    }

    /// The [`Dictionary`](super::Dictionary) that the payload is compressed with; 0 for none.
    pub fn dictionary(&self) -> u32 {
        u32_at(&self.0, 4)
    }

    /// The payload's length before compression.
    pub fn raw_len(&self) -> usize {
        u32_at(&self.0, 8) as usize
    }

    /// The payload as stored, compressed or not.
    pub fn payload(&self) -> Bytes {
        self.0.slice(FRAME_BYTES..)
    }

    /// The payload, decompressed; never more than the frame's length and `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` past `limit`; `Corrupt` when it does not decompress to the length the frame says.
    pub fn open(&self, limit: usize) -> Result<Bytes> {
        self.clone().into_raw(limit)
    }

    /// As [`Body::open`], in the bytes that the body had.
    fn into_raw(self, limit: usize) -> Result<Bytes> {
        let raw_len = self.raw_len();
        if raw_len > limit {
            let message =
                format!("the value has {raw_len} bytes and the limit is {limit}: raise the limit to read it");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        match self.codec() {
            Codec::None => {
                let mut bytes = self.0;
                bytes.advance(FRAME_BYTES);
                Ok(bytes)
            }
            codec => {
                let by = By(codec, self.dictionary());
                compression::decompress(&self.0[FRAME_BYTES..], by, raw_len)
            }
        }
    }

    /// A register's value.
    ///
    /// # Errors
    /// As [`Body::open`]; `Corrupt` when this is the state of a lattice.
    pub fn value(&self, limit: usize) -> Result<Value> {
        self.clone().into_value(limit)
    }

    /// As [`Body::value`], in the bytes that the body had.
    ///
    /// # Errors
    /// As [`Body::value`].
    pub fn into_value(self, limit: usize) -> Result<Value> {
        match self.content() {
            Content::Value(encoding) => Ok(Value { encoding, bytes: self.into_raw(limit)? }),
            Content::State => Err(corrupt("the stored value is a lattice state where a plain value belongs")),
        }
    }
}

impl Content {
    fn code(self) -> u8 {
        match self {
            Content::Value(Encoding::Json) => 0,
            Content::Value(Encoding::Bytes) => 1,
            Content::State => 2,
        }
    }

    fn from_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Content::Value(Encoding::Json)),
            1 => Ok(Content::Value(Encoding::Bytes)),
            2 => Ok(Content::State),
            _ => Err(corrupt("the stored value is of an unknown content type")),
        }
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..12]);
    hasher.update(&frame[FRAME_BYTES..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip() -> Compression {
        Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 1, dictionary: 0 }
    }

    #[test]
    fn gives_back_what_was_packed() {
        let raw = b"{\"notes\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";
        for how in [
            Compression::NONE,
            gzip(),
            Compression { codec: Codec::Zstd, level: 3, threshold_bytes: 1, dictionary: 0 },
        ] {
            let body = Body::pack(Content::Value(Encoding::Json), raw, how).unwrap();
            assert_eq!(body.codec(), how.codec);
            let body = Body::from_stored(body.as_bytes().clone()).unwrap();
            assert_eq!(&body.open(1 << 20).unwrap()[..], raw);
            assert_eq!(body.open(10).unwrap_err().kind(), ErrorKind::TooLarge);
        }
    }

    #[test]
    fn is_rebuilt_from_its_parts_byte_for_byte() {
        let raw = [b'x'; 500];
        for how in [Compression::NONE, gzip()] {
            let body = Body::pack(Content::Value(Encoding::Bytes), &raw, how).unwrap();
            let raw_len = body.raw_len() as u32;
            let again =
                Body::from_parts(body.content(), (body.codec(), 0), raw_len, &body.payload()).unwrap();
            assert_eq!(again, body);
        }
        let short = Body::from_parts(Content::State, (Codec::None, 0), 4, b"abc");
        assert_eq!(short.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn what_does_not_get_smaller_stays_plain() {
        assert_eq!(Body::pack(Content::State, b"ab", gzip()).unwrap().codec(), Codec::None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let body =
            Body::pack(Content::Value(Encoding::Json), b"\"hello, memory\"", Compression::NONE).unwrap();
        let good = body.as_bytes().to_vec();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Body::from_stored(bad.into()).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
        for end in 0..good.len() {
            assert!(Body::from_stored(good[..end].to_vec().into()).is_err(), "cut at {end}");
        }
    }
}
