use async_trait::async_trait;
use memlife_core::store::Limits;
use memlife_core::{InMemoryStore, Store};
use std::sync::Arc;

/// One place where a store is, fresh for each test; what it needs lives as long as the subject.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the store there. A second call gives another handle on the same records, or the same handle.
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether records outlive the last handle.
    fn persistent(&self) -> bool;

    /// Opens the store with these limits; `None` for a store whose limits are fixed.
    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        let _ = limits;
        None
    }

    /// Whether [`Subject::open_limited`] answers.
    fn limitable(&self) -> bool {
        false
    }
}

/// A fresh store in memory: every opening gives the same handle.
pub struct InMemorySubject(Arc<InMemoryStore>);

impl InMemorySubject {
    /// An empty store of a replica drawn at random.
    pub fn new() -> Self {
        InMemorySubject(Arc::new(InMemoryStore::new().unwrap()))
    }
}

impl Default for InMemorySubject {
    fn default() -> Self {
        InMemorySubject::new()
    }
}

#[async_trait]
impl Subject for InMemorySubject {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    fn persistent(&self) -> bool {
        false
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        Some(Arc::new(InMemoryStore::with_replica(self.0.info().replica).with_limits(limits)))
    }

    fn limitable(&self) -> bool {
        true
    }
}
