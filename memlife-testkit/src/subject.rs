use async_trait::async_trait;
use memlife_core::Store;
use memlife_core::store::Limits;
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

/// A store that exists in this process only: every opening gives the same handle.
pub struct SharedStore(Arc<dyn Store>);

impl SharedStore {
    /// A subject around `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        SharedStore(store)
    }
}

#[async_trait]
impl Subject for SharedStore {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    fn persistent(&self) -> bool {
        false
    }
}
