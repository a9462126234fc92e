//! What writing the same keys again costs in space.
#![cfg(any(feature = "sqlite", feature = "fs", feature = "redb"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

/// Bytes below `folder`.
fn bytes(folder: &Path) -> u64 {
    let size = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => bytes(&entry.path()),
        metadata => metadata.len(),
    };
    std::fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}

/// Sixty overwrites of one MiB that does not compress leave at most `most` bytes.
fn overwriting_frees_what_was_there(url: &str, folder: &Path, most: u64) {
    let memory = memlife::blocking::open(url).unwrap();
    let mut random = 1_u64;
    for _ in 0..60 {
        let noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        let value = memlife::Value::bytes(std::iter::repeat_with(noise).take(1 << 20).collect::<Vec<u8>>());
        memory.put_value("notes/large", value, memlife::PutOptions::new()).unwrap();
    }
    memory.close().unwrap();
    drop(memory);
    assert!(bytes(folder) < most, "{} bytes are left of one MiB", bytes(folder));
}

#[cfg(feature = "sqlite")]
#[test]
fn overwriting_in_a_sqlite_file_frees_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    overwriting_frees_what_was_there(&url, folder.path(), 8 << 20);
}

#[cfg(feature = "fs")]
#[test]
fn overwriting_in_a_folder_frees_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    overwriting_frees_what_was_there(&format!("fs:{}", folder.path().display()), folder.path(), 8 << 20);
}

#[cfg(feature = "redb")]
#[test]
fn overwriting_in_a_redb_file_frees_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("redb:{}", folder.path().join("store.redb").display());
    // A reserve of 4 MiB, and a file that redb doubles and in which a value has the next power of two.
    overwriting_frees_what_was_there(&url, folder.path(), 16 << 20);
}
