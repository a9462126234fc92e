//! What users rely on, over the in-memory store.

memlife_testkit::engine_behaviours!(memory, || async { memlife_testkit::InMemorySubject::new() });
