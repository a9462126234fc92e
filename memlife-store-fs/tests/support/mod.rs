//! A store in a folder of its own, and a look at its files.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses some of it, and fails by panicking")]

use memlife_core::store::Repair;
use memlife_core::{Key, Result, Store};
use memlife_store_fs::{FsConfig, FsStore};
use memlife_testkit::Session;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the store in `folder`.
pub fn open(folder: &Path) -> Session {
    Session::on(try_open(folder).unwrap())
}

/// Opens the store in `folder`, which may fail.
pub fn try_open(folder: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(FsStore::open(&FsConfig::new(folder))?))
}

/// A folder as the Python original left it.
pub fn original() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/original");
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// An entry as the original would have written it.
pub fn original_entry(key: &str, value: &Json, timestamp: f64) -> String {
    let entry = serde_json::json!({
        "key": key, "value": value, "timestamp": timestamp, "namespace": "", "compressed": false,
        "version": 1, "conflicted": false, "conflict_values": [],
    });
    serde_json::to_string_pretty(&entry).unwrap()
}

/// An entry file as any JSON reader sees it.
pub fn json(folder: &Path, name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The names in the folder that do not begin with a dot, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// Every file below `.memlife` whose path has `part` in it.
pub fn own_files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let own = folder.join(".memlife");
    let mut found = Vec::new();
    let mut folders = vec![own.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.strip_prefix(&own).unwrap().to_str().unwrap().contains(part) {
                found.push(path);
            }
        }
    }
    found
}

/// The problems that a check finds, in words.
pub async fn problems(session: &Session, repair: Repair) -> Vec<String> {
    let found = session.store().verify(repair).await.unwrap();
    assert_eq!(found.problems, found.findings.len() as u64);
    found
        .findings
        .into_iter()
        .map(|finding| {
            let key = finding.key.map(|key| key.to_string()).unwrap_or_default();
            format!("{key}|{}|{}", finding.place, finding.problem)
        })
        .collect()
}

/// What reading `key` alone gives.
pub async fn read(session: &Session, key: &str) -> Result<Option<memlife_core::record::Record>> {
    let fetched = session.store().get(&[Key::new(key).unwrap()], Default::default()).await?;
    Ok(fetched.slots.into_iter().next().unwrap())
}

/// Copies all that is in a folder.
pub fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
