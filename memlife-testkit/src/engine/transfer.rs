//! Export and import.

use super::{Bench, exported, import, text, ttl};
use crate::Subject;
use memlife_core::{InMemoryStore, ListOptions, Memory, PutOptions, Value};
use std::sync::Arc;

async fn values(memory: &Memory) -> Vec<String> {
    exported(memory, ListOptions::new()).await
}

async fn fill(bench: &Bench<'_>) {
    bench.memory.put("coordination/a", &serde_json::json!({"n": [1, null, "é"]})).await.unwrap();
    bench.memory.put_with("notes/short", "x", PutOptions::new().ttl(ttl("5m"))).await.unwrap();
    bench.memory.put_value("notes/raw", Value::bytes(vec![0, 255, 10]), PutOptions::new()).await.unwrap();
    let odd = Value::json_text("{\"two\":\n\"lines\"}").unwrap();
    bench.memory.put_value("notes/text", odd, PutOptions::new()).await.unwrap();
    for (writer, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        bench.memory.put_with("knowledge/k", value, PutOptions::new().writer(writer)).await.unwrap();
    }
    bench.memory.put("session/gone", "x").await.unwrap();
    bench.memory.delete("session/gone").await.unwrap();
}

/// Values, deadlines, writers and siblings come back in another store.
pub async fn an_export_comes_back_whole(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench).await;
    let lines = values(&bench.memory).await;
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| !line.contains('\n')));
    let store = Arc::new(InMemoryStore::new().unwrap());
    let copy = Memory::builder(store).clock(bench.clock.clone()).build().unwrap();
    let report = import(&copy, &lines).await;
    assert_eq!((report.lines, report.imported, report.rejections), (5, 5, 0));
    let (first, second) = (values(&copy).await, lines);
    assert_eq!(first, second);
    let entry = copy.entry("knowledge/k").await.unwrap().unwrap();
    assert_eq!(entry.values.iter().map(|held| held.writer.as_deref().unwrap()).collect::<String>(), "cba");
}

/// Importing again finds everything there.
pub async fn a_second_import_changes_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench).await;
    let lines = values(&bench.memory).await;
    let report = import(&bench.memory, &lines).await;
    assert_eq!((report.imported, report.unchanged), (0, 5));
    assert_eq!(values(&bench.memory).await, lines);
    bench.pass("10m");
    assert_eq!(import(&bench.memory, &lines).await.expired, 1, "the deadline of a line has passed");
    assert_eq!(text(&bench.memory, "notes/short").await, None);
}

/// Importing a number onto a counter would add it: it is refused.
pub async fn a_counter_is_not_imported_over(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under("namespaces: [{namespace: 'metrics/*', conflict_strategy: counter}]").await;
    memory.put("metrics/n", &5).await.unwrap();
    let lines = values(&memory).await;
    let report = import(&memory, &lines).await;
    assert_eq!((report.imported, report.rejections), (0, 1));
    assert!(report.rejected[0].reason.contains("counter"), "{:?}", report.rejected);
    assert_eq!(memory.get::<i64>("metrics/n").await.unwrap(), Some(5));
    memory.delete("metrics/n").await.unwrap();
    assert_eq!(import(&memory, &lines).await.imported, 1);
    assert_eq!(memory.get::<i64>("metrics/n").await.unwrap(), Some(5));
}

/// A bad line is named by number and costs only itself.
pub async fn bad_lines_are_named_and_the_rest_goes_on(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let lines = [
        "{\"key\": \"notes/a\", \"value\": 1}",
        "",
        "not json",
        "{\"key\": \"notes//b\", \"value\": 1}",
        "{\"key\": \"notes/c\"}",
        "{\"key\": \"notes/d\", \"value\": 1, \"ttl\": 5}",
        "{\"key\": \"notes/e\", \"value\": 1, \"encoding\": \"hex\"}",
        "{\"key\": \"notes/f\", \"value\": 1, \"expires_at\": \"tomorrow\"}",
        "{\"key\": \"notes/z\", \"value\": {\"ok\": true}}",
    ]
    .map(str::to_owned);
    let report = import(&bench.memory, &lines).await;
    assert_eq!((report.lines, report.imported, report.rejections), (8, 2, 6));
    let mut numbers: Vec<u64> = report.rejected.iter().map(|rejected| rejected.line).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
    assert_eq!(bench.keys(ListOptions::new()).await, ["notes/a", "notes/z"]);
}
