//! What a running scheduler does as time passes, stands still, jumps, or as sweeps fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use jiff::tz::TimeZone;
use memlife::policy::PolicyFile;
use memlife::store::{
    Batch, Changes, Due, DuePage, Feed, Fetched, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want,
};
use memlife::{
    Clock, Error, ErrorKind, InMemoryStore, Key, Memory, PutOptions, ReplicaId, Result, Store, Timestamp,
};
use memlife_server::{RunSummary, Schedule, Scheduler};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3_600);
/// 2025-06-01T00:00:00Z.
const START_MS: u64 = 1_748_736_000_000;

/// A clock that goes with tokio's paused time and whose wall part can be set.
struct PausedClock {
    start: Instant,
    offset_ms: AtomicI64,
}

impl PausedClock {
    fn new() -> Arc<Self> {
        Arc::new(PausedClock { start: Instant::now(), offset_ms: AtomicI64::new(0) })
    }

    fn step(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let wall = START_MS + self.monotonic().as_millis() as u64;
        Timestamp::from_ms(wall.saturating_add_signed(self.offset_ms.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// How a store misbehaves when it is asked what is due.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Fails(ErrorKind),
    Hangs,
}

/// A store that gets into trouble at chosen sweeps; a sweep reads the due index several times, its totals first.
struct Troubled {
    inner: InMemoryStore,
    sweeps: AtomicU64,
    trouble: fn(u64) -> Trouble,
}

impl Troubled {
    async fn check(&self) -> Result<()> {
        match (self.trouble)(self.sweeps.load(Ordering::SeqCst)) {
            Trouble::None => Ok(()),
            Trouble::Fails(kind) => Err(Error::new(kind, "planned")),
            Trouble::Hangs => pending().await,
        }
    }
}

#[async_trait]
impl Store for Troubled {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        self.inner.get(keys, want).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.inner.apply(batch).await
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.inner.scan(query).await
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        if query.class == memlife::record::ReclaimClass::ALL[0] {
            self.sweeps.fetch_add(1, Ordering::SeqCst);
        }
        self.check().await?;
        self.inner.due(query).await
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        self.inner.changes(query).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        self.inner.usage(query).await
    }

    fn part_of(&self, key: &Key) -> usize {
        self.inner.part_of(key)
    }

    fn info(&self) -> &StoreInfo {
        self.inner.info()
    }
}

#[async_trait]
impl Verify for Troubled {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.inner.verify(repair).await
    }
}

/// A scheduler that runs, and what a test does with it.
struct Running {
    memory: Memory,
    clock: Arc<PausedClock>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<RunSummary>>,
}

impl Running {
    fn start(schedule: Schedule) -> Self {
        Running::start_in(schedule, |_| Trouble::None)
    }

    fn start_in(schedule: Schedule, trouble: fn(u64) -> Trouble) -> Self {
        let clock = PausedClock::new();
        let inner = InMemoryStore::with_replica(ReplicaId(1));
        let store = Arc::new(Troubled { inner, sweeps: AtomicU64::new(0), trouble });
        let memory = Memory::builder(store).clock(clock.clone()).build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let scheduler = Scheduler::new(memory.clone(), schedule, TimeZone::UTC);
        let task = tokio::spawn(async move {
            scheduler
                .run(async {
                    let _ = stopped.await;
                })
                .await
        });
        Running { memory, clock, stop, task }
    }

    async fn sweeps(&self) -> usize {
        self.memory.sweep_reports().await.unwrap().len()
    }

    async fn stop(self) -> RunSummary {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap()
    }
}

fn every(interval: Duration) -> Schedule {
    Schedule::every(interval).unwrap()
}

fn daily(time: &str) -> Schedule {
    Schedule::daily(time.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn sweeps_at_once_and_after_each_interval() {
    let running = Running::start(every(HOUR));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(running.sweeps().await, 1);
    sleep(5 * HOUR).await;
    assert_eq!(running.sweeps().await, 6);
    let summary = running.stop().await;
    assert_eq!((summary.sweeps, summary.failures), (6, 0));
    assert!(summary.last_failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn sweeps_at_its_time_of_day_and_removes_what_expired() {
    let running = Running::start(daily("02:00"));
    let brief = PutOptions::new().ttl("30m".parse().unwrap());
    running.memory.put_with("coordination/a", &1, brief).await.unwrap();
    running.memory.put("knowledge/b", &2).await.unwrap();
    sleep(2 * HOUR - Duration::from_secs(1)).await;
    assert_eq!(running.sweeps().await, 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.sweeps().await, 1);
    sleep(24 * HOUR).await;
    let summary = running.stop().await;
    assert_eq!((summary.sweeps, summary.deleted), (2, 1));
    assert!(summary.freed_bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_wait_at_once() {
    let running = Running::start(daily("02:00"));
    let before = Instant::now();
    sleep(Duration::from_secs(90)).await;
    let summary = running.stop().await;
    assert_eq!(summary.sweeps, 0);
    assert!(before.elapsed() < Duration::from_secs(91), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_there_already_prevents_even_the_first_sweep() {
    let store = Arc::new(InMemoryStore::with_replica(ReplicaId(1)));
    let memory = Memory::new(store).unwrap();
    let scheduler = Scheduler::new(memory.clone(), every(HOUR), TimeZone::UTC);
    let summary = scheduler.run(async {}).await.unwrap();
    assert_eq!(summary.sweeps, 0);
    assert!(memory.sweep_reports().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_hangs_is_cut_short_by_the_stop() {
    let running = Running::start_in(every(HOUR), |_| Trouble::Hangs);
    sleep(Duration::from_secs(30)).await;
    let told = Instant::now();
    let summary = running.stop().await;
    assert!(told.elapsed() <= Duration::from_secs(6), "{:?}", told.elapsed());
    assert_eq!((summary.sweeps, summary.cut_short), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_failed_sweep_is_remembered_and_the_next_one_runs() {
    let fails_second = |sweep| match sweep {
        2 => Trouble::Fails(ErrorKind::Locked),
        _ => Trouble::None,
    };
    let running = Running::start_in(every(HOUR), fails_second);
    sleep(3 * HOUR + Duration::from_secs(1)).await;
    let summary = running.stop().await;
    assert_eq!((summary.sweeps, summary.failures), (4, 1));
    assert_eq!(summary.last_failure.unwrap().kind(), ErrorKind::Locked);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_must_be_opened_anew_ends_the_run() {
    let running = Running::start_in(every(HOUR), |_| Trouble::Fails(ErrorKind::Poisoned));
    let summary = running.task.await.unwrap().unwrap();
    assert_eq!((summary.sweeps, summary.failures), (1, 1));
    assert_eq!(summary.last_failure.unwrap().kind(), ErrorKind::Poisoned);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_brings_the_sweep_within_a_minute() {
    let running = Running::start(daily("02:00"));
    sleep(Duration::from_secs(10)).await;
    running.clock.step(3 * 3_600_000);
    sleep(Duration::from_secs(61)).await;
    let summary = running.stop().await;
    assert_eq!(summary.sweeps, 1);
    // More than an hour of clock out of nowhere: nothing is removed on its word, and somebody has to know.
    assert_eq!(summary.failures, 1);
    assert!(summary.last_failure.unwrap().to_string().contains("ahead"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_put_off_the_next_sweep_for_long() {
    let running = Running::start(daily("02:00"));
    running.clock.step(365 * 24 * 3_600_000);
    sleep(3 * HOUR).await;
    assert_eq!(running.sweeps().await, 1);
    running.clock.step(-365 * 24 * 3_600_000);
    sleep(24 * HOUR).await;
    assert_eq!(running.sweeps().await, 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_small_adjustment_of_the_clock_changes_nothing() {
    let running = Running::start(every(HOUR));
    sleep(Duration::from_secs(1)).await;
    for _ in 0..20 {
        running.clock.step(-900);
        sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(running.sweeps().await, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn times_missed_are_made_up_for_once() {
    let running = Running::start(every(HOUR));
    sleep(Duration::from_secs(1)).await;
    // Time passes for the machine and its clocks, but nothing runs.
    tokio::time::advance(10 * HOUR).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.sweeps().await, 2);
    let summary = running.stop().await;
    assert_eq!(summary.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_never_comes_due_is_refused_and_one_that_is_over_ends() {
    let clock = PausedClock::new();
    let store = Arc::new(InMemoryStore::with_replica(ReplicaId(1)));
    let memory = Memory::builder(store).clock(clock).build().unwrap();
    let run = |cron| {
        let schedule = Schedule::cron(cron).unwrap();
        let scheduler = Scheduler::new(memory.clone(), schedule, TimeZone::UTC);
        async move { scheduler.run(pending()).await }
    };
    assert_eq!(run("0 0 30 2 *").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(run("0 0 3 1 6 * 2025").await.unwrap().sweeps, 1);
}

#[tokio::test(start_paused = true)]
async fn one_sweep_is_judged_as_in_a_run() {
    let clock = PausedClock::new();
    let inner = InMemoryStore::with_replica(ReplicaId(1));
    let trouble = |_| Trouble::Fails(ErrorKind::Corrupt);
    let store = Arc::new(Troubled { inner, sweeps: AtomicU64::new(0), trouble });
    let memory = Memory::builder(store).clock(clock).build().unwrap();
    let logging = PolicyFile::built_in().logging;
    let scheduler = Scheduler::new(memory, every(HOUR), TimeZone::UTC).logging(logging);
    let summary = scheduler.run_once().await;
    assert_eq!((summary.sweeps, summary.failures), (1, 1));
    assert_eq!(summary.last_failure.unwrap().kind(), ErrorKind::Corrupt);
}
