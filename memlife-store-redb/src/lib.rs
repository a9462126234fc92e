//! memlife's store in one [redb](https://docs.rs/redb) file: pure Rust, for one process at a time.
//!
//! A second process that opens the file, and a second handle in the same one, are refused as `Locked`; several handles
//! of one process share an `Arc` of the store. Many processes that share a store take the SQLite store or the folder
//! of files.
//!
//! | level | a commit |
//! |---|---|
//! | `memory` | is not synced: a killed process loses it, an orderly close keeps it |
//! | `process`, `disk` | is synced once for all that was submitted meanwhile: redb has nothing in between |
//!
//! Whoever opens the file after a process that did not close it goes on with change numbers far beyond: no version is
//! given out again that a lost commit had.
//!
//! | room | what it is for |
//! |---|---|
//! | `config` | what a store is opened with |
//! | `open`, `schema`, `frame`, `place`, `reserve`, `backend`, `database` | the file, its format and who it is |
//! | `writer`, `transaction`, `usage`, `removals`, `rows` | one commit |
//! | `read`, `feed` | reading, on the caller's thread |
//! | `verify`, `view`, `repair` | checking and rebuilding |

mod backend;
mod config;
mod database;
mod error;
mod feed;
mod frame;
mod open;
mod place;
mod read;
mod removals;
mod repair;
mod reserve;
mod rows;
mod schema;
mod store;
mod transaction;
mod usage;
mod verify;
mod view;
mod writer;

pub use config::RedbConfig;
pub use store::RedbStore;
