//! The names of entry files: one for each key, and back.

use memlife_core::Key;
use std::fmt::Write as _;

/// What every entry file ends with.
pub(crate) const SUFFIX: &str = ".json";
/// The most bytes of a name; the usual limit of file systems is 255, eCryptfs stops at 143 of its own.
pub(crate) const MAX_NAME_BYTES: usize = 200;
/// How much of a long key stays readable before its hash.
const LONG_PREFIX_BYTES: usize = 100;
/// Between the readable part of a long name and the hash; `%` is otherwise followed by two hex digits.
const HASH_MARK: &str = "%-";

/// Names that Windows gives to devices, with any extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Names that Windows gives to devices when a digit from 1 to 9 follows.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// The name of the file that holds `key`.
///
/// Different keys have different names, also where the file system folds case or normalises Unicode, since
/// names consist of `a-z 0-9 _ . - + %` only. No name starts with `.` or `-`, is a device, or has a `/`.
pub(crate) fn of(key: &Key) -> String {
    let mut name = String::with_capacity(key.as_str().len() + SUFFIX.len());
    for (at, byte) in key.as_str().bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => name.push(char::from(byte)),
            b'.' | b'-' if at > 0 => name.push(char::from(byte)),
            b'/' => name.push('+'),
            _ => escape(&mut name, byte),
        }
    }
    if is_device(&name) {
        let first = name.remove(0);
        let mut escaped = String::with_capacity(name.len() + 3);
        escape(&mut escaped, first as u8);
        name.insert_str(0, &escaped);
    }
    if name.len() + SUFFIX.len() > MAX_NAME_BYTES {
        name.truncate(escape_boundary(&name, LONG_PREFIX_BYTES));
        name.push_str(HASH_MARK);
        name.push_str(blake3::hash(key.as_str().as_bytes()).to_hex().as_str());
    }
    name.push_str(SUFFIX);
    name
}

/// The key whose file has this name; `None` for a hashed name and for names that memlife does not give.
pub(crate) fn key(name: &str) -> Option<Key> {
    let stem = name.strip_suffix(SUFFIX)?;
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b'/'),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            _ => bytes.push(first),
        }
    }
    let key = Key::new(std::str::from_utf8(&bytes).ok()?).ok()?;
    (of(&key) == name).then_some(key)
}

/// The name that the Python original gave to `key`'s file; `None` where no file system would have taken it.
///
/// Not injective: `a/b` and `a_b` shared a file, and whoever wrote last owned it.
pub(crate) fn original(key: &Key) -> Option<String> {
    let mut name = key.as_str().replace(['/', ':'], "_");
    name.push_str(SUFFIX);
    (name.len() <= 255).then_some(name)
}

fn escape(name: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(name, "%{byte:02x}");
}

/// Windows reads `con.txt` as the device too: what counts is the part before the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let numbered = || {
        stem.len() == 4
            && NUMBERED_DEVICES.iter().any(|device| stem.starts_with(device))
            && matches!(stem.as_bytes()[3], b'1'..=b'9')
    };
    DEVICES.contains(&stem) || numbered()
}

/// The last position up to `most` that does not cut an escape in two.
fn escape_boundary(name: &str, most: usize) -> usize {
    let cut = name.as_bytes()[most - 2..most].iter().position(|&byte| byte == b'%');
    cut.map_or(most, |at| most - 2 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    fn name(key: &str) -> String {
        of(&Key::new(key).unwrap())
    }

    #[test]
    fn odd_and_reserved_keys() {
        for (key, expected) in [
            ("coordination/agent1/status", "coordination+agent1+status.json"),
            ("a_b", "a_b.json"),
            ("a+b", "a%2bb.json"),
            ("a:b", "a%3ab.json"),
            ("Ab", "%41b.json"),
            (".hidden", "%2ehidden.json"),
            ("-rf", "%2drf.json"),
            ("...", "%2e...json"),
            ("a/.b", "a+.b.json"),
            ("con", "%63on.json"),
            ("CON", "%43%4f%4e.json"),
            ("con.txt", "%63on.txt.json"),
            ("console", "console.json"),
            ("aux.json", "%61ux.json.json"),
            ("com1", "%63om1.json"),
            ("com0", "com0.json"),
            ("lpt9.x", "%6cpt9.x.json"),
            ("trailing.", "trailing..json"),
            ("trailing ", "trailing%20.json"),
            ("100%", "100%25.json"),
            ("\u{e9}", "%c3%a9.json"),
            ("\u{131}", "%c4%b1.json"),
            ("what?*<>|\"\\", "what%3f%2a%3c%3e%7c%22%5c.json"),
        ] {
            assert_eq!(name(key), expected);
            assert_eq!(super::key(expected).unwrap().as_str(), key);
        }
    }

    #[test]
    fn long_keys_keep_a_readable_start_and_a_hash() {
        let long = format!("knowledge/{}", "x".repeat(1000));
        assert_eq!(name(&long).len(), 171);
        assert!(name(&long).starts_with("knowledge+xxx"));
        assert_eq!(super::key(&name(&long)), None);
        // The cut falls into an escape at any of its three bytes.
        for shift in 0..3 {
            let name = name(&format!("{}{}", "x".repeat(shift), "A".repeat(300)));
            let (stem, hash) = name.strip_suffix(SUFFIX).unwrap().split_once(HASH_MARK).unwrap();
            assert_eq!((stem.len() - shift) % 3, 0, "{stem}");
            assert_eq!(hash.len(), 64);
        }
    }

    #[test]
    fn names_that_memlife_does_not_give_have_no_key() {
        for name in
            ["a", "a.txt", "A.json", "%41.jso", "%4.json", "%zz.json", "%61b.json", "a b.json", ".json"]
        {
            assert_eq!(super::key(name), None, "{name}");
        }
    }

    #[test]
    fn original_names() {
        for (key, expected) in
            [("a/b", "a_b.json"), ("a_b", "a_b.json"), ("a:b/C", "a_b_C.json"), ("x", "x.json")]
        {
            assert_eq!(original(&Key::new(key).unwrap()).unwrap(), expected);
        }
        assert_eq!(original(&Key::new(&"x".repeat(251)).unwrap()), None);
    }

    /// Keys out of what is known to collide: case, Kelvin sign, sharp s, Turkish i, composed and decomposed.
    fn tricky() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a",
            "A",
            "k",
            "K",
            "\u{212a}",
            "ss",
            "\u{df}",
            "SS",
            "i",
            "I",
            "\u{130}",
            "\u{131}",
            "\u{e9}",
            "e\u{301}",
            "\u{fb01}",
            "fi",
            "_",
            ":",
            "/",
            "+",
            "%",
            "%2f",
            "%-",
            ".",
            "-",
            " ",
            "con",
            "aux",
            "1",
            "\u{1f600}",
            "\u{3a3}",
            "\u{3c2}",
            "\u{3c3}",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ]);
        prop::collection::vec(part, 1..9).prop_map(|parts| parts.concat())
    }

    fn folds(name: &str) -> [String; 5] {
        [
            name.to_ascii_lowercase(),
            name.to_uppercase(),
            name.to_lowercase(),
            name.nfc().collect(),
            name.nfd().collect(),
        ]
    }

    fn check_pair(first: &str, second: &str) {
        let (Ok(first), Ok(second)) = (Key::new(first), Key::new(second)) else { return };
        let (one, other) = (of(&first), of(&second));
        assert!(one.len() <= MAX_NAME_BYTES && !one.starts_with(['.', '-']) && !one.contains('/'));
        assert!(key(&one).is_none_or(|key| key == first), "{one}");
        for (one, other) in folds(&one).iter().zip(folds(&other).iter()) {
            assert_eq!(one == other, first == second, "{first:?} and {second:?}");
        }
    }

    fn check_pairs(cases: u32) {
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        runner
            .run(&(tricky(), tricky()), |(first, second)| {
                check_pair(&first, &second);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn different_keys_have_different_names_however_the_file_system_folds_them() {
        check_pairs(20_000);
    }

    #[test]
    #[ignore = "a million pairs take a minute"]
    fn a_million_pairs_have_different_names() {
        check_pairs(1_000_000);
    }
}
