//! A store of one's own: here one that counts its commits and leaves the rest to the store in memory.

use async_trait::async_trait;
use memlife::store::{
    Batch, Changes, Due, DuePage, Feed, Fetched, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want,
};
use memlife::{InMemoryStore, Key, Memory, Result, Store, SweepOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting {
    inner: InMemoryStore,
    batches: AtomicU64,
    writes: AtomicU64,
}

#[async_trait]
impl Store for Counting {
    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(batch.writes.len() as u64, Ordering::Relaxed);
        self.inner.apply(batch).await
    }

    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        self.inner.get(keys, want).await
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.inner.scan(query).await
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
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
impl Verify for Counting {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.inner.verify(repair).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let inner = InMemoryStore::new()?;
    let store = Arc::new(Counting { inner, batches: AtomicU64::new(0), writes: AtomicU64::new(0) });
    let memory = Memory::new(store.clone())?;
    for note in 0..100 {
        memory.put(format!("notes/{note}"), &note).await?;
    }
    memory.delete_within("notes").await?;
    memory.sweep(SweepOptions::new()).await?;
    let (batches, writes) = (store.batches.load(Ordering::Relaxed), store.writes.load(Ordering::Relaxed));
    println!("{writes} writes in {batches} batches, memlife's own notes included");
    Ok(())
}
