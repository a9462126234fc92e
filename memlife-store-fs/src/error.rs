//! Says what the system's refusals mean for whoever called.

use memlife_core::{Error, ErrorKind};
use rustix::io::Errno;

/// The error for a system call that failed while `doing` something, and changed nothing.
pub(crate) fn of_call(doing: &str, errno: Errno) -> Error {
    error(doing, errno, (ErrorKind::Unavailable, "check the disk and the directory"))
}

/// The error for a system call that was to change something.
///
/// After a failure of the disk the kernel drops what it could not write, and nothing written later can be
/// trusted to be on disk (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
pub(crate) fn of_change(doing: &str, errno: Errno) -> Error {
    error(doing, errno, (ErrorKind::Poisoned, "check the disk and open the store anew"))
}

fn error(doing: &str, errno: Errno, otherwise: (ErrorKind, &str)) -> Error {
    let (kind, advice) = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => {
            (ErrorKind::Full, "free some space; deletes and sweeps still run")
        }
        Errno::ROFS | Errno::ACCESS | Errno::PERM => {
            (ErrorKind::Unavailable, "check the permissions of the directory")
        }
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
            (ErrorKind::Unavailable, "the system is short of it now: try again later")
        }
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP => {
            (ErrorKind::Unavailable, "the directory is not as it was: look at it, and open the store anew")
        }
        _ => otherwise,
    };
    Error::new(kind, format!("{doing} failed: {advice}")).because(std::io::Error::from(errno))
}

/// The error for bytes that are not what was written.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
