//! memlife's store in one SQLite file, shared by any number of processes.
//!
//! [`SqliteStore`] keeps entries whole in rows. [`Index`] is the same machinery for stores that keep the truth
//! elsewhere, such as a folder of files: it keeps their keys, due times, change numbers and usage, and asks
//! [`Bodies`] for the rest.
//!
//! | room | what it is for |
//! |---|---|
//! | `config` | what a store is opened with |
//! | `open`, `schema`, `identity`, `place`, `reserve`, `connection` | the file, its format and who it is |
//! | `writer`, `transaction`, `ledger`, `erasures`, `usage`, `pending`, `removals`, `rows` | one commit |
//! | `checkpoint`, `latch` | what follows a commit, and what ends all commits |
//! | `readers`, `read`, `feed`, `waiters` | reading, on the caller's thread |
//! | `verify`, `repair` | checking and rebuilding |

mod bodies;
mod checkpoint;
mod config;
mod connection;
mod erasures;
mod error;
mod feed;
mod index;
mod ledger;
mod open;
mod pending;
mod read;
mod readers;
mod recent;
mod removals;
mod repair;
mod reserve;
mod rows;
mod schema;
mod store;
mod transaction;
mod usage;
mod verify;
mod waiters;
mod writer;

pub use bodies::{Bodies, Home};
pub use config::SqliteConfig;
pub use index::Index;
pub use store::SqliteStore;
