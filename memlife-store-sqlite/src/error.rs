use memlife_core::{Error, ErrorKind};
use memlife_store_local::error::{damaged, full};
use rusqlite::ffi;

/// What an error of SQLite means for the transaction it happened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody else holds the lock.
    Busy,
    /// No space is left.
    Full,
    /// Reading or writing the file failed.
    Io,
    /// The file holds what SQLite did not write.
    Corrupt,
    /// The file or its place may not be written.
    ReadOnly,
    /// Anything else: a bug.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
        let failure = match error {
            rusqlite::Error::SqliteFailure(_, Some(text)) if text.starts_with("no such ") => {
                return Fault::Corrupt;
            }
            rusqlite::Error::SqliteFailure(failure, _) => failure,
            // The statements are always the same and the tables strict: a schema that does not know their columns,
            // and a column that is of another type, are damaged.
            rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::InvalidColumnIndex(_)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows => return Fault::Corrupt,
            _ => return Fault::Other,
        };
        match failure.extended_code {
            // The shared-memory file could not grow: nothing of the database was written yet.
            ffi::SQLITE_IOERR_SHMSIZE => Fault::Full,
            // A row holds what its table forbids, and no statement of ours would have put there.
            ffi::SQLITE_CONSTRAINT_DATATYPE => Fault::Corrupt,
            code => match code & 0xff {
                ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Fault::Busy,
                ffi::SQLITE_FULL => Fault::Full,
                ffi::SQLITE_IOERR => Fault::Io,
                ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Fault::Corrupt,
                ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => {
                    Fault::ReadOnly
                }
                _ => Fault::Other,
            },
        }
    }
}

/// An error of SQLite, in terms of what the caller can do.
pub(crate) fn from_sqlite(error: rusqlite::Error) -> Error {
    let (kind, message) = match Fault::of(&error) {
        Fault::Busy => (
            ErrorKind::Locked,
            "other processes kept the store locked for too long: try again, or end the one that hangs",
        ),
        Fault::Full => return full(),
        Fault::Io => (ErrorKind::Unavailable, "reading or writing the store's file failed: check the disk"),
        Fault::Corrupt => return damaged().because(error),
        Fault::ReadOnly => (
            ErrorKind::Unavailable,
            "the store's file cannot be opened or written: check that it is still there and its permissions",
        ),
        Fault::Other => (ErrorKind::Internal, "SQLite refused a statement: report this as a bug"),
    };
    Error::new(kind, message).because(error)
}
