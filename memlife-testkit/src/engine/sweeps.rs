//! Garbage collection.

use super::{Bench, text, ttl};
use crate::Subject;
use memlife_core::{Effort, ListOptions, Memory, PutOptions, Reach, Show, Stop, SweepOptions};
use std::time::Duration;

async fn fill(memory: &Memory, prefix: &str, count: usize) {
    for i in 0..count {
        memory.put(format!("{prefix}/{i}"), &i).await.unwrap();
    }
}

fn forced() -> SweepOptions {
    SweepOptions::new().reach(Reach::Forced)
}

/// What expired goes; what lives stays, to the last entry.
pub async fn the_expired_half_goes_and_the_living_half_stays(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench.memory, "coordination", 60).await;
    bench.pass("30m");
    fill(&bench.memory, "session", 50).await;
    bench.pass("30m");
    let report = bench.memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!((report.deleted, report.entries_before, report.entries_after), (60, 110, 50));
    assert!(report.freed_bytes > 0 && report.stopped.is_none());
    let left = bench.keys(ListOptions::new().show(Show::Expired)).await;
    assert!(left.len() == 50 && left.iter().all(|key| key.starts_with("session/")));
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().deleted, 0);
}

/// A manual rule holds expired entries until somebody forces a sweep.
pub async fn manual_rules_go_only_when_forced(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put_with("knowledge/old", "x", PutOptions::new().ttl(ttl("1m"))).await.unwrap();
    bench.memory.put("knowledge/kept", "x").await.unwrap();
    bench.pass("1m");
    assert_eq!(text(&bench.memory, "knowledge/old").await, None);
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().deleted, 0);
    assert_eq!(bench.memory.sweep(forced()).await.unwrap().deleted, 1);
    assert_eq!(bench.keys(ListOptions::new().show(Show::Expired)).await, ["knowledge/kept"]);
}

/// A dry run counts what a sweep would remove.
pub async fn a_dry_run_removes_nothing_and_counts_the_same(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench.memory, "coordination", 25).await;
    bench.pass("1h");
    let planned = bench.memory.sweep(SweepOptions::new().effort(Effort::DryRun)).await.unwrap();
    assert_eq!((planned.deleted, planned.entries_after, planned.dry_run), (25, 25, true));
    let done = bench.memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!((done.deleted, done.freed_bytes), (planned.deleted, planned.freed_bytes));
}

/// More than a page holds, of which many end at one instant: a page is at most what the store takes at once.
pub async fn many_pages_are_swept_whole(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.in_batches_of(100).await;
    fill(&memory, "coordination", 1_100).await;
    bench.pass("1s");
    fill(&memory, "session", 1_245).await;
    fill(&memory, "knowledge", 5).await;
    bench.pass("1h");
    let planned = memory.sweep(SweepOptions::new().effort(Effort::DryRun)).await.unwrap();
    assert_eq!((planned.deleted, planned.entries_after), (2_345, 2_350));
    let report = memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!((report.deleted, report.kept, report.entries_after), (2_345, 0, 5));
}

/// A limit and a budget end a sweep early and say so; a scope leaves the rest alone.
pub async fn a_limit_a_scope_and_a_budget_hold(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench.memory, "coordination/a", 30).await;
    fill(&bench.memory, "coordination/b", 30).await;
    bench.pass("1h");
    let limited = bench.memory.sweep(SweepOptions::new().limit(10)).await.unwrap();
    assert_eq!((limited.deleted, limited.stopped), (10, Some(Stop::Limit)));
    let none = bench.memory.sweep(SweepOptions::new().budget(Duration::ZERO)).await.unwrap();
    assert_eq!((none.deleted, none.stopped), (0, Some(Stop::Budget)));
    let scoped = bench.memory.sweep(SweepOptions::new().scope("coordination/b").unwrap()).await.unwrap();
    assert_eq!(scoped.entries_after, 50 - scoped.deleted);
    let left = bench.keys(ListOptions::new().show(Show::Expired)).await;
    assert!(left.iter().all(|key| key.starts_with("coordination/a/")), "{left:?}");
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().entries_after, 0);
}

/// A lazy rule frees the bytes of what a read came across, without any sweep.
pub async fn reading_an_expired_lazy_entry_frees_it(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("coordination/lazy", "x").await.unwrap();
    bench.memory.put("swarm/shared/scheduled", "x").await.unwrap();
    bench.memory.put("coordination/back", "x").await.unwrap();
    bench.pass("2d");
    for key in ["coordination/lazy", "swarm/shared/scheduled", "coordination/back"] {
        assert_eq!(text(&bench.memory, key).await, None);
    }
    bench.memory.put("coordination/back", "again").await.unwrap();
    bench.memory.close().await.unwrap();
    let left = bench.keys(ListOptions::new().show(Show::Expired)).await;
    assert_eq!(left, ["coordination/back", "swarm/shared/scheduled"]);
    assert_eq!(text(&bench.memory, "coordination/back").await.as_deref(), Some("again"));
}

/// A deleted entry leaves a mark for those who were away, which goes after a day.
pub async fn tombstones_go_after_their_keep(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench.memory, "knowledge", 3).await;
    bench.memory.delete_within("knowledge").await.unwrap();
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().tombstones, 0);
    bench.pass("24h");
    let report = bench.memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!((report.deleted, report.tombstones), (0, 3));
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().tombstones, 0);
}

/// One report per sweep, the oldest forgotten first.
pub async fn reports_are_kept_and_bounded(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    fill(&bench.memory, "coordination", 4).await;
    bench.pass("1h");
    bench.memory.sweep(SweepOptions::new()).await.unwrap();
    for _ in 0..1_002 {
        bench.pass("1s");
        bench.memory.sweep(SweepOptions::new()).await.unwrap();
    }
    let reports = bench.memory.sweep_reports().await.unwrap();
    assert_eq!(reports.len(), 1_000);
    assert!(reports.is_sorted_by_key(|report| report.started_at));
    assert!(reports.iter().all(|report| report.deleted == 0), "the first report is forgotten");
}
