//! How often the server is asked, counted by the server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife_core::record::Kind;
use memlife_core::store::{Batch, Change, Expiry, Op, Outcome, Retouch, Want, Write};
use memlife_core::{Key, Store};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::draft::{add, delete, put, touch, ttl};
use memlife_testkit::{Draft, RedisServer, START};

const TIMES: u64 = 200;
/// What asking for the count itself adds.
const SLACK: u64 = 8;

/// The reads that the server has done from all its connections.
fn reads(server: &RedisServer) -> u64 {
    number(&server.command(&["INFO", "stats"]), "total_reads_processed:")
}

fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim_end().strip_prefix(name)).unwrap();
    line.split(',').next().unwrap().parse().unwrap()
}

async fn apply(store: &RedisStore, writes: Vec<Write>) {
    let batch = Batch { now: START, durability: store.info().durability, token: None, writes };
    for outcome in store.apply(&batch).await.unwrap() {
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{outcome:?}");
    }
}

fn insertion(i: u64) -> Write {
    Draft::new("s", Change::Op(Op::Insert(vec![i.to_string().into()]))).kind(Kind::OrSet).build()
}

#[tokio::test]
async fn a_read_or_a_write_is_one_round_trip() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = RedisStore::open(RedisConfig::parse(&server.url()).unwrap()).unwrap();
    for _ in 0..2 {
        apply(&store, (0..100).map(|i| put(&format!("k{i}"), "1").build()).collect()).await;
        apply(&store, (0..100).map(|i| delete(&format!("k{i}")).build()).collect()).await;
    }
    apply(&store, vec![put("k", "1").build(), insertion(0), delete("k").build()]).await;
    let later = |i| touch("k", Retouch::Set(Expiry::After(ttl(1_000_000 + i))));
    type Make<'a> = Box<dyn Fn(u64) -> Write + 'a>;
    let writes: [(&str, u64, Make<'_>); 6] = [
        ("put", 1, Box::new(|i| put("k", &i.to_string()).build())),
        ("addition", 1, Box::new(|_| add("n", 3).build())),
        ("touch", 1, Box::new(|i| later(i).build())),
        ("claim", 1, Box::new(|i| put(&format!("claim/{i}"), "1").if_absent().build())),
        ("delete", 1, Box::new(|i| delete(&format!("claim/{i}")).build())),
        ("insertion into a set", 2, Box::new(|i| insertion(1 + i))),
    ];
    for (what, trips, write) in writes {
        let before = reads(&server);
        for i in 0..TIMES {
            apply(&store, vec![write(i)]).await;
        }
        let read = reads(&server) - before;
        assert!((trips * TIMES..=trips * TIMES + SLACK).contains(&read), "{what}: {read} for {TIMES}");
    }
    let before = reads(&server);
    for want in [Want::Whole, Want::Head] {
        for _ in 0..TIMES {
            let keys = [Key::new("k").unwrap()];
            assert!(store.get(&keys, want).await.unwrap().slots[0].is_some());
        }
    }
    let read = reads(&server) - before;
    assert!((2 * TIMES..=2 * TIMES + SLACK).contains(&read), "get: {read}");
}

#[tokio::test]
async fn a_batch_is_one_call_for_each_shard() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = format!("{}?shards=64", server.url());
    let store = RedisStore::open(RedisConfig::parse(&url).unwrap()).unwrap();
    let writes =
        |round: u32| (0..1_000).map(|i| put(&format!("k/{i}"), &round.to_string()).build()).collect();
    // The first asks who the server is, the second teaches it the script that it is asked by from then on.
    for round in 0..2 {
        apply(&store, writes(round)).await;
    }
    let calls = || number(&server.command(&["INFO", "commandstats"]), "cmdstat_evalsha:calls=");
    let before = calls();
    apply(&store, writes(2)).await;
    assert_eq!(calls() - before, 64);
    // The entries are spread evenly: the fullest shard has less than three times its part.
    let prefix = "{memlife:";
    for shard in 0..64 {
        let count = server.command(&["ZCARD", &format!("{prefix}{shard:02}}}:k")]);
        let count = number(&count, ":");
        assert!((4..48).contains(&count), "shard {shard} has {count} of 1,000 entries");
    }
}
