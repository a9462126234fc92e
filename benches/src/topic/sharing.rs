use crate::comparison::{Comparisons, Target};
use crate::figure::{Figure, grouped};
use crate::fill::{self, Life};
use crate::measure::Stopwatch;
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{self, Random};
use anyhow::{Result, ensure};
use memlife::{Memory, ReplicateOptions, WatchOptions, Watched};
use memlife_testkit::RedisServer;
use std::time::Duration;

const ABOUT: [&str; 2] = [
    "Copies: entries of some 250 bytes from one store into an empty one, by `Memory::copy_to`; a commit per 500 entries, \
     and two round trips to a server. The quiet sync is one between two such stores after everything was sent: it reads \
     two cursors and writes nothing.",
    "The latency of a watch is from before a put until another handle of the store, with connections of its own, tells of \
     it, at pauses of 1 to 20 ms between the puts. SQLite tells nobody of a commit: a watch looks, more rarely the longer \
     nothing comes; Redis tells by a message.",
];

/// Puts whose way to a watcher is timed.
const PUTS: usize = 400;

/// Copies from store to store, and how soon a watch tells.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let mut table = Comparisons::new("Sharing: copies and watches", &ABOUT);
    let entries = stage.scale.many / 10;
    let folder = stage.folder()?;
    let full = stage::open(&stage::url(&folder.path().join("full.db"))).await?;
    let mut random = Random::new(31);
    let lines = (0..entries).map(|at| {
        let key = format!("session/agent{}/k{at:07}", at % 97);
        (key, workload::value_of(&mut random, workload::SMALL), Life::Permanent)
    });
    fill::import(&full, lines).await?;
    let folder_of_files = format!("fs:{}", folder.path().join("files").display());
    for (to, url) in [("sqlite", stage::url(&folder.path().join("copy.db"))), ("fs", folder_of_files)] {
        let copy = stage::open(&url).await?;
        let seconds = copied(&full, &copy, entries).await?;
        let what = format!("copy of {} entries, sqlite to {to}", grouped(entries as u64));
        table.alone(&what, Figure::rate(entries, &[seconds])?, None);
        let (first, quiet) = (synced(&full, &copy).await?, synced(&full, &copy).await?);
        ensure!(first.1 > 0 && quiet.1 == 0, "the second sync was not quiet");
        table.alone(&format!("quiet sync, sqlite and {to}"), Figure::time(&[quiet.0])?, None);
    }
    let server = RedisServer::start(&["--appendfsync", "everysec"]);
    if let Some(server) = &server {
        let rate = Some(Target::AtLeast(30_000.0));
        let there = stage::open(&server.url()).await?;
        let what = |way: &str| format!("copy of {} entries, {way}", grouped(entries as u64));
        let seconds = copied(&full, &there, entries).await?;
        table.alone(&what("sqlite to redis"), Figure::rate(entries, &[seconds])?, rate);
        let back = stage::open(&stage::url(&folder.path().join("back.db"))).await?;
        let seconds = copied(&there, &back, entries).await?;
        table.alone(&what("redis to sqlite"), Figure::rate(entries, &[seconds])?, rate);
    }
    let watched = stage::url(&folder.path().join("watched.db"));
    let by_redis = server.as_ref().map(|server| format!("{}?prefix=watched", server.url()));
    for (store, url, most) in [("sqlite", Some(watched), 50.0), ("redis", by_redis, 5.0)] {
        let Some(url) = url else { continue };
        let waits = latencies(&url).await?;
        let name = |part: &str| format!("{store}: a watch tells of a put, {part}");
        table.alone(&name("half of them"), Figure::time(&[share(&waits, 50)])?, None);
        table.alone(&name("99 of 100"), Figure::time(&[share(&waits, 99)])?, Some(Target::AtMost(most)));
    }
    Ok(table.finish())
}

async fn copied(from: &Memory, to: &Memory, entries: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    let report = from.copy_to(to, &ReplicateOptions::new()).await?;
    let seconds = watch.seconds();
    ensure!(report.joined == entries as u64, "{} of {entries} entries arrived", report.joined);
    Ok(seconds)
}

/// Seconds of a sync, and what it sent.
async fn synced(one: &Memory, other: &Memory) -> Result<(f64, u64)> {
    let watch = Stopwatch::start();
    let report = one.sync_with(other, &ReplicateOptions::new()).await?;
    Ok((watch.seconds(), report.sent.sent + report.received.sent))
}

/// Seconds from each put until a watch told of it, least first.
async fn latencies(url: &str) -> Result<Vec<f64>> {
    let (writer, reader) = (stage::open(url).await?, stage::open(url).await?);
    let mut watch = reader.watch(WatchOptions::new());
    ensure!(watch.next(Duration::ZERO).await?.is_none(), "the store is not empty");
    let clock = Stopwatch::start();
    let writing = tokio::spawn(async move {
        let mut random = Random::new(32);
        for _ in 0..PUTS {
            tokio::time::sleep(Duration::from_micros(1_000 + random.below(19_000) as u64)).await;
            writer.put("k", &clock.seconds()).await?;
        }
        anyhow::Ok(())
    });
    let mut waits = Vec::with_capacity(PUTS);
    // Only the latest state of a key is told: a put that the next one overtook is not waited for.
    while !writing.is_finished() {
        if let Some(Watched::Put(entry)) = watch.next(Duration::from_millis(200)).await? {
            waits.push(clock.seconds() - entry.parse::<f64>()?);
        }
    }
    writing.await??;
    ensure!(waits.len() > PUTS / 2, "{} of {PUTS} puts were told", waits.len());
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

/// The value that so many of 100 do not pass.
fn share(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
