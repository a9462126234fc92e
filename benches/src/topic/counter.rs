use crate::comparison::{Comparisons, Target};
use crate::drive::TASKS;
use crate::measure::{Duel, seconds};
use crate::report::Section;
use crate::stage::{self, Stage};
use anyhow::{Result, ensure};
use memlife::policy::{Pattern, Rule, RuleSet};
use memlife::record::Kind;
use memlife::{Memory, OpenOptions};
use std::sync::Arc;

const ABOUT: [&str; 1] = ["\
     One counter in `sqlite`, at `process` level: 64 tasks that all add to it, beside one task that adds as often. Of the \
     64 those that wait share a commit."];

const KEY: &str = "hot/counter";

/// A counter that everybody adds to.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let each = stage.scale.entries / TASKS;
    let mut adds = Duel::default();
    for round in 0..stage.scale.rounds {
        let url = stage::url(&folder.path().join(format!("{round}.db")));
        let rule = Rule { pattern: Pattern::parse("hot/*")?, conflict: Kind::Counter, ..Rule::fallback() };
        let policy = Arc::new(RuleSet::new("benches", vec![rule], Rule::fallback()));
        let memory = memlife::open_with(&url, OpenOptions::new().policy(policy)).await?;
        let ours = seconds(add_shared(&memory, each)).await?;
        let alone = seconds(add(memory.clone(), each * TASKS)).await?;
        let count = memory.counter(KEY)?.get().await?;
        ensure!(count == Some(2 * (each * TASKS) as i128), "the counter is at {count:?}");
        stage::close(memory).await?;
        adds.push(ours, alone);
    }
    let mut table = Comparisons::new("One counter, 64 tasks beside one", &ABOUT);
    table.speed("additions to one counter", each * TASKS, &adds, Some(Target::AtLeast(1.0)))?;
    Ok(table.finish())
}

async fn add_shared(memory: &Memory, each: usize) -> Result<()> {
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(add(memory.clone(), each))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn add(memory: Memory, times: usize) -> Result<()> {
    let counter = memory.counter(KEY)?;
    for _ in 0..times {
        counter.add(1).await?;
    }
    Ok(())
}
