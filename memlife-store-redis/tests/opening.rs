//! Servers of every setting, users of few rights, and encryption.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife_core::store::{Cause, Cursor, Durability, Repair};
use memlife_core::{
    Clock, ErrorKind, ManualClock, Memory, PutOptions, Store, SweepOptions, SystemClock, Ttl,
};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::draft::{add, delete, erase, put};
use memlife_testkit::{RedisServer, Session};
use std::sync::Arc;

fn open(url: &str) -> memlife_core::Result<RedisStore> {
    RedisStore::open(RedisConfig::parse(url).unwrap())
}

/// Every sort of call, with the clock of the server.
async fn use_it(store: RedisStore) {
    let s = Session::on(Arc::new(store));
    s.apply(put("a/b", "1")).await;
    s.apply(put("a/m", "1").multi_value()).await;
    s.apply(add("n", 2)).await;
    assert_eq!(s.keys("").await, ["a/b", "a/m", "n"]);
    s.apply(delete("a/b")).await;
    s.apply(erase("a/b", Cause::Purged)).await;
    assert_eq!(s.feed(&Cursor::default()).await.len(), 3);
    assert_eq!(s.totals().await.tally.entries, 2);
    assert_eq!(s.store().verify(Repair::No).await.unwrap().problems, 0);
    assert_eq!(s.values("n").await, ["2"]);
}

fn told(store: &RedisStore) -> String {
    store.info().warnings.iter().map(|warning| warning.0.as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_level_is_the_one_that_the_server_gives() {
    for (settings, level, warned) in [
        ("appendfsync always", Durability::Disk, ""),
        ("appendfsync always no-appendfsync-on-rewrite yes", Durability::Process, "rewrites"),
        ("appendfsync everysec", Durability::Process, "two seconds"),
        ("appendfsync no", Durability::Memory, "power cut"),
        ("appendonly no", Durability::Memory, "append-only"),
        ("maxmemory-policy allkeys-lru", Durability::Process, "evicts"),
    ] {
        let words: Vec<&str> = settings.split(' ').collect();
        let arguments: Vec<String> =
            words.chunks(2).flat_map(|pair| [format!("--{}", pair[0]), pair[1].to_owned()]).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let Some(server) = RedisServer::start(&arguments) else { return };
        let store = open(&server.url()).unwrap();
        assert_eq!((store.info().durability, store.info().max_durability), (level, level), "{settings:?}");
        let told = told(&store);
        assert!(told.contains(warned) && (told.is_empty() == warned.is_empty()), "{settings:?}: {told}");
        let asked = RedisConfig::parse(&server.url()).unwrap().durability(Some(Durability::Disk));
        match RedisStore::open(asked) {
            Ok(_) => assert_eq!(level, Durability::Disk),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
        }
        use_it(store).await;
    }
}

#[tokio::test]
async fn a_user_needs_few_rights_and_its_password_is_told_nobody() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let rights =
        "~{team* &{team* +@read +@write +@scripting +hello +ping +info +time +subscribe +unsubscribe";
    let user: Vec<&str> =
        ["ACL", "SETUSER", "app", "on", ">canary"].into_iter().chain(rights.split(' ')).collect();
    assert!(server.command(&user).starts_with("+OK"));
    let port = server.port();
    let url =
        |user: &str| format!("redis://{user}@127.0.0.1:{port}?prefix=team&patience_ms=300&fsync=always");
    let store = open(&url("app:canary")).unwrap();
    assert_eq!(store.info().durability, Durability::Disk, "asserted, as the user may not ask");
    assert!(!format!("{store:?} {:?}", store.info()).contains("canary"));
    use_it(store).await;
    for wrong in ["app:canary2", "canary:canary", ":canary"] {
        let error = open(&url(wrong)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let elsewhere = url("app:canary").replace("team", "others");
    let error = open(&elsewhere).unwrap_err();
    assert!(error.message().contains("ACL"), "{error:?}");
}

#[tokio::test]
async fn prefixes_and_databases_are_apart() {
    let Some(server) = RedisServer::start(&[]) else { return };
    for place in ["", "/1", "?prefix=other", "/1?prefix=other&shards=3&pool=4"] {
        use_it(open(&format!("{}{place}", server.url())).unwrap()).await;
    }
}

#[tokio::test]
async fn those_who_come_at_once_find_one_store() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = server.url();
    let opening = (1..9).map(|shards| {
        let url = format!("{url}?shards={shards}");
        std::thread::spawn(move || open(&url).unwrap())
    });
    let stores: Vec<RedisStore> =
        opening.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect();
    let first = stores[0].info();
    assert!(stores.iter().all(|store| store.info().incarnation == first.incarnation));
    assert!(stores.iter().all(|store| store.info().replica == first.replica));
    let (one, other) =
        (Session::on(Arc::new(open(&url).unwrap())), Session::on(Arc::new(open(&url).unwrap())));
    for i in 0..20 {
        one.apply(put(&format!("k/{i}"), "1")).await;
    }
    assert_eq!(other.keys("k").await.len(), 20);
}

#[tokio::test]
async fn damage_is_named_set_aside_and_the_indexes_are_rebuilt() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = format!("{}?shards=1", server.url());
    let s = Session::on(Arc::new(open(&url).unwrap()));
    for i in 0..10 {
        s.apply(put(&format!("k/{i}"), "1").ttl_ms(1_000_000)).await;
    }
    server.command(&["SETRANGE", "{memlife:00}:r:k/3", "20", "x"]);
    server.command(&["ZREM", "{memlife:00}:k", "k/4"]);
    server.command(&["DEL", "{memlife:00}:u", "{memlife:00}:x1"]);
    let key = memlife_core::Key::new("k/3").unwrap();
    assert_eq!(
        s.store().get(std::slice::from_ref(&key), Default::default()).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(s.fails(add("k/3", 1)).await, ErrorKind::Corrupt);
    let found = s.store().verify(Repair::No).await.unwrap();
    assert_eq!((found.checked, found.problems, found.unrepaired()), (10, 2, 2), "{:?}", found.findings);
    assert_eq!(found.findings[0].key, Some(key));
    let mended = s.store().verify(Repair::Yes).await.unwrap();
    assert_eq!((mended.problems, mended.unrepaired()), (2, 0), "{:?}", mended.findings);
    assert_eq!(s.store().verify(Repair::No).await.unwrap().problems, 0);
    assert_eq!(s.keys("k").await.len(), 9);
    assert_eq!(s.totals().await.tally.entries, 9);
    assert!(server.command(&["EXISTS", "{memlife:00}:l:k/3"]).starts_with(":1"));
    s.apply(put("k/3", "2")).await;
}

#[tokio::test]
async fn what_the_server_has_evicted_leaves_the_indexes_at_the_next_sweep() {
    use memlife_core::record::ReclaimClass;
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = format!("{}?shards=1", server.url());
    let s = Session::on(Arc::new(open(&url).unwrap()));
    s.apply(put("late", "1").ttl_ms(1)).await;
    s.apply(put("there", "1").ttl_ms(1_000_000)).await;
    // What the server took on its own would be counted no more and told to nobody.
    assert!(server.command(&["PTTL", "{memlife:00}:r:late"]).starts_with(":-1"));
    server.command(&["DEL", "{memlife:00}:r:late"]);
    let cursor = s.head_cursor().await;
    assert_eq!(s.due_keys(ReclaimClass::Scheduled, memlife_core::Timestamp::MAX).await, ["there"]);
    assert_eq!(s.news(&cursor).await, ["late removed: expired"]);
    assert_eq!((s.keys("").await.len(), s.removed(Cause::Expired).await), (1, 1));
}

#[test]
fn a_store_of_another_format_is_left_alone() {
    let Some(server) = RedisServer::start(&[]) else { return };
    drop(open(&server.url()).unwrap());
    server.command(&["HSET", "{memlife}:cfg", "format", "1"]);
    assert_eq!(open(&server.url()).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_server_that_is_not_there_is_told_soon() {
    let error = open("redis://127.0.0.1:1?patience_ms=200").unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, Some("open")));
}

#[test]
fn a_store_works_without_a_runtime_and_inside_one() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let keys = [memlife_core::Key::new("a").unwrap()];
    let store = open(&server.url()).unwrap();
    futures_executor(store.get(&keys, Default::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // No I/O is enabled here, and the handle goes inside the runtime.
        let store = open(&server.url()).unwrap();
        store.get(&keys, Default::default()).await.unwrap();
    });
}

/// Waits for a future as a plain program would.
fn futures_executor<T>(future: impl Future<Output = memlife_core::Result<T>>) {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(result) => return drop(result.unwrap()),
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn encryption_checks_who_the_server_is() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (cert, key, ca) = (at("server.crt"), at("server.key"), at("ca.crt"));
    let port_text = port.to_string();
    let settings = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = RedisServer::start(&settings) else { return };
    use_it(open(&format!("rediss://localhost:{port}?ca={ca}")).unwrap()).await;
    // Signed by somebody whom the system does not know, and named otherwise.
    for url in [
        format!("rediss://localhost:{port}?patience_ms=200"),
        format!("rediss://127.0.0.1:{port}?ca={ca}&patience_ms=200"),
    ] {
        assert_eq!(open(&url).unwrap_err().kind(), ErrorKind::Unavailable, "{url}");
    }
}

/// An authority, and a certificate of `localhost` signed by it.
#[cfg(feature = "tls")]
fn certify(folder: &std::path::Path) {
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for command in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-authority",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile names",
    ] {
        let output = std::process::Command::new("openssl")
            .args(command.split(' '))
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_here_hides_nothing_that_the_server_holds() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = Arc::new(open(&server.url()).unwrap());
    let ahead = ManualClock::new(SystemClock.now().plus_ms(3_600_000));
    let memory = Memory::builder(store).clock(Arc::new(ahead)).build().unwrap();
    let soon = PutOptions::new().ttl(Ttl::from_ms(600_000).unwrap());
    memory.put_with("k", "1", soon).await.unwrap();
    assert!(memory.get_value("k").await.unwrap().is_some());
    assert_eq!(memory.sweep(SweepOptions::new()).await.unwrap().deleted, 0);
    assert!(memory.get_value("k").await.unwrap().is_some());
}
