//! The behaviours that every store has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::OwnServer;

memlife_testkit::conformance!(redis, || async { OwnServer::start(1) });

memlife_testkit::engine_behaviours!(redis_engine, || async { OwnServer::start(16) });
