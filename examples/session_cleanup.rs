//! What a hook does when a session ends: it removes what the session left, and sweeps for a moment.

use memlife::{PutOptions, Result, SweepOptions};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let memory = memlife::open("memory:").await?;
    memory.put("session/s1/plan", "read, change, test").await?;
    memory.put("session/s1/files", &["a.rs", "b.rs"]).await?;
    memory.put("session/s2/plan", "another session").await?;
    memory.put("knowledge/build", "use the release profile").await?;
    // Over as soon as it is written: an entry that expired while nobody looked.
    let over = PutOptions::new().ttl("1ms".parse()?);
    memory.put_with("coordination/agent1/status", "running", over).await?;
    tokio::time::sleep(Duration::from_millis(5)).await;

    let ended = memory.delete_within("session/s1").await?;
    println!("the session left {ended} entries, which are gone");
    // What a hook may take is bounded; the next sweep takes the rest.
    let report = memory.sweep(SweepOptions::new().budget(Duration::from_millis(50))).await?;
    println!("the sweep removed {} expired entries in {:?}", report.deleted, report.elapsed);

    let stats = memory.stats().await?;
    println!("{} entries stay:", stats.entries);
    for (namespace, tally) in stats.namespaces.iter().filter(|(_, tally)| tally.entries > 0) {
        println!("  {namespace}: {}", tally.entries);
    }
    Ok(())
}
