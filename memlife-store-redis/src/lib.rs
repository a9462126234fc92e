//! memlife's store on a Redis or Valkey server.
//!
//! One round trip reads an entry, and those that are asked for meanwhile share the next; one decides and carries out a
//! write: a script on the server is the twin of
//! [`decide`](memlife_core::decide()) for registers, counters, touches, deletes and guards. What the script leaves over
//! is decided here, by the function itself, and carried out only if its shard has not changed meanwhile.
//!
//! ```no_run
//! use memlife_store_redis::{RedisConfig, RedisStore};
//! let store = RedisStore::open(RedisConfig::parse("redis://127.0.0.1/0?prefix=team")?)?;
//! # Ok::<(), memlife_core::Error>(())
//! ```

mod company;
mod config;
mod convoy;
mod error;
mod feed;
mod filing;
mod frame;
mod gather;
mod lane;
mod layout;
mod link;
mod open;
mod read;
mod reply;
mod request;
mod script;
mod server;
mod store;
mod there;
mod usage;
mod verify;
mod wake;
mod write;

pub use config::{Fsync, RedisConfig, Wall};
pub use store::RedisStore;
