//! Finding out who the server is and which store it holds.

use crate::config::{Fsync, RedisConfig, Wall};
use crate::error::unexpected;
use crate::layout::Layout;
use crate::link::{Link, Request};
use crate::server::{self, Server};
use crate::write::time_of;
use memlife_core::store::{Durability, StoreInfo, Warning};
use memlife_core::{Error, ErrorKind, ReplicaId, Result};
use redis::{Cmd, Value};

/// That of records and indexes together: what another one wrote is not touched.
const FORMAT: &str = "2";
/// What every version from here on can do: functions and flags of scripts, effects in the log.
const OLDEST: (u32, u32) = (7, 0);

/// Opens the store, and makes it where there is none.
pub(crate) async fn open(config: &RedisConfig) -> Result<Server> {
    config.check()?;
    let link = Link::new(config)?;
    let about = About::of(ask(&link, &redis::cmd("INFO")).await?)?;
    about.check_version()?;
    let (durability, mut warnings) = durability(config, &link, &about).await;
    if let Some(asked) = config.durability.filter(|asked| *asked > durability) {
        let message = format!(
            "the server gives the durability {durability} and {asked} was asked for: set appendonly and appendfsync"
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    if config.sends_password_in_clear() {
        warnings.push(warning("the password travels in the clear: use rediss://"));
    }
    let identity = identity(config, &link).await?;
    let info = StoreInfo {
        backend: "redis",
        location: config.location(),
        replica: ReplicaId(identity.replica),
        incarnation: identity.incarnation,
        durability,
        max_durability: durability,
        read_only: false,
        keeps_time: config.wall == Wall::Server,
        keeps_dictionaries: true,
        limits: config.limits,
        warnings,
    };
    let layout = Layout::new(&config.prefix, identity.shards);
    let session = random()?;
    let server = Server::new(config, link, layout, info, session);
    server.heard(time_of(ask(&server.link, &redis::cmd("TIME")).await?)?);
    for state in server.states().await? {
        server.clock(state.ledger.clock);
    }
    Ok(server)
}

async fn ask(link: &Link, command: &Cmd) -> Result<Value> {
    let mut values = link.read(0, Request::One(command)).await?;
    values.pop().ok_or_else(|| unexpected("a command"))
}

/// What `INFO` says, of each node.
struct About(Vec<String>);

impl About {
    fn of(value: Value) -> Result<Self> {
        let text = |value| -> Result<String> {
            let bytes = server::bytes(value, "INFO")?.ok_or_else(|| unexpected("INFO"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let nodes = match value {
            Value::Map(nodes) => nodes.into_iter().map(|(_, about)| text(about)).collect::<Result<_>>()?,
            Value::VerbatimString { text, .. } => vec![text],
            about => vec![text(about)?],
        };
        Ok(About(nodes))
    }

    /// The field of every node.
    fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(move |node| {
            let value = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
            node.lines().find_map(value).unwrap_or_default()
        })
    }

    fn check_version(&self) -> Result<()> {
        // Valkey tells here the version of Redis that it is compatible with.
        for version in self.fields("redis_version") {
            let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
            if found < OLDEST {
                let message = format!("the server is Redis {version}: memlife needs Redis 7.0 or Valkey");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        Ok(())
    }
}

/// What an acknowledged write survives on this server, and what to tell about it.
async fn durability(config: &RedisConfig, link: &Link, about: &About) -> (Durability, Vec<Warning>) {
    let mut warnings = Vec::new();
    let has_limit = about.fields("maxmemory").any(|limit| limit != "0");
    if let Some(policy) = about.fields("maxmemory_policy").find(|policy| *policy != "noeviction") {
        let when = if has_limit { "" } else { " once it has a memory limit" };
        warnings.push(warning(&format!(
            "the server evicts keys ({policy}){when}, which loses entries unseen: set maxmemory-policy noeviction"
        )));
    }
    if about.fields("aof_enabled").any(|enabled| enabled != "1") {
        warnings.push(warning(
            "the server writes no append-only file: its end loses what was written; set appendonly yes",
        ));
        return (Durability::Memory, warnings);
    }
    let level = match appendfsync(link).await.or(config.fsync) {
        Some(Fsync::Always) if !pauses_syncs(link).await => Durability::Disk,
        Some(Fsync::Always) => {
            warnings.push(warning(
                "the server does not sync while it rewrites its file: set no-appendfsync-on-rewrite no",
            ));
            Durability::Process
        }
        Some(Fsync::No) => {
            warnings
                .push(warning("the server syncs when the system likes: a power cut loses what was written"));
            Durability::Memory
        }
        Some(Fsync::EverySecond) => {
            warnings.push(warning("the server syncs every second: its end may lose the last two seconds"));
            Durability::Process
        }
        None => {
            warnings.push(warning(
                "the server does not tell its appendfsync: it is taken for everysec, which may lose two seconds; \
                 say fsync=always in the URL if it is",
            ));
            Durability::Process
        }
    };
    if config.replicas == 0 {
        return (level, warnings);
    }
    let has_too_few = |count: &str| count.parse().is_ok_and(|count: u8| count < config.replicas);
    if about.fields("connected_slaves").any(has_too_few) {
        warnings.push(warning(&format!(
            "there are fewer than {} replicas, so that no write is acknowledged: add some, or ask for fewer",
            config.replicas
        )));
    }
    if level == Durability::Disk {
        return (Durability::Replicated(config.replicas), warnings);
    }
    // What a server that only came back has lost, its replicas lose with it.
    warnings.push(warning(
        "replicas make up for a lost server, not for one that comes back with less: set appendfsync always",
    ));
    (level, warnings)
}

/// How often the server syncs, of several nodes the one that syncs least; `None` where the user may not ask.
async fn appendfsync(link: &Link) -> Option<Fsync> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    let answer = ask(link, &command).await.ok()?;
    let of_nodes = match answer {
        Value::Map(nodes)
            if nodes.iter().all(|(_, value)| matches!(value, Value::Map(_) | Value::Array(_))) =>
        {
            nodes.into_iter().map(|(_, value)| value).collect()
        }
        answer => vec![answer],
    };
    let mut weakest = None;
    for answer in of_nodes {
        let (_, value) = crate::usage::pairs(answer).ok()?.into_iter().next()?;
        let fsync = Fsync::parse(std::str::from_utf8(&value).ok()?)?;
        weakest = weakest.max(Some(fsync));
    }
    weakest
}

/// Whether a node does not sync while it rewrites its append-only file, in any form in which nodes tell it.
async fn pauses_syncs(link: &Link) -> bool {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("no-appendfsync-on-rewrite");
    // Who may not ask is told of the other setting already.
    ask(link, &command).await.is_ok_and(|answer| says_yes(&answer))
}

fn says_yes(value: &Value) -> bool {
    match value {
        Value::BulkString(bytes) => &bytes[..] == b"yes",
        Value::SimpleString(text) => text == "yes",
        Value::Array(values) => values.iter().any(says_yes),
        Value::Map(pairs) => pairs.iter().any(|(_, value)| says_yes(value)),
        _ => false,
    }
}

fn warning(text: &str) -> Warning {
    Warning(text.to_owned())
}

struct Identity {
    replica: u64,
    incarnation: u64,
    shards: u16,
}

/// Who the store is. The first to come draws it; all others find it.
async fn identity(config: &RedisConfig, link: &Link) -> Result<Identity> {
    let name = Layout::settings(&config.prefix);
    let drawn = [
        ("replica", format!("{:016x}", random()?)),
        ("incarnation", format!("{:016x}", random()?)),
        ("shards", config.shards.to_string()),
        ("format", FORMAT.to_owned()),
    ];
    let mut read = redis::cmd("HGETALL");
    read.arg(&name);
    if crate::usage::pairs(ask(link, &read).await?)?.len() < drawn.len() {
        for (field, value) in &drawn {
            let mut command = redis::cmd("HSETNX");
            command.arg(&name).arg(*field).arg(value);
            ask(link, &command).await?;
        }
    }
    let found = crate::usage::pairs(ask(link, &read).await?)?;
    let field = |name: &str| {
        let value = found.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(&value.1).ok()
    };
    if field("format") != Some(FORMAT) {
        let message =
            "the store is of another format than this memlife knows: export it with the memlife that made it";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    // Whatever is wrong with one of them, the settings are told to be damaged.
    let number = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
    let shards = field("shards").and_then(|text| text.parse().ok());
    match (number("replica"), number("incarnation"), shards) {
        (Some(replica), Some(incarnation), Some(shards)) => Ok(Identity { replica, incarnation, shards }),
        _ => Err(Error::new(ErrorKind::Corrupt, format!("the settings of the store in {name} are damaged"))),
    }
}

fn random() -> Result<u64> {
    getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the system gives no random bytes for an id: {error}"))
    })
}
