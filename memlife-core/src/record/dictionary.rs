//! Dictionaries: what the values of a rule have in common, so that small ones compress, too (RFC 8878, section 5).
//!
//! A body names its dictionary by a number that follows from the dictionary's bytes, so a number means the same in
//! every store. Where a dictionary is kept is the engine's business; here is what the process knows of them. It forgets
//! none: there are few, and a value that names one can be read at any time.

use crate::{Error, ErrorKind, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError, RwLock};
use xxhash_rust::xxh3::xxh3_64;
use zstd::zstd_safe::{self, CCtx, CDict, CParameter, DCtx, DDict};

/// The most bytes of a dictionary.
pub const MAX_DICTIONARY_BYTES: usize = 112 << 10;
/// The smallest value that is compressed with a dictionary, in bytes: below, the frame of zstd takes what is gained.
pub const DICTIONARY_THRESHOLD_BYTES: usize = 48;

static KNOWN: LazyLock<RwLock<HashMap<u32, &'static Dictionary>>> = LazyLock::new(RwLock::default);

/// A dictionary that this process knows.
pub struct Dictionary {
    id: u32,
    bytes: Vec<u8>,
    decoder: OnceLock<DDict<'static>>,
    /// Made ready for each level that was asked for.
    encoders: Mutex<HashMap<i32, &'static CDict<'static>>>,
}

impl Dictionary {
    /// The dictionary with these bytes, which the process knows from now on.
    ///
    /// # Errors
    /// `Invalid` when there are none or more than [`MAX_DICTIONARY_BYTES`], or when other bytes have the same number.
    pub fn learn(bytes: &[u8]) -> Result<&'static Dictionary> {
        if bytes.is_empty() || bytes.len() > MAX_DICTIONARY_BYTES {
            let message = format!("a dictionary has 1 to {MAX_DICTIONARY_BYTES} bytes, not {}", bytes.len());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let id = Dictionary::id_of(bytes);
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = known.get(&id) {
            if there.bytes == bytes {
                return Ok(there);
            }
            return Err(Error::new(ErrorKind::Invalid, "another dictionary has the same number: train anew"));
        }
        let dictionary =
            Dictionary { id, bytes: bytes.to_vec(), decoder: OnceLock::new(), encoders: Mutex::default() };
        let dictionary: &'static Dictionary = Box::leak(Box::new(dictionary));
        known.insert(id, dictionary);
        Ok(dictionary)
    }

    /// The dictionary of this number, where the process knows it.
    pub fn known(id: u32) -> Option<&'static Dictionary> {
        KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// Trains a dictionary of at most `most` bytes on `samples`; `None` where they are too few or have too little in
    /// common for one.
    ///
    /// COVER (Liao, Petri, Moffat and Wirth, WWW 2016), as zstd has it.
    pub fn train<S: AsRef<[u8]>>(samples: &[S], most: usize) -> Option<Vec<u8>> {
        zstd::dict::from_samples(samples, most.min(MAX_DICTIONARY_BYTES))
            .ok()
            .filter(|bytes| !bytes.is_empty())
    }

    /// The number of a dictionary with these bytes; never 0, which stands for none.
    pub fn id_of(bytes: &[u8]) -> u32 {
        // Its upper half.
        ((xxh3_64(bytes) >> 32) as u32).max(1)
    }

    /// The number that bodies name it by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn encoder(&self, level: i32) -> &'static CDict<'static> {
        let mut encoders = self.encoders.lock().unwrap_or_else(PoisonError::into_inner);
        encoders.entry(level).or_insert_with(|| Box::leak(Box::new(CDict::create(&self.bytes, level))))
    }

    fn decoder(&self) -> &DDict<'static> {
        self.decoder.get_or_init(|| DDict::create(&self.bytes))
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("id", &self.id).field("bytes", &self.bytes.len()).finish()
    }
}

thread_local! {
    static COMPRESSOR: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// `raw` compressed with the dictionary. The body's frame tells its length and its dictionary, so zstd's does not.
pub(super) fn compress(raw: &[u8], dictionary: &Dictionary, level: i32) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let context = match slot {
            Some(context) => context,
            none => {
                let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
                for setting in [CParameter::ContentSizeFlag(false), CParameter::DictIdFlag(false)] {
                    context.set_parameter(setting).map_err(failed)?;
                }
                none.insert(context)
            }
        };
        context.ref_cdict(dictionary.encoder(level)).map_err(failed)?;
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(raw.len()));
        context.compress2(&mut packed, raw).map_err(failed)?;
        Ok(packed)
    })
}

/// At most `raw_len` bytes out of `packed`.
pub(super) fn decompress(packed: &[u8], dictionary: &Dictionary, raw_len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let context = match slot {
            Some(context) => context,
            none => none.insert(DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?),
        };
        let mut raw = Vec::with_capacity(raw_len);
        context.decompress_using_ddict(&mut raw, packed, dictionary.decoder()).map_err(failed)?;
        Ok(raw)
    })
}

fn failed(code: zstd_safe::ErrorCode) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(i: u32) -> String {
        format!(
            r#"{{"task":{i},"status":"running","owner":"agent{}","notes":"merge {} build"}}"#,
            i % 7,
            i * 31
        )
    }

    #[test]
    fn small_values_shrink_to_half_and_come_back() {
        let samples: Vec<String> = (0..1_000).map(sample).collect();
        let trained = Dictionary::learn(&Dictionary::train(&samples, 8 << 10).unwrap()).unwrap();
        for i in 1_000..1_100 {
            let raw = sample(i);
            let packed = compress(raw.as_bytes(), trained, 1).unwrap();
            assert!(packed.len() * 2 <= raw.len(), "{} of {}", packed.len(), raw.len());
            assert_eq!(decompress(&packed, trained, raw.len()).unwrap(), raw.as_bytes());
            assert!(decompress(&packed, trained, raw.len() - 1).is_err(), "no more than was asked for");
        }
    }

    #[test]
    fn a_number_means_one_dictionary() {
        let one = Dictionary::learn(b"one dictionary").unwrap();
        assert_eq!(Dictionary::learn(b"one dictionary").unwrap().id(), one.id());
        assert_ne!(Dictionary::learn(b"another").unwrap().id(), one.id());
        assert_eq!(Dictionary::known(one.id()).unwrap().bytes(), b"one dictionary");
        for bytes in [0, MAX_DICTIONARY_BYTES + 1] {
            assert_eq!(Dictionary::learn(&vec![1; bytes]).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn too_few_samples_train_nothing() {
        assert_eq!(Dictionary::train(&["one", "two"], 1 << 10), None);
    }
}
