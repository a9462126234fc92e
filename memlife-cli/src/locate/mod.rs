//! Finds the project that a directory belongs to, and with it the store and the policy file.

mod project;
mod worktree;

pub use project::{ConfigFile, Mark, Project};

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a regular file of at most `limit` bytes. A search never opens a pipe or a device that somebody put in its
/// way: opening one may wait for ever.
pub(crate) fn read_found(path: &Path, limit: usize) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_bounded(path, limit)
}

/// Reads a text of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(limit as u64 + 1).read_to_string(&mut text)?;
    if text.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(text)
}
