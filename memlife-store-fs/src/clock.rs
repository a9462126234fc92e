use memlife_core::store::Outcome;
use memlife_core::{Clock, Result, SystemClock, Timestamp};
use std::sync::atomic::{AtomicU64, Ordering};

/// How old what is known of the store's clock may be, in milliseconds.
const MAX_AGE_MS: u64 = 100;

/// What this process knows of the store's clock, so that reading an entry opens its file and nothing else.
///
/// Own commits are known at once and those of other processes within 100 ms. The clock matters only after the
/// wall stepped back: an entry that another process saw expire may be visible here for that much longer.
#[derive(Debug)]
pub(crate) struct StoreClock {
    latest_ms: AtomicU64,
    read_at_ms: AtomicU64,
}

impl StoreClock {
    pub(crate) fn new(now: Timestamp) -> Self {
        StoreClock { latest_ms: AtomicU64::new(now.ms()), read_at_ms: AtomicU64::new(monotonic_ms()) }
    }

    /// The clock, read by `read` where what is known is too old.
    pub(crate) fn now(&self, read: impl FnOnce() -> Result<Timestamp>) -> Result<Timestamp> {
        if monotonic_ms().saturating_sub(self.read_at_ms.load(Ordering::Relaxed)) < MAX_AGE_MS {
            return Ok(Timestamp::from_ms(self.latest_ms.load(Ordering::Acquire)));
        }
        Ok(self.learn(read()?))
    }

    /// Takes the clock as it was just read.
    pub(crate) fn learn(&self, clock: Timestamp) -> Timestamp {
        self.read_at_ms.store(monotonic_ms(), Ordering::Relaxed);
        self.observe(clock)
    }

    /// Learns from what a commit answered: no stamp is ahead of the clock that it was minted from.
    pub(crate) fn learn_from(&self, outcomes: &[Result<Outcome>]) {
        for outcome in outcomes {
            if let Ok(Outcome::Applied { stamp, .. }) = outcome {
                self.observe(stamp.at());
            }
        }
    }

    fn observe(&self, clock: Timestamp) -> Timestamp {
        let before = self.latest_ms.fetch_max(clock.ms(), Ordering::AcqRel);
        Timestamp::from_ms(before.max(clock.ms()))
    }
}

fn monotonic_ms() -> u64 {
    u64::try_from(SystemClock.monotonic().as_millis()).unwrap_or(u64::MAX)
}
