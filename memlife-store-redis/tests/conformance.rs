//! The behaviours that every store has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::OwnServer;

memlife_testkit::conformance!(redis, || async { OwnServer::start(1) });

memlife_testkit::engine_behaviours!(redis_engine, || async { OwnServer::start(16) });

/// All of the above once more, on a cluster of three primaries: as a cluster takes seconds to start, in one process.
#[cfg(feature = "cluster")]
#[test]
fn on_a_cluster() {
    let Some(cluster) = memlife_testkit::RedisCluster::start(&[]) else { return };
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads", "4", "--skip", "on_a_cluster"])
        .env(support::CLUSTER, cluster.url())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let ran = told.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    assert!(run.status.success(), "{told}");
    assert!(ran > 500, "{ran} behaviours ran");
}
