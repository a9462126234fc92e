//! What runs for long in memlife: the scheduler of sweeps.
//!
//! A [`Schedule`] says when, a [`Scheduler`] does it until told to stop, and a [`RunSummary`] says what came of it.

mod schedule;
mod scheduler;

pub use schedule::Schedule;
pub use scheduler::{RunSummary, Scheduler};
