//! Several agents share out tasks: each task goes to exactly one of them, and nobody waits for anybody.

use memlife::{Claimed, Memory, Result};
use std::time::Duration;

const AGENTS: u32 = 3;
const TASKS: u32 = 6;

#[tokio::main]
async fn main() -> Result<()> {
    let memory = memlife::open("memory:").await?;
    let mut agents = Vec::new();
    for agent in 1..=AGENTS {
        let memory = memory.clone();
        agents.push(tokio::spawn(async move { work(&memory, &format!("agent{agent}")).await }));
    }
    for agent in agents {
        // A panic in an agent is not for this example.
        if let Ok(report) = agent.await {
            println!("{}", report?);
        }
    }
    for task in 1..=TASKS {
        let owner: Option<String> = memory.get(task_key(task)).await?;
        println!("task {task} was done by {}", owner.as_deref().unwrap_or("nobody"));
    }
    Ok(())
}

async fn work(memory: &Memory, agent: &str) -> Result<String> {
    let mut done = 0;
    for task in 1..=TASKS {
        // The claim ends by itself after ten minutes, should this agent die on the way.
        match memory.claim(task_key(task), agent, "10m".parse()?).await? {
            Claimed::Won(_) => {
                done += 1;
                // The work itself.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Claimed::Held(entry) => {
                println!("{agent}: {} is with {}", entry.key, entry.writer.as_deref().unwrap_or("nobody"));
            }
        }
    }
    Ok(format!("{agent} did {done} of {TASKS} tasks"))
}

fn task_key(task: u32) -> String {
    format!("coordination/task/{task}")
}
