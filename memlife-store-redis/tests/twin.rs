//! What the script decides is what `decide` decides, on random writes around every edge.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::record::{Codec, Compression, ExpiryOrigin, Kind, ReclaimClass, Record};
use memlife_core::store::{Batch, Cause, Change, Expiry, Guard, Op, Outcome, Reply, Retouch, Want, Write};
use memlife_core::{Context, Effect, Hlc, Key, Ledger, Result, Store, Timestamp, Ttl, decide, needs_body};
use memlife_testkit::draft::{Draft, json_body};
use memlife_testkit::{RedisServer, START};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::HashMap;
use std::sync::Arc;
use support::Redis;

/// Gets smaller by compression.
const LONG: &str =
    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";
const EDGE: i64 = 1 << 53;

/// One write, and how far the clock moves before it.
#[derive(Clone, Debug)]
struct Step {
    key: usize,
    change: Action,
    guard: u8,
    kind: Kind,
    expiry: Expiry,
    origin: ExpiryOrigin,
    rule_ttl: Option<u64>,
    class: ReclaimClass,
    writer: Option<&'static str>,
    reply: Reply,
    packed: bool,
    pass_ms: i64,
    with_next: bool,
}

#[derive(Clone, Debug)]
enum Action {
    Put(&'static str),
    Assign(&'static str),
    Add(i64),
    Delete,
    Touch(Retouch),
    Erase(Cause),
}

fn amounts() -> impl Strategy<Value = i64> {
    let edges = vec![
        0,
        1,
        -1,
        250,
        251,
        -252,
        65_535,
        65_536,
        1 << 32,
        (1 << 32) - 1,
        EDGE - 2,
        EDGE - 1,
        EDGE,
        EDGE + 1,
        1 - EDGE,
        -EDGE,
        i64::MAX,
        i64::MIN,
    ];
    prop_oneof![3 => select(edges), 1 => any::<i64>(), 3 => -300_i64..300]
}

fn expiries() -> impl Strategy<Value = Expiry> {
    let after = |ms| Expiry::After(Ttl::from_ms(ms).unwrap());
    let at = [START.minus_ms(5), START.plus_ms(400), START.plus_ms(400), Timestamp::MAX, Timestamp::EPOCH];
    prop_oneof![
        Just(Expiry::Never),
        select(vec![1, 9, 50, 400, 400, 31_536_000_000_000]).prop_map(after),
        select(at.to_vec()).prop_map(Expiry::At),
        Just(Expiry::Keep),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    let texts = vec![
        "1",
        "-7",
        "\"text\"",
        "9007199254740991",
        "9007199254740993",
        "1.5",
        "9223372036854775807",
        LONG,
    ];
    let refreshes = select(vec![1, 8, 400, 400]).prop_map(|ms| Retouch::Refresh(Ttl::from_ms(ms).unwrap()));
    prop_oneof![
        4 => select(texts).prop_map(Action::Put),
        1 => Just(Action::Assign("3")),
        4 => amounts().prop_map(Action::Add),
        2 => Just(Action::Delete),
        5 => prop_oneof![
            1 => expiries().prop_map(Retouch::Set),
            1 => expiries().prop_map(Retouch::Extend),
            1 => expiries().prop_map(Retouch::Shorten),
            3 => refreshes,
        ].prop_map(Action::Touch),
        1 => select(Cause::ALL.to_vec()).prop_map(Action::Erase),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let kinds = prop_oneof![4 => Just(Kind::Lww), 4 => Just(Kind::Counter), 1 => Just(Kind::GCounter)];
    let classes = select(vec![ReclaimClass::Lazy, ReclaimClass::Scheduled, ReclaimClass::Manual]);
    let replies = select(vec![Reply::Outcome, Reply::Head, Reply::Whole]);
    let origins = select(vec![ExpiryOrigin::Rule, ExpiryOrigin::Caller]);
    let ttls = select(vec![None, Some(7), Some(1_000)]);
    let writers = select(vec![None, Some("me"), Some("")]);
    let passes = prop_oneof![4 => 0_i64..3, 3 => 0_i64..110, 1 => -40_i64..0];
    let first = (0..2_usize, actions(), 0..6_u8, kinds, expiries(), origins);
    let second = (ttls, classes, writers, replies, any::<bool>(), passes, any::<bool>());
    (first, second).prop_map(|((key, change, guard, kind, expiry, origin), second)| {
        let (rule_ttl, class, writer, reply, packed, pass_ms, with_next) = second;
        Step {
            key,
            change,
            guard,
            kind,
            expiry,
            origin,
            rule_ttl,
            class,
            writer,
            reply,
            packed,
            pass_ms,
            with_next,
        }
    })
}

/// What a store does, without one: `decide` and a map.
struct Oracle {
    ledger: Ledger,
    replica: memlife_core::ReplicaId,
    body_limit: usize,
    records: HashMap<Key, Record>,
}

impl Oracle {
    fn apply(&mut self, write: &Write, wall: Timestamp) -> Result<Outcome> {
        let current = self.records.get(&write.key).map(|record| {
            if needs_body(&record.head, write) { record.clone() } else { record.without_body() }
        });
        let mut ledger = self.ledger;
        let mut context =
            Context { wall, replica: self.replica, body_limit: self.body_limit, ledger: &mut ledger };
        let decision = decide(current.as_ref(), write, &mut context)?;
        match decision.effect {
            Effect::None => return Ok(decision.outcome),
            Effect::Put(record) => drop(self.records.insert(write.key.clone(), *record)),
            Effect::Erase { .. } => drop(self.records.remove(&write.key)),
        }
        self.ledger = ledger;
        Ok(decision.outcome)
    }
}

impl Step {
    fn write(&self, oracle: &Oracle) -> Write {
        let key = Key::new(["a/b", "a/c/d"][self.key]).unwrap();
        let there = oracle.records.get(&key).map_or(1, |record| record.head.version);
        let change = match &self.change {
            Action::Put(json) => Change::Op(Op::Put(json_body(json))),
            Action::Assign(json) => Change::Op(Op::Assign(json_body(json))),
            Action::Add(amount) => Change::Op(Op::Add(*amount)),
            Action::Delete => Change::Op(Op::Delete),
            Action::Touch(retouch) => Change::Touch(*retouch),
            Action::Erase(cause) => Change::Erase(*cause),
        };
        let guard = match self.guard {
            0 => Guard::Absent,
            1 => Guard::Visible,
            2 => Guard::Version(there),
            3 => Guard::Due(Default::default()),
            _ => Guard::Any,
        };
        let mut write = Draft::on(key, change).guard(guard).kind(self.kind.clone()).reply(self.reply).build();
        let placement = Arc::make_mut(&mut write.placement);
        placement.expiry = self.expiry;
        placement.origin = self.origin;
        placement.rule_ttl = self.rule_ttl.map(|ms| Ttl::from_ms(ms).unwrap());
        placement.class = self.class;
        placement.rule = "some/rule".into();
        if self.packed {
            placement.compression =
                Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 20, dictionary: 0 };
        }
        write.writer = self.writer.map(Into::into);
        write
    }
}

/// Where the ledger begins.
fn starts() -> impl Strategy<Value = Ledger> {
    let clock = |at, counter| Hlc { at, counter };
    let clocks = vec![
        Hlc::default(),
        clock(START.plus_ms(20), u16::MAX - 2),
        clock(START.plus_ms(1_000), 7),
        clock(Timestamp::MAX, u16::MAX - 3),
    ];
    let seqs = vec![0, (1 << 32) - 2, (1 << 53) - 200];
    let graces = vec![0, 700, 86_400_000];
    (select(seqs), select(clocks), select(graces)).prop_map(|(seq, clock, grace_ms)| Ledger {
        seq,
        clock,
        grace_ms,
    })
}

async fn agree(server: &Arc<RedisServer>, start: Ledger, steps: Vec<Step>) -> Result<(), String> {
    let place = Redis::on(server, 1);
    let store = place.store();
    let ledger = format!("{{{}:00}}:m", place.config.prefix);
    let (seq, ms) = (start.seq.to_string(), start.clock.at.ms().to_string());
    let epoch = epoch(server);
    let (counter, grace) = (start.clock.counter.to_string(), start.grace_ms.to_string());
    server.command(&["HSET", &ledger, "s", &seq, "ms", &ms, "c", &counter, "g", &grace, "e", &epoch]);
    let info = store.info();
    let mut oracle = Oracle {
        ledger: start,
        replica: info.replica,
        body_limit: info.limits.body_bytes,
        records: HashMap::new(),
    };
    let mut wall = START;
    let mut pending = Vec::new();
    let mut expected = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        if pending.is_empty() {
            wall = Timestamp::from_ms(wall.ms().saturating_add_signed(step.pass_ms));
        }
        let write = step.write(&oracle);
        expected.push(oracle.apply(&write, wall));
        pending.push(write);
        if step.with_next && i + 1 < steps.len() {
            continue;
        }
        let batch = Batch {
            now: wall,
            durability: info.durability,
            token: None,
            writes: std::mem::take(&mut pending),
        };
        let got = store.apply(&batch).await.unwrap();
        for ((got, expected), write) in got.iter().zip(expected.drain(..)).zip(&batch.writes) {
            let is_same = match (got, &expected) {
                (Ok(got), Ok(expected)) => got == expected,
                (Err(got), Err(expected)) => got.kind() == expected.kind(),
                _ => false,
            };
            if !is_same {
                return Err(format!("step {i}: {write:?}\ngave {got:?}\nand not {expected:?}"));
            }
        }
        for name in ["a/b", "a/c/d"] {
            let key = Key::new(name).unwrap();
            let got = store.get(std::slice::from_ref(&key), Want::Whole).await.unwrap().slots.remove(0);
            if got.as_ref() != oracle.records.get(&key) {
                return Err(format!("after step {i}: {got:?}\nand not {:?}", oracle.records.get(&key)));
            }
        }
    }
    Ok(())
}

fn epoch(server: &RedisServer) -> String {
    let info = server.command(&["INFO", "replication"]);
    let line = info.lines().find_map(|line| line.trim_end().strip_prefix("master_replid:")).unwrap();
    line.to_owned()
}

#[test]
fn the_script_decides_what_decide_decides() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let server = Arc::new(server);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cases = if std::env::var_os("MEMLIFE_LONG").is_some() { 10_000 } else { 1_000 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 3_000, ..Config::default() };
    let outcome = TestRunner::new(config)
        .run(&(starts(), proptest::collection::vec(steps(), 1..30)), |(start, steps)| {
            runtime.block_on(agree(&server, start, steps)).map_err(TestCaseError::fail)
        });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
