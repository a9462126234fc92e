//! Two stores that are written to apart and meet again: a laptop's and the team's.

use memlife::policy::PolicyFile;
use memlife::{Memory, OpenOptions, ReplicateOptions, Result};

const RULES: &str = "
namespaces:
  - namespace: metrics/*
    conflict_strategy: counter
  - namespace: private/**
    replicate: false
";

#[tokio::main]
async fn main() -> Result<()> {
    let (laptop, team) = (open().await?, open().await?);
    laptop.put("decisions/database", "sqlite").await?;
    laptop.put("private/draft", "not yet").await?;
    laptop.counter("metrics/builds")?.add(3).await?;
    team.counter("metrics/builds")?.add(4).await?;

    let report = laptop.sync_with(&team, &ReplicateOptions::new()).await?;
    println!("received {}, sent {}", report.received.joined, report.sent.joined);
    for (name, memory) in [("laptop", &laptop), ("team", &team)] {
        let decision: Option<String> = memory.get("decisions/database").await?;
        let draft: Option<String> = memory.get("private/draft").await?;
        let builds = memory.counter("metrics/builds")?.get().await?;
        println!("{name}: {decision:?}, {builds:?} builds, draft {draft:?}");
    }
    Ok(())
}

async fn open() -> Result<Memory> {
    let rules = PolicyFile::parse(RULES, "the example")?;
    memlife::open_with("memory:", OpenOptions::new().policy_file(&rules)).await
}
