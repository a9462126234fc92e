use memlife_core::store::{Durability, Limits};
use memlife_core::{Clock, Error, ErrorKind, Result, SystemClock};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most shards of a store.
const MAX_SHARDS: u16 = 1_000;
/// The most connections of a pool.
const MAX_POOL: usize = 64;

/// What a store is opened with.
///
/// ```
/// use memlife_store_redis::RedisConfig;
/// let config = RedisConfig::parse("redis://app:secret@cache.example:6380/2?prefix=team&timeout_ms=2000")?;
/// assert_eq!(config.location(), "redis://cache.example:6380/2?prefix=team");
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), memlife_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) is_cluster: bool,
    /// What the names of all keys on the server begin with.
    pub prefix: String,
    /// How many shards a new store has; one that exists keeps its number.
    pub shards: u16,
    /// Connections to a server, at least 1.
    pub pool: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How many replicas a write has to reach before it is acknowledged.
    pub replicas: u8,
    /// How long the server may take for an answer.
    pub response_timeout: Duration,
    /// How long a command is tried again while the server is away, loading or failing over.
    pub patience: Duration,
    /// The least that acknowledged writes must survive; `None` takes what the server gives.
    pub durability: Option<Durability>,
    /// What `appendfsync` is, for servers that do not tell.
    pub fsync: Option<Fsync>,
    /// A file with the certificate of the authority that signed the server's; the system's own otherwise.
    pub authority: Option<std::path::PathBuf>,
    /// Limits.
    pub limits: Limits,
    /// Whose wall clock writes are stamped by.
    pub wall: Wall,
    /// What measures how old the last sight of the server's clock is.
    pub clock: Arc<dyn Clock>,
}

/// How often a server syncs its append-only file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fsync {
    /// Before every answer.
    Always,
    /// Every second.
    EverySecond,
    /// When the system likes.
    No,
}

impl Fsync {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "always" => Some(Fsync::Always),
            "everysec" => Some(Fsync::EverySecond),
            "no" => Some(Fsync::No),
            _ => None,
        }
    }
}

/// Whose wall clock writes are stamped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wall {
    /// The server's, which is one for all who write.
    #[default]
    Server,
    /// The caller's, for tests and simulations of time.
    Caller,
}

impl RedisConfig {
    /// The store that `url` names: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://` for TLS, or
    /// `redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST…` for a cluster (`rediss+cluster://` for one with TLS).
    ///
    /// After a `?` may stand `prefix`, `shards`, `pool`, `replicas`, `timeout_ms`, `connect_timeout_ms`, `patience_ms`, `fsync`
    /// (`always`, `everysec`, `no`: what the server's `appendfsync` is, where it does not tell) and `ca` (a file).
    ///
    /// # Errors
    /// `Invalid`, without naming a password.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, settings) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) = place.split_once("://") else {
            return Err(invalid("write the URL of the server as redis://HOST:PORT"));
        };
        let (scheme, is_cluster) = match scheme {
            "redis" | "rediss" => (scheme, false),
            "redis+cluster" => ("redis", true),
            "rediss+cluster" => ("rediss", true),
            _ => return Err(invalid("the scheme is redis, rediss, redis+cluster or rediss+cluster")),
        };
        if scheme == "rediss" && cfg!(not(feature = "tls")) {
            let message = "this build has no TLS: build it with the cargo feature `tls`";
            return Err(Error::new(ErrorKind::Unsupported, message).during("open"));
        }
        let nodes = if is_cluster { cluster_nodes(scheme, rest)? } else { vec![node(scheme, rest)?] };
        let mut config = RedisConfig::of(nodes, is_cluster);
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            config.set(name, value)?;
        }
        Ok(config)
    }

    fn of(nodes: Vec<ConnectionInfo>, is_cluster: bool) -> Self {
        RedisConfig {
            nodes,
            is_cluster,
            prefix: "memlife".to_owned(),
            shards: if is_cluster { 64 } else { 2 },
            pool: 1,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            replicas: 0,
            durability: None,
            fsync: None,
            authority: None,
            limits: Limits { body_bytes: 64 << 20, ..Limits::default() },
            wall: Wall::Server,
            clock: Arc::new(SystemClock),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        // A password with a question mark may end up here, so nothing of it is told.
        let bad = || invalid("a setting of the URL does not take what it is given");
        let number = || value.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(bad);
        match name {
            "prefix" if is_prefix(value) => self.prefix = value.to_owned(),
            "shards" => {
                let shards = u16::try_from(number()?).ok().filter(|shards| *shards <= MAX_SHARDS);
                self.shards = shards.ok_or_else(bad)?;
            }
            "pool" => {
                let pool = usize::try_from(number()?).ok().filter(|pool| *pool <= MAX_POOL);
                self.pool = pool.ok_or_else(bad)?;
            }
            "replicas" => self.replicas = value.parse().map_err(|_| bad())?,
            "timeout_ms" => self.response_timeout = Duration::from_millis(number()?),
            "connect_timeout_ms" => self.connect_timeout = Duration::from_millis(number()?),
            "patience_ms" => self.patience = Duration::from_millis(number()?),
            "fsync" => self.fsync = Some(Fsync::parse(value).ok_or_else(bad)?),
            "ca" if !value.is_empty() => self.authority = Some(value.into()),
            "prefix" | "ca" => return Err(bad()),
            _ => {
                return Err(invalid(
                    "the URL has an unknown setting: there are prefix, shards, pool, replicas, timeout_ms, \
                     connect_timeout_ms, patience_ms, fsync and ca; write a ? in a password as %3F",
                ));
            }
        }
        Ok(())
    }

    /// Sets what the names of all keys on the server begin with.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how many shards a new store has.
    #[must_use]
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = shards.clamp(1, MAX_SHARDS);
        self
    }

    /// Sets the least that acknowledged writes must survive.
    #[must_use]
    pub fn durability(mut self, durability: Option<Durability>) -> Self {
        if let Some(Durability::Replicated(replicas)) = durability {
            self.replicas = self.replicas.max(replicas);
        }
        self.durability = durability;
        self
    }

    /// Sets how many replicas a write has to reach before it is acknowledged.
    #[must_use]
    pub fn replicas(mut self, replicas: u8) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets how long a command is tried again while the server is away.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whose wall clock writes are stamped by.
    #[must_use]
    pub fn wall(mut self, wall: Wall) -> Self {
        self.wall = wall;
        self
    }

    /// Where the store is, for people: the URL without user, password and settings.
    pub fn location(&self) -> String {
        let places: Vec<String> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        let is_encrypted = self.nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        let scheme = if is_encrypted { "rediss" } else { "redis" };
        let cluster = if self.is_cluster { "+cluster" } else { "" };
        let database = self.nodes.first().map_or(0, |node| node.redis_settings().db());
        format!("{scheme}{cluster}://{}/{database}?prefix={}", places.join(","), self.prefix)
    }

    /// Checks what setters take as it comes.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn check(&self) -> Result<()> {
        if !is_prefix(&self.prefix) {
            return Err(invalid("a prefix has up to 100 letters, digits or `-_.:/`"));
        }
        if self.shards == 0 || self.shards > MAX_SHARDS {
            return Err(invalid(format!("a store has 1 to {MAX_SHARDS} shards")));
        }
        Ok(())
    }

    /// What to warn of before the server is asked.
    pub(crate) fn sends_password_in_clear(&self) -> bool {
        self.nodes.iter().any(|node| {
            let is_far = match node.addr() {
                ConnectionAddr::Tcp(host, _) => !is_here(host),
                _ => false,
            };
            is_far && node.redis_settings().password().is_some()
        })
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("location", &self.location())
            .field("shards", &self.shards)
            .field("pool", &self.pool)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Braces would make a hash tag of their own.
fn is_prefix(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    !text.is_empty() && text.len() <= 100 && text.chars().all(is_plain)
}

fn node(scheme: &str, rest: &str) -> Result<ConnectionInfo> {
    let url = format!("{scheme}://{rest}");
    // The cause would repeat the URL, and with it the password.
    let info =
        url.as_str().into_connection_info().map_err(|_| invalid("the server's address does not parse"))?;
    Ok(info)
}

fn cluster_nodes(scheme: &str, rest: &str) -> Result<Vec<ConnectionInfo>> {
    let rest = rest.trim_end_matches('/');
    let (user, hosts) = rest.rsplit_once('@').map_or((None, rest), |(user, hosts)| (Some(user), hosts));
    let one = |host: &str| match user {
        Some(user) => node(scheme, &format!("{user}@{host}")),
        None => node(scheme, host),
    };
    hosts.split(',').map(one).collect()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).during("open")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> String {
        format!("{:?}", RedisConfig::parse(url).unwrap_err())
    }

    #[test]
    fn everything_in_a_url_is_understood() {
        let url =
            "redis://me:s3cret@h:7000/3?prefix=a.b&shards=8&pool=2&timeout_ms=10&patience_ms=30&fsync=always";
        let config = RedisConfig::parse(url).unwrap();
        let settings = config.nodes[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("s3cret")));
        assert_eq!((settings.db(), config.shards, config.pool), (3, 8, 2));
        assert_eq!((config.response_timeout.as_millis(), config.fsync), (10, Some(Fsync::Always)));
        assert_eq!(config.location(), "redis://h:7000/3?prefix=a.b");
    }

    #[test]
    fn a_cluster_has_several_nodes() {
        let config = RedisConfig::parse("redis+cluster://me:pw@h1:7001,h2:7002,h3?prefix=x").unwrap();
        assert!(config.is_cluster);
        assert_eq!(config.location(), "redis+cluster://h1:7001,h2:7002,h3:6379/0?prefix=x");
        assert!(config.nodes.iter().all(|node| node.redis_settings().password() == Some("pw")));
    }

    #[test]
    fn no_error_tells_a_password() {
        for url in [
            "redis://me:canary@h:port",
            "redis://me:canary@:x",
            "redis://me:canary@h/db",
            "http://me:canary@h",
            "redis://me:canary@h?shards=0",
            "redis+cluster://me:canary@h:1,:::",
        ] {
            let message = message(url);
            assert!(!message.contains("canary"), "{message}");
        }
        let config = RedisConfig::parse("redis://me:canary@h").unwrap();
        assert!(!format!("{config:?}{}", config.location()).contains("canary"));
    }

    #[test]
    fn a_password_in_the_clear_is_noticed_unless_it_stays_here() {
        let warned = |url| RedisConfig::parse(url).unwrap().sends_password_in_clear();
        assert!(warned("redis://me:pw@cache.example"));
        assert!(!warned("redis://me:pw@127.0.0.1"));
        assert!(!warned("redis://cache.example"));
    }
}
