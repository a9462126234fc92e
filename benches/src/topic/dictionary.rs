use crate::comparison::{Comparisons, Target};
use crate::drive::{get_each, pairs, put_each};
use crate::figure::{Figure, grouped};
use crate::measure::{Duel, Spread, seconds};
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload::{self, Random};
use anyhow::{Result, ensure};
use memlife::{Memory, PutOptions, TrainOptions};

const ABOUT: [&str; 2] = [
    "JSON values of 200 bytes in `sqlite` under the built-in rule of `session/*`, as they are and after `memlife policy \
     train`, each put again. They are of 14 words, numbers at random and three fields that all of them have. Without a \
     dictionary they are below the size from which values are compressed.",
    "Bytes are those stored of the values, as `memlife stats` tells them. The ratios of speed are those with the \
     dictionary to those without: what reading and writing it costs.",
];

/// Values with and without a trained dictionary.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let count = stage.scale.entries;
    let mut load = pairs(&workload::objects(count))?;
    let [mut puts, mut gets] = std::array::from_fn(|_| Duel::default());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for round in 0..stage.scale.rounds {
        let folder = stage.folder()?;
        let memory = stage::open(&stage::url(&folder.path().join("store.db"))).await?;
        put_each(&memory, &load, &PutOptions::new()).await?;
        Random::new(round as u64).shuffle(&mut load);
        let plain = [
            seconds(put_each(&memory, &load, &PutOptions::new())).await?,
            seconds(get_each(&memory, &load)).await?,
        ];
        before.push(stored(&memory).await?);
        memory.train(&TrainOptions::new(), None).await?;
        // What is put now is compressed; the second time over what is compressed, as before over what was not.
        put_each(&memory, &load, &PutOptions::new()).await?;
        let trained = [
            seconds(put_each(&memory, &load, &PutOptions::new())).await?,
            seconds(get_each(&memory, &load)).await?,
        ];
        after.push(stored(&memory).await?);
        ensure!(after.last() < before.last(), "no dictionary was of use");
        puts.push(trained[0], plain[0]);
        gets.push(trained[1], plain[1]);
        stage::close(memory).await?;
    }
    let share = |bytes: &[f64]| Figure::size(Spread::of(bytes.to_vec())?.median / count as f64);
    let ratio = Duel { ours: after.clone(), peer: before.clone() }.time()?;
    let mut table = Comparisons::new("Dictionaries", &ABOUT);
    let what = format!("bytes stored per value, of {}", grouped(count as u64));
    table.ratio(&what, share(&after)?, share(&before)?, ratio, Some(Target::AtMost(0.5)));
    table.speed("put, with the dictionary beside without", count, &puts, None)?;
    table.speed("get, with the dictionary beside without", count, &gets, None)?;
    Ok(table.finish())
}

/// Bytes stored of all values.
async fn stored(memory: &Memory) -> Result<f64> {
    Ok(memory.stats().await?.stored.stored_bytes as f64)
}
