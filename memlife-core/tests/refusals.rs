//! More refusals than are noted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use memlife_core::{InMemoryStore, ManualClock, Memory, ReplicateOptions};
use memlife_testkit::START;
use std::sync::Arc;
use std::time::Duration;

const MONTHS: Duration = Duration::from_secs(90 * 86_400);

fn memory(clock: &Arc<ManualClock>) -> Memory {
    Memory::builder(Arc::new(InMemoryStore::new().unwrap())).clock(clock.clone()).build().unwrap()
}

#[tokio::test]
async fn more_than_is_noted_is_told_and_sent_again() {
    let clock = Arc::new(ManualClock::new(START));
    let here = memory(&clock);
    let ahead = memory(&Arc::new(ManualClock::new(START.plus_ms(MONTHS.as_millis() as u64))));
    for n in 0..1_001 {
        ahead.put(format!("a/{n:04}").as_str(), &n).await.unwrap();
    }
    let everything = ReplicateOptions::new();
    for _ in 0..2 {
        let report = ahead.replicate_to(&here, &everything).await.unwrap();
        assert_eq!((report.sent, report.refused), (1_001, 1_001));
        assert!(report.refusals.last().unwrap().contains("sends everything again"));
    }
    clock.advance(MONTHS);
    let report = ahead.replicate_to(&here, &everything).await.unwrap();
    assert_eq!((report.joined, report.refused, report.refusals.len()), (1_001, 0, 0));
    assert_eq!(ahead.replicate_to(&here, &everything).await.unwrap().sent, 0);
}
