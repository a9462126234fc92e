//! Gets at the same time, which share requests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use futures_util::future::join_all;
use memlife_core::store::{Batch, Fetched, Want};
use memlife_core::{ErrorKind, Key, Result, Store};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::draft::put;
use memlife_testkit::{RedisServer, START};
use std::sync::Arc;

const TASKS: u32 = 60;

/// A store in which every even key has its number for a value.
async fn store(server: &RedisServer) -> Arc<RedisStore> {
    let store = RedisStore::open(RedisConfig::parse(&server.url()).unwrap()).unwrap();
    let writes = (0..TASKS).step_by(2).map(|i| put(&format!("k/{i}"), &i.to_string()).build()).collect();
    let batch = Batch { now: START, durability: store.info().durability, token: None, writes };
    store.apply(&batch).await.unwrap().into_iter().collect::<Result<Vec<_>>>().unwrap();
    Arc::new(store)
}

async fn get(store: &RedisStore, i: u32) -> Result<Fetched> {
    store.get(&[Key::new(&format!("k/{i}")).unwrap()], Want::Whole).await
}

fn check(i: u32, fetched: Result<Fetched>) {
    let record = fetched.unwrap().slots.pop().unwrap();
    let value = record.map(|record| record.into_body().unwrap().into_value(1_000).unwrap());
    let expected = i.is_multiple_of(2).then(|| i.to_string().into_bytes());
    assert_eq!(value.map(|value| value.bytes.to_vec()), expected, "{i}");
}

/// How many requests for records the server has had.
fn requests(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap())
    };
    of("cmdstat_get:calls=") + of("cmdstat_mget:calls=")
}

#[tokio::test]
async fn gets_at_the_same_time_share_requests() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = store(&server).await;
    check(0, get(&store, 0).await);
    let before = requests(&server);
    let found = join_all((0..TASKS).map(|i| get(&store, i))).await;
    let asked = requests(&server) - before;
    found.into_iter().zip(0..).for_each(|(fetched, i)| check(i, fetched));
    assert!(asked <= 5, "{TASKS} gets were {asked} requests");
}

#[tokio::test]
async fn who_gives_up_keeps_nobody_waiting() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = store(&server).await;
    check(0, get(&store, 0).await);
    for first in 0..8 {
        for step in 1..4 {
            server.signal("STOP");
            let spawn = |i| {
                let store = store.clone();
                tokio::spawn(async move { get(&store, i).await })
            };
            let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
            // Each task has asked, or waits for one that has.
            tokio::task::yield_now().await;
            let given_up = |i: u32| i < first || (i < 4 * first && i.is_multiple_of(step + 1));
            for (i, task) in (0..).zip(&tasks) {
                if given_up(i) {
                    task.abort();
                }
            }
            server.signal("CONT");
            for (i, task) in (0..).zip(tasks) {
                match task.await {
                    Ok(fetched) => check(i, fetched),
                    Err(error) => assert!(error.is_cancelled() && given_up(i), "{i}: {error}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn all_who_wait_are_told_that_the_server_is_away() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let url = format!("{}?timeout_ms=300&connect_timeout_ms=300&patience_ms=300", server.url());
    let store = RedisStore::open(RedisConfig::parse(&url).unwrap()).unwrap();
    get(&store, 0).await.unwrap();
    server.kill();
    for fetched in join_all((0..TASKS).map(|i| get(&store, i))).await {
        assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
