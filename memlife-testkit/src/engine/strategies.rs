//! Conflict strategies.

use super::{Bench, text};
use crate::Subject;
use memlife_core::record::{Body, Compression, Head, Kind};
use memlife_core::resolver::{Held, Mint, Resolved, Resolver, Side};
use memlife_core::store::{Guard, Op};
use memlife_core::{ErrorKind, Memory, PutOptions, Result, Value, Written};
use std::sync::Arc;

const COUNTERS: &str = "namespaces: [{namespace: 'metrics/*', conflict_strategy: counter}]";

/// Store 5, store 3, read 8; an update sets, a delete resets.
pub async fn a_counter_adds_and_updates_set(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(COUNTERS).await;
    memory.put("metrics/n", &5).await.unwrap();
    memory.put("metrics/n", &3).await.unwrap();
    assert_eq!(memory.get::<i64>("metrics/n").await.unwrap(), Some(8));
    assert_eq!(memory.counter("metrics/n").unwrap().add(-10).await.unwrap(), -2);
    memory.update("metrics/n", |_: Option<i64>| Some(100)).await.unwrap();
    assert_eq!(memory.counter("metrics/n").unwrap().get().await.unwrap(), Some(100));
    memory.delete("metrics/n").await.unwrap();
    assert_eq!(memory.counter("metrics/n").unwrap().get().await.unwrap(), None);
    assert_eq!(memory.counter("metrics/n").unwrap().add(4).await.unwrap(), 4);
    memory.put("metrics/zero", &0).await.unwrap();
    assert_eq!(memory.get::<i64>("metrics/zero").await.unwrap(), Some(0));
}

/// Many tasks on two handles: every addition counts once.
pub async fn concurrent_additions_all_count(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let handles = [bench.under(COUNTERS).await, bench.under(COUNTERS).await];
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let counter = handles[task % 2].counter("metrics/n").unwrap();
            tokio::spawn(async move {
                for _ in 0..25 {
                    counter.add(1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(handles[0].counter("metrics/n").unwrap().get().await.unwrap(), Some(400));
}

/// A counter takes integers only, and what was refused changes nothing.
pub async fn a_counter_refuses_what_is_no_integer(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(COUNTERS).await;
    memory.put("metrics/n", &5).await.unwrap();
    for value in ["1.5", "\"5\"", "[5]", "9223372036854775808"] {
        let put = memory.put_value("metrics/n", Value::json_text(value).unwrap(), PutOptions::new()).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::TypeMismatch, "{value}");
    }
    assert_eq!(memory.get::<i64>("metrics/n").await.unwrap(), Some(5));
    bench.memory.put("notes/text", "x").await.unwrap();
    let error = bench.memory.counter("notes/text").unwrap().add(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    assert_eq!(text(&bench.memory, "notes/text").await.as_deref(), Some("x"));
}

async fn put_as(memory: &Memory, writer: &str, key: &str, value: &str) {
    memory.put_with(key, value, PutOptions::new().writer(writer)).await.unwrap();
}

/// Blind puts stand side by side; a put that names the version it read replaces them all.
pub async fn siblings_stand_until_somebody_who_saw_them_resolves(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let key = "swarm/shared/decision";
    put_as(&bench.memory, "agent1", key, "a").await;
    bench.pass("1s");
    put_as(&bench.memory, "agent2", key, "b").await;
    let entry = bench.memory.entry(key).await.unwrap().unwrap();
    let seen: Vec<_> =
        entry.values.iter().map(|held| (held.writer.as_deref().unwrap(), &held.value.bytes[..])).collect();
    assert_eq!(seen, [("agent2", &b"\"b\""[..]), ("agent1", &b"\"a\""[..])]);
    assert!(entry.values[0].stamp > entry.values[1].stamp);
    let resolve = PutOptions::new().guard(Guard::Version(entry.version));
    assert!(matches!(bench.memory.put_with(key, "c", resolve.clone()).await.unwrap(), Written::Applied(_)));
    assert_eq!(bench.memory.entry(key).await.unwrap().unwrap().siblings, 1);
    assert!(matches!(bench.memory.put_with(key, "d", resolve).await.unwrap(), Written::Refused(Some(_))));
    assert_eq!(text(&bench.memory, key).await.as_deref(), Some("c"));
}

/// The same writer on the same replica has seen what it wrote itself; a writer without a name has seen nothing.
pub async fn a_named_writer_replaces_its_own_sibling(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let siblings = async || bench.memory.entry("knowledge/k").await.unwrap().unwrap().siblings;
    put_as(&bench.memory, "a", "knowledge/k", "1").await;
    put_as(&bench.memory, "a", "knowledge/k", "2").await;
    assert_eq!(siblings().await, 1);
    bench.memory.put("knowledge/k", "3").await.unwrap();
    bench.memory.put("knowledge/k", "4").await.unwrap();
    assert_eq!(siblings().await, 3);
    put_as(&bench.memory, "a", "knowledge/k", "5").await;
    assert_eq!(siblings().await, 3);
}

/// Past the cap the oldest goes, and the receipt says so.
pub async fn siblings_are_capped_and_the_receipt_says_so(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for i in 0..32 {
        assert_eq!(bench.memory.put("knowledge/k", &i).await.unwrap().dropped_siblings, 0);
    }
    assert_eq!(bench.memory.put("knowledge/k", &32).await.unwrap().dropped_siblings, 1);
    let entry = bench.memory.entry("knowledge/k").await.unwrap().unwrap();
    assert_eq!(entry.siblings, 32);
    assert_eq!(entry.values.last().unwrap().value.as_integer(), Some(1), "0 was the oldest");
    assert_eq!(entry.parse::<i32>().unwrap(), 32);
}

/// A policy that asks for another kind reaches new entries only, until it is applied.
pub async fn the_stored_kind_stays_until_the_policy_is_applied(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("metrics/old", &5).await.unwrap();
    let memory = bench.under(COUNTERS).await;
    memory.put("metrics/old", &3).await.unwrap();
    assert_eq!(memory.get::<i64>("metrics/old").await.unwrap(), Some(3), "still the last write wins");
    let error = memory.counter("metrics/old").unwrap().add(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    memory.put("metrics/new", &5).await.unwrap();
    memory.put("metrics/new", &3).await.unwrap();
    assert_eq!(memory.get::<i64>("metrics/new").await.unwrap(), Some(8));
}

/// Keeps the longest text: a strategy of the program's own.
pub(super) struct Longest;

impl Resolver for Longest {
    fn kind(&self) -> Kind {
        Kind::Custom("longest".into())
    }

    fn change(&self, current: Option<&Body>, op: &Op, _mint: &Mint<'_>) -> Result<Resolved> {
        match op {
            Op::Put(body) | Op::PutAt(body, _) => {
                let longer = current.filter(|current| current.raw_len() >= body.raw_len());
                Ok(Resolved::one(longer.unwrap_or(body).clone()))
            }
            Op::Assign(body) => Ok(Resolved::one(body.clone())),
            _ => Ok(Resolved { body: None, alive: false, siblings: 0, dropped: 0 }),
        }
    }

    fn reset(&self, _current: &Body, _how: Compression) -> Result<Option<Body>> {
        Ok(None)
    }

    fn join(&self, mine: Side<'_>, theirs: Side<'_>, _how: Compression) -> Result<Resolved> {
        let bodies = [mine.body, theirs.body].into_iter().flatten();
        let longest = bodies.max_by_key(|body| body.raw_len()).cloned();
        let alive = longest.is_some();
        Ok(Resolved { body: longest, alive, siblings: u32::from(alive), dropped: 0 })
    }

    fn read(&self, head: &Head, body: &Body, limit: usize) -> Result<Vec<Held>> {
        Ok(vec![Held { value: body.value(limit)?, stamp: head.stamp, writer: head.writer.clone() }])
    }
}

/// A strategy that a program registers under a name decides writes to keys whose rule names it.
pub async fn a_registered_strategy_resolves(subject: &dyn Subject) {
    use memlife_core::policy::{ParseOptions, PolicyFile};
    let bench = Bench::open(subject).await;
    let options = ParseOptions { custom_strategies: vec!["longest".into()] };
    let rules = "namespaces: [{namespace: 'titles/*', conflict_strategy: longest}]";
    let policy = PolicyFile::parse_with(rules, "test", &options).unwrap();
    let store = subject.open().await;
    let memory = Memory::builder(store)
        .clock(bench.clock.clone())
        .policy(Arc::new(policy.rules))
        .resolver(Arc::new(Longest))
        .build()
        .unwrap();
    for (put, read) in [("abc", "abc"), ("ab", "abc"), ("abcd", "abcd")] {
        memory.put("titles/t", put).await.unwrap();
        assert_eq!(text(&memory, "titles/t").await.as_deref(), Some(read));
    }
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let memory = memory.clone();
            tokio::spawn(async move { memory.put("titles/t", &"x".repeat(10 + n)).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(text(&memory, "titles/t").await.unwrap().len(), 17);
    assert!(memory.delete("titles/t").await.unwrap());
    assert_eq!(text(&memory, "titles/t").await, None);
    let error = bench.memory.put("titles/t", "x").await;
    assert!(error.is_ok(), "nothing visible is there, so the present rule decides the kind");
}
