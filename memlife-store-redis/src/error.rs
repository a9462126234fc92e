use memlife_core::{Error, ErrorKind};
use redis::RedisError;

/// What the failure of a command says about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server answered that it did nothing, and another try may do better.
    Refused,
    /// The server answered that it did nothing, and trying again is no use.
    Final,
    /// It may have been done or not.
    Unknown,
}

/// What the server's or the connection's failure says about the command.
pub(crate) fn fate(error: &RedisError) -> Fate {
    match error.code() {
        Some(
            "LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "NOREPLICAS"
            | "MOVED" | "ASK" | "NOSCRIPT" | "UNBLOCKED",
        ) => Fate::Refused,
        Some(_) => Fate::Final,
        None if error.is_connection_refusal() => Fate::Refused,
        None => match error.kind() {
            redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => Fate::Final,
            _ => Fate::Unknown,
        },
    }
}

/// Whether the connection is of no further use after this error.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    // A server that was demoted answers on while the name leads elsewhere by now.
    matches!(error.code(), Some("READONLY" | "MASTERDOWN")) || error.code().is_none()
}

/// An answer that says no, in memlife's words. Messages of the server name no password.
pub(crate) fn refused(error: &RedisError) -> Error {
    let told = |kind, message: &str| Error::new(kind, format!("{message}: {}", brief(error)));
    match error.code() {
        Some("OOM") => {
            told(ErrorKind::Full, "the server is at its memory limit: delete or sweep, or raise it")
        }
        Some("NOAUTH" | "WRONGPASS") => {
            told(ErrorKind::Unavailable, "the server does not accept the user and password: correct the URL")
        }
        Some("NOPERM") => {
            told(ErrorKind::Unavailable, "the user may not do this on the server: extend its ACL")
        }
        Some("MISCONF") => told(ErrorKind::Unavailable, "the server cannot write to its disk"),
        Some("MOVED" | "ASK" | "CROSSSLOT") => {
            told(ErrorKind::Unsupported, "the server is part of a cluster: open it as redis+cluster://")
        }
        Some("READONLY") => told(ErrorKind::Unavailable, "the server is a replica: name the primary"),
        Some("LOADING") => {
            told(ErrorKind::Unavailable, "the server is still loading its data: try again later")
        }
        Some("WRONGTYPE") => {
            told(ErrorKind::Corrupt, "a key of the store holds something else: use a prefix of its own")
        }
        Some("ERR") => told(ErrorKind::Internal, "the server did not understand memlife"),
        Some(_) => told(ErrorKind::Unavailable, "the server refused"),
        None if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            told(ErrorKind::Unavailable, "the server does not accept the user and password: correct the URL")
        }
        None => told(ErrorKind::Unavailable, "the server cannot be reached"),
    }
}

/// A write that was sent and not answered.
pub(crate) fn unknown(error: &RedisError) -> Error {
    let message = format!(
        "the write was sent and not answered: read before repeating it, or repeat it with its token ({})",
        brief(error)
    );
    Error::new(ErrorKind::Indeterminate, message)
}

fn brief(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) if error.is_timeout() => "timed out".to_owned(),
        (None, _) => error.to_string(),
    }
}

/// An answer of another form than was asked for.
pub(crate) fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the server's answer to {what} is not as it should be"))
}
