//! A policy that changes after entries were stored.

use super::{Bench, text, ttl};
use crate::Subject;
use memlife_core::record::Kind;
use memlife_core::{ApplyReport, PutOptions};

const LONGER: &str = "
namespaces:
  - {namespace: 'coordination/*', ttl: 3h, cleanup_strategy: manual}
";
const SHORTER: &str = "
namespaces:
  - {namespace: 'coordination/*', ttl: 10m, cleanup_strategy: scheduled}
";

/// A new TTL counts from when the entry was written, once the policy is applied, and statistics warn until then.
pub async fn a_changed_policy_reaches_stored_entries_when_applied(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let written = bench.memory.put("coordination/a", "x").await.unwrap();
    assert!(!bench.memory.stats().await.unwrap().policy_pending);
    bench.pass("30m");
    let memory = bench.under(LONGER).await;
    assert!(memory.stats().await.unwrap().policy_pending);
    let expiry = async || memory.entry("coordination/a").await.unwrap().unwrap().expires_at.unwrap();
    assert_eq!(expiry().await, crate::START.plus_ms(3_600_000));
    let report = memory.apply_policy(None).await.unwrap();
    assert_eq!(report, ApplyReport { checked: 1, restamped: 1, converted: 0, failed: 0 });
    assert_eq!(expiry().await, crate::START.plus_ms(3 * 3_600_000));
    assert!(!memory.stats().await.unwrap().policy_pending);
    assert_eq!(memory.entry("coordination/a").await.unwrap().unwrap().version, written.version);
    let shorter = bench.under(SHORTER).await;
    shorter.apply_policy(None).await.unwrap();
    assert_eq!(text(&shorter, "coordination/a").await, None, "30 minutes are more than 10");
}

/// Applying neither touches an expiry that a caller set nor brings back what expired.
pub async fn applying_keeps_what_callers_set_and_revives_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put_with("coordination/set", "x", PutOptions::new().ttl(ttl("2h"))).await.unwrap();
    bench.memory.put("coordination/gone", "x").await.unwrap();
    bench.pass("1h");
    let memory = bench.under(LONGER).await;
    memory.apply_policy(None).await.unwrap();
    assert_eq!(text(&memory, "coordination/gone").await, None);
    let entry = memory.entry("coordination/set").await.unwrap().unwrap();
    assert_eq!(entry.expires_at, Some(crate::START.plus_ms(2 * 3_600_000)));
}

/// What the policy says already is not written again.
pub async fn applying_twice_changes_nothing_more(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for i in 0..20 {
        bench.memory.put(format!("coordination/{i}"), &i).await.unwrap();
    }
    let memory = bench.under(LONGER).await;
    assert_eq!(memory.apply_policy(None).await.unwrap().restamped, 20);
    assert_eq!(memory.apply_policy(None).await.unwrap().restamped, 0);
}

/// A rule of another kind converts what its kind can hold, and leaves the rest as it is.
pub async fn applying_converts_kinds(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("metrics/hits", &5).await.unwrap();
    bench.memory.put("metrics/name", "not a number").await.unwrap();
    let memory = bench.under("namespaces: [{namespace: 'metrics/*', conflict_strategy: counter}]").await;
    let report = memory.apply_policy(None).await.unwrap();
    assert_eq!(report.converted, 1);
    assert_eq!(memory.counter("metrics/hits").unwrap().add(3).await.unwrap(), 8);
    assert_eq!(memory.entry("metrics/hits").await.unwrap().unwrap().kind, Kind::Counter);
    assert_eq!(text(&memory, "metrics/name").await.as_deref(), Some("not a number"));
}
