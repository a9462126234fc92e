//! A cluster of three primaries.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Cursor, Repair};
use memlife_core::{Store, Timestamp};
use memlife_store_redis::{RedisConfig, RedisStore, Wall};
use memlife_testkit::draft::{add, delete, erase, put};
use memlife_testkit::{RedisCluster, Session, Subject};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Cluster {
    config: RedisConfig,
}

impl Cluster {
    fn on(cluster: &RedisCluster) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("c{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = RedisConfig::parse(&cluster.url()).unwrap().prefix(prefix).shards(16).wall(Wall::Caller);
        Cluster { config }
    }
}

#[async_trait::async_trait]
impl Subject for Cluster {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(RedisStore::open(self.config.clone()).unwrap())
    }

    fn persistent(&self) -> bool {
        true
    }
}

/// Behaviours of every store, one after the other on one cluster, which takes seconds to start.
macro_rules! run {
    ($cluster:expr; $($($path:ident)::+;)*) => {
        $(
            println!("{}", stringify!($($path)::+));
            memlife_testkit::$($path)::+(&Cluster::on($cluster)).await;
        )*
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_behaves_as_on_every_store() {
    let Some(cluster) = RedisCluster::start() else { return };
    run! { &cluster;
        engine::callbacks::an_update_that_loses_the_race_runs_again;
        engine::expiry::every_expired_entry_is_hidden_from_every_read;
        engine::expiry::touch_sets_extends_and_shortens_exactly;
        engine::kinds::concurrent_insertions_and_fields_all_stay;
        engine::lists::pages_come_in_key_order_without_gaps;
        engine::lists::a_prefix_covers_whole_segments_only;
        engine::lists::deleting_within_a_prefix_touches_nothing_else;
        engine::policies::a_changed_policy_reaches_stored_entries_when_applied;
        engine::reads::another_handle_sees_writes_and_deletes_at_once;
        engine::stats::each_removal_is_counted_once_with_its_cause;
        engine::stats::feeds_tell_puts_deletes_and_expiries;
        engine::strategies::concurrent_additions_all_count;
        engine::strategies::a_named_writer_replaces_its_own_sibling;
        engine::sweeps::many_pages_are_swept_whole;
        engine::transfer::an_export_comes_back_whole;
        engine::writes::a_guard_on_absence_lets_one_of_many_win;
        engine::writes::every_acknowledged_write_of_two_handles_is_there;
        conformance::bounds::large_values_are_given_back;
        conformance::due::equal_instants_are_paged;
        conformance::changes::a_wait_ends_with_the_first_change;
        conformance::usage::every_change_keeps_the_counts;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_spread_over_the_nodes_and_indexes_agree() {
    let Some(mut cluster) = RedisCluster::start() else { return };
    let subject = Cluster::on(&cluster);
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
    let Some(cluster) = RedisCluster::start() else { return };
    let subject = Cluster::on(&cluster);
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
        for shard in 0..16 {
            let tag = format!("{}:{shard:02}", subject.config.prefix);
            cluster.move_slot(slot_of(&tag), shard % 3, || {});
        }
        cluster
    });
    let cluster = moving.await.unwrap();
    writing.await.unwrap();
    assert_eq!(s.values("n").await, ["301"]);
    assert_eq!(s.keys("k").await.len(), 50);
    drop(cluster);
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
