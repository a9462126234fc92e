//! Shared memory for cooperating programs that stays small, true and shareable.
//!
//! Programs leave facts for each other under keys such as `coordination/agent1/status`. memlife gives each fact a
//! life: it expires as its rule says, concurrent writes merge or are refused, large values are compressed, and
//! sweeps remove what is over.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> memlife::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let url = format!("sqlite:{}", folder.path().join("store.db").display());
//! use memlife::{Guard, PutOptions, SweepOptions};
//!
//! let memory = memlife::open(&url).await?;
//! memory.put("coordination/agent1/status", "running").await?;
//! let status: Option<String> = memory.get("coordination/agent1/status").await?;
//! assert_eq!(status.as_deref(), Some("running"));
//!
//! // Only one of several agents gets the task, for ten minutes.
//! let claim = PutOptions::new().ttl("10m".parse()?).guard(Guard::Absent);
//! memory.put_with("task/42", &"agent1", claim).await?;
//!
//! let report = memory.sweep(SweepOptions::new()).await?;
//! assert_eq!(report.deleted, 0);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! Programs without an asynchronous runtime use [`blocking`]. Stores are chosen by cargo feature and by URL:
//!
//! | URL | feature | what it is |
//! |---|---|---|
//! | `sqlite:PATH` | `sqlite` (default) | one file, shared by many processes |
//! | `fs:DIR` | `fs` | one readable JSON file per key |
//! | `redb:PATH` | `redb` | one file of one process at a time, in pure Rust |
//! | `memory:` | always | this process only |

mod open;

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../docs/guide.md")]
struct Guide;

pub use memlife_core::store::{Cause, Cursor, Durability, Expiry, Guard};
pub use memlife_core::*;
pub use open::{OpenOptions, Stay, open, open_store, open_with};

/// The same for plain programs: each call returns when it is done.
pub mod blocking {
    pub use memlife_core::blocking::Memory;

    use crate::{OpenOptions, Result};

    /// Opens the store at `url` with the built-in rules.
    ///
    /// ```
    /// let memory = memlife::blocking::open("memory:")?;
    /// memory.put("notes/today", "swept")?;
    /// assert_eq!(memory.get::<String>("notes/today")?.as_deref(), Some("swept"));
    /// # Ok::<(), memlife::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open(url: &str) -> Result<Memory> {
        open_with(url, OpenOptions::new())
    }

    /// As [`open`], with options.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open_with(url: &str, options: OpenOptions) -> Result<Memory> {
        Memory::new(options.assemble(url)?)
    }
}
