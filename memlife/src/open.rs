use memlife_core::policy::PolicyFile;
use memlife_core::store::Durability;
use memlife_core::{
    Clock, EngineLimits, Error, ErrorKind, InMemoryStore, Memory, Policy, Resolver, Result, Store,
};
use std::sync::Arc;
use std::time::Duration;

/// How to open a store.
#[derive(Clone, Default)]
#[cfg_attr(
    not(any(feature = "sqlite", feature = "fs", feature = "redb", feature = "redis")),
    allow(dead_code, reason = "of stores that are left out")
)]
pub struct OpenOptions {
    policy: Option<Arc<dyn Policy>>,
    clock: Option<Arc<dyn Clock>>,
    writer: Option<Arc<str>>,
    limits: EngineLimits,
    durability: Option<Durability>,
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "fs")),
        allow(dead_code, reason = "only stores that keep a log ask")
    )]
    stay: Stay,
    busy_timeout: Option<Duration>,
    resolvers: Vec<Arc<dyn Resolver>>,
}

/// How long the program means to keep the store open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stay {
    /// For long: closing tidies up after itself.
    #[default]
    Long,
    /// For one command: closing leaves tidying to others, so that it is quick.
    Brief,
}

impl OpenOptions {
    /// The built-in rules, the machine's clock, the `process` level of durability.
    pub fn new() -> Self {
        OpenOptions::default()
    }

    /// The policy.
    #[must_use]
    pub fn policy(self, policy: Arc<dyn Policy>) -> Self {
        OpenOptions { policy: Some(policy), ..self }
    }

    /// The policy of a parsed policy file.
    #[must_use]
    pub fn policy_file(self, file: &PolicyFile) -> Self {
        self.policy(Arc::new(file.rules.clone()))
    }

    /// The clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        OpenOptions { clock: Some(clock), ..self }
    }

    /// Names the writer of every write that does not name its own.
    #[must_use]
    pub fn writer(self, writer: impl Into<Arc<str>>) -> Self {
        OpenOptions { writer: Some(writer.into()), ..self }
    }

    /// Limits.
    #[must_use]
    pub fn limits(self, limits: EngineLimits) -> Self {
        OpenOptions { limits, ..self }
    }

    /// What an acknowledged write survives.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        OpenOptions { durability: Some(durability), ..self }
    }

    /// How long the program means to keep the store open.
    #[must_use]
    pub fn stay(self, stay: Stay) -> Self {
        OpenOptions { stay, ..self }
    }

    /// How long a write waits for other processes before it fails as `Locked`; the store's default unless set.
    #[must_use]
    pub fn busy_timeout(self, timeout: Duration) -> Self {
        OpenOptions { busy_timeout: Some(timeout), ..self }
    }

    /// Registers a conflict strategy of the program's own.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolvers.push(resolver);
        self
    }

    pub(crate) fn assemble(self, url: &str) -> Result<Memory> {
        let store = open_store(url, &self)?;
        let mut builder = Memory::builder(store).limits(self.limits);
        if let Some(policy) = self.policy {
            builder = builder.policy(policy);
        }
        if let Some(clock) = self.clock {
            builder = builder.clock(clock);
        }
        if let Some(writer) = self.writer {
            builder = builder.writer(writer);
        }
        self.resolvers.into_iter().fold(builder, memlife_core::Builder::resolver).build()
    }
}

/// Opens the store at `url` with the built-in rules, and creates it where there is none.
///
/// # Errors
/// `Invalid` for what is no URL of a store, `Unsupported` for a store this build has no feature for, and the store's
/// own, such as `Corrupt` for a file that is something else.
pub async fn open(url: &str) -> Result<Memory> {
    open_with(url, OpenOptions::new()).await
}

/// As [`open`], with options.
///
/// # Errors
/// As [`open`].
pub async fn open_with(url: &str, options: OpenOptions) -> Result<Memory> {
    options.assemble(url)
}

/// Opens the store at `url` without an engine around it.
///
/// # Errors
/// As [`open`].
pub fn open_store(url: &str, options: &OpenOptions) -> Result<Arc<dyn Store>> {
    let Some((scheme, place)) = url.split_once(':') else {
        let message = format!("{url:?} is not the URL of a store: write one such as sqlite:PATH or fs:DIR");
        return Err(Error::new(ErrorKind::Invalid, message).during("open"));
    };
    match scheme {
        "memory" if place.is_empty() => open_memory(options),
        "sqlite" => open_sqlite(place, options),
        "fs" => open_fs(place, options),
        "redb" => open_redb(place, options),
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => open_redis(url, options),
        _ => {
            let message = format!(
                "no store has the scheme {scheme:?}: use sqlite:PATH, fs:DIR, redb:PATH, redis://HOST or memory:"
            );
            Err(Error::new(ErrorKind::Unsupported, message).during("open"))
        }
    }
}

fn open_memory(options: &OpenOptions) -> Result<Arc<dyn Store>> {
    if let Some(asked) = options.durability.filter(|asked| *asked > Durability::Memory) {
        let message = format!(
            "memory: keeps nothing beyond the process and cannot give {asked}: use sqlite:, fs: or redb:"
        );
        return Err(Error::new(ErrorKind::Unsupported, message).during("open"));
    }
    Ok(Arc::new(InMemoryStore::new()?))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(path: &str, options: &OpenOptions) -> Result<Arc<dyn Store>> {
    use memlife_store_sqlite::{SqliteConfig, SqliteStore};
    let mut config = SqliteConfig::new(path)
        .durability(options.durability.unwrap_or_default())
        .checkpoint_on_close(options.stay == Stay::Long);
    if let Some(timeout) = options.busy_timeout {
        config = config.busy_timeout(timeout);
    }
    Ok(Arc::new(SqliteStore::open(config).map_err(|error| error.during("open"))?))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_path: &str, _options: &OpenOptions) -> Result<Arc<dyn Store>> {
    Err(left_out("sqlite"))
}

#[cfg(feature = "fs")]
fn open_fs(directory: &str, options: &OpenOptions) -> Result<Arc<dyn Store>> {
    use memlife_store_fs::{FsConfig, FsStore};
    let mut config = FsConfig::new(directory)
        .durability(options.durability.unwrap_or_default())
        .checkpoint_on_close(options.stay == Stay::Long);
    if let Some(timeout) = options.busy_timeout {
        config = config.busy_timeout(timeout);
    }
    Ok(Arc::new(FsStore::open(&config).map_err(|error| error.during("open"))?))
}

#[cfg(not(feature = "fs"))]
fn open_fs(_directory: &str, _options: &OpenOptions) -> Result<Arc<dyn Store>> {
    Err(left_out("fs"))
}

#[cfg(feature = "redb")]
fn open_redb(path: &str, options: &OpenOptions) -> Result<Arc<dyn Store>> {
    use memlife_store_redb::{RedbConfig, RedbStore};
    let mut config = RedbConfig::new(path).durability(options.durability.unwrap_or_default());
    if let Some(timeout) = options.busy_timeout {
        config = config.busy_timeout(timeout);
    }
    Ok(Arc::new(RedbStore::open(config).map_err(|error| error.during("open"))?))
}

#[cfg(not(feature = "redb"))]
fn open_redb(_path: &str, _options: &OpenOptions) -> Result<Arc<dyn Store>> {
    Err(left_out("redb"))
}

#[cfg(feature = "redis")]
fn open_redis(url: &str, options: &OpenOptions) -> Result<Arc<dyn Store>> {
    use memlife_store_redis::{RedisConfig, RedisStore};
    let mut config = RedisConfig::parse(url)?.durability(options.durability);
    if let Some(timeout) = options.busy_timeout {
        config = config.patience(timeout);
    }
    Ok(Arc::new(RedisStore::open(config)?))
}

#[cfg(not(feature = "redis"))]
fn open_redis(_url: &str, _options: &OpenOptions) -> Result<Arc<dyn Store>> {
    Err(left_out("redis"))
}

#[cfg(not(all(feature = "sqlite", feature = "fs", feature = "redb", feature = "redis")))]
fn left_out(feature: &str) -> Error {
    let built_in = [
        ("sqlite:PATH", cfg!(feature = "sqlite")),
        ("fs:DIR", cfg!(feature = "fs")),
        ("redb:PATH", cfg!(feature = "redb")),
        ("redis://HOST", cfg!(feature = "redis")),
    ];
    let offered: String =
        built_in.iter().filter(|(_, is_in)| *is_in).map(|(url, _)| format!("{url}, ")).collect();
    let message = format!(
        "this build has no {feature} store: build it with the cargo feature `{feature}`, or use what is built in: \
         {offered}memory:"
    );
    Error::new(ErrorKind::Unsupported, message).during("open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_told_the_known_ones() {
        let error = open_store("tape:1", &OpenOptions::new()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains("sqlite:PATH, fs:DIR, redb:PATH, redis://HOST or memory:"),
            "{error}"
        );
    }

    #[cfg(not(feature = "redb"))]
    #[test]
    fn a_store_that_was_left_out_is_told_with_those_that_were_not() {
        let error = open_store("redb:store.redb", &OpenOptions::new()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("cargo feature `redb`"), "{error}");
        assert_eq!(error.message().contains("sqlite:PATH"), cfg!(feature = "sqlite"), "{error}");
    }

    #[cfg(feature = "redb")]
    #[test]
    fn a_redb_store_opens_by_its_url_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("redb:{}", folder.path().join("store.redb").display());
        let store = open_store(&url, &OpenOptions::new()).unwrap();
        assert_eq!((store.info().backend, store.info().durability), ("redb", Durability::Process));
        let error = open_store(&url, &OpenOptions::new()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Locked);
        drop(store);
        open_store(&url, &OpenOptions::new()).unwrap();
    }
}
