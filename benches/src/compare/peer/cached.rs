use super::{Life, Peer};
use crate::compare::operation::Operation;
use crate::compare::place::Place;
use crate::compare::who::Level;
use crate::drive::Pair;
use anyhow::{Result, ensure};
use bytes::Bytes;
use cached::{ConcurrentCached, RedbCache};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// The disk cache of the crate cached. Its values are texts: it would write bytes one by one as numbers.
pub struct Cached(RedbCache<String, String>);

impl Peer for Cached {
    // It can sweep, but all of its entries have one time to live: none can be due among others that are not.
    fn lacks(operation: Operation) -> bool {
        use Operation::*;
        matches!(
            operation,
            PutCompressed | GetCompressed | Swap | AddOwn | AddHot | ListPage | Export | Import | Sweep(_)
        )
    }

    async fn open(place: &Place) -> Result<Self> {
        let builder = RedbCache::builder("store").ttl(HOUR).disk_dir(place.path("cached"));
        Ok(Cached(builder.durable(place.level == Level::Disk).build()?))
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        ensure!(life == Life::Hour, "all entries have one time to live");
        let text = std::str::from_utf8(&value.bytes)?.to_owned();
        std::hint::black_box(self.0.cache_set(key.clone(), text)?);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.cache_get(&key.to_owned())?.map(Bytes::from))
    }

    async fn close(self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}
