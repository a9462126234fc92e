//! The store that keeps everything in this process: for tests, and the reference that other stores are held to.

mod indexes;
mod state;

use crate::store::{
    Batch, Changes, Cursor, CursorPart, Due, DuePage, Durability, Feed, Fetched, Limits, Outcome, Page,
    Repair, Scan, StoreInfo, UsagePage, UsageQuery, Verification, Verify, Want,
};
use crate::{Error, ErrorKind, Key, ReplicaId, Result, Store};
use async_trait::async_trait;
use state::State;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A store in memory: gone with the process, and simple enough to be right at sight.
///
/// One lock around ordered maps. Clones of an `Arc` of it are its only handles.
#[derive(Debug)]
pub struct InMemoryStore {
    state: Mutex<State>,
    changed: Notify,
    info: StoreInfo,
}

impl InMemoryStore {
    /// An empty store of a replica drawn at random.
    ///
    /// # Errors
    /// `Internal` when the system gives no random bytes.
    pub fn new() -> Result<Self> {
        let drawn = getrandom::u64().map_err(|error| {
            let message = format!("the system gives no random bytes for a replica id: {error}");
            Error::new(ErrorKind::Internal, message)
        })?;
        Ok(InMemoryStore::with_replica(ReplicaId(drawn)))
    }

    /// An empty store of this replica.
    pub fn with_replica(replica: ReplicaId) -> Self {
        let info = StoreInfo {
            backend: "memory",
            location: "memory:".into(),
            replica,
            incarnation: replica.0,
            durability: Durability::Memory,
            max_durability: Durability::Memory,
            read_only: false,
            keeps_time: false,
            keeps_dictionaries: true,
            limits: Limits::default(),
            warnings: Vec::new(),
        };
        InMemoryStore { state: Mutex::default(), changed: Notify::new(), info }
    }

    /// The same store with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.info.limits = limits;
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding the lock did so between two writes, each of which is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `seq` to read after; `None` for a cursor that this store did not hand out.
    fn position(&self, cursor: &Cursor) -> Option<u64> {
        match cursor.parts[..] {
            [] => Some(0),
            [part] if part.incarnation == self.info.incarnation => Some(part.seq),
            _ => None,
        }
    }

    fn cursor(&self, seq: u64) -> Cursor {
        Cursor { parts: vec![CursorPart { incarnation: self.info.incarnation, seq }] }
    }

    fn changes_now(&self, after: Option<u64>, query: &Feed) -> Changes {
        let state = self.lock();
        match after.filter(|&seq| state.reaches_back_to(seq)) {
            Some(seq) => Changes::Page(state.changes(seq, query, |seq| self.cursor(seq))),
            None => Changes::Gap(self.cursor(state.ledger.seq)),
        }
    }

    async fn next_changes(&self, after: Option<u64>, query: &Feed) -> Changes {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Enlisted before looking, so that a change between looking and waiting is not missed.
            changed.as_mut().enable();
            match self.changes_now(after, query) {
                Changes::Page(page) if page.items.is_empty() => changed.await,
                answer => return answer,
            }
        }
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let most = self.info.limits.batch_writes;
        if batch.writes.len() > most {
            let message =
                format!("a batch has {} writes and {most} are allowed: split it", batch.writes.len());
            return Err(Error::new(ErrorKind::TooLarge, message).during("apply"));
        }
        if batch.durability > self.info.max_durability {
            let message = format!(
                "a store in memory cannot give the durability `{}`: ask for `{}` or use a store on disk",
                batch.durability, self.info.max_durability
            );
            return Err(Error::new(ErrorKind::Unsupported, message).during("apply"));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for InMemoryStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        Ok(self.lock().get(keys, want))
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.check(batch)?;
        let mut state = self.lock();
        let before = state.ledger.seq;
        let outcomes = batch.writes.iter().map(|write| state.apply(write, batch.now, &self.info)).collect();
        if state.ledger.seq != before {
            self.changed.notify_waiters();
        }
        Ok(outcomes)
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        Ok(self.lock().scan(query))
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        Ok(self.lock().due(query))
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        let after = match &query.after {
            None => Some(self.lock().ledger.seq),
            Some(cursor) => self.position(cursor),
        };
        let can_wait = !query.wait.is_zero() && tokio::runtime::Handle::try_current().is_ok();
        if can_wait
            && let Ok(answer) = tokio::time::timeout(query.wait, self.next_changes(after, query)).await
        {
            return Ok(answer);
        }
        Ok(self.changes_now(after, query))
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        Ok(self.lock().usage(query))
    }

    fn info(&self) -> &StoreInfo {
        &self.info
    }
}

#[async_trait]
impl Verify for InMemoryStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        Ok(self.lock().verify(repair))
    }
}
