//! A policy file says how long entries live and how they merge; `explain` says why.

use memlife::policy::{Policy, PolicyFile};
use memlife::{Key, OpenOptions, Result};

const POLICY: &str = r#"
namespaces:
  - namespace: "task/**"
    ttl: 24h
    cleanup_strategy: scheduled
  - namespace: "task/*/status"
    ttl: 1h
    refresh: on_read
  - namespace: "knowledge/*"
    ttl_seconds: 0          # permanent
    cleanup_strategy: manual
    conflict_strategy: multi_value
default:
  ttl: 30d
cleanup_schedule:
  time_of_day: "02:00"
  interval_hours: 24
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let policy = PolicyFile::parse(POLICY, "policies.yaml")?;
    for lint in policy.lint() {
        println!("lint: {lint:?}");
    }
    for key in ["task/42/status", "task/42/log", "notes/today"] {
        let why = policy.rules.explain(&Key::new(key)?);
        let rule = if why.is_default { "the default".to_owned() } else { why.winner.id().to_string() };
        let ttl = why.winner.ttl.map_or("permanent".to_owned(), |ttl| ttl.to_string());
        println!("{key}: {rule}, lives {ttl}");
        for beaten in &why.beaten {
            println!("  not {}: {}", beaten.pattern, beaten.why);
        }
    }

    let memory = memlife::open_with("memory:", OpenOptions::new().policy_file(&policy)).await?;
    let receipt = memory.put("task/42/status", "running").await?;
    if let Some(at) = receipt.expires_at {
        println!("task/42/status expires in {} s", at.since(memory.clock().now()).div_ceil(1_000));
    }

    // A mistake is told with its line.
    let wrong = "namespaces:\n  - namespace: \"task/*\"\n    tll: 1h\n";
    if let Err(error) = PolicyFile::parse(wrong, "policies.yaml") {
        println!("{error}");
    }
    Ok(())
}
