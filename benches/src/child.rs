use crate::drive::TASKS;
use crate::measure::Stopwatch;
use crate::stage;
use crate::workload::{self, Random};
use anyhow::{Context, Result};
use memlife::{ListOptions, Memory};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::process::Command;

/// What an errand found in a process of its own, whose memory nothing else has touched.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Entries seen.
    pub entries: u64,
    /// How long it took.
    pub seconds: f64,
    /// The most memory the process ever had, in bytes.
    pub peak_bytes: u64,
}

/// Does an errand and prints what it found.
pub async fn run(errand: &[String]) -> Result<()> {
    let [errand, url] = errand else { anyhow::bail!("an errand and a URL are needed") };
    let watch = Stopwatch::start();
    let memory = stage::open(url).await?;
    let entries = match errand.as_str() {
        "list" => {
            let mut listing = memory.list(ListOptions::new());
            let mut entries = 0;
            while listing.next().await?.is_some() {
                entries += 1;
            }
            entries
        }
        "export" => {
            let mut export = memory.export(ListOptions::new());
            let mut sink = std::io::BufWriter::new(std::io::sink());
            let mut entries = 0;
            while let Some(line) = export.next().await? {
                serde_json::to_writer(&mut sink, &line)?;
                sink.write_all(b"\n")?;
                entries += 1;
            }
            entries
        }
        "read-large" => {
            let mut entries = 0;
            while let Some(value) = memory.get::<serde_json::Value>(workload::large_key(entries)).await? {
                std::hint::black_box(value);
                entries += 1;
            }
            entries as u64
        }
        "mix" => mix(&memory).await?,
        _ => anyhow::bail!("there is no errand {errand:?}"),
    };
    let found = Found { entries, seconds: watch.seconds(), peak_bytes: peak_bytes("self")? };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// A steady load of 64 tasks on a store of a million: of ten operations seven gets, two puts over what is there and one
/// of a new key; gives back how many there were.
async fn mix(memory: &Memory) -> Result<u64> {
    const EACH: usize = 5_000;
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(mix_some(memory.clone(), task, EACH))).collect();
    for task in tasks {
        task.await??;
    }
    Ok((TASKS * EACH) as u64)
}

async fn mix_some(memory: Memory, task: usize, count: usize) -> Result<()> {
    let mut random = Random::new(task as u64);
    for at in 0..count {
        let place = random.below(1_000_000);
        let known = format!("session/agent{}/k{place:07}", place % 97);
        match random.below(10) {
            0 => {
                let value = workload::value_of(&mut random, workload::SMALL);
                memory.put(format!("session/new{task}/k{at}"), &value).await?;
            }
            1 | 2 => {
                let value = workload::value_of(&mut random, workload::SMALL);
                memory.put(known, &value).await?;
            }
            _ => {
                std::hint::black_box(memory.get_value(known).await?);
            }
        }
    }
    Ok(())
}

/// Sends a new process of this program on an errand.
pub fn send(errand: &str, url: &str) -> Result<Found> {
    // The program itself, even if a new build has taken its place meanwhile.
    let output = Command::new("/proc/self/exe").args(["--child", errand, url]).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the errand {errand} failed: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The most memory that a process, by its number or `self`, ever had resident.
pub fn peak_bytes(process: &str) -> Result<u64> {
    status_bytes(process, "VmHWM:")
}

/// The memory that a process has resident now.
pub fn resident_bytes(process: &str) -> Result<u64> {
    status_bytes(process, "VmRSS:")
}

fn status_bytes(process: &str, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))
        .context("this system does not tell a process's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.context("this system does not tell a process's memory")? * 1024)
}
