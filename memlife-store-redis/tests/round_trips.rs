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
    let store = RedisStore::open(RedisConfig::parse(&server.url()).unwrap()).unwrap();
    let writes =
        |round: u32| (0..1_000).map(|i| put(&format!("k/{i}"), &round.to_string()).build()).collect();
    apply(&store, writes(0)).await;
    let calls = || number(&server.command(&["INFO", "commandstats"]), "cmdstat_evalsha:calls=");
    let before = calls();
    apply(&store, writes(1)).await;
    assert_eq!(calls() - before, 64);
    // The entries are spread evenly: the fullest shard has less than three times its part.
    let prefix = "{memlife:";
    for shard in 0..64 {
        let count = server.command(&["ZCARD", &format!("{prefix}{shard:02}}}:k")]);
        let count = number(&count, ":");
        assert!((4..48).contains(&count), "shard {shard} has {count} of 1,000 entries");
    }
}

/// Not a test of time: what it prints is for the records. Run it by hand, in release.
#[tokio::test]
#[ignore = "measures"]
#[allow(clippy::disallowed_methods, reason = "measures real time")]
async fn rates() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = RedisStore::open(RedisConfig::parse(&server.url()).unwrap()).unwrap();
    let text = format!("\"{}\"", "x".repeat(198));
    let report = |what: &str, count: u64, begun: std::time::Instant| {
        println!("{what}: {:.0}/s", count as f64 / begun.elapsed().as_secs_f64());
    };
    apply(&store, (0..1_000).map(|i| put(&format!("k/{i}"), &text).build()).collect()).await;
    for tasks in [1_u64, 50] {
        let begun = std::time::Instant::now();
        let each = 20_000 / tasks;
        futures_util::future::join_all((0..tasks).map(|task| {
            let (store, text) = (&store, &text);
            async move {
                for i in 0..each {
                    apply(store, vec![put(&format!("k/{}", (task * each + i) % 1_000), text).build()]).await;
                }
            }
        }))
        .await;
        report(&format!("put, {tasks} at once"), tasks * each, begun);
        let begun = std::time::Instant::now();
        futures_util::future::join_all((0..tasks).map(|task| {
            let store = &store;
            async move {
                for i in 0..each {
                    let keys = [Key::new(&format!("k/{}", (task * each + i) % 1_000)).unwrap()];
                    store.get(&keys, Want::Whole).await.unwrap();
                }
            }
        }))
        .await;
        report(&format!("get, {tasks} at once"), tasks * each, begun);
    }
    let begun = std::time::Instant::now();
    for _ in 0..40 {
        apply(&store, (0..1_000).map(|i| put(&format!("k/{i}"), &text).build()).collect()).await;
    }
    report("put, batches of 1,000", 40_000, begun);
    let begun = std::time::Instant::now();
    for _ in 0..5_000 {
        apply(&store, vec![add("n", 1).build()]).await;
    }
    report("add, 1 at once", 5_000, begun);
    let stats = server.command(&["INFO", "commandstats"]);
    stats
        .lines()
        .filter(|line| line.contains("evalsha") || line.contains("info"))
        .for_each(|line| println!("{line}"));
}
