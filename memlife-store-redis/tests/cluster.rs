//! A cluster of three primaries.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Cursor, Repair};
use memlife_core::{Store, Timestamp};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::draft::{add, delete, erase, put};
use memlife_testkit::{RedisCluster, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::Redis;

/// Shards of the stores here.
const SHARDS: u16 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_spread_over_the_nodes_and_indexes_agree() {
    let Some(mut cluster) = RedisCluster::start(&[]) else { return };
    let subject = Redis::at(&cluster.url(), SHARDS);
    let s = Session::open(&subject).await;
    let keys: Vec<String> = (0..300).map(|i| format!("k/{i:03}")).collect();
    s.batch(keys.iter().map(|key| put(key, "1").ttl_ms(10).build()).collect()).await;
    assert_eq!(s.keys("").await, keys);
    for node in cluster.nodes() {
        let size: u64 = node.command(&["DBSIZE"]).lines().next().unwrap()[1..].parse().unwrap();
        assert!(size > 30, "a node holds {size} keys");
    }
    s.pass(10);
    let due = s.due(ReclaimClass::Scheduled, Timestamp::MAX).await;
    assert_eq!(due.len(), 300);
    s.batch(keys.iter().map(|key| erase(key, Cause::Expired).if_due().build()).collect()).await;
    assert_eq!(s.removed(Cause::Expired).await, 300);
    assert_eq!(s.feed(&Cursor::default()).await.len(), 300);
    s.apply(add("n", 1)).await;
    s.apply(delete("n")).await;
    let verification = s.store().verify(Repair::No).await.unwrap();
    assert_eq!(verification.problems, 0, "{:?}", verification.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_are_followed() {
    let Some(cluster) = RedisCluster::start(&[]) else { return };
    let subject = Redis::at(&cluster.url(), SHARDS);
    let s = Arc::new(Session::open(&subject).await);
    for i in 0..50 {
        s.apply(put(&format!("k/{i}"), "1")).await;
    }
    s.apply(add("n", 1)).await;
    let writing = {
        let s = s.clone();
        tokio::spawn(async move {
            for _ in 0..300 {
                s.apply(add("n", 1)).await;
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
    };
    let moving = tokio::task::spawn_blocking(move || {
        for shard in 0..SHARDS {
            let tag = format!("{}:{shard:02}", subject.config.prefix);
            cluster.move_slot(slot_of(&tag), usize::from(shard % 3), || {});
        }
        cluster
    });
    let cluster = moving.await.unwrap();
    writing.await.unwrap();
    assert_eq!(s.values("n").await, ["301"]);
    assert_eq!(s.keys("k").await.len(), 50);
    drop(cluster);
}

/// Writes of each task that are acknowledged after the primary was killed.
const AFTER: u32 = 10;

/// Writes acknowledged by a cluster while one of its primaries is killed and its replica takes over, and those of them
/// that are not there any more.
async fn killed_primary(replicas: u8) -> Option<(usize, usize)> {
    let mut cluster = RedisCluster::start_with_replicas(&[])?;
    // Where a replica was promoted none is left to wait for: a write there ends with the timeout.
    let url = format!("{}?replicas={replicas}&timeout_ms=400&patience_ms=20000", cluster.url());
    let config = RedisConfig::parse(&url).unwrap();
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(config).unwrap());
    let is_killed = Arc::new(AtomicBool::new(false));
    let writing: Vec<_> = (0..8)
        .map(|task| {
            let (s, is_killed) = (Session::on(store.clone()), is_killed.clone());
            tokio::spawn(async move {
                let (mut acknowledged, mut after) = (Vec::new(), 0);
                for i in 0.. {
                    let key = format!("k/{task}/{i}");
                    if s.try_write(put(&key, "1")).await.is_ok() {
                        acknowledged.push(key);
                        after += u32::from(is_killed.load(Ordering::SeqCst));
                    }
                    if after > AFTER {
                        break;
                    }
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    cluster.nodes()[0].kill();
    is_killed.store(true, Ordering::SeqCst);
    let (s, mut acknowledged, mut lost) = (Session::on(store), 0, 0);
    for task in writing {
        for key in task.await.unwrap() {
            acknowledged += 1;
            lost += usize::from(s.record(&key).await.is_none());
        }
    }
    println!("{acknowledged} writes acknowledged, {lost} of them lost, waiting for {replicas} replicas");
    Some((acknowledged, lost))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_had_is_there_after_its_primary_is_killed() {
    let Some((acknowledged, lost)) = killed_primary(1).await else { return };
    assert!(acknowledged > 8 * AFTER as usize, "{acknowledged}");
    assert_eq!(lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_after_its_primary_is_killed() {
    // What is lost here is the server's to tell.
    let Some((acknowledged, _)) = killed_primary(0).await else { return };
    assert!(acknowledged > 8 * AFTER as usize, "{acknowledged}");
}

/// CRC-16/XMODEM of the hash tag, as the specification of the cluster has it.
fn slot_of(tag: &str) -> u16 {
    let step =
        |crc: u16, byte: u8| {
            (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            })
        };
    tag.bytes().fold(0, step) % 16_384
}
