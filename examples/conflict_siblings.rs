//! Two agents decide at once: both decisions are kept beside each other until somebody merges them.

use memlife::{Guard, PutOptions, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // The built-in rule for swarm/shared/* is `multi_value`.
    let memory = memlife::open("memory:").await?;
    let key = "swarm/shared/database";
    memory.put_with(key, "sqlite", PutOptions::new().writer("alice")).await?;
    memory.put_with(key, "postgres", PutOptions::new().writer("bob")).await?;

    // A plain get answers with the newest.
    println!("newest: {:?}", memory.get::<String>(key).await?);
    let Some(entry) = memory.entry(key).await? else { return Ok(()) };
    println!("{} decisions stand beside each other:", entry.siblings);
    for held in &entry.values {
        let value: String = held.value.parse()?;
        println!("  {value} by {}", held.writer.as_deref().unwrap_or("somebody"));
    }

    // A put that names the version it read replaces all that the version held.
    let merge = PutOptions::new().writer("carol").guard(Guard::Version(entry.version));
    let written = memory.put_with(key, "sqlite first, postgres later", merge).await?;
    println!("merged: {}", written.receipt().is_some());
    println!("now: {:?}", memory.get::<String>(key).await?);

    // The same put again names a version that is gone, and is refused.
    let late = PutOptions::new().guard(Guard::Version(entry.version));
    let written = memory.put_with(key, "redis", late).await?;
    println!("a merge of what is no longer there: {}", written.receipt().is_some());
    Ok(())
}
