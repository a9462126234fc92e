//! Records in files: how the index finds, puts and erases what its rows stand for.

use crate::clock::StoreClock;
use crate::directory::Directory;
use crate::document::{self, Author, Document};
use crate::error::corrupt;
use crate::name;
use memlife_core::record::{Head, Record};
use memlife_core::store::{Durability, Want};
use memlife_core::{Error, ErrorKind, Key, Result, Timestamp};
use memlife_store_sqlite::{Bodies, Home};
use std::sync::atomic::{AtomicBool, Ordering};

/// What putting an entry leaves free for the index to follow.
const INDEX_ROOM_BYTES: u64 = 1 << 20;

/// Where the store's clock is, inside memlife's own folder.
const CLOCK: &str = "clock";

/// The living entries of users, one file each.
///
/// A tombstone has no file: its row holds it.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) directory: Directory,
    /// The most bytes of a body.
    pub(crate) body_bytes: usize,
    /// Whether files under the original's names may be left.
    pub(crate) originals: AtomicBool,
    /// The store's clock, where it can be written.
    pub(crate) clock: Option<StoreClock>,
    /// Set by a failure of the disk: from then on nothing is written by this handle.
    failed: AtomicBool,
}

impl Files {
    pub(crate) fn new(directory: Directory, body_bytes: usize) -> Self {
        let clock = directory.open_own(CLOCK).inspect_err(|error| {
            tracing::debug!(%error, "the clock is read from the index");
        });
        // There may be such files until it is known better.
        Files {
            directory,
            body_bytes,
            originals: AtomicBool::new(true),
            clock: clock.ok().map(StoreClock::new),
            failed: AtomicBool::new(false),
        }
    }

    /// The file of `key` under its own name or, where such are left, under the original's.
    ///
    /// # Errors
    /// `Corrupt`, `TooLarge` or `Unsupported` when the file is there and cannot be taken for what it was.
    pub(crate) fn read(&self, key: &Key) -> Result<Option<Document>> {
        let own = name::of(key);
        if let Some(document) = self.read_named(&own, key)? {
            return Ok(Some(document));
        }
        let Some(old) = self.original_name(key, &own) else { return Ok(None) };
        if let Some(document) = self.read_named(&old, key)? {
            return Ok(Some(document));
        }
        // A writer may have moved the entry to its own name between the two looks.
        self.read_named(&own, key)
    }

    /// The entry of `key`, if that is what the file `name` holds.
    fn read_named(&self, name: &str, key: &Key) -> Result<Option<Document>> {
        let limit = document::max_bytes(self.body_bytes);
        let Some(text) = self.directory.read(name, limit).map_err(|error| error.on(key))? else {
            return Ok(None);
        };
        match document::read(&text, self.body_bytes) {
            Ok(document) if document.record.key == *key => Ok(Some(document)),
            Ok(document) if belongs(name, &document) => Ok(None),
            Ok(document) => {
                let other = document.record.key;
                Err(corrupt(format!("the file {name} holds the entry of {:?}", other.as_str())).on(key))
            }
            // Two keys may share an original's name: a damaged file concerns the one that it mentions.
            Err(error) if name != name::of(key) && !mentions(&text, key) => {
                tracing::warn!(name, %error, "an entry file cannot be read");
                Ok(None)
            }
            Err(error) => {
                tracing::debug!(?error, name, "an entry file cannot be read");
                Err(Error::new(error.kind(), format!("{}: {name}", error.message())).on(key))
            }
        }
    }

    /// The original's name for `key`, where it is another than memlife's and such files may be left.
    fn original_name(&self, key: &Key, own: &str) -> Option<String> {
        if !self.originals.load(Ordering::Acquire) {
            return None;
        }
        name::original(key).filter(|old| old != own)
    }

    /// Makes a change, unless the disk failed before, and remembers if it fails now.
    fn change<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.failed.load(Ordering::Acquire) {
            let message =
                "an earlier write to the disk failed: check it and open the store anew; reads go on";
            return Err(Error::new(ErrorKind::Poisoned, message));
        }
        change().inspect_err(|error| {
            if error.kind() == ErrorKind::Poisoned {
                self.failed.store(true, Ordering::Release);
            }
        })
    }

    fn write(&self, record: &Record, durability: Durability) -> Result<()> {
        let key = &record.key;
        let text = document::write(record)?;
        if text.len() > document::max_bytes(self.body_bytes) {
            return Err(Error::new(ErrorKind::TooLarge, "the entry's file would be too large"));
        }
        // Without room for its row an entry would be there and not be indexed: better it is not there.
        if self.directory.free_bytes() < INDEX_ROOM_BYTES + text.len() as u64 {
            let message = "the disk is full: free some space; deletes and sweeps still run";
            return Err(Error::new(ErrorKind::Full, message));
        }
        let own = name::of(key);
        self.make_way(&own, key)?;
        self.directory.publish(&own, &text, durability >= Durability::Disk)?;
        self.original_name(key, &own).map_or(Ok(()), |old| self.remove(&old, key))
    }

    /// Moves an entry of the original out of the way of `key`, whose name it has.
    fn make_way(&self, own: &str, key: &Key) -> Result<()> {
        if !self.originals.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(text) = self.directory.read(own, document::max_bytes(self.body_bytes))? else {
            return Ok(());
        };
        // What cannot be read was met by `load`, which refused the write.
        let Ok(document) = document::read(&text, self.body_bytes) else { return Ok(()) };
        if document.record.key != *key && belongs(own, &document) {
            // Where that entry has a file of its own name by now, this is a leftover and may go.
            self.directory.rename(own, &name::of(&document.record.key))?;
        }
        Ok(())
    }

    /// Removes the file `name` unless it is another key's.
    fn remove(&self, name: &str, key: &Key) -> Result<()> {
        if self.originals.load(Ordering::Acquire) {
            let text = self.directory.read(name, document::max_bytes(self.body_bytes))?;
            let document = text.and_then(|text| document::read(&text, self.body_bytes).ok());
            if document.is_none_or(|document| document.record.key != *key) {
                return Ok(());
            }
        }
        self.directory.remove(name).map(|_| ())
    }

    /// Removes the file under the original's name where memlife's own has taken its place.
    fn remove_leftover(&self, key: &Key) -> Result<()> {
        let own = name::of(key);
        match self.original_name(key, &own) {
            Some(old) if self.directory.has(&own)? => self.remove(&old, key),
            _ => Ok(()),
        }
    }

    fn remove_all(&self, key: &Key) -> Result<()> {
        let own = name::of(key);
        // The older file first: after a crash between the two, nothing older comes back.
        if let Some(old) = self.original_name(key, &own) {
            self.remove(&old, key)?;
        }
        self.remove(&own, key)
    }
}

impl Bodies for Files {
    fn load(&self, key: &Key, row: Option<Record>, want: Want) -> Result<Option<Record>> {
        let Some(document) = self.read(key)? else {
            return Ok(row.filter(|row| !row.head.alive));
        };
        let author = document.author;
        let file = match want {
            Want::Whole => document.record,
            Want::Head => document.record.without_body(),
        };
        let Some(row) = row else { return Ok(Some(file)) };
        let row_stands = if row.head.alive {
            agree(&row.head, &file.head, author)
        } else {
            // The file is a put that a crash kept from its row, or the rest of what was deleted.
            match author {
                Author::Memlife => file.head.seq <= row.head.seq,
                Author::Original => file.head.stamp <= row.head.stamp,
            }
        };
        match (row_stands, row.head.alive) {
            (true, true) => Ok(Some(Record { head: row.head, ..file })),
            (true, false) => Ok(Some(row)),
            (false, _) => Ok(Some(file)),
        }
    }

    fn meet(&self, key: &Key, row: Option<Record>, want: Want) -> Result<Option<Record>> {
        let there = self.load(key, row, want)?;
        match &there {
            // Older than the tombstone in the row, or it would have been the truth.
            Some(record) if !record.head.alive => self.remove_all(key)?,
            Some(_) => self.remove_leftover(key)?,
            None => {}
        }
        Ok(there)
    }

    fn put(&self, record: &Record, durability: Durability) -> Result<Home> {
        self.change(|| {
            if record.head.alive {
                self.write(record, durability).map(|()| Home::Outside)
            } else {
                self.remove_all(&record.key).map(|()| Home::Row)
            }
        })
        .map_err(|error| error.on(&record.key))
    }

    fn erase(&self, key: &Key, _durability: Durability) -> Result<()> {
        self.change(|| self.remove_all(key)).map_err(|error| error.on(key))
    }

    fn committing(&self, clock: Timestamp) {
        if let Some(file) = &self.clock {
            file.write(clock);
        }
    }

    fn settle(&self, durability: Durability) -> Result<()> {
        if durability >= Durability::Disk { self.change(|| self.directory.sync()) } else { Ok(()) }
    }
}

/// Whether `name` is one of the names under which the document's entry may be found.
pub(crate) fn belongs(name: &str, document: &Document) -> bool {
    let key = &document.record.key;
    name == name::of(key)
        || (document.author == Author::Original && name::original(key).is_some_and(|old| old == name))
}

/// Whether a living row stands for the file; the number of the last change may differ, its effects may not.
pub(crate) fn agree(row: &Head, file: &Head, author: Author) -> bool {
    match author {
        Author::Memlife => *row == Head { seq: row.seq, ..file.clone() },
        Author::Original => *row == Head { seq: row.seq, version: row.version, ..file.clone() },
    }
}

/// Whether a damaged file still names `key`.
fn mentions(text: &[u8], key: &Key) -> bool {
    let Ok(quoted) = serde_json::to_string(key) else { return false };
    text.windows(quoted.len()).any(|window| window == quoted.as_bytes())
}
