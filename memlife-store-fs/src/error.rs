//! Says what the system's refusals mean for whoever called.

use memlife_core::{Error, ErrorKind};
use rustix::io::Errno;

/// The error for a system call that failed while `doing` something.
pub(crate) fn of_call(doing: &str, errno: Errno) -> Error {
    let (kind, advice) = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => {
            (ErrorKind::Full, "free some space, delete entries or sweep")
        }
        Errno::ROFS | Errno::ACCESS | Errno::PERM => {
            (ErrorKind::Unavailable, "check the permissions of the directory")
        }
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
            (ErrorKind::Unavailable, "the system is short of it now: try again later")
        }
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
            (ErrorKind::Unavailable, "the store's directory is not as it was: open the store anew")
        }
        // The kernel drops what it could not write, so nothing after this can be trusted to be on disk.
        _ => (ErrorKind::Poisoned, "the file system failed: check the disk and open the store anew"),
    };
    Error::new(kind, format!("{doing} failed: {advice}")).because(std::io::Error::from(errno))
}

/// The error for bytes that are not what was written.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
