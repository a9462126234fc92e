//! memlife's store in a folder of readable JSON files: one file per entry, and a SQLite index of them all.
//!
//! [`FsStore`] opens any folder: an empty one, one of its own, or one that the Python original of memlife left
//! behind. What it writes stays readable: `jq .value FILE` shows the value of an entry that is not compressed.
//!
//! | room | what it is for |
//! |---|---|
//! | `config`, `store`, `clock` | opening, reading and writing |
//! | `name`, `document`, `original` | what a file is called and what is in it |
//! | `directory`, `staging` | every access to the folder |
//! | `files` | what the index asks of the files |
//! | `scrub` | the first index of a folder, and checking it |

mod clock;
mod config;
mod directory;
mod document;
mod error;
mod files;
mod name;
mod original;
mod scrub;
mod staging;
mod store;

pub use config::FsConfig;
pub use store::FsStore;
