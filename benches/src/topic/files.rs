use crate::comparison::{Comparisons, Target};
use crate::drive::{Pair, pairs, put_each};
use crate::measure::{Duel, Stopwatch, seconds};
use crate::raw::sqlite::{Raw, Row};
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload;
use anyhow::Result;
use memlife::{Clock, PutOptions, SystemClock};
use std::fs;
use std::path::{Path, PathBuf};

const ABOUT: [&str; 1] = ["\
     `process` level on both sides: a put of ours writes a file of JSON, renames it to its name and commits its row in the \
     index, without a sync. Beside it the same bytes are written to a file and renamed in a folder like ours, and the \
     same row is committed by a plain `INSERT ... ON CONFLICT` into the same index. One task."];

/// Puts into a folder of files beside plain files and plain SQL.
pub async fn measure(stage: &Stage) -> Result<Section> {
    let folder = stage.folder()?;
    let load = pairs(&workload::small(stage.scale.entries / 5))?;
    let like = Like::of(folder.path(), &load).await?;
    let [mut new, mut again] = std::array::from_fn(|_| Duel::default());
    for round in 0..stage.scale.rounds {
        let path = |name: &str| folder.path().join(format!("{name}{round}"));
        let raw = if round % 2 == 1 { Some(like.put(&path("raw"))?) } else { None };
        let memory = stage::open(&format!("fs:{}", path("ours").display())).await?;
        let ours_new = seconds(put_each(&memory, &load, &PutOptions::new())).await?;
        let ours_again = seconds(put_each(&memory, &load, &PutOptions::new())).await?;
        stage::close(memory).await?;
        let raw = raw.map_or_else(|| like.put(&path("raw")), Ok)?;
        new.push(ours_new, raw[0]);
        again.push(ours_again, raw[1]);
        fs::remove_dir_all(path("ours"))?;
        fs::remove_dir_all(path("raw"))?;
    }
    let mut table = Comparisons::new("A folder of files: put, beside plain files and a row", &ABOUT);
    let target = Some(Target::AtLeast(0.85));
    table.speed("new keys, one task", load.len(), &new, target)?;
    table.speed("overwrites, one task", load.len(), &again, target)?;
    Ok(table.finish())
}

/// What a store makes of puts, to be written by hand.
struct Like {
    /// An index without entries.
    empty: PathBuf,
    /// Each row, the name of its file and what is in it.
    puts: Vec<(Row, String, Vec<u8>)>,
}

/// Where a store's index is, in its folder.
const INDEX: &str = ".memlife/index.db";

impl Like {
    /// What a store in `folder` makes of `load`.
    async fn of(folder: &Path, load: &[Pair]) -> Result<Self> {
        let (template, empty) = (folder.join("template"), folder.join("empty"));
        stage::close(stage::open(&format!("fs:{}", empty.display())).await?).await?;
        let memory = stage::open(&format!("fs:{}", template.display())).await?;
        put_each(&memory, load, &PutOptions::new()).await?;
        stage::close(memory).await?;
        let with_file = |row: Row| {
            let name = format!("{}.json", row.key.replace('/', "+"));
            let bytes = fs::read(template.join(&name))?;
            Ok((row, name, bytes))
        };
        let rows = Raw::open(&template.join(INDEX))?.rows()?;
        Ok(Like { empty: empty.join(INDEX), puts: rows.into_iter().map(with_file).collect::<Result<_>>()? })
    }

    /// Seconds that new entries take in `folder`, and overwriting them.
    fn put(&self, folder: &Path) -> Result<[f64; 2]> {
        fs::create_dir_all(folder.join(".memlife"))?;
        fs::copy(&self.empty, folder.join(INDEX))?;
        let raw = Raw::open(&folder.join(INDEX))?;
        let mut putter = raw.putter()?;
        let beside = folder.join(".memlife/new");
        let mut put = || -> Result<f64> {
            let watch = Stopwatch::start();
            for (row, name, bytes) in &self.puts {
                fs::write(&beside, bytes)?;
                fs::rename(&beside, folder.join(name))?;
                putter.put([(row, SystemClock.now().plus_ms(stage::HOUR_MS).ms())])?;
            }
            Ok(watch.seconds())
        };
        Ok([put()?, put()?])
    }
}
