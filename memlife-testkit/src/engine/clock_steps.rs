//! A wall clock that steps.

use super::{Bench, text, ttl};
use crate::{START, Subject};
use memlife_core::{ManualClock, PutOptions, Reach, Stop, SweepOptions, Timestamp};
use std::sync::Arc;

const HOUR_MS: u64 = 3_600_000;

/// What is written later is newer, though the wall clock says otherwise.
pub async fn an_hour_back_keeps_the_order_of_writes(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let first = bench.memory.put("notes/a", "first").await.unwrap();
    bench.clock.step_to(START.minus_ms(HOUR_MS));
    let second = bench.memory.put("notes/a", "second").await.unwrap();
    assert!(second.stamp > first.stamp && second.version > first.version);
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("second"));
}

/// An entry that was seen to be expired stays so.
pub async fn an_hour_back_revives_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put_with("knowledge/a", "x", PutOptions::new().ttl(ttl("10m"))).await.unwrap();
    bench.pass("11m");
    assert_eq!(text(&bench.memory, "knowledge/a").await, None);
    bench.clock.step_to(START.minus_ms(HOUR_MS));
    assert_eq!(text(&bench.memory, "knowledge/a").await, None);
    bench.memory.put("notes/other", "y").await.unwrap();
    assert_eq!(text(&bench.memory, "knowledge/a").await, None);
}

/// What any commit has seen expired stays so for a process whose clock never was that far.
pub async fn an_hour_back_for_another_process_revives_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put_with("knowledge/a", "x", PutOptions::new().ttl(ttl("10m"))).await.unwrap();
    bench.pass("11m");
    bench.memory.put("notes/other", "y").await.unwrap();
    let slow = Arc::new(ManualClock::new(START.minus_ms(HOUR_MS)));
    let memory = bench.with_clock(&slow).await;
    assert_eq!(text(&memory, "knowledge/a").await, None);
    assert_eq!(text(&memory, "notes/other").await.as_deref(), Some("y"));
}

/// A step ahead and back again leaves the order of writes as it was made.
pub async fn an_hour_forward_and_back_keeps_the_order_of_writes(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut last = bench.memory.put("notes/a", &0).await.unwrap();
    for (step, wall) in
        [START.plus_ms(HOUR_MS), START, START.minus_ms(HOUR_MS), START.plus_ms(10)].iter().enumerate()
    {
        bench.clock.step_to(*wall);
        let next = bench.memory.put("notes/a", &(step + 1)).await.unwrap();
        assert!(next.stamp > last.stamp, "after step {step}");
        assert_eq!(bench.memory.get::<usize>("notes/a").await.unwrap(), Some(step + 1));
        last = next;
    }
}

/// 1970, 2038, 2106 and ten years either way: writes go on, in order.
pub async fn extreme_dates_are_survived(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let ten_years = 10 * 365 * 24 * HOUR_MS;
    let dates = [
        Timestamp::EPOCH,
        Timestamp::from_ms(2_147_483_647_000),
        Timestamp::from_ms(4_294_967_296_000),
        START.minus_ms(ten_years),
        START.plus_ms(ten_years),
        START,
    ];
    let mut last = None;
    for date in dates {
        bench.clock.step_to(date);
        let receipt = bench.memory.put("notes/a", &date.ms()).await.unwrap();
        assert!(last < Some(receipt.stamp));
        last = Some(receipt.stamp);
        assert_eq!(bench.memory.get::<u64>("notes/a").await.unwrap(), Some(date.ms()));
    }
}

/// A wall clock that runs ahead of the monotonic one is believed by no plain sweep.
pub async fn a_clock_that_jumps_ahead_makes_sweeps_pause(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("coordination/a", "x").await.unwrap();
    bench.clock.step_to(START.plus_ms(2 * HOUR_MS));
    let paused = bench.memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!((paused.deleted, paused.stopped), (0, Some(Stop::ClockJump(7_200))));
    let forced = bench.memory.sweep(SweepOptions::new().reach(Reach::Forced)).await.unwrap();
    assert_eq!((forced.deleted, forced.stopped), (1, None));
}
