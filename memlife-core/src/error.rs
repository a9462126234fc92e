//! The one error of the library: what kind it is tells what to do about it.

use crate::Key;
use std::fmt;

/// A result with memlife's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is not acceptable: correct it.
    Invalid,
    /// The key holds another kind than the operation is for.
    TypeMismatch,
    /// A quota is used up.
    QuotaExceeded,
    /// Others kept changing the key until the deadline: try again later.
    Contended,
    /// The store cannot be reached or may not be written: nothing was done.
    Unavailable,
    /// The write was submitted and its fate is unknown: read before repeating it, or repeat it with its token.
    Indeterminate,
    /// The disk or the store is full; deletes and sweeps still run.
    Full,
    /// Another process holds the store for itself.
    Locked,
    /// An earlier I/O error or failed sync made this handle read-only: open the store anew.
    Poisoned,
    /// Stored bytes are not what was written.
    Corrupt,
    /// A key, value or batch exceeds a limit.
    TooLarge,
    /// The store, its format or this build cannot do this.
    Unsupported,
    /// A bug in memlife.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ErrorKind::Invalid => "invalid input",
            ErrorKind::TypeMismatch => "type mismatch",
            ErrorKind::QuotaExceeded => "quota exceeded",
            ErrorKind::Contended => "contended",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Indeterminate => "outcome unknown",
            ErrorKind::Full => "full",
            ErrorKind::Locked => "locked",
            ErrorKind::Poisoned => "read-only after an I/O error",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::TooLarge => "too large",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Internal => "internal error",
        };
        f.write_str(text)
    }
}

/// Everything that is not an expected answer.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    key: Option<Key>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what happened and what to do next.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), operation: None, key: None, source: None }))
    }

    /// Names the operation that failed, unless an inner layer named it already.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Names the key concerned, unless an inner layer named it already.
    #[must_use]
    pub fn on(mut self, key: &Key) -> Self {
        self.0.key.get_or_insert_with(|| key.clone());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The key concerned.
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// What happened, without kind, operation, key and cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The same error for another member of a batch that failed as a whole; the cause stays with the first.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Inner { kind, message, operation, key, source } = &*self.0;
        let message = match source {
            Some(source) => format!("{message}: {source}"),
            None => message.clone(),
        };
        Error(Box::new(Inner { kind: *kind, message, operation: *operation, key: key.clone(), source: None }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{operation} ")?;
        }
        if let Some(key) = &self.0.key {
            write!(f, "{:?} ", key.as_str())?;
        }
        if self.0.operation.is_some() || self.0.key.is_some() {
            f.write_str("failed: ")?;
        }
        write!(f, "{} ({})", self.0.message, self.0.kind)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(source) = &self.0.source {
            write!(f, ", because {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
