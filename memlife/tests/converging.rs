//! Stores of different kinds that are written to apart and sync through one in the middle.

#![cfg(all(feature = "sqlite", feature = "fs", feature = "redb"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife::policy::PolicyFile;
use memlife::{Entry, ListContent, ListOptions, Memory, OpenOptions, PutOptions, ReplicateOptions};
use tempfile::TempDir;

const SEEDS: u64 = 100;
const STEPS: usize = 30;
const RULES: &str = "
namespaces:
  - {namespace: 'count/*', conflict_strategy: counter}
  - {namespace: 'set/*', conflict_strategy: or_set}
  - {namespace: 'many/*', conflict_strategy: multi_value}
";
const KEYS: [&str; 6] = ["plain/a", "plain/b", "count/a", "set/a", "many/a", "brief/a"];
/// How long brief entries live, in milliseconds.
const BRIEF_MS: u64 = 40;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

async fn open(url: &str) -> Memory {
    let rules = PolicyFile::parse(RULES, "test").unwrap();
    memlife::open_with(url, OpenOptions::new().policy_file(&rules)).await.unwrap()
}

async fn change(memory: &Memory, random: &mut Random, name: usize) {
    let key = KEYS[random.below(KEYS.len())];
    let number = random.below(5) as i64;
    if random.below(5) == 0 {
        memory.delete(key).await.unwrap();
        return;
    }
    match key.split('/').next().unwrap() {
        "count" => drop(memory.counter(key).unwrap().add(number + 1).await.unwrap()),
        "set" if number == 0 => drop(memory.set(key).unwrap().remove(&1).await.unwrap()),
        "set" => drop(memory.set(key).unwrap().insert(&number).await.unwrap()),
        "brief" => {
            let ttl = memlife::Ttl::from_ms(BRIEF_MS).unwrap();
            drop(memory.put_with(key, &number, PutOptions::new().ttl(ttl)).await.unwrap());
        }
        "many" => {
            let options = PutOptions::new().writer(format!("agent{name}"));
            drop(memory.put_with(key, &number, options).await.unwrap());
        }
        _ => drop(memory.put(key, &number).await.unwrap()),
    }
}

async fn sync(memory: &Memory, hub: &Memory) -> u64 {
    let report = memory.sync_with(hub, &ReplicateOptions::new()).await.unwrap();
    for way in [&report.received, &report.sent] {
        assert_eq!((way.refused, way.quarantined, way.gone), (0, 0, 0), "{report:?}");
    }
    report.received.joined + report.sent.joined
}

/// What users see: keys, kinds, stamps, ends and values.
async fn digest(memory: &Memory) -> Vec<String> {
    let mut listing = memory.list(ListOptions::new().content(ListContent::Values));
    let mut lines = Vec::new();
    while let Some(Entry { key, kind, stamp, expires_at, values, .. }) = listing.next().await.unwrap() {
        let values: Vec<_> = values.iter().map(|held| (&held.value.bytes, &held.writer)).collect();
        lines.push(format!("{key} {kind} {stamp} {expires_at:?} {values:?}"));
    }
    lines
}

async fn run(seed: u64, hub_url: &str) {
    let mut random = Random(seed);
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let hub = open(hub_url).await;
    let spokes = [
        open(&format!("sqlite:{}", at("a.db"))).await,
        open(&format!("fs:{}", at("b"))).await,
        open(&format!("redb:{}", at("c.redb"))).await,
    ];
    // Who is cut off from the middle.
    let mut is_away = [false; 3];
    for _ in 0..STEPS {
        let at = random.below(spokes.len());
        match random.below(6) {
            0 => is_away[at] = !is_away[at],
            1 | 2 if !is_away[at] => drop(sync(&spokes[at], &hub).await),
            _ => change(&spokes[at], &mut random, at).await,
        }
    }
    let mut rounds = 0;
    loop {
        let mut moved = 0;
        for spoke in &spokes {
            moved += sync(spoke, &hub).await;
        }
        rounds += 1;
        if moved == 0 {
            break;
        }
        assert!(rounds < 8, "the stores go on telling each other");
    }
    // A server keeps its own time: what is brief is over on every clock after this.
    tokio::time::sleep(std::time::Duration::from_millis(BRIEF_MS + 5)).await;
    let there = digest(&hub).await;
    for spoke in &spokes {
        assert_eq!(digest(spoke).await, there);
    }
    assert!(there.iter().all(|line| !line.starts_with("brief")), "{there:?}");
}

#[tokio::test]
async fn stores_that_sync_through_one_in_memory_converge() {
    for seed in 0..SEEDS / 4 {
        run(seed, "memory:").await;
    }
}

#[cfg(feature = "redis")]
async fn through_a_server(number: u64) {
    let Some(server) = memlife_testkit::RedisServer::start(&[]) else { return };
    for seed in (0..SEEDS).filter(|seed| seed % 2 == number) {
        run(seed, &format!("{}?prefix=seed{seed}&shards=4", server.url())).await;
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn stores_that_sync_through_a_server_converge() {
    through_a_server(0).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn stores_that_sync_through_a_server_converge_with_other_seeds() {
    through_a_server(1).await;
}
