#![allow(dead_code, reason = "each test file uses its part")]

use async_trait::async_trait;
use memlife_core::Store;
use memlife_core::store::Limits;
use memlife_store_redis::{RedisConfig, RedisStore, Wall};
use memlife_testkit::{InMemorySubject, RedisServer, Subject};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fresh prefix on a server, under the clock of the test.
pub struct Redis {
    pub config: RedisConfig,
    /// Ends with its last subject.
    server: Option<Arc<RedisServer>>,
}

impl Redis {
    pub fn on(server: &Arc<RedisServer>, shards: u16) -> Self {
        Redis { server: Some(server.clone()), ..Redis::at(&server.url(), shards) }
    }

    /// At a server or cluster that somebody else stops.
    pub fn at(url: &str, shards: u16) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = RedisConfig::parse(url).unwrap().prefix(prefix).shards(shards).wall(Wall::Caller);
        Redis { config, server: None }
    }

    pub fn store(&self) -> RedisStore {
        RedisStore::open(self.config.clone()).unwrap()
    }
}

#[async_trait]
impl Subject for Redis {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store())
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        Some(Arc::new(RedisStore::open(self.config.clone().limits(limits)).unwrap()))
    }

    fn limitable(&self) -> bool {
        true
    }
}

/// The cluster that tests use instead of a server each, where one is named.
pub const CLUSTER: &str = "MEMLIFE_TEST_CLUSTER";

/// A store on a server of its own. A behaviour cannot skip itself: where there is no server, which is told, it runs
/// over the store in memory.
pub enum OwnServer {
    Redis(Redis),
    Missing(InMemorySubject),
}

impl OwnServer {
    #[allow(clippy::disallowed_methods, reason = "the parent tells its children by their environment")]
    pub fn start(shards: u16) -> Self {
        if let Ok(url) = std::env::var(CLUSTER) {
            return OwnServer::Redis(Redis::at(&url, shards));
        }
        match RedisServer::start(&[]) {
            Some(server) => OwnServer::Redis(Redis::on(&Arc::new(server), shards)),
            None => OwnServer::Missing(InMemorySubject::new()),
        }
    }

    fn subject(&self) -> &dyn Subject {
        match self {
            OwnServer::Redis(subject) => subject,
            OwnServer::Missing(subject) => subject,
        }
    }
}

#[async_trait]
impl Subject for OwnServer {
    async fn open(&self) -> Arc<dyn Store> {
        self.subject().open().await
    }

    fn persistent(&self) -> bool {
        self.subject().persistent()
    }

    async fn open_limited(&self, limits: Limits) -> Option<Arc<dyn Store>> {
        self.subject().open_limited(limits).await
    }

    fn limitable(&self) -> bool {
        self.subject().limitable()
    }
}
