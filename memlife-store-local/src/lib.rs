//! What memlife's stores in local files share: where the file is, who it is, what to do when the disk is full or has
//! failed, and how to wait for changes. Nothing here knows a database.

pub mod error;
pub mod identity;
pub mod place;
pub mod reserve;

mod background;
mod jobs;
mod latch;
mod waiters;

pub use background::on_own_thread;
pub use jobs::{Job, Jobs, fail_all};
pub use latch::Latch;
pub use waiters::{Poll, Waiters, now};
