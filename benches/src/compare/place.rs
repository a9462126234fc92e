use super::who::{Level, Who};
use anyhow::{Context, Result};
use memlife_testkit::RedisServer;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where someone's files are, or their server. Both go with it.
pub struct Place {
    folder: TempDir,
    /// Whose it is.
    pub who: Who,
    /// What an acknowledged write is to survive.
    pub level: Level,
    /// Whether sweeps come.
    pub is_swept: bool,
    server: Option<RedisServer>,
}

impl Place {
    /// A new one below `root`.
    pub fn new(root: &Path, who: Who, level: Level) -> Result<Self> {
        let folder = tempfile::tempdir_in(root)
            .with_context(|| format!("cannot make a folder in {}", root.display()))?;
        let server = who.has_server().then(|| server(folder.path(), level)).transpose()?;
        Ok(Place { folder, who, level, is_swept: false, server })
    }

    /// The same, where sweeps come.
    pub fn swept(self) -> Self {
        Place { is_swept: true, ..self }
    }

    /// One more for the same work.
    pub fn another(&self) -> Result<Self> {
        let root = self.folder.path().parent().context("a folder is nowhere")?;
        Place::new(root, self.who, self.level)
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of its server.
    pub fn server_url(&self) -> Result<String> {
        Ok(self.server.as_ref().context("there is no server here")?.url())
    }

    /// The process that holds what is stored.
    pub fn process(&self) -> Result<String> {
        let Some(server) = &self.server else { return Ok("self".to_owned()) };
        let info = server.command(&["INFO", "server"]);
        let process = info.lines().find_map(|line| line.trim_end().strip_prefix("process_id:"));
        Ok(process.context("the server does not tell its process")?.to_owned())
    }

    /// What its files take of the disk, in bytes.
    pub fn disk_bytes(&self) -> Result<u64> {
        bytes_below(self.folder.path())
    }

    /// Whether a Redis server can be started here.
    pub fn has_redis() -> bool {
        let mut command = Command::new("redis-server");
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// A Redis server whose acknowledged writes survive what `level` says.
fn server(folder: &Path, level: Level) -> Result<RedisServer> {
    let folder = folder.to_str().context("the folder's name is not UTF-8")?;
    let log = match level {
        Level::Memory => ["--appendonly", "no", "--appendfsync", "no"],
        Level::Process => ["--appendonly", "yes", "--appendfsync", "everysec"],
        Level::Disk => ["--appendonly", "yes", "--appendfsync", "always"],
    };
    let arguments = [&log[..], &["--dir", folder]].concat();
    RedisServer::start(&arguments).context("redis-server is not installed")
}

/// Blocks that are allocated, not lengths: small files take a whole one.
fn bytes_below(folder: &Path) -> Result<u64> {
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => bytes_below(&entry.path())?,
            false => metadata.blocks() * BLOCK,
        };
    }
    Ok(bytes)
}
