//! Dictionaries that are trained on what is stored.

use super::Bench;
use crate::Subject;
use memlife_core::store::{Repair, Want};
use memlife_core::{
    ErrorKind, InMemoryStore, Key, Memory, ReplicateOptions, TrainOptions, Trained, Training, Value,
};
use std::sync::Arc;

const RULE: &str = "session/**";
const POLICY: &str = "namespaces: [{namespace: 'session/**', ttl: 24h}]";

/// A value of some 200 bytes as agents leave them for each other.
fn value(i: u32) -> Value {
    let (task, agent) = (i.wrapping_mul(2_654_435_761), i % 17);
    let text = format!(
        r#"{{"task":{task},"status":"running","owner":"agent{agent}","branch":"feature/step-{}","needs":["build","test","review"],"retries":{},"notes":"waits for the merge of agent{} and then runs the whole suite again"}}"#,
        task % 1_000,
        i % 5,
        (i + 3) % 17,
    );
    Value::json_text(text).unwrap()
}

/// A value that has nothing in common with the others: digits drawn by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn noise(i: u32) -> Value {
    let mut state = u64::from(i).wrapping_mul(0xd134_2543_de82_ef95);
    let mut bytes = Vec::new();
    for _ in 0..16 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 27)).to_le_bytes());
    }
    Value::bytes(bytes)
}

/// Whether the store keeps dictionaries; one that does not says so.
async fn keeps(memory: &Memory) -> bool {
    if memory.store().info().keeps_dictionaries {
        return true;
    }
    let error = memory.train(&TrainOptions::new(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    false
}

async fn fill(memory: &Memory, values: impl Fn(u32) -> Value, from: u32, to: u32) {
    for i in from..to {
        memory.put_value(format!("session/{i}"), values(i), Default::default()).await.unwrap();
    }
}

async fn train(memory: &Memory) -> Trained {
    let mut trainings = memory.train(&TrainOptions::new().rule(RULE), None).await.unwrap();
    let Training { rule, result, .. } = trainings.pop().unwrap();
    assert_eq!((&*rule, trainings.len()), (RULE, 0));
    result
}

/// The dictionary that the value of a key is compressed with, and its bytes as stored.
async fn packed(memory: &Memory, i: u32) -> (u32, usize) {
    let key = Key::new(&format!("session/{i}")).unwrap();
    let record = memory.store().get(&[key], Want::Whole).await.unwrap().slots.remove(0).unwrap();
    let body = record.into_body().unwrap();
    (body.dictionary(), body.payload().len())
}

async fn reads(memory: &Memory, values: impl Fn(u32) -> Value, i: u32) -> bool {
    memory.get_value(format!("session/{i}")).await.unwrap() == Some(values(i))
}

/// After training, new small values take half of what they took; stored ones stay readable, through every handle.
pub async fn a_trained_dictionary_halves_small_values(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (memory, before) = (bench.under(POLICY).await, bench.under(POLICY).await);
    if !keeps(&memory).await {
        return;
    }
    fill(&memory, value, 0, 200).await;
    let Trained::Gain { dictionary, now, then, .. } = train(&memory).await else { panic!("no dictionary") };
    assert!(then * 2 <= now, "held-out values take {then} of {now} bytes");
    fill(&memory, value, 200, 220).await;
    let after = bench.under(POLICY).await;
    fill(&after, value, 220, 240).await;
    for i in 0..240 {
        let (named, bytes) = packed(&memory, i).await;
        let raw = value(i).bytes.len();
        let expected = if i < 200 { (0, raw) } else { (dictionary, bytes.min(raw / 2)) };
        assert_eq!((named, bytes), expected, "{i} of {raw} bytes");
        for memory in [&memory, &before, &after] {
            assert!(reads(memory, value, i).await, "{i}");
        }
    }
    assert!(matches!(train(&memory).await, Trained::NoGain { .. }), "it is as good as a new one");
    assert_eq!(memory.store().verify(Repair::No).await.unwrap().findings, []);
}

/// Nothing is kept of a dry run, nor where too little is there or in common.
pub async fn a_dictionary_is_kept_only_for_a_gain(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(POLICY).await;
    if !keeps(&memory).await {
        return;
    }
    fill(&memory, value, 0, 100).await;
    assert_eq!(train(&memory).await, Trained::TooFew);
    fill(&memory, value, 100, 150).await;
    let dry = memory.train(&TrainOptions::new().dry_run(true), None).await.unwrap();
    assert!(matches!(dry[0].result, Trained::Gain { .. }) && dry[0].values == 150, "{dry:?}");
    fill(&memory, value, 150, 151).await;
    assert_eq!(packed(&memory, 150).await.0, 0);
    fill(&memory, noise, 0, 151).await;
    assert!(matches!(train(&memory).await, Trained::NoGain { .. }));
    fill(&memory, noise, 151, 152).await;
    assert_eq!(packed(&memory, 151).await.0, 0);
    let error = memory.train(&TrainOptions::new().rule("no/such/rule"), None).await.unwrap_err();
    assert!(error.to_string().contains("no/such/rule"), "{error}");
}

/// What another store is given names no dictionary that it has not.
pub async fn copies_name_no_dictionary_of_another_store(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let here = bench.under(POLICY).await;
    if !keeps(&here).await {
        return takes_none(&here, &bench).await;
    }
    fill(&here, value, 0, 150).await;
    let Trained::Gain { dictionary, .. } = train(&here).await else { panic!("no dictionary") };
    fill(&here, value, 150, 160).await;
    let there = elsewhere(&here, &bench);
    let report = here.copy_to(&there, &ReplicateOptions::new()).await.unwrap();
    assert_eq!((report.joined, report.refused), (160, 0));
    for i in 0..160 {
        assert_eq!(packed(&there, i).await.0, 0, "{i}");
        assert!(reads(&there, value, i).await, "{i}");
    }
    // One that has been trained the same has it.
    let Trained::Gain { dictionary: same, .. } = train(&there).await else { panic!("no dictionary") };
    fill(&there, value, 160, 161).await;
    assert_eq!(packed(&there, 160).await.0, same);
    there.copy_to(&here, &ReplicateOptions::new()).await.unwrap();
    let (named, _) = packed(&here, 160).await;
    assert!(named == dictionary, "{named:x}, and the store has {dictionary:x}");
    assert!(reads(&here, value, 160).await);
}

/// A store that has no dictionaries is given none by one that has.
async fn takes_none(here: &Memory, bench: &Bench<'_>) {
    let there = elsewhere(here, bench);
    fill(&there, value, 0, 150).await;
    assert!(matches!(train(&there).await, Trained::Gain { .. }));
    fill(&there, value, 150, 160).await;
    assert_eq!(there.copy_to(here, &ReplicateOptions::new()).await.unwrap().joined, 160);
    for i in 0..160 {
        assert_eq!(packed(here, i).await.0, 0, "{i}");
        assert!(reads(here, value, i).await, "{i}");
    }
}

/// A memory under the same policy and clock, in a store that keeps dictionaries.
fn elsewhere(memory: &Memory, bench: &Bench<'_>) -> Memory {
    let store = Arc::new(InMemoryStore::new().unwrap());
    Memory::builder(store).clock(bench.clock.clone()).policy(memory.policy().clone()).build().unwrap()
}
