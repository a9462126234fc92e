use crate::config::RedisConfig;
use crate::error::{self, Fate};
use crate::layout::Shard;
use memlife_core::{Clock, Error, ErrorKind, Result};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, Value};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// The first and the longest pause before another attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A cluster may have to try several of its nodes, one after the other.
const CONNECTS: u32 = 3;

/// The way to the server: connects when it has to, again when the connection is lost, and gives up in time.
pub(crate) struct Link {
    target: Target,
    /// Connections for reads, then as many for writes that wait for replicas: waiting holds up all behind it.
    pool: Vec<Slot>,
    /// How many of them are for reads, and for all writes where nobody waits.
    width: usize,
    connect_timeout: Duration,
    response_timeout: Duration,
    patience: Duration,
    clock: Arc<dyn Clock>,
    /// The runtime of the connections.
    runtime: Handle,
}

/// A place for one connection.
#[derive(Default)]
struct Slot {
    /// The connection, with a number that tells it from the ones before.
    connection: RwLock<Option<(u64, Connection)>>,
    /// Held by whoever connects.
    connecting: Mutex<()>,
    /// How many attempts to connect came to an end.
    attempts: AtomicU64,
}

impl Slot {
    fn there(&self) -> Option<(u64, Connection)> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) values: Vec<Value>,
    /// Whether an attempt before this one may have been carried out.
    pub(crate) was_unknown: bool,
}

enum Target {
    Server(Box<Client>),
    #[cfg(feature = "cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
}

#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

/// What is sent at once.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    One(&'a Cmd),
    /// Commands on one shard.
    Many(&'a Pipeline),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no, or could not be reached: nothing was done.
    Refused(Error),
    /// Nobody knows what was done.
    Unknown(Error),
    /// The server does not know the script; what an attempt before left unknown stays so.
    NoScript(Option<Error>),
}

impl Failure {
    /// The error of a command that changes nothing, whose fate is no matter.
    pub(crate) fn of_read(self) -> Error {
        match self {
            Failure::Refused(error) => error,
            Failure::Unknown(_) => {
                Error::new(ErrorKind::Unavailable, "the server does not answer: try again later")
            }
            Failure::NoScript(_) => error::unexpected("a script"),
        }
    }
}

impl Link {
    /// A link whose connections live in the runtime that this is called in.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        let patience = config.patience;
        let width = config.pool.max(1);
        let count = if config.replicas > 0 { 2 * width } else { width };
        Ok(Link {
            target: Target::new(config)?,
            pool: (0..count).map(|_| Slot::default()).collect(),
            width,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            patience,
            clock: config.clock.clone(),
            runtime: Handle::current(),
        })
    }

    /// Until when a command that is submitted now is tried again.
    pub(crate) fn deadline(&self) -> Duration {
        self.clock.monotonic() + self.patience
    }

    /// How many connections there are for reads.
    pub(crate) fn readers(&self) -> usize {
        self.width
    }

    /// The place among the connections for reads of a shard.
    pub(crate) fn reader(&self, shard: Shard) -> usize {
        usize::from(shard) % self.width
    }

    /// The place among the connections for writes to a shard.
    pub(crate) fn writer(&self, shard: Shard) -> usize {
        self.pool.len() - self.width + self.reader(shard)
    }

    /// Sends a command that may be sent again: one that only reads, or that a token protects. It is sent at least once.
    /// Whoever asks may be in any runtime, or in none.
    pub(crate) async fn ask(
        &self,
        place: usize,
        request: Request<'_>,
        deadline: Duration,
    ) -> Result<Answered, Failure> {
        within(&self.runtime, self.ask_within(place, request, deadline)).await
    }

    async fn ask_within(
        &self,
        place: usize,
        request: Request<'_>,
        deadline: Duration,
    ) -> Result<Answered, Failure> {
        let mut pause = FIRST_PAUSE;
        let mut unknown = None;
        loop {
            let error = match self.attempt(place, request).await {
                Ok(values) => return Ok(Answered { values, was_unknown: unknown.is_some() }),
                Err(error) => error,
            };
            if error.code() == Some("NOSCRIPT") {
                return Err(Failure::NoScript(unknown.as_ref().map(error::unknown)));
            }
            let fate = error::fate(&error);
            if fate == Fate::Unknown {
                unknown = Some(error.clone());
            }
            if fate == Fate::Final || self.clock.monotonic() + pause >= deadline {
                // What one attempt left unknown, the refusal of a later one does not settle.
                return Err(match unknown {
                    Some(unknown) => Failure::Unknown(error::unknown(&unknown)),
                    None => Failure::Refused(error::refused(&error)),
                });
            }
            tracing::debug!(attempt_failed = %error.category(), "the server is asked again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The answers to commands that only read.
    ///
    /// # Errors
    /// `Unavailable` when the server does not answer in time.
    pub(crate) async fn read(&self, shard: Shard, request: Request<'_>) -> Result<Vec<Value>> {
        let answered = self.ask(self.reader(shard), request, self.deadline()).await;
        answered.map(|answered| answered.values).map_err(Failure::of_read)
    }

    async fn attempt(&self, place: usize, request: Request<'_>) -> Result<Vec<Value>, RedisError> {
        let slot = &self.pool[place];
        let (number, mut connection) = self.connection(slot).await?;
        let sent = async {
            match request {
                Request::One(command) => Ok(vec![connection.req_packed_command(command).await?]),
                Request::Many(pipeline) => connection.req_packed_commands(pipeline, 0, pipeline.len()).await,
            }
        };
        // The library gives up in time; an error amid the answers says more than its summary of them.
        let answer =
            sent.await.and_then(|values: Vec<Value>| values.into_iter().map(Value::extract_error).collect());
        if let Err(error) = &answer
            && error::ends_connection(error)
        {
            let mut connection = slot.connection.write().unwrap_or_else(PoisonError::into_inner);
            connection.take_if(|(there, _)| *there == number);
        }
        answer
    }

    async fn connection(&self, slot: &Slot) -> Result<(u64, Connection), RedisError> {
        let before = slot.attempts.load(Ordering::Relaxed);
        match slot.there() {
            Some(there) => Ok(there),
            // Apart, so that the future of a lone command is small: each call allocates one.
            None => Box::pin(self.connect(slot, before)).await,
        }
    }

    /// Connects, unless another does it first or has failed since there were `before` attempts.
    async fn connect(&self, slot: &Slot, before: u64) -> Result<(u64, Connection), RedisError> {
        let _connecting = slot.connecting.lock().await;
        if let Some(there) = slot.there() {
            return Ok(there);
        }
        if slot.attempts.load(Ordering::Relaxed) > before {
            // Another failed to connect while this one waited for the place.
            return Err(refusal());
        }
        let connected = self.target.connect(self.connect_timeout, self.response_timeout);
        let connected = self.in_time(connected).await;
        let number = slot.attempts.fetch_add(1, Ordering::Relaxed);
        let there = (number, connected?);
        *slot.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(there.clone());
        Ok(there)
    }

    /// Whatever connects, unless it takes too long.
    async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        match tokio::time::timeout(self.connect_timeout * CONNECTS, connecting).await {
            Ok(connected) => connected.map_err(not_sent),
            Err(_) => Err(refusal()),
        }
    }

    /// A connection of its own that hears of commits.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<redis::aio::PubSub, RedisError> {
        let client = match &self.target {
            Target::Server(client) => client,
            // Every node of a cluster would be told of every commit, so nobody is.
            #[cfg(feature = "cluster")]
            Target::Cluster(_) => return Err(refusal()),
        };
        let subscribing = async {
            let mut listener = client.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener)
        };
        self.in_time(subscribing).await
    }
}

/// Waits for `call` with the timers of `runtime`.
pub(crate) async fn within<T>(runtime: &Handle, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    poll_fn(|context| {
        let _entered = runtime.enter();
        call.as_mut().poll(context)
    })
    .await
}

/// Whatever goes wrong before a command is sent did nothing.
fn not_sent(error: RedisError) -> RedisError {
    if error.code().is_some() || error::fate(&error) == Fate::Final { error } else { refusal() }
}

fn refusal() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
}

impl Target {
    fn new(config: &RedisConfig) -> Result<Self> {
        let bad = |error: RedisError| {
            let message = format!("the server's address cannot be used: {}", error.category());
            Error::new(ErrorKind::Invalid, message)
        };
        install_tls(config);
        let authority = read_authority(config)?;
        if config.is_cluster {
            return Target::cluster(config, authority);
        }
        let Some(node) = config.nodes.first().cloned() else {
            return Err(Error::new(ErrorKind::Invalid, "the URL names no server"));
        };
        #[cfg(feature = "tls")]
        if let (Some(root), redis::ConnectionAddr::TcpTls { .. }) = (&authority, node.addr()) {
            let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root.clone()) };
            return Client::build_with_tls(node, certificates)
                .map(|client| Target::Server(client.into()))
                .map_err(bad);
        }
        Client::open(node).map(|client| Target::Server(client.into())).map_err(bad)
    }

    #[cfg(feature = "cluster")]
    fn cluster(config: &RedisConfig, authority: Option<Vec<u8>>) -> Result<Self> {
        let mut builder = redis::cluster::ClusterClient::builder(config.nodes.clone())
            .connection_timeout(config.connect_timeout)
            .response_timeout(config.response_timeout)
            .retries(4);
        #[cfg(feature = "tls")]
        if let Some(root) = authority {
            builder = builder.certs(redis::TlsCertificates { client_tls: None, root_cert: Some(root) });
        }
        #[cfg(not(feature = "tls"))]
        drop(authority);
        builder.build().map(|client| Target::Cluster(client.into())).map_err(|error| {
            let message = format!("the cluster's addresses cannot be used: {}", error.category());
            Error::new(ErrorKind::Invalid, message)
        })
    }

    #[cfg(not(feature = "cluster"))]
    fn cluster(_config: &RedisConfig, _authority: Option<Vec<u8>>) -> Result<Self> {
        let message = "this build knows no clusters: build it with the cargo feature `cluster`";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    async fn connect(&self, connecting: Duration, responding: Duration) -> Result<Connection, RedisError> {
        match self {
            Target::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(connecting))
                    .set_response_timeout(Some(responding));
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
            }
            #[cfg(feature = "cluster")]
            Target::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

fn read_authority(config: &RedisConfig) -> Result<Option<Vec<u8>>> {
    let Some(path) = &config.authority else { return Ok(None) };
    std::fs::read(path).map(Some).map_err(|error| {
        let message = format!("the certificate in {} cannot be read", path.display());
        Error::new(ErrorKind::Invalid, message).because(error)
    })
}

/// Encryption needs a provider of ciphers for the whole process, which the first to come chooses.
fn install_tls(config: &RedisConfig) {
    #[cfg(feature = "tls")]
    if config.nodes.iter().any(|node| matches!(node.addr(), redis::ConnectionAddr::TcpTls { .. })) {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    #[cfg(not(feature = "tls"))]
    let _ = config;
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Server(connection) => connection.req_packed_command(cmd),
            #[cfg(feature = "cluster")]
            Connection::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "cluster")]
            Connection::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Server(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}
