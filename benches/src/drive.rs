use crate::workload::Item;
use anyhow::{Context, Result, ensure};
use memlife::{Memory, PutOptions, Value};
use std::sync::Arc;

/// Tasks that put at the same time.
pub const TASKS: usize = 64;

/// A key and the JSON text that is put under it.
pub type Pair = (String, Value);

/// What `items` are where JSON is no part of the measurement.
pub fn pairs(items: &[Item]) -> Result<Vec<Pair>> {
    items.iter().map(|item| Ok((item.key.clone(), Value::json(&item.value)?))).collect()
}

/// Puts one after the other.
pub async fn put_each(memory: &Memory, pairs: &[Pair], options: &PutOptions) -> Result<()> {
    for (key, value) in pairs {
        let written = memory.put_value(key.as_str(), value.clone(), options.clone()).await?;
        ensure!(written.receipt().is_some(), "a put of {key} was not applied");
    }
    Ok(())
}

/// Puts from `tasks` tasks, each its own share.
pub async fn put_shared(memory: &Memory, pairs: &Arc<Vec<Pair>>, tasks: usize) -> Result<()> {
    let share = |task: usize| {
        let (memory, pairs) = (memory.clone(), Arc::clone(pairs));
        tokio::spawn(async move {
            for (key, value) in pairs.iter().skip(task).step_by(tasks) {
                let written = memory.put_value(key.as_str(), value.clone(), PutOptions::new()).await?;
                ensure!(written.receipt().is_some(), "a put of {key} was not applied");
            }
            Ok(())
        })
    };
    let shares: Vec<_> = (0..tasks).map(share).collect();
    for share in shares {
        share.await??;
    }
    Ok(())
}

/// Gets one after the other, as text.
pub async fn get_each(memory: &Memory, pairs: &[Pair]) -> Result<()> {
    for (key, _) in pairs {
        let value = memory.get_value(key.as_str()).await?.context("an entry is missing")?;
        std::hint::black_box(value.bytes);
    }
    Ok(())
}
