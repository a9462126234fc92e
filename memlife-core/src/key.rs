use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use unicode_normalization::is_nfc;

/// The most bytes a key may have.
pub const MAX_KEY_BYTES: usize = 1024;
/// The most segments a key may have.
pub const MAX_KEY_SEGMENTS: usize = 32;

/// The first character of every key that belongs to memlife itself.
const SYSTEM_MARK: char = '\u{1}';

/// A `/`-separated path of 1 to 32 non-empty segments: UTF-8 in NFC, 1 to 1,024 bytes, without control
/// characters and without the segments `.` and `..`. Every other character is literal.
///
/// ```
/// use memlife_core::Key;
/// let key = Key::new("coordination/agent1/status").unwrap();
/// assert_eq!(key.namespace(), "coordination/agent1");
/// assert!(key.is_within("coordination") && !key.is_within("coord"));
/// assert!(Key::new("a//b").is_err() && Key::new("../a").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge`, with what is wrong and what to write instead.
    pub fn new(text: &str) -> Result<Self> {
        check(text)?;
        Ok(Key(text.into()))
    }

    /// A key of memlife itself, below [`Key::system_prefix`]: hidden from users.
    ///
    /// # Errors
    /// As [`Key::new`], for `path`.
    pub fn system(path: &str) -> Result<Self> {
        check(path)?;
        Ok(Key(format!("{}{path}", Key::system_prefix()).into()))
    }

    /// What every system key begins with.
    pub fn system_prefix() -> &'static str {
        "\u{1}memlife/"
    }

    /// A key as a store holds it: a user's key or one of memlife's own.
    ///
    /// # Errors
    /// `Corrupt` when it is neither.
    pub fn from_stored(text: &str) -> Result<Self> {
        let user_part = text.strip_prefix(Key::system_prefix()).unwrap_or(text);
        check(user_part)
            .map_err(|error| Error::new(ErrorKind::Corrupt, "a stored key is not a key").because(error))?;
        Ok(Key(text.into()))
    }

    /// Whether the key belongs to memlife itself.
    pub fn is_system(&self) -> bool {
        self.0.starts_with(SYSTEM_MARK)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first two segments, or the only one.
    pub fn namespace(&self) -> &str {
        let mut slashes = self.0.match_indices('/').map(|(at, _)| at);
        slashes.nth(1).map_or(&self.0, |end| &self.0[..end])
    }

    /// The segments in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether the key is `prefix` or lies below it; whole segments only.
    pub fn is_within(&self, prefix: &str) -> bool {
        self.0.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn check(text: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
    if text.is_empty() {
        return invalid("a key is empty: write at least one segment, such as `notes`".into());
    }
    if text.len() > MAX_KEY_BYTES {
        let message = format!("a key has {} bytes; at most {MAX_KEY_BYTES} are allowed", text.len());
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    if is_plain(text.as_bytes()) {
        return Ok(());
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return invalid(format!(
            "a key has the control character U+{:04X}: leave it out",
            u32::from(control)
        ));
    }
    if !is_nfc(text) {
        return invalid(format!("the key {text:?} is not in Unicode normal form C: normalise it first"));
    }
    let mut segments = 0;
    for segment in text.split('/') {
        segments += 1;
        match segment {
            "" => return invalid(format!("the key {text:?} has an empty segment: leave out the extra `/`")),
            "." | ".." => {
                return invalid(format!("the key {text:?} has the segment {segment:?}: name it in full"));
            }
            _ => {}
        }
    }
    if segments > MAX_KEY_SEGMENTS {
        return invalid(format!("a key has {segments} segments; at most {MAX_KEY_SEGMENTS} are allowed"));
    }
    Ok(())
}

/// Whether `text` is a key beyond doubt, as nearly all are: printable ASCII, no segment empty or with a dot in front.
/// Eight bytes at a time and without branches, since where segments end is never foreseen.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = *b"aaaaaaaa";
    last[..rest.len()].copy_from_slice(rest);
    // The start is like the end of a segment. Marks are the topmost bits of bytes.
    let (mut unprintable, mut odd, mut slashes, mut carried) = (0, 0, 0, 0x80);
    for word in words.iter().chain([&last]) {
        let word = u64::from_le_bytes(*word);
        // Below the space, above the tilde (carried out of seven bits), or not ASCII at all.
        let low = word & !TOPS;
        unprintable |= word | !(low + EACH * (0x80 - 0x20)) | (low + EACH);
        let slash = equal(word, b'/');
        let behind = slash << 8 | carried;
        odd |= behind & (slash | equal(word, b'.'));
        slashes += slash.count_ones() as usize;
        carried = slash >> 56;
    }
    let ends_well = text.last().is_some_and(|last| *last != b'/');
    unprintable & TOPS == 0 && odd == 0 && ends_well && slashes < MAX_KEY_SEGMENTS
}

/// One in each byte of a word, and the topmost bit of each.
const EACH: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = EACH << 7;

/// The marks of the bytes that are `byte`: none is mistaken for a neighbour's carry.
fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (EACH * u64::from(byte));
    !(((other & !TOPS) + !TOPS) | other) & TOPS
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Key::new(text)
    }
}

/// What can be a key: text that is checked, or a [`Key`] that was.
pub trait IntoKey {
    /// The key.
    ///
    /// # Errors
    /// As [`Key::new`].
    fn into_key(self) -> Result<Key>;
}

impl IntoKey for &str {
    fn into_key(self) -> Result<Key> {
        Key::new(self)
    }
}

impl IntoKey for &String {
    fn into_key(self) -> Result<Key> {
        Key::new(self)
    }
}

impl IntoKey for String {
    fn into_key(self) -> Result<Key> {
        Key::new(&self)
    }
}

impl IntoKey for Key {
    fn into_key(self) -> Result<Key> {
        Ok(self)
    }
}

impl IntoKey for &Key {
    fn into_key(self) -> Result<Key> {
        Ok(self.clone())
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Key::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_segments_only() {
        let key = Key::new("a/bc").unwrap();
        assert!(key.is_within("a") && key.is_within("a/bc"));
        assert!(!key.is_within("a/b"));
    }

    #[test]
    fn refuses_what_is_no_key() {
        for bad in ["", "/", "a/", "/a", "a//b", ".", "a/../b", "a\0b", "a\nb", "\u{1}x", "e\u{301}"] {
            assert_eq!(Key::new(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        assert_eq!(Key::new(&"x".repeat(1025)).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(Key::new(&"x".repeat(1024)).is_ok());
        assert!(Key::new(&vec!["s"; 33].join("/")).is_err());
        assert!(Key::new(&vec!["s"; 32].join("/")).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_plain_is_known_at_a_glance(text in "([a/.~ ]|[a-z./]{0,9}|\\PC|[\u{0}-\u{ff}]){0,40}") {
            let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let is_fine = |segment: &str| !segment.is_empty() && !segment.starts_with('.');
            let is_short = text.split('/').count() <= MAX_KEY_SEGMENTS;
            let expected = is_printable && text.split('/').all(is_fine) && is_short;
            prop_assert_eq!(is_plain(text.as_bytes()), expected, "{:?}", text);
            prop_assert!(!expected || text.len() > MAX_KEY_BYTES || Key::new(&text).is_ok());
        }
    }

    #[test]
    fn pattern_characters_are_literal() {
        for odd in ["a_b", "100%", "a*", "what?", "[x]", "a:b", " ", "-rf", "con.json", "{a}"] {
            assert_eq!(Key::new(odd).unwrap().as_str(), odd);
        }
    }

    #[test]
    fn namespace_is_the_first_two_segments() {
        for (key, namespace) in [("a", "a"), ("a/b", "a/b"), ("a/b/c/d", "a/b")] {
            assert_eq!(Key::new(key).unwrap().namespace(), namespace);
        }
    }

    #[test]
    fn system_keys_are_told_apart() {
        let key = Key::system("sweeps/1").unwrap();
        assert!(key.is_system());
        assert_eq!(Key::from_stored(key.as_str()).unwrap(), key);
        assert_eq!(Key::from_stored("\u{1}other").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
