use memlife_core::{Error, ErrorKind};
use memlife_store_local::error::{damaged, full};
use std::io;
use std::path::Path;

/// What ended: one write, or the transaction with all of them.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// This read or write fails, and the transaction goes on.
    One(Error),
    /// The transaction is over.
    All(redb::Error),
}

impl Trouble {
    /// What a failed look-up means: damage to one entry's pages leaves the others readable.
    pub(crate) fn of_read(error: redb::StorageError) -> Self {
        let error = error.into();
        match Fault::of(&error) {
            Fault::Corrupt => Trouble::One(damaged().because(error.to_string())),
            _ => Trouble::All(error),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Trouble::One(error) => error,
            Trouble::All(error) => from_redb(error),
        }
    }
}

macro_rules! ends_the_transaction {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Trouble {
            fn from(error: redb::$error) -> Self {
                Trouble::All(error.into())
            }
        }
    )*};
}

ends_the_transaction!(
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError,
    SetDurabilityError
);

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::All(redb::Error::Io(error))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::One(error)
    }
}

/// What an error of redb means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody else has the file.
    Locked,
    /// No space is left.
    Full,
    /// Reading or writing the file failed.
    Io,
    /// The handle is closed, or closed itself after an earlier error: the file is to be opened anew.
    Gone,
    /// The file holds what redb did not write.
    Corrupt,
    /// The file or its place may not be written.
    ReadOnly,
    /// The file has a format that this redb does not read.
    Unsupported,
    /// Anything else: a bug.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Fault::Locked,
            redb::Error::Io(error) => Fault::of_io(error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Fault::Gone,
            redb::Error::UpgradeRequired(_) => Fault::Unsupported,
            // Always the same tables of the same types are opened: where they are others, the file is damaged. So is
            // one in which redb panicked and left its locks behind.
            redb::Error::Corrupted(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TransactionPoisoned
            | redb::Error::LockPoisoned(_)
            | redb::Error::RepairAborted => Fault::Corrupt,
            _ => Fault::Other,
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
            // How redb tells a wrong magic number, and a file that ends before its pages do.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Fault::Corrupt,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => Fault::ReadOnly,
            _ => Fault::Io,
        }
    }
}

/// An error of redb, in terms of what the caller can do.
pub(crate) fn from_redb(error: redb::Error) -> Error {
    let (kind, message) = match Fault::of(&error) {
        Fault::Locked => (ErrorKind::Locked, LOCKED),
        Fault::Full => return full(),
        Fault::Io | Fault::Gone => {
            (ErrorKind::Unavailable, "reading or writing the store's file failed: check the disk")
        }
        Fault::Corrupt => return damaged().because(error.to_string()),
        Fault::ReadOnly => (
            ErrorKind::Unavailable,
            "the store's file cannot be opened or written: check that it is still there and its permissions",
        ),
        Fault::Unsupported => {
            (ErrorKind::Unsupported, "the file has another format of redb: upgrade memlife to open it")
        }
        Fault::Other => (ErrorKind::Internal, "redb refused an operation: report this as a bug"),
    };
    Error::new(kind, message).because(error.to_string())
}

const LOCKED: &str = "the store is open elsewhere, and a redb store is one process's at a time: close it there, \
                      or use sqlite: or fs:, which many processes share";

pub(crate) fn locked(path: &Path) -> Error {
    let message = format!(
        "{} is open in another process or another handle of this one, and a redb store belongs to one at a time: \
         close it there, or use sqlite: or fs:, which many processes share",
        path.display()
    );
    Error::new(ErrorKind::Locked, message)
}
