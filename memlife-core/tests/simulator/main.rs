//! Replicas in a world of clocks that disagree and messages that come late, twice, in any order or never.
//!
//! One seed is one run: a failure names it, and `MEMLIFE_SEED=N cargo nextest run -p memlife-core seed_by_hand` shows it
//! again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memories;
mod random;
mod records;
