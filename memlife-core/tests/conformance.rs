//! The store in memory keeps the contract, and is right by a map of what users should see.

use memlife_testkit::{InMemorySubject, model};

memlife_testkit::conformance!(memory, || async { InMemorySubject::new() });

#[test]
fn the_model_of_stores_agrees_with_a_map_of_visible_values() {
    model::check_reference(model::DEFAULT_CASES);
}

#[test]
fn two_stores_in_memory_agree_on_everything() {
    model::check(|| async { InMemorySubject::new() }, model::DEFAULT_CASES);
}
