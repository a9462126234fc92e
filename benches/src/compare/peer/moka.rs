use super::{Life, Peer};
use crate::compare::operation::Operation;
use crate::compare::place::Place;
use crate::drive::Pair;
use anyhow::{Context, Result};
use bytes::Bytes;
use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// How long what is to be swept lives: long enough for none of it to go while the rest is still put.
const BRIEF: Duration = Duration::from_secs(1);
/// It files what expires under whole seconds and looks at those that are past.
const TURN: Duration = Duration::from_millis(2_500);

/// The cache moka.
pub struct Moka(Cache<String, Held>);

#[derive(Clone)]
struct Held {
    bytes: Bytes,
    life: Life,
}

/// Ends soon what is to be swept.
struct ByLife;

impl Expiry<String, Held> for ByLife {
    fn expire_after_create(&self, _key: &String, held: &Held, _created_at: Instant) -> Option<Duration> {
        (held.life == Life::Over).then_some(BRIEF)
    }
}

impl Peer for Moka {
    fn lacks(operation: Operation) -> bool {
        use Operation::*;
        matches!(operation, PutCompressed | GetCompressed | ListPage | Export | Import | Open(_))
    }

    async fn open(place: &Place) -> Result<Self> {
        let builder = Cache::builder().time_to_live(HOUR);
        Ok(Moka(if place.is_swept { builder.expire_after(ByLife).build() } else { builder.build() }))
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        self.0.insert(key.clone(), Held { bytes: value.bytes.clone(), life });
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).map(|held| held.bytes))
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let seen = self.0.get(key).with_context(|| format!("{key} is missing"))?;
        let result = self.0.entry_by_ref(key).and_compute_with(|there| {
            let is_same = there.is_some_and(|there| there.into_value().bytes == seen.bytes);
            if is_same { Op::Put(Held { bytes: value.bytes.clone(), life: Life::Hour }) } else { Op::Nop }
        });
        Ok(matches!(result, CompResult::ReplacedWith(_)))
    }

    async fn add(&self, key: &str) -> Result<()> {
        self.0.entry_by_ref(key).and_upsert_with(|there| {
            let count = there.map_or(0, |there| number(&there.into_value().bytes));
            Held { bytes: (count + 1).to_string().into(), life: Life::Hour }
        });
        Ok(())
    }

    async fn ripen(&self) -> Result<()> {
        // What was put lately waits in a queue; the sweep is not to pay for that.
        self.0.run_pending_tasks();
        tokio::time::sleep(TURN).await;
        Ok(())
    }

    async fn sweep(&self) -> Result<u64> {
        let before = self.0.entry_count();
        loop {
            let count = self.0.entry_count();
            // Each call takes a bounded number of them.
            self.0.run_pending_tasks();
            if self.0.entry_count() == count {
                return Ok(before - count);
            }
        }
    }
}

fn number(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
