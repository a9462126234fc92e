use crate::comparison::{Comparisons, Target};
use crate::drive::{self, Pair, put_shared};
use crate::figure::Figure;
use crate::measure::{Duel, Stopwatch, seconds};
use crate::report::Section;
use crate::stage::{self, Stage, plain_connection};
use crate::workload::{self, Random};
use anyhow::{Context, Result};
use memlife::store::Batch;
use memlife::{Clock, Durability, Memory, Store, SystemClock};
use memlife_store_redis::{RedisConfig, RedisStore};
use memlife_testkit::RedisServer;
use memlife_testkit::draft::put;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;

const ABOUT: [&str; 3] = [
    "One server on loopback that writes an append-only file and syncs it every second, for both sides; one connection \
     on both sides, by the same client library. 50 tasks on two worker threads. Values of some 250 bytes, which live \
     for an hour.",
    "A get is one round trip, which carries the gets that wait meanwhile, and ten times a second of a second command, \
     for the ledger's clock. A put is one round trip of one script, which carries the puts that wait for the same shard; \
     it writes the record, its places among the keys, the changes and the due, the usage and the last reply.",
    "Beside them `GET`, `SET ... PX`, and the commands that write the same indexes in one `MULTI`, told what to write.",
];

/// Tasks that ask at the same time.
const TASKS: usize = 50;
/// Passes of gets in a round.
const GETS: usize = 3;
/// Puts of a batch.
const BATCH: usize = 100;
const HOUR_MS: u64 = 3_600_000;

/// Redis beside its plain commands.
pub async fn measure(stage: &Stage) -> Result<Vec<Section>> {
    let Some(server) = RedisServer::start(&["--appendfsync", "everysec"]) else { return Ok(Vec::new()) };
    let count = stage.scale.entries;
    let mut pairs = drive::pairs(&workload::small(count))?;
    let plain = Plain::connect(&server).await?;
    let memory = stage::open(&server.url()).await?;
    // Batches go past the engine, which would know another rule for the same keys.
    let store = RedisStore::open(RedisConfig::parse(&format!("{}?prefix=batches", server.url()))?)?;
    put_shared(&memory, &Arc::new(pairs.clone()), TASKS).await?;
    in_batches(&store, &pairs).await?;
    shared(&pairs, &plain, Plain::set).await?;

    let [mut get, mut put, mut multi, mut batches] = std::array::from_fn(|_| Duel::default());
    for round in 0..2 * stage.scale.rounds {
        Random::new(round as u64).shuffle(&mut pairs);
        // They take a fraction of what writes take.
        for _ in 0..GETS {
            let ours = shared(&pairs, &memory, get_each).await?;
            get.push(ours, shared(&pairs, &plain, Plain::get).await?);
        }
        let peer = shared(&pairs, &plain, Plain::set).await?;
        let ours = seconds(put_shared(&memory, &Arc::new(pairs.clone()), TASKS)).await?;
        put.push(ours, peer);
        multi.push(ours, shared(&pairs, &plain, Plain::multi).await?);
        batches.push(seconds(in_batches(&store, &pairs)).await?, seconds(plain.in_pipelines(&pairs)).await?);
    }
    let mut table = Comparisons::new("Redis, beside its plain commands", &ABOUT);
    table.speed("get, 50 tasks, beside GET", count, &get, Some(Target::AtLeast(0.9)))?;
    table.speed("put, 50 tasks, beside SET PX", count, &put, Some(Target::AtLeast(0.35)))?;
    table.speed("put, 50 tasks, beside a MULTI of the same", count, &multi, Some(Target::AtLeast(0.6)))?;
    table.speed("put, batches of 100, beside pipelines", count, &batches, Some(Target::AtLeast(0.12)))?;
    if let Some(bytes) = bytes_per_entry(count).await? {
        let what = "memory of the server per entry of 200 bytes";
        table.alone(what, Figure::size(bytes)?, Some(Target::AtMost(900.0)));
    }
    Ok(vec![table.finish()])
}

/// What an entry with a value of 200 bytes takes of a server that has nothing else.
async fn bytes_per_entry(count: usize) -> Result<Option<f64>> {
    let Some(server) = RedisServer::start(&["--appendfsync", "everysec"]) else { return Ok(None) };
    let memory = stage::open(&server.url()).await?;
    let before = memory_of(&server)?;
    put_shared(&memory, &Arc::new(drive::pairs(&workload::exact(count))?), TASKS).await?;
    Ok(Some((memory_of(&server)? - before) / count as f64))
}

/// What the server's data take, in bytes.
fn memory_of(server: &RedisServer) -> Result<f64> {
    let info = server.command(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.trim_end().strip_prefix("used_memory_dataset:"));
    Ok(used.context("the server does not tell its memory")?.parse()?)
}

/// Seconds until every task has done its share of `pairs` with a clone of `with`.
async fn shared<C: Clone, F>(pairs: &[Pair], with: &C, work: impl Fn(C, Vec<Pair>) -> F) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let share = |task: usize| work(with.clone(), pairs.iter().skip(task).step_by(TASKS).cloned().collect());
    let shares: Vec<F> = (0..TASKS).map(share).collect();
    let watch = Stopwatch::start();
    let tasks: Vec<_> = shares.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await??;
    }
    Ok(watch.seconds())
}

async fn get_each(memory: Memory, pairs: Vec<Pair>) -> Result<()> {
    drive::get_each(&memory, &pairs).await
}

async fn in_batches(store: &RedisStore, pairs: &[Pair]) -> Result<()> {
    for pairs in pairs.chunks(BATCH) {
        let write = |(key, value): &Pair| put(key, &String::from_utf8_lossy(&value.bytes)).build();
        let writes = pairs.iter().map(write).collect();
        let batch = Batch { now: SystemClock.now(), durability: Durability::Memory, token: None, writes };
        for outcome in store.apply(&batch).await? {
            std::hint::black_box(outcome?);
        }
    }
    Ok(())
}

/// A client that sends the server's own commands.
#[derive(Clone)]
struct Plain(MultiplexedConnection);

impl Plain {
    async fn connect(server: &RedisServer) -> Result<Self> {
        Ok(Plain(plain_connection(&server.url()).await?))
    }

    async fn get(mut self, pairs: Vec<Pair>) -> Result<()> {
        for (key, _) in &pairs {
            let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut self.0).await?;
            std::hint::black_box(value.context("a key is missing")?);
        }
        Ok(())
    }

    async fn set(mut self, pairs: Vec<Pair>) -> Result<()> {
        for (key, value) in &pairs {
            let mut set = redis::cmd("SET");
            let () =
                set.arg(key).arg(&value.bytes[..]).arg("PX").arg(HOUR_MS).query_async(&mut self.0).await?;
        }
        Ok(())
    }

    /// The commands of one put, in one transaction of one slot.
    async fn multi(mut self, pairs: Vec<Pair>) -> Result<()> {
        for (at, (key, value)) in pairs.iter().enumerate() {
            let name = |part: &str| format!("{{plain}}:{part}");
            let member = format!("{:013}{key}", 0);
            let mut multi = redis::pipe();
            multi.atomic();
            multi.cmd("SET").arg(name(key)).arg(&value.bytes[..]).arg("PX").arg(HOUR_MS).ignore();
            multi.cmd("HSET").arg(name("m")).arg(&["s", "1", "ms", "1764000000000", "c", "1"]).ignore();
            multi.cmd("ZADD").arg(name("k")).arg(0).arg(key).ignore();
            multi.cmd("ZADD").arg(name("c")).arg(at).arg(key).ignore();
            multi.cmd("ZREM").arg(name("x")).arg(&member).ignore();
            multi.cmd("ZADD").arg(name("x")).arg(0).arg(&member).ignore();
            multi.cmd("HSET").arg(name("u")).arg("session").arg(&[0_u8; 26][..]).ignore();
            multi.cmd("SET").arg(name("o")).arg(&[0_u8; 60][..]).arg("PX").arg(HOUR_MS).ignore();
            multi.cmd("PUBLISH").arg("plain").arg("").ignore();
            let () = multi.query_async(&mut self.0).await?;
        }
        Ok(())
    }

    async fn in_pipelines(&self, pairs: &[Pair]) -> Result<()> {
        let mut connection = self.0.clone();
        for pairs in pairs.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for (key, value) in pairs {
                pipeline.cmd("SET").arg(key).arg(&value.bytes[..]).arg("PX").arg(HOUR_MS).ignore();
            }
            let () = pipeline.query_async(&mut connection).await?;
        }
        Ok(())
    }
}
