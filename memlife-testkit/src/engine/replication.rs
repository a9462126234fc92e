//! From store to store.

use super::{Bench, all, import, states, ttl};
use crate::{START, Subject};
use memlife_core::policy::PolicyFile;
use memlife_core::{
    Entry, GRACE_MS, HORIZON_MS, InMemoryStore, KEEP_MS, ListOptions, ManualClock, Memory, PutOptions,
    ReplicateOptions, SweepOptions, WhySetAside,
};
use std::sync::Arc;
use std::time::Duration;

const RULES: &str = "namespaces: [{namespace: 'count/*', conflict_strategy: counter},
    {namespace: 'set/*', conflict_strategy: or_set}, {namespace: 'many/*', conflict_strategy: multi_value},
    {namespace: 'private/**', replicate: false}]";

/// A memory in another store, under the same clock and rules.
fn elsewhere(bench: &Bench<'_>) -> Memory {
    with_rules(bench.clock.clone())
}

fn with_rules(clock: Arc<ManualClock>) -> Memory {
    let rules = PolicyFile::parse(RULES, "test").unwrap().rules;
    Memory::builder(Arc::new(InMemoryStore::new().unwrap()))
        .clock(clock)
        .policy(Arc::new(rules))
        .build()
        .unwrap()
}

fn everything() -> ReplicateOptions {
    ReplicateOptions::new()
}

/// What users see of a memory.
async fn seen(memory: &Memory) -> Vec<(String, Vec<String>)> {
    let told = |entry: Entry| {
        let values = entry.values.iter().map(|held| String::from_utf8_lossy(&held.value.bytes).into_owned());
        (entry.key.to_string(), values.collect())
    };
    all(memory, ListOptions::new()).await.into_iter().map(told).collect()
}

async fn sweep(memory: &Memory) -> u64 {
    let report = memory.sweep(SweepOptions::new()).await.unwrap();
    report.deleted + report.tombstones
}

/// Both sides hold the same after each sync: values of every kind, additions on both sides, siblings and deletions.
pub async fn both_sides_come_to_the_same(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (here, there) = (bench.under(RULES).await, elsewhere(&bench));
    for round in 0..4_i64 {
        for (memory, name) in [(&here, "here"), (&there, "there")] {
            memory.put(format!("own/{name}").as_str(), &round).await.unwrap();
            memory.put("shared/k", &format!("{name} {round}")).await.unwrap();
            memory.put_with("many/k", &name, PutOptions::new().writer(name)).await.unwrap();
            memory.counter("count/k").unwrap().add(1).await.unwrap();
            memory.set("set/k").unwrap().insert(&format!("{name} {round}")).await.unwrap();
            bench.pass("1s");
        }
        if round == 2 {
            here.delete("own/there").await.unwrap();
        }
        let report = here.sync_with(&there, &everything()).await.unwrap();
        assert_eq!((report.received.refused, report.sent.refused), (0, 0), "{report:?}");
        assert_eq!(seen(&here).await, seen(&there).await);
        assert_eq!(here.counter("count/k").unwrap().get().await.unwrap(), Some(i128::from(2 * (round + 1))));
        assert_eq!(here.entry("many/k").await.unwrap().unwrap().values.len(), 2);
        let left = u64::from(round != 2);
        assert_eq!(there.entry("own/there").await.unwrap().is_some(), left == 1);
    }
}

/// What was sent once is not sent again, and when all is quiet neither side writes.
pub async fn a_quiet_sync_sends_and_writes_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    for n in 0..30 {
        bench.memory.put(format!("a/{n:02}").as_str(), &n).await.unwrap();
    }
    let first = bench.memory.replicate_to(&there, &everything()).await.unwrap();
    assert_eq!((first.sent, first.joined, first.unchanged), (30, 30, 0));
    bench.memory.put("a/07", &"new").await.unwrap();
    let second = bench.memory.replicate_to(&there, &everything()).await.unwrap();
    assert_eq!((second.sent, second.joined), (1, 1));
    // What came from there goes back once, and changes nothing.
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    let (before, before_there) = (states(&bench.memory).await, states(&there).await);
    let quiet = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((quiet.received.sent, quiet.sent.sent), (0, 0));
    assert_eq!((states(&bench.memory).await, states(&there).await), (before, before_there));
}

/// Three stores in a ring tell each other everything once.
pub async fn a_ring_of_three_falls_silent(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let ring = [bench.memory.clone(), elsewhere(&bench), elsewhere(&bench)];
    for (n, memory) in ring.iter().enumerate() {
        memory.put(format!("a/{n}").as_str(), &n).await.unwrap();
        memory.put("a/shared", &n).await.unwrap();
        bench.pass("1s");
    }
    let round = async || {
        let mut sent = 0;
        for at in 0..3 {
            let report = ring[at].replicate_to(&ring[(at + 1) % 3], &everything()).await.unwrap();
            sent += report.sent;
        }
        sent
    };
    let mut rounds = 0;
    while round().await > 0 {
        rounds += 1;
        assert!(rounds < 6, "the ring goes on and on");
    }
    for memory in &ring[1..] {
        assert_eq!(seen(memory).await, seen(&ring[0]).await);
    }
    assert_eq!(seen(&ring[0]).await.len(), 4);
}

/// A pattern selects what goes, and a rule on either side can keep entries at home.
pub async fn a_pattern_and_a_rule_select_what_goes(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    for key in ["team/a", "team/b", "own/a", "private/a"] {
        bench.memory.put(key, &key).await.unwrap();
    }
    let of_team = everything().pattern("team/*").unwrap();
    assert_eq!(bench.memory.replicate_to(&there, &of_team).await.unwrap().sent, 2);
    assert_eq!(bench.memory.replicate_to(&there, &of_team).await.unwrap().sent, 0);
    // Another selection is read from its own beginning.
    assert_eq!(bench.memory.replicate_to(&there, &everything()).await.unwrap().joined, 1);
    let keys: Vec<String> = seen(&there).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["own/a", "team/a", "team/b"]);
    there.put("private/b", &1).await.unwrap();
    assert_eq!(there.replicate_to(&bench.memory, &everything()).await.unwrap().joined, 0);
    assert!(bench.memory.entry("private/b").await.unwrap().is_none());
}

/// A copy brings everything and binds neither side; done again it changes nothing.
pub async fn a_copy_brings_everything_and_leaves_no_trace(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    for n in 0..20 {
        bench
            .memory
            .put_with(format!("a/{n:02}").as_str(), &n, PutOptions::new().ttl(ttl("1h")))
            .await
            .unwrap();
    }
    bench.memory.delete("a/03").await.unwrap();
    for joined in [20, 0] {
        let report = bench.memory.copy_to(&there, &everything()).await.unwrap();
        assert_eq!((report.sent, report.joined, report.refused), (20, joined, 0));
    }
    assert_eq!(seen(&there).await, seen(&bench.memory).await);
    bench.pass("1h");
    assert_eq!((sweep(&bench.memory).await, sweep(&there).await), (19, 19), "nothing waits for the other");
    assert!(bench.memory.copy_to(&bench.beside().await, &everything()).await.is_err(), "a store and itself");
}

/// Once a store has a replica the dead wait for it: a renewal that comes late still finds its entry, and tombstones
/// outlast the time in which replicas may be away. Then they go.
pub async fn the_dead_wait_for_replicas(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    bench.memory.put_with("a/k", &"kept", PutOptions::new().ttl(ttl("1h"))).await.unwrap();
    bench.memory.put("a/gone", &1).await.unwrap();
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.pass("30m");
    let later = memlife_core::store::Expiry::After(ttl("90m"));
    there.touch("a/k", later, memlife_core::TouchMode::Set).await.unwrap();
    bench.memory.delete("a/gone").await.unwrap();
    bench.pass("1h");
    assert_eq!(sweep(&bench.memory).await, 0, "expired here, and renewed there");
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!(bench.memory.get::<String>("a/k").await.unwrap().as_deref(), Some("kept"));
    bench.clock.advance(Duration::from_millis(KEEP_MS + GRACE_MS - 7_200_000));
    for memory in [&bench.memory, &there] {
        let tombstones = states(memory).await.iter().filter(|line| line.contains("a/gone")).count();
        assert_eq!(tombstones, 1, "a tombstone is kept for the grace");
    }
    bench.pass("4h");
    for memory in [&bench.memory, &there] {
        assert_eq!(sweep(memory).await, 2);
        assert_eq!(states(memory).await, [""; 0], "nothing is kept past its rule");
    }
}

/// Who was away for longer than tombstones are kept brings nothing back, and what it wrote meanwhile arrives.
pub async fn a_replica_away_for_long_brings_nothing_back(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    for key in ["a/deleted", "a/deleted-and-changed", "a/stays"] {
        bench.memory.put(key, &1).await.unwrap();
    }
    bench.pass("1s");
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.pass("1h");
    bench.memory.delete("a/deleted").await.unwrap();
    bench.memory.delete("a/deleted-and-changed").await.unwrap();
    bench.clock.advance(Duration::from_millis(KEEP_MS + GRACE_MS + 1));
    assert_eq!(sweep(&bench.memory).await, 2, "the tombstones are gone");
    there.put("a/deleted-and-changed", &"by who was away").await.unwrap();
    there.put("a/new", &2).await.unwrap();
    bench.memory.put("a/stays", &3).await.unwrap();
    let report = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (2, 0));
    for memory in [&bench.memory, &there] {
        let keys: Vec<String> = seen(memory).await.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a/new", "a/stays"]);
        assert_eq!(memory.get::<i64>("a/stays").await.unwrap(), Some(3));
    }
    let aside = there.set_aside().await.unwrap();
    let why: Vec<_> = aside.iter().map(|aside| (aside.key.as_str(), aside.why)).collect();
    assert_eq!(why.len(), 2);
    assert!(why.contains(&("a/deleted-and-changed", WhySetAside::RemovedElsewhere)), "{why:?}");
    assert_eq!(bench.memory.sync_with(&there, &everything()).await.unwrap().received.gone, 0);
}

/// Who was away for less than that is told what was deleted, as ever.
pub async fn a_replica_away_for_a_while_is_told_what_was_deleted(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    bench.memory.put("a/k", &1).await.unwrap();
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.memory.delete("a/k").await.unwrap();
    bench.clock.advance(Duration::from_millis(HORIZON_MS));
    sweep(&bench.memory).await;
    let report = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (0, 0));
    assert_eq!(seen(&there).await, []);
}

/// A record whose stamp lies too far ahead waits, and is merged once its time has come.
pub async fn a_replica_ahead_of_its_time_waits(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let ahead = Arc::new(ManualClock::new(START.plus_ms(600_000)));
    let there = with_rules(ahead);
    there.put("a/k", &1).await.unwrap();
    let report = there.replicate_to(&bench.memory, &everything()).await.unwrap();
    assert_eq!((report.sent, report.joined, report.quarantined), (1, 0, 1));
    assert_eq!(seen(&bench.memory).await, []);
    bench.pass("9m");
    let report = there.replicate_to(&bench.memory, &everything()).await.unwrap();
    assert_eq!(report.sent, 0);
    assert_eq!(bench.memory.get::<i64>("a/k").await.unwrap(), Some(1));
}

/// What the other side refuses is told, and holds up nothing else.
pub async fn a_refused_record_is_told_and_holds_up_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let far = Arc::new(ManualClock::new(START.plus_ms(40 * 86_400_000)));
    let there = with_rules(far);
    there.put("a/far", &1).await.unwrap();
    let near = elsewhere(&bench);
    near.put("a/near", &2).await.unwrap();
    import(&there, &states(&near).await).await;
    let report = there.replicate_to(&bench.memory, &everything()).await.unwrap();
    assert_eq!((report.sent, report.joined, report.refused), (2, 1, 1));
    assert!(report.refusals[0].contains("a/far"), "{:?}", report.refusals);
    assert_eq!(bench.memory.get::<i64>("a/near").await.unwrap(), Some(2));
}
