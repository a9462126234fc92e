//! Records that cannot be merged, or not yet.

use super::{Bench, import, states, ttl};
use crate::{START, Subject};
use memlife_core::{InMemoryStore, ListOptions, ManualClock, Memory, PutOptions, SweepOptions, WhySetAside};
use std::sync::Arc;

const COUNTERS: &str = "namespaces: [{namespace: 'a/*', conflict_strategy: counter}]";

/// A memory elsewhere, under a clock of its own.
fn elsewhere(clock: &Arc<ManualClock>) -> Memory {
    let store = Arc::new(InMemoryStore::new().unwrap());
    Memory::builder(store).clock(clock.clone()).build().unwrap()
}

/// The values that were set aside, each with the reason.
async fn aside(memory: &Memory) -> Vec<(WhySetAside, String)> {
    let found = memory.set_aside().await.unwrap();
    let told = found.iter().map(|aside| {
        let entry = aside.entry(memory).unwrap();
        (aside.why, String::from_utf8(entry.values[0].value.bytes.to_vec()).unwrap())
    });
    told.collect()
}

/// What a key held that becomes another kind elsewhere is not dropped, on whichever side it was.
pub async fn what_loses_to_another_kind_is_set_aside(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/k", &1).await.unwrap();
    let there = elsewhere(&bench.clock);
    import(&there, &states(&bench.memory).await).await;
    let changed = bench.under(COUNTERS).await;
    bench.pass("1m");
    changed.apply_policy(None).await.unwrap();
    there.put("a/k", "written meanwhile").await.unwrap();
    let (here_told, there_told) = (states(&changed).await, states(&there).await);
    let lost = (WhySetAside::TypeConflict, "\"written meanwhile\"".to_owned());
    for _ in 0..2 {
        // The same again tells nothing new.
        import(&changed, &there_told).await;
        import(&there, &here_told).await;
        for memory in [&changed, &there] {
            assert_eq!(memory.entry("a/k").await.unwrap().unwrap().kind.name(), "counter");
            assert_eq!(aside(memory).await, std::slice::from_ref(&lost));
        }
    }
    assert_eq!(there.discard_lost().await.unwrap(), 1);
    assert_eq!(aside(&there).await, []);
    assert_eq!(super::all(&there, ListOptions::new()).await.len(), 1, "no user's key was touched");
}

/// What is set aside can be taken back, under another key.
pub async fn what_was_set_aside_can_be_read_and_put(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put_with("a/k", "kept", PutOptions::new().writer("ann")).await.unwrap();
    let there = elsewhere(&bench.clock);
    import(&there, &states(&bench.memory).await).await;
    bench.pass("1m");
    let policy = memlife_core::policy::PolicyFile::parse(COUNTERS, "test").unwrap();
    let changed = Memory::builder(there.store().clone()).clock(bench.clock.clone());
    let changed = changed.policy(Arc::new(policy.rules)).build().unwrap();
    changed.delete("a/k").await.unwrap();
    changed.counter("a/k").unwrap().add(3).await.unwrap();
    import(&bench.memory, &states(&changed).await).await;
    assert_eq!(bench.memory.entry("a/k").await.unwrap().unwrap().kind.name(), "counter");
    let found = bench.memory.set_aside().await.unwrap();
    let entry = found[0].entry(&bench.memory).unwrap();
    assert_eq!((entry.key.as_str(), entry.values[0].writer.as_deref()), ("a/k", Some("ann")));
    bench.memory.put_value("a/saved", entry.value().unwrap().clone(), PutOptions::new()).await.unwrap();
    assert_eq!(bench.memory.get::<String>("a/saved").await.unwrap().as_deref(), Some("kept"));
}

/// A record from a clock that runs ahead waits, and a sweep merges it once its time has come.
pub async fn a_record_from_the_future_waits_for_its_time(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/k", &1).await.unwrap();
    let ahead = Arc::new(ManualClock::new(START.plus_ms(600_000)));
    let there = elsewhere(&ahead);
    there.put_with("a/k", &2, PutOptions::new().ttl(ttl("2h"))).await.unwrap();
    let lines = states(&there).await;
    let due = WhySetAside::FutureStamp(START.plus_ms(540_000));
    for _ in 0..2 {
        let report = import(&bench.memory, &lines).await;
        assert_eq!((report.quarantined, report.imported, report.rejections), (1, 0, 0));
        assert_eq!(aside(&bench.memory).await, [(due, "2".to_owned())]);
    }
    let sweep = async || bench.memory.sweep(SweepOptions::new()).await.unwrap();
    bench.clock.advance(std::time::Duration::from_millis(539_999));
    sweep().await;
    assert_eq!(bench.memory.get::<i64>("a/k").await.unwrap(), Some(1));
    bench.clock.advance(std::time::Duration::from_millis(1));
    sweep().await;
    assert_eq!(bench.memory.get::<i64>("a/k").await.unwrap(), Some(2));
    assert_eq!(aside(&bench.memory).await, []);
    let entry = bench.memory.entry("a/k").await.unwrap().unwrap();
    assert_eq!(entry.stamp.at(), START.plus_ms(600_000), "nothing was clamped");
    assert_eq!(entry.expires_at, Some(START.plus_ms(600_000 + 7_200_000)));
}

/// Several wait in the order of their times; each import merges what has become due.
pub async fn records_from_the_future_are_merged_in_order(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for (minutes, key) in [(30, "a/late"), (5, "a/soon"), (10, "a/next")] {
        let ahead = Arc::new(ManualClock::new(START.plus_ms(minutes * 60_000)));
        let there = elsewhere(&ahead);
        there.put(key, &minutes).await.unwrap();
        import(&bench.memory, &states(&there).await).await;
    }
    bench.pass("10m");
    import(&bench.memory, &[]).await;
    assert_eq!(bench.keys(ListOptions::new()).await, ["a/next", "a/soon"]);
    assert_eq!(aside(&bench.memory).await.len(), 1);
}

/// A stamp that no clock shows is refused, not waited for.
pub async fn a_record_from_a_far_future_is_refused(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for days in [40, 3_000_000] {
        let ahead = Arc::new(ManualClock::new(START.plus_ms(days * 86_400_000)));
        let there = elsewhere(&ahead);
        there.put("a/k", &1).await.unwrap();
        let report = import(&bench.memory, &states(&there).await).await;
        assert_eq!((report.quarantined, report.rejections), (0, 1));
        assert!(report.rejected[0].reason.contains("days in the future"), "{}", report.rejected[0].reason);
    }
    assert_eq!(aside(&bench.memory).await, []);
    assert_eq!(bench.keys(ListOptions::new()).await, [""; 0]);
}
