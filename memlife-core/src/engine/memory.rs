use super::reclaim::ReclaimQueue;
use super::seed::Seed;
use super::shelf::Shelf;
use crate::policy::{Policy, RuleSet};
use crate::record::Kind;
use crate::resolver::{self, Resolver};
use crate::store::{Batch, Durability, Placement, Store, Token, Write};
use crate::{Clock, Error, ErrorKind, Key, Result, SystemClock, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the engine refuses to take or to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// The most bytes of one value before compression. 16 MiB unless changed.
    pub value_bytes: usize,
    /// How long a write goes on trying when others keep changing its key. 5 s unless changed.
    pub contention: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        EngineLimits { value_bytes: 16 << 20, contention: Duration::from_secs(5) }
    }
}

/// Shared memory: a store seen through a policy and a clock. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Memory {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub store: Shelf,
    pub policy: Arc<dyn Policy>,
    pub clock: Arc<dyn Clock>,
    pub writer: Option<Arc<str>>,
    pub limits: EngineLimits,
    pub resolvers: HashMap<Arc<str>, Arc<dyn Resolver>>,
    pub seed: Seed,
    pub reclaim: ReclaimQueue,
    pub renews_on_read: bool,
    pub fingerprint_checked: AtomicBool,
    /// The latest instant this process has judged by: a wall clock that steps back revives nothing.
    latest_ms: AtomicU64,
    session: u64,
    batches: AtomicU64,
    opened: (Timestamp, Duration),
}

/// Puts a [`Memory`] together.
pub struct Builder {
    store: Arc<dyn Store>,
    policy: Arc<dyn Policy>,
    clock: Arc<dyn Clock>,
    writer: Option<Arc<str>>,
    limits: EngineLimits,
    resolvers: HashMap<Arc<str>, Arc<dyn Resolver>>,
}

impl Builder {
    /// The policy; the built-in rules unless set.
    #[must_use]
    pub fn policy(self, policy: Arc<dyn Policy>) -> Self {
        Builder { policy, ..self }
    }

    /// The clock; the machine's unless set.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Builder { clock, ..self }
    }

    /// Names the writer of every write that does not name its own.
    #[must_use]
    pub fn writer(self, writer: impl Into<Arc<str>>) -> Self {
        Builder { writer: Some(writer.into()), ..self }
    }

    /// Limits.
    #[must_use]
    pub fn limits(self, limits: EngineLimits) -> Self {
        Builder { limits, ..self }
    }

    /// Registers a conflict strategy of the program's own, under the name of its kind.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolvers.insert(resolver.kind().name().into(), resolver);
        self
    }

    /// The memory.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no random numbers.
    pub fn build(self) -> Result<Memory> {
        let seed = Seed::from_system()?;
        let opened = (self.clock.now(), self.clock.monotonic());
        let renews_on_read = self.policy.refreshes_on_read();
        Ok(Memory {
            inner: Arc::new(Inner {
                store: Shelf::new(self.store),
                policy: self.policy,
                clock: self.clock,
                writer: self.writer,
                limits: self.limits,
                resolvers: self.resolvers,
                session: seed.next(),
                seed,
                reclaim: ReclaimQueue::default(),
                renews_on_read,
                fingerprint_checked: AtomicBool::new(false),
                latest_ms: AtomicU64::new(0),
                batches: AtomicU64::new(0),
                opened,
            }),
        })
    }
}

impl Memory {
    /// Starts to put a memory together around `store`.
    pub fn builder(store: Arc<dyn Store>) -> Builder {
        Builder {
            store,
            policy: Arc::new(RuleSet::built_in()),
            clock: Arc::new(SystemClock),
            writer: None,
            limits: EngineLimits::default(),
            resolvers: HashMap::new(),
        }
    }

    /// A memory over `store` with the built-in rules and the machine's clock.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(store: Arc<dyn Store>) -> Result<Self> {
        Memory::builder(store).build()
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.inner.policy
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The limits in force.
    pub fn limits(&self) -> EngineLimits {
        self.inner.limits
    }

    /// Finishes what is queued. The store itself closes with its last handle.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn close(&self) -> Result<()> {
        self.flush_reclaims().await
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("store", self.inner.store.info()).finish_non_exhaustive()
    }
}

impl Inner {
    /// The instant to judge by, given the store's clock.
    pub fn now(&self, store_clock: Timestamp) -> Timestamp {
        let seen = match self.store.info().keeps_time {
            // Nothing that the store said is at hand.
            true if store_clock == Timestamp::EPOCH => return self.clock.now(),
            true => store_clock.ms(),
            false => self.clock.now().max(store_clock).ms(),
        };
        Timestamp::from_ms(self.latest_ms.fetch_max(seen, Ordering::Relaxed).max(seen))
    }

    /// How far the wall clock has run ahead of the monotonic one since this memory was opened.
    pub fn clock_jump(&self) -> Duration {
        let (wall, monotonic) = self.opened;
        let by_wall = Duration::from_millis(self.clock.now().since(wall));
        by_wall.saturating_sub(self.clock.monotonic().saturating_sub(monotonic))
    }

    pub fn batch(&self, writes: Vec<Write>, durability: Option<Durability>) -> Batch {
        let number = self.batches.fetch_add(1, Ordering::Relaxed);
        let level = self.store.info().durability;
        Batch {
            now: self.now(Timestamp::EPOCH),
            durability: durability.map_or(level, |asked| asked.max(level)),
            token: Some(Token { session: self.session, number }),
            writes,
        }
    }

    pub fn resolver(&self, kind: &Kind, key: &Key) -> Result<&dyn Resolver> {
        if let Some(native) = resolver::native(kind) {
            return Ok(native);
        }
        self.resolvers.get(kind.name()).map(|resolver| &**resolver).ok_or_else(|| {
            let message = format!("no conflict strategy named {:?} is registered: register it", kind.name());
            Error::new(ErrorKind::Unsupported, message).on(key)
        })
    }

    /// What the rule of `key` says, as the store wants it.
    pub fn placement(&self, key: &Key) -> Arc<Placement> {
        Arc::new(super::placement::by_rule(self.policy.rule_for(key), &self.seed))
    }
}
