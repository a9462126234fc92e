//! What the store shares between its calls: the link, the layout, what is known of the server's clock.

use crate::config::{RedisConfig, Wall};
use crate::convoy::Convoy;
use crate::error::unexpected;
use crate::gather::Gathering;
use crate::lane::Lane;
use crate::layout::{Layout, Shard};
use crate::link::{Link, Request};
use crate::script::Scripts;
use bytes::Bytes;
use memlife_core::store::{StoreInfo, Token};
use memlife_core::{Clock, Hlc, Key, Ledger, Result, Timestamp};
use redis::{Cmd, Pipeline, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One store on a server, for as long as any call runs.
pub(crate) struct Server {
    pub(crate) link: Link,
    pub(crate) layout: Layout,
    pub(crate) scripts: Scripts,
    pub(crate) info: StoreInfo,
    pub(crate) wall: Wall,
    pub(crate) is_cluster: bool,
    /// How many replicas a write has to reach, and how long that may take, in milliseconds.
    pub(crate) replicas: u8,
    pub(crate) replicas_ms: u64,
    /// Removals that each shard keeps however old they are.
    pub(crate) keep_removals: usize,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) convoy: Convoy,
    pub(crate) gatherings: Vec<Arc<Gathering>>,
    /// What writes without a token are numbered by.
    session: u64,
    numbers: AtomicU64,
    clock: Arc<dyn Clock>,
    /// The server's clock less the monotonic one here, when last heard of.
    offset_ms: AtomicU64,
    /// The latest clock that a ledger showed: the shards have clocks of their own, and what one has seen expire no other
    /// brings back.
    seen_ms: AtomicU64,
    /// When a reader last asked for a ledger, by the clock here.
    asked_ms: AtomicU64,
}

impl Server {
    pub(crate) fn new(
        config: &RedisConfig,
        link: Link,
        layout: Layout,
        info: StoreInfo,
        session: u64,
    ) -> Self {
        // In a cluster a command concerns one shard; elsewhere those of a connection go together.
        let gatherings = if config.is_cluster { layout.count() } else { link.readers() };
        Server {
            gatherings: (0..gatherings).map(|_| Arc::default()).collect(),
            link,
            scripts: Scripts::new(),
            info,
            wall: config.wall,
            is_cluster: config.is_cluster,
            replicas: config.replicas,
            // The answer has to come before the connection is given up.
            replicas_ms: u64::try_from(config.response_timeout.as_millis() / 2).unwrap_or(u64::MAX).max(1),
            keep_removals: KEEP_REMOVALS.div_ceil(layout.count()),
            lanes: layout.shards().map(|_| Lane::default()).collect(),
            convoy: Convoy::default(),
            layout,
            session,
            numbers: AtomicU64::new(0),
            clock: config.clock.clone(),
            offset_ms: AtomicU64::new(0),
            seen_ms: AtomicU64::new(0),
            asked_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn new_token(&self) -> Token {
        Token { session: self.session, number: self.numbers.fetch_add(1, Ordering::Relaxed) }
    }

    /// Sends commands on one shard that only read.
    ///
    /// # Errors
    /// `Unavailable` when the server does not answer in time.
    pub(crate) async fn read(&self, shard: Shard, pipeline: &Pipeline) -> Result<Vec<Value>> {
        self.link.read(shard, Request::Many(pipeline)).await
    }

    /// As [`Server::read`], for one command.
    pub(crate) async fn read_one(&self, shard: Shard, command: &Cmd) -> Result<Value> {
        let mut values = self.link.read(shard, Request::One(command)).await?;
        values.pop().ok_or_else(|| unexpected("a command"))
    }

    /// Takes note of the server's wall clock.
    pub(crate) fn heard(&self, wall: Timestamp) {
        self.offset_ms.store(wall.ms().saturating_sub(self.elapsed_ms()), Ordering::Relaxed);
    }

    /// The store's clock where a ledger shows `clock`: never behind what any ledger showed before, and under the
    /// server's wall clock at least what that must show by now.
    pub(crate) fn clock(&self, clock: Hlc) -> Timestamp {
        let seen = self.seen_ms.fetch_max(clock.at.ms(), Ordering::Relaxed).max(clock.at.ms());
        let seen = Timestamp::from_ms(seen);
        if self.wall == Wall::Caller {
            return seen;
        }
        let wall = self.offset_ms.load(Ordering::Relaxed).saturating_add(self.elapsed_ms());
        seen.max(Timestamp::from_ms(wall))
    }

    /// The store's clock, where a ledger was seen just now: the server's wall clock goes on as time does here, so that a
    /// reader need not ask for it each time. `None` from time to time, and where the callers' clocks count.
    pub(crate) fn fresh_clock(&self) -> Option<Timestamp> {
        if self.wall == Wall::Caller {
            return None;
        }
        let elapsed = self.elapsed_ms();
        let asked = self.asked_ms.load(Ordering::Relaxed);
        let is_stale = elapsed.saturating_sub(asked) >= FRESH_MS;
        // Of those who find it stale, one asks.
        if is_stale
            && self.asked_ms.compare_exchange(asked, elapsed, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return None;
        }
        Some(self.clock(Hlc::default()))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// The latest clock that a ledger showed.
    pub(crate) fn seen(&self) -> Timestamp {
        Timestamp::from_ms(self.seen_ms.load(Ordering::Relaxed))
    }

    /// The shards of these keys, each with the places of its keys.
    pub(crate) fn by_shard<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Vec<(Shard, Vec<usize>)> {
        let mut shards: Vec<(Shard, Vec<usize>)> = Vec::new();
        let mut places: HashMap<Shard, usize> = HashMap::new();
        for (i, key) in keys.enumerate() {
            let shard = self.layout.shard_of(key);
            let place = *places.entry(shard).or_insert_with(|| {
                shards.push((shard, Vec::new()));
                shards.len() - 1
            });
            shards[place].1.push(i);
        }
        shards
    }
}

/// For how long the clock that a ledger showed is good enough for readers, in milliseconds.
const FRESH_MS: u64 = 100;
/// Removals beyond this many go once they are old.
const KEEP_REMOVALS: usize = 100_000;

/// What a ledger holds that readers need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// Removals up to this change number may have been forgotten.
    pub(crate) floor: u64,
    pub(crate) removed: [u64; 4],
    /// What was changed before this may lack what the server has lost.
    pub(crate) jump: u64,
}

impl State {
    /// Adds the command whose answer [`State::parse`] reads.
    pub(crate) fn ask(pipeline: &mut Pipeline, name: &str) {
        pipeline.cmd("HMGET").arg(name).arg(&["s", "ms", "c", "g", "f", "r0", "r1", "r2", "r3", "j"]);
    }

    pub(crate) fn parse(value: Value) -> Result<Self> {
        let fields = array(value, "HMGET")?.into_iter().map(|value| Ok(text_number(value)?.unwrap_or(0)));
        let fields: Vec<u64> = fields.collect::<Result<_>>()?;
        let fields: [u64; 10] = fields.try_into().map_err(|_| unexpected("HMGET"))?;
        let [seq, ms, counter, grace_ms, floor, expired, deleted, evicted, purged, jump] = fields;
        let removed = [expired, deleted, evicted, purged];
        let counter = u16::try_from(counter).map_err(|_| unexpected("HMGET"))?;
        let clock = Hlc { at: Timestamp::from_ms(ms), counter };
        Ok(State { ledger: Ledger { seq, clock, grace_ms }, floor, removed, jump })
    }
}

/// The elements of a list.
pub(crate) fn array(value: Value, what: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected(what)),
    }
}

/// The bytes of a string; `None` for none.
pub(crate) fn bytes(value: Value, what: &str) -> Result<Option<Bytes>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into())),
        Value::Okay => Ok(Some(Bytes::from_static(b"OK"))),
        Value::Int(number) => Ok(Some(number.to_string().into())),
        Value::Double(number) => Ok(Some(number.to_string().into())),
        Value::Nil => Ok(None),
        _ => Err(unexpected(what)),
    }
}

/// A number that is written in digits.
pub(crate) fn text_number(value: Value) -> Result<Option<u64>> {
    let Some(bytes) = bytes(value, "a number")? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| unexpected("a number"))?;
    text.parse().map(Some).map_err(|_| unexpected("a number"))
}

/// A key as an index holds it.
pub(crate) fn key(bytes: &[u8]) -> Result<Key> {
    let text = std::str::from_utf8(bytes).map_err(|_| unexpected("a key"))?;
    Key::from_stored(text)
}
