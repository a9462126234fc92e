//! Lost answers, lost connections, and servers that go and come.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use futures_util::future::join_all;
use memlife_core::record::Kind;
use memlife_core::store::{
    Batch, Change, Changes, Durability, Expiry, Feed, Op, Outcome, Token, Want, Write,
};
use memlife_core::{ErrorKind, Result, Store};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::draft::{add, put, ttl};
use memlife_testkit::{Draft, RedisServer, START, Session, TcpProxy, Weather};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A write that the script leaves to Rust.
fn insert(element: &'static str) -> Write {
    Draft::new("s", Change::Op(Op::Insert(vec![element.into()]))).kind(Kind::OrSet).build()
}

/// A store that is reached through a proxy, and one that is not.
struct Place {
    server: RedisServer,
    proxy: TcpProxy,
    store: Arc<RedisStore>,
}

const SESSION: u64 = 77;

fn config(url: &str) -> RedisConfig {
    let url = format!("{url}?shards=1&timeout_ms=300&connect_timeout_ms=300&patience_ms=1500");
    RedisConfig::parse(&url).unwrap()
}

impl Place {
    /// With two writes done, after which the server knows the script by the digest that all later calls name.
    async fn new() -> Option<Self> {
        let server = RedisServer::start(&["--appendfsync", "always", "--enable-debug-command", "yes"])?;
        let proxy = TcpProxy::to(server.port());
        let store = Arc::new(RedisStore::open(config(&proxy.url())).unwrap());
        for number in 1..=2 {
            let mut first = batch(number, vec![put("first", "1").build()]);
            first.token = Some(Token { session: SESSION + 1, number });
            version(submit(&store, &first).await);
        }
        Some(Place { server, proxy, store })
    }

    fn beside(&self) -> Arc<RedisStore> {
        Arc::new(RedisStore::open(config(&self.server.url())).unwrap())
    }

    async fn value(&self, key: &str) -> Option<String> {
        let session = Session::on(self.beside());
        session.record(key).await.map(|record| {
            let resolver = memlife_core::resolver::native(&record.head.kind).unwrap();
            let held = resolver.read(&record.head, record.body().unwrap(), 1 << 20).unwrap();
            String::from_utf8(held[0].value.bytes.to_vec()).unwrap()
        })
    }
}

fn batch(number: u64, writes: Vec<Write>) -> Batch {
    let token = Some(Token { session: SESSION, number });
    Batch { now: START, durability: Default::default(), token, writes }
}

async fn submit(store: &RedisStore, batch: &Batch) -> Result<Outcome> {
    store.apply(batch).await.unwrap().remove(0)
}

fn version(outcome: Result<Outcome>) -> u64 {
    match outcome.unwrap() {
        Outcome::Applied { version, .. } => version,
        other => panic!("not applied: {other:?}"),
    }
}

#[tokio::test]
async fn a_lost_answer_is_fetched_and_not_executed_again() {
    let Some(place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    place.proxy.set(Weather::CutAnswers("EVALSHA", 2));
    version(submit(&place.store, &batch(2, vec![add("n", 1).build()])).await);
    assert!(place.proxy.is_fair(), "both answers were cut");
    assert_eq!(place.value("n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn what_rust_decides_is_not_executed_twice_either() {
    let Some(place) = Place::new().await else { return };
    let both = || vec![insert("\"a\""), add("n", 1).build(), insert("\"b\"")];
    version(submit(&place.store, &batch(1, both())).await);
    for times in 1..4 {
        place.proxy.set(Weather::CutAnswers("EVALSHA", times));
        let outcomes = place.store.apply(&batch(1 + u64::from(times), both())).await.unwrap();
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Applied { .. }))),
            "{outcomes:?}"
        );
        assert!(place.proxy.is_fair());
    }
    assert_eq!(place.value("n").await.as_deref(), Some("4"));
}

#[tokio::test]
async fn an_unknown_fate_is_told_and_the_token_answers_it() {
    let Some(place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    let unsure = batch(2, vec![add("n", 10).build()]);
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    let error = submit(&place.store, &unsure).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
    place.proxy.set(Weather::Fair);
    // Others of the session go on meanwhile, and do not take the answer away.
    for number in 3..6 {
        version(submit(&place.store, &batch(number, vec![add("n", 100).build()])).await);
    }
    let told = version(submit(&place.store, &unsure).await);
    assert_eq!(told, 4, "the answer is the first one's");
    assert_eq!(place.value("n").await.as_deref(), Some("311"));
    // Once answered, the token is a last reply like any other.
    assert_eq!(version(submit(&place.store, &batch(6, vec![put("k", "1").build()])).await), 8);
}

#[tokio::test]
async fn each_batch_of_a_shared_call_is_told_its_own_part() {
    let Some(place) = Place::new().await else { return };
    let lives = [Expiry::Never, Expiry::After(ttl(60_000))];
    let puts = |number: u64| {
        let each = |at: usize| put(&format!("k{number}/{at}"), "1").expiry(lives[at % 2]).build();
        batch(number, (0..number as usize).map(each).collect())
    };
    let batches: Vec<Batch> = (1..=5).map(puts).collect();
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    // The first goes alone; the others wait for it and share the next call.
    for outcomes in join_all(batches.iter().map(|batch| place.store.apply(batch))).await {
        for outcome in outcomes.unwrap() {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Indeterminate);
        }
    }
    place.proxy.set(Weather::Fair);
    for batch in batches.iter().rev() {
        let outcomes = place.store.apply(batch).await.unwrap();
        for (write, outcome) in batch.writes.iter().zip(outcomes) {
            let head = Session::on(place.beside()).record(write.key.as_str()).await.unwrap().head;
            let Ok(Outcome::Applied { version, stamp, expires_at, .. }) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!((version, stamp, expires_at), (head.version, head.stamp, head.life.expires_at));
            assert_eq!(head.created_at, head.stamp.at(), "it was put once");
        }
    }
}

#[tokio::test]
async fn what_was_decided_here_is_told_in_parts_too() {
    let Some(place) = Place::new().await else { return };
    let writes = ["a/1", "b/2", "b/3"].map(|key| put(key, "1").multi_value().build());
    let unsure = batch(1, writes.to_vec());
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    for outcome in place.store.apply(&unsure).await.unwrap() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Indeterminate);
    }
    place.proxy.set(Weather::Fair);
    for (write, outcome) in unsure.writes.iter().zip(place.store.apply(&unsure).await.unwrap()) {
        let record = Session::on(place.beside()).record(write.key.as_str()).await.unwrap();
        let Ok(Outcome::Applied { version, stamp, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((version, stamp), (record.head.version, record.head.stamp), "{}", write.key);
        assert_eq!(record.head.siblings, 1, "it was put once");
    }
}

#[tokio::test]
async fn another_handle_of_the_session_is_answered_too() {
    let Some(place) = Place::new().await else { return };
    let unsure = batch(1, vec![add("n", 10).build()]);
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    assert_eq!(submit(&place.store, &unsure).await.unwrap_err().kind(), ErrorKind::Indeterminate);
    let other = place.beside();
    let told = version(submit(&other, &unsure).await);
    assert_eq!(told, 3);
    version(submit(&other, &batch(2, vec![add("n", 1).build()])).await);
    assert_eq!(place.value("n").await.as_deref(), Some("11"));
}

#[tokio::test]
async fn an_answer_that_another_handle_took_away_is_not_guessed() {
    let Some(place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    let unsure = batch(2, vec![add("n", 10).build()]);
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    assert_eq!(submit(&place.store, &unsure).await.unwrap_err().kind(), ErrorKind::Indeterminate);
    place.proxy.set(Weather::Fair);
    version(submit(&place.beside(), &batch(3, vec![add("n", 100).build()])).await);
    assert_eq!(submit(&place.store, &unsure).await.unwrap_err().kind(), ErrorKind::Indeterminate);
    assert_eq!(place.value("n").await.as_deref(), Some("111"));
}

#[tokio::test]
async fn a_request_that_comes_late_does_nothing() {
    let Some(place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    place.proxy.set(Weather::HoldRequest("EVALSHA", Duration::from_millis(1_200)));
    // The answer is given up after 300 ms, and the second attempt comes first.
    version(submit(&place.store, &batch(2, vec![add("n", 10).build()])).await);
    version(submit(&place.store, &batch(3, vec![add("n", 100).build()])).await);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(place.value("n").await.as_deref(), Some("111"));
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the time limits are real ones")]
async fn silence_ends_in_bounded_time() {
    let Some(place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    place.proxy.set(Weather::Silence);
    let begun = Instant::now();
    let error = submit(&place.store, &batch(2, vec![add("n", 1).build()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate);
    let keys = [memlife_core::Key::new("n").unwrap()];
    let error = place.store.get(&keys, Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    place.proxy.set(Weather::Fair);
    place.store.get(&keys, Default::default()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_did_nothing() {
    let Some(place) = Place::new().await else { return };
    place.proxy.set(Weather::Down);
    // The connection is cut before anything is sent on it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = submit(&place.store, &batch(1, vec![add("n", 1).build()])).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate), "{error:?}");
    let error = submit(&place.store, &batch(2, vec![add("n", 1).build()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!format!("{error:?}").contains("127.0.0.1:0"));
    place.proxy.set(Weather::Fair);
    version(submit(&place.store, &batch(3, vec![add("n", 5).build()])).await);
    assert_eq!(place.value("n").await.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_killed_server_comes_back_with_all_it_acknowledged() {
    let Some(mut place) = Place::new().await else { return };
    let mut last = 0;
    for number in 1..20 {
        last = version(submit(&place.store, &batch(number, vec![add("n", 1).build()])).await);
    }
    place.server.kill();
    let error = submit(&place.store, &batch(20, vec![add("n", 1).build()])).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate), "{error:?}");
    place.server.restart();
    let next = version(submit(&place.store, &batch(21, vec![add("n", 1).build()])).await);
    assert_eq!(place.value("n").await.as_deref(), Some("20"));
    // What another server process numbers repeats nothing that was given out and lost.
    assert!(next >= last + (1 << 32), "{next} after {last}");
}

#[tokio::test]
async fn what_a_server_has_lost_is_not_mixed_with_what_comes_after() {
    let Some(mut place) = Place::new().await else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 10).build()])).await);
    let (log, kept) = (place.server.folder().join("appendonlydir"), place.server.folder().join("kept"));
    copy_folder(&log, &kept);
    version(submit(&place.store, &batch(2, vec![add("n", 2).build()])).await);
    let replicated = Session::on(place.beside()).record("n").await.unwrap();
    let feed = |after| Feed { after, limit: 10, wait: Duration::ZERO, want: Want::Head };
    let Changes::Page(page) = place.store.changes(&feed(None)).await.unwrap() else { panic!("a gap") };

    // The last write was acknowledged, read elsewhere, and is gone.
    place.server.kill();
    std::fs::remove_dir_all(&log).unwrap();
    copy_folder(&kept, &log);
    place.server.restart();
    version(submit(&place.store, &batch(3, vec![add("n", 1).build()])).await);
    let changes = place.store.changes(&feed(Some(page.next))).await.unwrap();
    assert!(matches!(changes, Changes::Gap(_)), "{changes:?}");
    let join = Draft::new("n", Change::Join(Box::new(replicated))).kind(Kind::Counter).build();
    submit(&place.store, &batch(4, vec![join])).await.unwrap();
    assert_eq!(place.value("n").await.as_deref(), Some("11"), "what was added since counts");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_full_server_takes_what_frees_beside_what_takes() {
    let Some(place) = Place::new().await else { return };
    use memlife_testkit::draft::delete;
    version(submit(&place.store, &batch(1, vec![put("a", "1").build(), add("n", 1).build()])).await);
    place.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let gone = Draft::new("n", Change::Op(Op::Delete)).kind(Kind::Counter).build();
    let both = vec![delete("a").build(), put("b", "1").build(), gone];
    let outcomes = place.store.apply(&batch(2, both)).await.unwrap();
    assert!(matches!(outcomes[0], Ok(Outcome::Applied { .. })), "{outcomes:?}");
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::Full);
    assert!(matches!(outcomes[2], Ok(Outcome::Applied { .. })), "{outcomes:?}");
}

#[tokio::test]
async fn a_repeated_write_stays_unknown_until_the_server_tells() {
    let Some(mut place) = Place::new().await else { return };
    let unsure = batch(1, vec![add("n", 10).build()]);
    place.proxy.set(Weather::CutAnswers("EVALSHA", u32::MAX));
    assert_eq!(submit(&place.store, &unsure).await.unwrap_err().kind(), ErrorKind::Indeterminate);
    place.proxy.set(Weather::Fair);
    place.server.kill();
    let error = submit(&place.store, &unsure).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    place.server.restart();
    version(submit(&place.store, &unsure).await);
    assert_eq!(place.value("n").await.as_deref(), Some("10"));
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let Some(place) = Place::new().await else { return };
    for number in 1..6 {
        version(submit(&place.store, &batch(number, vec![add("n", 1).build(), insert("1")])).await);
        assert!(place.server.command(&["SCRIPT", "FLUSH"]).starts_with("+OK"));
    }
    assert_eq!(place.value("n").await.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_server_that_loads_is_waited_for() {
    let Some(mut server) = RedisServer::start(&["--key-load-delay", "2000"]) else { return };
    let mut config = config(&server.url());
    config.patience = Duration::from_secs(20);
    let store = RedisStore::open(config).unwrap();
    for part in 0..2 {
        let writes = (0..100).map(|i| put(&format!("k/{part}/{i}"), "1").build()).collect();
        store.apply(&batch(part, writes)).await.unwrap();
    }
    // Loading is slow from a snapshot, which the log begins with once it is rewritten.
    server.command(&["BGREWRITEAOF"]);
    while !server.command(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill();
    let restarting = std::thread::spawn(move || {
        server.restart();
        server
    });
    version(submit(&store, &batch(7, vec![put("k", "2").build()])).await);
    let session = Session::on(Arc::new(store));
    assert_eq!(session.keys("").await.len(), 201);
    drop(restarting.join().unwrap());
}

#[tokio::test]
async fn a_failover_is_survived() {
    let Some(place) = Place::new().await else { return };
    let Some(replica) = RedisServer::start(&[]) else { return };
    version(submit(&place.store, &batch(1, vec![add("n", 1).build()])).await);
    replica.command(&["REPLICAOF", "127.0.0.1", &place.server.port().to_string()]);
    while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.proxy.lead_to(replica.port());
    // What is sent on the connection that is just being cut may have gone out or not.
    let error = submit(&place.store, &batch(9, vec![put("k", "1").build()])).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate), "{error:?}");
    let error = submit(&place.store, &batch(2, vec![add("n", 1).build()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("replica"), "{error}");
    let promoting = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        replica.command(&["REPLICAOF", "NO", "ONE"]);
    };
    let third = batch(3, vec![add("n", 1).build()]);
    let (outcome, ()) = tokio::join!(submit(&place.store, &third), promoting);
    assert!(version(outcome) > 1 << 32);
    let session = Session::on(place.store.clone());
    assert_eq!(session.record("n").await.unwrap().head.version, version(submit(&place.store, &third).await));
}

#[tokio::test]
async fn a_write_waits_for_replicas() {
    let Some(server) = RedisServer::start(&["--appendfsync", "always"]) else { return };
    let config = || RedisConfig::parse(&format!("{}?replicas=1&timeout_ms=600", server.url())).unwrap();
    let alone = RedisStore::open(config()).unwrap();
    assert!(alone.info().warnings.iter().any(|warning| warning.0.contains("replicas")));
    let Some(replica) = RedisServer::start(&[]) else { return };
    replica.command(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let store = Arc::new(RedisStore::open(config()).unwrap());
    assert_eq!((store.info().durability, store.info().warnings.len()), (Durability::Replicated(1), 0));
    version(submit(&store, &batch(1, vec![add("n", 1).build()])).await);
    replica.signal("STOP");
    let second = batch(2, vec![add("n", 1).build()]);
    for _ in 0..2 {
        let error = submit(&store, &second).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
    }
    // Reads do not wait.
    let session = Session::on(store.clone());
    assert_eq!(session.values("n").await, ["2"]);
    replica.signal("CONT");
    version(submit(&store, &second).await);
    assert_eq!(session.values("n").await, ["2"]);
}

#[tokio::test]
async fn a_full_server_takes_deletes_and_recovers() {
    let Some(place) = Place::new().await else { return };
    let large = format!("\"{}\"", "x".repeat(100_000));
    version(submit(&place.store, &batch(1, vec![put("large", &large).build()])).await);
    place.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = submit(&place.store, &batch(2, vec![put("k", "1").build()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    use memlife_testkit::draft::{delete, erase};
    version(submit(&place.store, &batch(3, vec![delete("large").build()])).await);
    let gone = erase("large", memlife_core::store::Cause::Purged).build();
    submit(&place.store, &batch(4, vec![gone])).await.unwrap();
    place.server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    version(submit(&place.store, &batch(5, vec![put("k", "1").build()])).await);
}
