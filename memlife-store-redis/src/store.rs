use crate::config::RedisConfig;
use crate::link::within;
use crate::server::Server;
use crate::wake::Wake;
use async_trait::async_trait;
use memlife_core::store::{
    Batch, Change, Changes, Due, DuePage, Feed, Fetched, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want, Write,
};
use memlife_core::{Error, ErrorKind, Key, Result, Store};
use std::fmt;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle, Runtime};

/// A store on a Redis or Valkey server.
///
/// Its connections live on a thread of their own, so that it can be used from any async runtime and without one. A call
/// that is dropped goes on: what was submitted stays submitted.
pub struct RedisStore {
    server: Arc<Server>,
    wake: Arc<Wake>,
    runtime: Option<Runtime>,
}

impl RedisStore {
    /// Opens the store, and makes it where there is none.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached, `Unsupported` for one that is too old, a format that is too new
    /// or a durability that it does not give, `Invalid` for a configuration that cannot be.
    pub fn open(config: RedisConfig) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("memlife-redis")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "no thread can be started for the connections").because(error)
            })?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Whoever does not wait any more needs no answer.
            let _ = sender.send(crate::open::open(&config).await);
        });
        let opened =
            receiver.recv().map_err(|_| Error::new(ErrorKind::Internal, "opening the store was given up"));
        match opened.and_then(|opened| opened) {
            Ok(server) => {
                Ok(RedisStore { server: Arc::new(server), wake: Arc::default(), runtime: Some(runtime) })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error.during("open"))
            }
        }
    }

    /// The runtime of the connections; the store has one until it is dropped.
    fn runtime(&self) -> Result<&Handle> {
        self.runtime.as_ref().map(Runtime::handle).ok_or_else(given_up)
    }

    /// Runs a call on the thread of the connections, to its end though nobody waits for it.
    async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.runtime()?.spawn(call).await.map_err(|error| given_up().because(error))?
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let info = &self.server.info;
        let most = info.limits.batch_writes;
        if batch.writes.len() > most {
            let message =
                format!("a batch has {} writes and {most} are allowed: split it", batch.writes.len());
            return Err(Error::new(ErrorKind::TooLarge, message).during("apply"));
        }
        if batch.durability > info.max_durability {
            let message = format!(
                "the server gives at most the durability `{}` and `{}` was asked for: set appendonly and appendfsync",
                info.max_durability, batch.durability
            );
            return Err(Error::new(ErrorKind::Unsupported, message).during("apply"));
        }
        Ok(())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        // Waiting for the thread to end is forbidden where the last handle goes inside a runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("location", &self.server.info.location).finish_non_exhaustive()
    }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Internal, "the call to the server was given up")
}

fn grace_of(write: &Write) -> Option<u64> {
    match write.change {
        Change::Grace(ms) => Some(ms),
        _ => None,
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        self.server.get(keys, want).await.map_err(|error| error.during("get"))
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.check(batch)?;
        let runtime = self.runtime()?;
        // What was submitted stays submitted, so it is the store's own.
        let batch = Arc::new(batch.clone());
        let shards = self.server.by_shard(batch.writes.iter().map(|write| &write.key));
        let parts: Vec<_> = shards
            .into_iter()
            .map(|(shard, places)| (places.clone(), self.server.submit(runtime, shard, &batch, places)))
            .collect();
        let mut outcomes: Vec<Option<Result<Outcome>>> = batch.writes.iter().map(|_| None).collect();
        for (places, part) in parts {
            let part = part.await.map_err(|error| given_up().because(error))?;
            places.into_iter().zip(part).for_each(|(place, outcome)| outcomes[place] = Some(outcome));
        }
        if let Some(ms) = batch.writes.iter().find_map(grace_of) {
            let server = self.server.clone();
            self.run(async move { server.lengthen(ms).await }).await?;
        }
        let lost = || Err(Error::new(ErrorKind::Internal, "a write has no outcome"));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect())
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.server.scan(query).await.map_err(|error| error.during("scan"))
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        self.server.due(query).await.map_err(|error| error.during("due"))
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        let call = self.wake.clone().changes(self.server.clone(), query);
        within(self.runtime()?, call).await.map_err(|error| error.during("changes"))
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        self.server.usage(query).await.map_err(|error| error.during("usage"))
    }

    fn part_of(&self, key: &Key) -> usize {
        usize::from(self.server.layout.shard_of(key))
    }

    fn info(&self) -> &StoreInfo {
        &self.server.info
    }
}

#[async_trait]
impl Verify for RedisStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        let server = self.server.clone();
        self.run(async move { server.verify(repair).await }).await.map_err(|error| error.during("verify"))
    }
}
