//! Random operations do here what they do in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_testkit::{RedisServer, model};
use std::sync::Arc;
use support::Redis;

#[test]
fn a_server_and_memory_agree_on_everything() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let server = Arc::new(server);
    model::check(|| async { Redis::on(&server, 1) }, model::DEFAULT_CASES);
}

#[cfg(feature = "cluster")]
#[test]
fn a_cluster_and_memory_agree_on_everything() {
    let Some(cluster) = memlife_testkit::RedisCluster::start(&[]) else { return };
    model::check(|| async { Redis::at(&cluster.url(), 1) }, model::DEFAULT_CASES);
}
