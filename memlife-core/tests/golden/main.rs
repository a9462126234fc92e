//! Bytes that an earlier build wrote, one file for each form: they are read for ever, and what is not compressed is
//! written the same until its form changes.
//!
//! `MEMLIFE_BLESS=1` writes the files that are missing. It never writes over one that is there: a format that
//! changes gets a new version and new files beside these.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say so at once")]

mod records;
mod states;

use memlife_core::{Hlc, ReplicaId, Stamp, Timestamp, Value};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is written in a second form by now: the rows of counters, and what holds some.
const SECOND: [&str; 6] = [
    "state-counter",
    "state-counter-deleted",
    "state-g-counter",
    "state-g-counter-deleted",
    "state-map",
    "state-map-deleted",
];

const LIMIT: usize = 1 << 20;
const HERE: ReplicaId = ReplicaId(0x0123_4567_89ab_cdef);
const THERE: ReplicaId = ReplicaId(7);
const TEXT: &str = r#"{"plan":"rest rest rest rest rest rest rest rest rest rest","step":3}"#;

/// The bytes of a golden file: hexadecimal digits, 32 bytes to a line.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = path_of(if SECOND.contains(&name) { "v2" } else { "v1" }, name);
    if std::env::var_os("MEMLIFE_BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, to_hex(written)).unwrap();
    }
    contents(&path)
}

/// The bytes of the first form, where there is a second.
fn earlier(name: &str) -> Option<Vec<u8>> {
    SECOND.contains(&name).then(|| contents(&path_of("v1", name)))
}

fn path_of(version: &str, name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(version);
    folder.join(name).with_extension("hex")
}

fn contents(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    from_hex(&text)
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    assert_eq!(digits.len() % 2, 0, "half a byte");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn stamp(ms: u64, counter: u16, replica: ReplicaId) -> Stamp {
    Stamp::new(Hlc { at: Timestamp::from_ms(ms), counter }, replica)
}

fn json() -> Value {
    Value::json_text(TEXT).unwrap()
}

/// The bytes of a golden file that this build writes the same.
fn rewritten(name: &str, written: &[u8]) -> Vec<u8> {
    let bytes = golden(name, written);
    assert_eq!(to_hex(&bytes), to_hex(written), "{name}: written otherwise than before");
    bytes
}
