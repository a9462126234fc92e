use crate::comparison::{Comparisons, Target};
use crate::drive::{TASKS, get_each, pairs, put_shared};
use crate::figure::grouped;
use crate::measure::{Stopwatch, duel, seconds};
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{self, Random};
use anyhow::{Context, Result};
use bytes::Bytes;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;

const ABOUT: [&str; 1] = ["\
     Both keep everything in this process. Ours is `Memory::get_value` of the store `memory:`, which has versions, changes \
     and usage as every store; beside it `get` of the crate moka's sync cache with a time to live. One task gets every \
     key once, in random order."];

/// Reads of what is in memory beside moka.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let mut load = pairs(&workload::small(stage.scale.entries))?;
    let memory = memlife::open("memory:").await?;
    put_shared(&memory, &Arc::new(load.clone()), TASKS).await?;
    let cache: Cache<String, Bytes> = Cache::builder().time_to_live(Duration::from_secs(3600)).build();
    load.iter().for_each(|(key, value)| cache.insert(key.clone(), value.bytes.clone()));
    Random::new(5).shuffle(&mut load);
    let gets = duel(
        8 * stage.scale.rounds,
        async || seconds(get_each(&memory, &load)).await,
        || {
            let watch = Stopwatch::start();
            for (key, _) in &load {
                std::hint::black_box(cache.get(key.as_str()).context("a key is missing")?);
            }
            Ok(watch.seconds())
        },
    )
    .await?;
    stage::close(memory).await?;
    let mut table = Comparisons::new("In memory, beside moka", &ABOUT);
    let what = format!("get of {} entries", grouped(load.len() as u64));
    table.speed(&what, load.len(), &gets, Some(Target::AtLeast(0.5)))?;
    Ok(table.finish())
}
