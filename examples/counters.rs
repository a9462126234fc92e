//! Counters: concurrent additions all count.

use memlife::policy::PolicyFile;
use memlife::{Guard, OpenOptions, PutOptions, Result};

const POLICY: &str = "
namespaces:
  - {namespace: 'metrics/*', ttl: 7d, conflict_strategy: counter}
";

#[tokio::main]
async fn main() -> Result<()> {
    let policy = PolicyFile::parse(POLICY, "this example")?;
    let memory = memlife::open_with("memory:", OpenOptions::new().policy_file(&policy)).await?;

    // A plain put to a counter adds.
    memory.put("metrics/builds", &5).await?;
    memory.put("metrics/builds", &3).await?;
    println!("builds: {:?}", memory.get::<i64>("metrics/builds").await?);

    let tests = memory.counter("metrics/tests")?;
    let mut adders = Vec::new();
    for _ in 0..10 {
        let tests = tests.clone();
        adders.push(tokio::spawn(async move { tests.add(100).await }));
    }
    for adder in adders {
        if let Ok(added) = adder.await {
            added?;
        }
    }
    println!("tests: {:?}", tests.get().await?);

    // Whoever names the version sets; a delete resets.
    if let Some(entry) = memory.entry("metrics/builds").await? {
        let set = PutOptions::new().guard(Guard::Version(entry.version));
        memory.put_with("metrics/builds", &100, set).await?;
    }
    println!("builds, set: {:?}", memory.get::<i64>("metrics/builds").await?);
    memory.delete("metrics/builds").await?;
    println!("builds, reset and counted once: {}", memory.counter("metrics/builds")?.add(1).await?);
    Ok(())
}
