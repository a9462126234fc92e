//! Random operations do here what they do in memory.

mod support;

use memlife_testkit::model;
use support::Redb;

#[test]
fn a_file_and_memory_agree_on_everything() {
    model::check(|| async { Redb::new() }, model::DEFAULT_CASES);
}
