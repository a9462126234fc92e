//! Clients that are killed while they write, and a server that is killed while they do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife_core::Store;
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::RedisServer;
use memlife_testkit::crash::Torture;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where the test tells the processes that it starts, which run the same test, where the server is.
fn note(of: u32) -> PathBuf {
    std::env::temp_dir().join(format!("memlife-redis-crash-{of}"))
}

/// Runs the test's own part against what `start` gives, on which `between` works meanwhile, or the part of a process
/// that it started.
fn torture<S: Send + 'static>(
    test: &str,
    rounds: u32,
    max_delay_ms: u64,
    start: impl FnOnce() -> Option<(S, String)>,
    between: impl Fn(&mut S) + Send + 'static,
) {
    let rounds = Torture { rounds, max_delay_ms, ..Torture::default() };
    let run = |url: String| {
        rounds.run(test, move |_| {
            // The harness takes versions to rise over the whole store, and they do in each shard.
            let url = format!("{url}?patience_ms=60000&shards=1");
            async move {
                let store: Arc<dyn Store> = Arc::new(RedisStore::open(RedisConfig::parse(&url)?)?);
                Ok(store)
            }
        });
    };
    if let Ok(url) = std::fs::read_to_string(note(std::os::unix::process::parent_id())) {
        return run(url);
    }
    let Some((mut servers, url)) = start() else { return };
    let note = note(std::process::id());
    std::fs::write(&note, &url).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let meanwhile = std::thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            between(&mut servers);
        }
    });
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(url)));
    is_over.store(true, Ordering::SeqCst);
    meanwhile.join().unwrap();
    std::fs::remove_file(note).unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

const ROUNDS: u32 = 50;
const ALWAYS: [&str; 2] = ["--appendfsync", "always"];

fn server() -> Option<(RedisServer, String)> {
    RedisServer::start(&ALWAYS).map(|server| {
        let url = server.url();
        (server, url)
    })
}

// Between two kills real processes write to a real server, which takes real time.

#[test]
fn nothing_acknowledged_is_lost() {
    let wait = |_: &mut RedisServer| std::thread::sleep(Duration::from_millis(50));
    torture("nothing_acknowledged_is_lost", ROUNDS, 60, server, wait);
}

#[test]
fn nothing_acknowledged_is_lost_with_the_server() {
    torture("nothing_acknowledged_is_lost_with_the_server", ROUNDS, 300, server, |server| {
        std::thread::sleep(Duration::from_millis(170));
        server.restart();
    });
}

#[cfg(feature = "cluster")]
#[test]
fn nothing_acknowledged_is_lost_with_a_node_of_a_cluster() {
    use memlife_testkit::RedisCluster;
    let start = || {
        RedisCluster::start(&ALWAYS).map(|cluster| {
            let url = cluster.url();
            (cluster, url)
        })
    };
    // A node that comes back takes no writes for some seconds.
    let between = |cluster: &mut RedisCluster| {
        for node in 0..cluster.nodes().len() {
            std::thread::sleep(Duration::from_millis(300));
            cluster.nodes()[node].restart();
            cluster.settle();
        }
    };
    torture("nothing_acknowledged_is_lost_with_a_node_of_a_cluster", ROUNDS / 5, 2_000, start, between);
}
