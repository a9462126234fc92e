//! From one store to another as JSON Lines: what any program can read, and any program can write.

use memlife::{ListOptions, PutOptions};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let from = memlife::open("memory:").await?;
    from.put("knowledge/build", "use the release profile").await?;
    from.put_with("session/draft", &vec![1, 2, 3], PutOptions::new().ttl("1h".parse()?)).await?;

    let mut lines = Vec::new();
    let mut export = from.export(ListOptions::new());
    while let Some(line) = export.next().await? {
        lines.push(serde_json::to_string(&line)?);
    }
    // A key and a value are all that a line needs.
    lines.push(r#"{"key": "knowledge/deploy", "value": "never on Fridays"}"#.to_owned());
    lines.push(r#"{"key": "not a line"}"#.to_owned());
    println!("{}", lines.join("\n"));

    let to = memlife::open("memory:").await?;
    let mut import = to.import();
    for line in &lines {
        import.line(line).await?;
    }
    let report = import.finish().await?;
    println!("{} of {} lines were imported", report.imported, report.lines);
    for rejected in &report.rejected {
        println!("line {}: {}", rejected.line, rejected.reason);
    }
    println!("deploy: {:?}", to.get::<String>("knowledge/deploy").await?);
    Ok(())
}
