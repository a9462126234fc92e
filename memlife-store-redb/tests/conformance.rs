//! The behaviours that every store has.

mod support;

use support::Redb;

memlife_testkit::conformance!(redb, || async { Redb::new() });

memlife_testkit::engine_behaviours!(redb_engine, || async { Redb::new() });
