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

/// Runs the test's own part with a server, or the part of a process that it started, with the server's URL.
fn torture(test: &str, max_delay_ms: u64, between: impl Fn(&mut RedisServer) + Send + 'static) {
    let rounds = Torture { rounds: Torture::default().rounds / 4, max_delay_ms, ..Torture::default() };
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
    let Some(mut server) = RedisServer::start(&["--appendfsync", "always"]) else { return };
    let note = note(std::process::id());
    std::fs::write(&note, server.url()).unwrap();
    let url = server.url();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let meanwhile = std::thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            between(&mut server);
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

// Between two kills real processes write to a real server, which takes real time.

#[test]
fn nothing_acknowledged_is_lost() {
    torture("nothing_acknowledged_is_lost", 60, |_| std::thread::sleep(Duration::from_millis(50)));
}

#[test]
fn nothing_acknowledged_is_lost_with_the_server() {
    torture("nothing_acknowledged_is_lost_with_the_server", 300, |server| {
        std::thread::sleep(Duration::from_millis(170));
        server.restart();
    });
}
