//! Keys, prefixes and patterns.

use super::{Bench, text};
use crate::Subject;
use memlife_core::{Key, ListOptions, Show};

async fn fill(bench: &Bench<'_>, keys: &[&str]) {
    for key in keys {
        bench.memory.put(*key, key).await.unwrap();
    }
}

fn matching(pattern: &str) -> ListOptions {
    ListOptions::new().pattern(pattern).unwrap()
}

/// `a/b` covers `a/b` and `a/b/c`, never `a/bc` or `a/b-x`.
pub async fn a_prefix_covers_whole_segments_only(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench, &["a/b", "a/b/c", "a/b/c/d", "a/b-x", "a/b.x", "a/b0", "a/bc", "a/bc/d", "ab", "a"]).await;
    assert_eq!(bench.keys(matching("a/b")).await, ["a/b", "a/b/c", "a/b/c/d"]);
    assert_eq!(bench.memory.delete_within("a/b").await.unwrap(), 3);
    assert_eq!(bench.keys(matching("a")).await, ["a", "a/b-x", "a/b.x", "a/b0", "a/bc", "a/bc/d"]);
}

/// Characters that other systems take for wildcards or separators are letters in a key.
pub async fn pattern_characters_in_keys_are_literal(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let odd =
        ["x/%", "x/*", "x/?", "x/[a]", "x/_", "x/a", "x/a:b", "x/ab", "x/{a,b}", "x/\\", "x/'; --", "x/é"];
    fill(&bench, &odd).await;
    for key in odd {
        assert_eq!(text(&bench.memory, key).await.as_deref(), Some(key));
    }
    for key in ["x/%", "x/_", "x/?", "x/[a]", "x/{a,b}"] {
        assert_eq!(bench.keys(matching(key)).await, [key]);
        assert_eq!(bench.memory.delete_within(key).await.unwrap(), 1, "{key}");
    }
    assert_eq!(bench.keys(matching("x/\\*")).await, ["x/*"]);
    assert_eq!(bench.memory.delete_within("x/*").await.unwrap(), 1, "a prefix is no pattern");
    assert_eq!(bench.keys(ListOptions::new()).await.len(), odd.len() - 6);
}

/// Keys that differ only in what separates their parts, in case or in normal form are different entries.
pub async fn keys_that_look_alike_stay_distinct(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let keys =
        ["a:b/c", "a/b:c", "a_b", "a/b", "A/b", "a/B", "a b", "a+b", "a%2fb", "ı", "i", "K", "k", "ss", "ß"];
    fill(&bench, &keys).await;
    for key in keys {
        assert_eq!(text(&bench.memory, key).await.as_deref(), Some(key));
    }
    assert_eq!(bench.keys(ListOptions::new()).await.len(), keys.len());
    assert!(bench.memory.delete("a:b/c").await.unwrap());
    assert_eq!(text(&bench.memory, "a/b:c").await.as_deref(), Some("a/b:c"));
}

/// `*` is one segment in the middle, and one or more at the end.
pub async fn wildcards_select_segments(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench, &["task/1/status", "task/2/status", "task/2/log", "task/2/log/old", "other/1/status"]).await;
    assert_eq!(bench.keys(matching("task/*/status")).await, ["task/1/status", "task/2/status"]);
    assert_eq!(bench.keys(matching("task/2/*")).await, ["task/2/log", "task/2/log/old", "task/2/status"]);
    assert_eq!(bench.keys(matching("*")).await.len(), 5);
    assert_eq!(bench.keys(matching("*/1/status")).await, ["other/1/status", "task/1/status"]);
}

/// Many pages, limits and cursors: every key once, in order.
pub async fn pages_come_in_key_order_without_gaps(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut keys: Vec<String> = (0..1_203).map(|i| format!("n/{}/{i}", i % 7)).collect();
    for key in &keys {
        bench.memory.put(key, "x").await.unwrap();
    }
    keys.sort();
    assert_eq!(bench.keys(ListOptions::new()).await, keys);
    let mut seen: Vec<String> = Vec::new();
    loop {
        let mut options = ListOptions::new().limit(100);
        if let Some(last) = seen.last() {
            options = options.after(Key::new(last).unwrap());
        }
        let page = bench.keys(options).await;
        assert!(page.len() <= 100);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, keys);
}

/// A delete with a filter leaves everything else.
pub async fn deleting_within_a_prefix_touches_nothing_else(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(
        &bench,
        &["session/1", "session/1/a", "session/10", "session/10/a", "session/2/a", "coordination/1"],
    )
    .await;
    assert_eq!(bench.memory.delete_within("session/1").await.unwrap(), 2);
    let left = ["coordination/1", "session/10", "session/10/a", "session/2/a"];
    assert_eq!(bench.keys(ListOptions::new()).await, left);
    assert_eq!(bench.memory.delete_within("session/none").await.unwrap(), 0);
    assert_eq!(bench.memory.delete_all().await.unwrap(), 4);
    assert_eq!(bench.memory.stats().await.unwrap().entries, 0);
}

/// Peeking is the one way to see what expired and is not swept.
pub async fn peeking_shows_expired_entries(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench, &["swarm/shared/a", "knowledge/b", "knowledge/gone"]).await;
    bench.memory.delete("knowledge/gone").await.unwrap();
    bench.pass("2d");
    assert_eq!(bench.keys(ListOptions::new()).await, ["knowledge/b"]);
    assert_eq!(bench.keys(ListOptions::new().show(Show::Expired)).await, ["knowledge/b", "swarm/shared/a"]);
    let peek = memlife_core::ReadOptions::new().show(Show::Expired);
    let entry = bench.memory.entry_with("swarm/shared/a", peek).await.unwrap().unwrap();
    assert_eq!(entry.parse::<String>().unwrap(), "swarm/shared/a");
    assert!(bench.memory.entry_with("knowledge/gone", peek).await.unwrap().is_none());
}
