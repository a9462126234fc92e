use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to come up.
const START: Duration = Duration::from_secs(20);

/// A Redis server of a test's own, on a free port and in a folder that goes with it. Stopped when dropped.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one that writes an append-only file; `None`, with a line that says so, where the machine has none.
    ///
    /// # Panics
    /// Instead, when `MEMLIFE_DEMAND_REDIS` is set, as it is where nothing may be skipped; and when it does not start.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        for _ in 0..5 {
            let mut server = RedisServer {
                folder: tempfile::tempdir().unwrap(),
                port: free_port(),
                arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
                child: None,
            };
            // Another program may have taken the port since.
            if server.try_run() {
                return Some(server);
            }
        }
        panic!("no redis-server could be started");
    }

    /// Where it listens, on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it anew on its files, under the same address.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_run(), "redis-server does not start again");
    }

    /// Sends a signal to it: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
            assert!(status.unwrap().success());
        }
    }

    /// What the other nodes of its cluster call it.
    fn id(&self) -> String {
        self.command(&["CLUSTER", "MYID"]).lines().nth(1).unwrap().to_owned()
    }

    /// Runs a command and gives back what the server answers, as it does.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn command(&self, parts: &[&str]) -> String {
        ask(self.port, parts).unwrap()
    }

    #[allow(clippy::disallowed_methods, reason = "a server takes real time to start")]
    fn try_run(&mut self) -> bool {
        let child = Command::new(program())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "yes", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < START {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = ask(self.port, &["INFO", "server"]);
            if answer.is_ok_and(|text| {
                text.contains(&format!("process_id:{}\r", child.id())) || text.starts_with("-NOAUTH")
            }) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[allow(clippy::disallowed_methods, reason = "the environment says whether skipping is allowed")]
fn is_installed() -> bool {
    let found = Command::new(program()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok() {
        return true;
    }
    let told = format!("this machine has no {}", program());
    assert!(std::env::var_os("MEMLIFE_DEMAND_REDIS").is_none(), "{told}");
    eprintln!("SKIP: {told}");
    false
}

/// The server to test with: another is named by `MEMLIFE_REDIS_SERVER`.
#[allow(clippy::disallowed_methods, reason = "the environment says which server is tested")]
fn program() -> String {
    std::env::var("MEMLIFE_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A cluster's nodes talk to each other 10,000 ports above.
        if port < 55_000 {
            return port;
        }
    }
}

fn ask(port: u16, parts: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = format!("*{}\r\n", parts.len());
    for part in parts {
        request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    stream.write_all(request.as_bytes())?;
    stream.write_all(b"*1\r\n$4\r\nQUIT\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A cluster of three primaries of a test's own.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    replicas: Vec<RedisServer>,
}

/// What makes a server a node.
const CLUSTERED: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
/// Slots of a cluster.
const SLOTS: u32 = 16_384;

impl RedisCluster {
    /// Starts one, each node with these arguments; `None` as for [`RedisServer::start`].
    ///
    /// # Panics
    /// As [`RedisServer::start`], and when the nodes do not find each other.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let arguments = [&CLUSTERED, arguments].concat();
        let start = |_| RedisServer::start(&arguments);
        let nodes: Vec<RedisServer> = (0..3_u32).map(start).collect::<Option<_>>()?;
        for (i, node) in (0_u32..).zip(&nodes) {
            let (from, to) = (i * SLOTS / 3, (i + 1) * SLOTS / 3 - 1);
            let given = node.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            assert!(given.starts_with("+OK"), "{given}");
            // Without epochs of their own the nodes take a while to settle who has which.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
            node.command(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()]);
        }
        let cluster = RedisCluster { nodes, replicas: Vec::new() };
        cluster.settle();
        Some(cluster)
    }

    /// As [`RedisCluster::start`], with a replica of each primary.
    ///
    /// # Panics
    /// As [`RedisCluster::start`].
    #[allow(clippy::disallowed_methods, reason = "replicas take real time to follow")]
    pub fn start_with_replicas(arguments: &[&str]) -> Option<Self> {
        let mut cluster = RedisCluster::start(arguments)?;
        let arguments = [&CLUSTERED, arguments].concat();
        for _ in 0..cluster.nodes.len() {
            cluster.replicas.push(RedisServer::start(&arguments)?);
        }
        for replica in &cluster.replicas {
            replica.command(&["CLUSTER", "MEET", "127.0.0.1", &cluster.nodes[0].port.to_string()]);
        }
        cluster.settle();
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let given = replica.command(&["CLUSTER", "REPLICATE", &primary.id()]);
            assert!(given.starts_with("+OK"), "{given}");
            let begun = Instant::now();
            while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
                assert!(begun.elapsed() < START, "a replica does not follow");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Some(cluster)
    }

    /// Waits until all nodes know each other and take writes.
    ///
    /// # Panics
    /// When they do not.
    #[allow(clippy::disallowed_methods, reason = "nodes take real time to find each other")]
    pub fn settle(&self) {
        let begun = Instant::now();
        let count = format!("cluster_known_nodes:{}", self.nodes.len() + self.replicas.len());
        let is_up = |node: &RedisServer| {
            let info = node.command(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&count)
        };
        while !self.nodes.iter().chain(&self.replicas).all(is_up) {
            assert!(begun.elapsed() < START, "the cluster does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its primaries.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let places: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", places.join(","))
    }

    /// Moves a slot with all its keys to another node, as an administrator does, key by key.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn move_slot(&self, slot: u16, to: usize, meanwhile: impl Fn()) {
        let slot = slot.to_string();
        let holds =
            |node: &&RedisServer| !node.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).starts_with(":0");
        let target = &self.nodes[to];
        let Some(source) = self.nodes.iter().find(holds).filter(|source| source.port != target.port) else {
            return;
        };
        let port = target.port.to_string();
        target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source.id()]);
        source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target.id()]);
        loop {
            let listed = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
            let Some(key) = listed.lines().nth(2).map(str::to_owned) else { break };
            let moved = source.command(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            assert!(moved.starts_with("+OK"), "{key}: {moved}");
            meanwhile();
        }
        for node in [target, source] {
            let set = node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target.id()]);
            assert!(set.starts_with("+OK"), "{set}");
        }
    }
}
