//! What the author of a memlife store needs to show that it keeps the contract of [`Store`].
//!
//! * [`conformance!`] expands into one named test per behaviour of the contract.
//! * [`engine_behaviours!`] does the same for what users rely on, through the engine.
//! * [`model::check`] runs random operations against a store and against [`InMemoryStore`], and shrinks.
//! * [`crash::Torture`] kills processes that write, opens the store again and compares.
//! * [`damage::Rot`] flips bits of what a store left on disk, cuts it, and reads it again.
//! * [`one_file`] has what stores in one local file have to do besides.
//! * `MEMLIFE_LONG=1` has the random ones of these try 20 times as much.
//! * [`FaultStore`] fails a chosen call, to test what is built on stores.
//! * [`RedisServer`], [`RedisCluster`] and [`TcpProxy`] are servers and bad networks of a test's own.
//!
//! A store is given as a [`Subject`]: one place that can be opened again and again.
//!
//! ```
//! memlife_testkit::conformance!(memory, || async { memlife_testkit::InMemorySubject::new() });
//! # fn main() {}
//! ```
//!
//! [`Store`]: memlife_core::Store
//! [`InMemoryStore`]: memlife_core::InMemoryStore
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test suite fails by panicking")]

pub mod conformance;
pub mod crash;
pub mod damage;
pub mod draft;
pub mod engine;
pub mod model;
pub mod one_file;

mod effort;
mod fault;
mod random;
mod redis_server;
mod session;
mod small_disk;
mod subject;
mod tcp_proxy;

pub use draft::Draft;
pub use fault::{Fault, FaultStore, Method, Moment};
pub use redis_server::{RedisCluster, RedisServer};
pub use session::{Applied, START, Session};
pub use small_disk::SmallDisk;
pub use subject::{InMemorySubject, Subject};
pub use tcp_proxy::{TcpProxy, Weather};
