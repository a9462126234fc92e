//! From store to store.

use super::strategies::Longest;
use super::{Bench, all, import, states, ttl};
use crate::{FaultStore, Method, Moment, START, Subject};
use memlife_core::policy::{ParseOptions, PolicyFile};
use memlife_core::store::Expiry;
use memlife_core::{
    Entry, ErrorKind, GRACE_MS, HORIZON_MS, InMemoryStore, KEEP_MS, Key, ListOptions, ManualClock, Memory,
    PutOptions, ReplicateOptions, Store, SweepOptions, TouchMode, Touched, WhySetAside,
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

/// A memory over `store` under the built-in rules, where nothing stays at home.
fn open_to_all(bench: &Bench<'_>, store: Arc<dyn Store>) -> Memory {
    Memory::builder(store).clock(bench.clock.clone()).build().unwrap()
}

/// The same where a strategy of the program's own decides over titles.
fn with_titles(bench: &Bench<'_>, store: Arc<dyn Store>) -> Memory {
    let options = ParseOptions { custom_strategies: vec!["longest".into()] };
    let rules = "namespaces: [{namespace: 'titles/*', conflict_strategy: longest}]";
    let policy = PolicyFile::parse_with(rules, "test", &options).unwrap();
    let builder = Memory::builder(store).clock(bench.clock.clone()).policy(Arc::new(policy.rules));
    builder.resolver(Arc::new(Longest)).build().unwrap()
}

/// Longer than stores may be apart, and than what was deleted is kept; what is dead goes.
async fn be_away(bench: &Bench<'_>, swept: &Memory) {
    bench.clock.advance(Duration::from_millis(KEEP_MS + GRACE_MS + 1));
    sweep(swept).await;
}

async fn keys(memory: &Memory) -> Vec<String> {
    seen(memory).await.into_iter().map(|(key, _)| key).collect()
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

/// Who was away for longer than tombstones are kept brings nothing back but what was written there meanwhile.
pub async fn a_replica_away_for_long_brings_nothing_back(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    for key in ["a/deleted", "a/deleted-and-changed", "a/stays"] {
        bench.memory.put(key, &1).await.unwrap();
    }
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.pass("1h");
    bench.memory.delete("a/deleted").await.unwrap();
    bench.memory.delete("a/deleted-and-changed").await.unwrap();
    be_away(&bench, &bench.memory).await;
    there.put("a/deleted-and-changed", &4).await.unwrap();
    there.put("a/new", &2).await.unwrap();
    bench.memory.put("a/stays", &3).await.unwrap();
    let report = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (1, 0));
    for memory in [&bench.memory, &there] {
        assert_eq!(keys(memory).await, ["a/deleted-and-changed", "a/new", "a/stays"]);
        assert_eq!(memory.get::<i64>("a/stays").await.unwrap(), Some(3));
        assert_eq!(memory.get::<i64>("a/deleted-and-changed").await.unwrap(), Some(4));
    }
    let aside = there.set_aside().await.unwrap();
    let why: Vec<_> = aside.iter().map(|aside| (aside.key.as_str(), aside.why)).collect();
    assert_eq!(why, [("a/deleted", WhySetAside::RemovedElsewhere)]);
    assert_eq!(bench.memory.sync_with(&there, &everything()).await.unwrap().received.gone, 0);
}

/// What came from a third store meanwhile is not taken for removed, however old it is.
pub async fn what_a_third_store_brought_meanwhile_arrives(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (hub, laptop, desktop) = (&bench.memory, elsewhere(&bench), elsewhere(&bench));
    desktop.put("a/desktop", &1).await.unwrap();
    laptop.put("a/laptop", &1).await.unwrap();
    bench.pass("1h");
    laptop.sync_with(hub, &everything()).await.unwrap();
    bench.pass("1h");
    desktop.sync_with(hub, &everything()).await.unwrap();
    be_away(&bench, hub).await;
    let report = laptop.sync_with(hub, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (0, 0));
    for memory in [hub, &laptop] {
        assert_eq!(keys(memory).await, ["a/desktop", "a/laptop"]);
        assert_eq!(memory.set_aside().await.unwrap().len(), 0);
    }
}

/// What a rule kept back is sent once the rule has changed, and never taken for removed.
pub async fn what_a_rule_kept_back_is_sent_when_the_rule_goes(subject: &dyn Subject) {
    for was_away in [false, true] {
        let bench = Bench::open(subject).await;
        let there = open_to_all(&bench, Arc::new(InMemoryStore::new().unwrap()));
        let kept = bench.under(RULES).await;
        kept.put("private/a", &1).await.unwrap();
        kept.put("a/k", &1).await.unwrap();
        kept.replicate_to(&there, &everything()).await.unwrap();
        assert_eq!(keys(&there).await, ["a/k"]);
        if was_away {
            be_away(&bench, &there).await;
        }
        let report = bench.memory.replicate_to(&there, &everything()).await.unwrap();
        assert_eq!((report.joined, report.gone), (1, 0));
        assert_eq!(keys(&bench.memory).await, ["a/k", "private/a"]);
        assert_eq!(keys(&there).await, ["a/k", "private/a"]);
        assert_eq!(bench.memory.replicate_to(&there, &everything()).await.unwrap().sent, 0);
        bench.memory.delete_all().await.unwrap();
    }
}

/// What was removed while a store was away is deleted by it, so that others which have it from there hear of it.
pub async fn a_removal_elsewhere_reaches_third_stores(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (laptop, hub, tablet) = (&bench.memory, elsewhere(&bench), elsewhere(&bench));
    laptop.put("a/k", &1).await.unwrap();
    laptop.sync_with(&hub, &everything()).await.unwrap();
    hub.delete("a/k").await.unwrap();
    be_away(&bench, &hub).await;
    laptop.sync_with(&tablet, &everything()).await.unwrap();
    assert_eq!(keys(&tablet).await, ["a/k"]);
    let report = laptop.sync_with(&hub, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (0, 1));
    laptop.sync_with(&tablet, &everything()).await.unwrap();
    for memory in [laptop, &hub, &tablet] {
        assert_eq!(seen(memory).await, []);
    }
    assert_eq!(laptop.set_aside().await.unwrap().len(), 1);
}

/// What ended by itself in a store that was away, and was renewed in another, is not taken for removed.
pub async fn what_was_renewed_meanwhile_arrives(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    bench.memory.put_with("a/lease", &1, PutOptions::new().ttl(ttl("1h"))).await.unwrap();
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    let longer = Expiry::After(ttl("30d"));
    assert!(matches!(
        bench.memory.touch("a/lease", longer, TouchMode::Set).await.unwrap(),
        Touched::Applied(_)
    ));
    be_away(&bench, &there).await;
    let report = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (0, 0));
    for memory in [&bench.memory, &there] {
        assert_eq!(keys(memory).await, ["a/lease"]);
    }
}

/// What nobody sees any more is neither set aside nor told as gone.
pub async fn what_is_dead_is_never_gone(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let there = elsewhere(&bench);
    bench.memory.put_with("a/brief", &1, PutOptions::new().ttl(ttl("1h"))).await.unwrap();
    bench.memory.put("a/deleted", &1).await.unwrap();
    bench.pass("1s");
    bench.memory.sync_with(&there, &everything()).await.unwrap();
    bench.memory.delete("a/deleted").await.unwrap();
    be_away(&bench, &there).await;
    let report = bench.memory.sync_with(&there, &everything()).await.unwrap();
    assert_eq!((report.received.gone, report.sent.gone), (0, 0));
    for memory in [&bench.memory, &there] {
        assert_eq!(seen(memory).await, []);
        assert_eq!(memory.set_aside().await.unwrap().len(), 0);
    }
}

/// Whoever is stopped while everything is sent anew still knows when the two have met.
pub async fn a_run_that_stops_in_the_middle_forgets_no_meeting(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let store = Arc::new(FaultStore::new(subject.open().await));
    let hub = open_to_all(&bench, store.clone());
    let laptop = Arc::new(InMemoryStore::new().unwrap());
    let (plain, ruled) = (open_to_all(&bench, laptop.clone()), {
        let rules = PolicyFile::parse(RULES, "test").unwrap().rules;
        Memory::builder(laptop).clock(bench.clock.clone()).policy(Arc::new(rules)).build().unwrap()
    });
    plain.put("a/k", &1).await.unwrap();
    plain.replicate_to(&hub, &everything()).await.unwrap();
    // Other rules make it start over. The last write says that it came to the end.
    let before = store.calls(Method::Apply);
    ruled.replicate_to(&hub, &everything()).await.unwrap();
    let writes = store.calls(Method::Apply) - before;
    let fault = crate::Fault {
        method: Method::Apply,
        nth: store.calls(Method::Apply) + writes,
        times: 1,
        moment: Moment::Before,
        kind: ErrorKind::Unavailable,
    };
    store.plan(fault);
    plain.replicate_to(&hub, &everything()).await.unwrap_err();
    hub.delete("a/k").await.unwrap();
    be_away(&bench, &hub).await;
    assert_eq!(plain.replicate_to(&hub, &everything()).await.unwrap().gone, 1);
    assert_eq!(seen(&plain).await, []);
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

/// A record whose body is damaged holds up no other, is told each time, and is sent once it can be read.
pub async fn a_damaged_record_holds_up_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let store = Arc::new(FaultStore::new(subject.open().await));
    let (here, there) = (open_to_all(&bench, store.clone()), elsewhere(&bench));
    here.replicate_to(&there, &everything()).await.unwrap();
    for key in ["a/1", "a/2", "a/3"] {
        here.put(key, &1).await.unwrap();
    }
    store.damage(Some(Key::new("a/2").unwrap()));
    for joined in [2, 0] {
        let report = here.replicate_to(&there, &everything()).await.unwrap();
        assert_eq!((report.joined, report.refused), (joined, 1));
        assert!(report.refusals[0].contains("a/2"), "{:?}", report.refusals);
    }
    store.damage(None);
    let report = here.replicate_to(&there, &everything()).await.unwrap();
    assert_eq!((report.joined, report.refused), (1, 0));
    assert_eq!(keys(&there).await, ["a/1", "a/2", "a/3"]);
    assert_eq!(here.replicate_to(&there, &everything()).await.unwrap().sent, 0);
}

/// What was refused is tried again by each run, and never taken for removed.
pub async fn what_was_refused_is_tried_again(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let store = Arc::new(InMemoryStore::new().unwrap());
    let (titled, there) = (with_titles(&bench, subject.open().await), with_titles(&bench, store.clone()));
    titled.put("titles/t", "short").await.unwrap();
    there.put("titles/t", "much longer").await.unwrap();
    let unaware = open_to_all(&bench, store);
    bench.memory.put("a/k", &1).await.unwrap();
    for joined in [1, 0] {
        let report = bench.memory.replicate_to(&unaware, &everything()).await.unwrap();
        assert_eq!((report.joined, report.refused), (joined, 1));
        assert!(report.refusals[0].contains("longest"), "{:?}", report.refusals);
    }
    there.delete("titles/t").await.unwrap();
    be_away(&bench, &there).await;
    let report = titled.replicate_to(&there, &everything()).await.unwrap();
    assert_eq!((report.joined, report.refused, report.gone), (1, 0, 0));
    assert_eq!(there.get::<String>("titles/t").await.unwrap().as_deref(), Some("short"));
    assert_eq!(titled.replicate_to(&there, &everything()).await.unwrap().sent, 0);
}
