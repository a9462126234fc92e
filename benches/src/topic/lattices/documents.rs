use super::{CHANGES, SMALL, element, encode, stamp, value};
use crate::comparison::Comparisons;
use crate::measure::{Stopwatch, duel};
use crate::report::Section;
use anyhow::{Result, ensure};
use automerge::transaction::Transactable;
use automerge::{AutoCommit, ReadDoc, ScalarValue};
use loro::{ExportMode, LoroDoc};
use memlife_crdt::{Counter, Lattice, Map, ReplicaId};
use serde::de::DeserializeOwned;

const DOCUMENTS: [&str; 2] = [
    "Beside documents, which keep the whole history and do more: text, lists, time travel. `written` is one field of \
     1,000 written anew, 32 bytes, and committed. `and merged elsewhere` adds what brings it to a second replica: \
     encode the change, decode it there, join. 100 of them in a row.",
    "Loro: `insert`, `commit`, `export` of the updates since, `import`; its counter is of floating point. Automerge: \
     `put` or `increment`, `commit`, `save_incremental`, `load_incremental`. Ours: `put` or `add`, and its delta in \
     bincode.",
];

fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Result<S> {
    Ok(bincode::serde::decode_from_slice(bytes, bincode::config::standard())?.0)
}

/// What can be written, and brought to a second replica.
trait Side: Sized {
    /// A replica of 1,000 fields and a counter, and another that knows them.
    fn pair() -> Result<[Self; 2]>;
    fn put(&mut self, at: usize) -> Result<()>;
    fn count(&mut self) -> Result<()>;
    /// Brings what was written last to `other`.
    fn send(&mut self, other: &mut Self) -> Result<()>;
    fn total(&self) -> Result<f64>;
}

struct Ours(Map, Map);

impl Side for Ours {
    fn pair() -> Result<[Self; 2]> {
        let mut one = Ours(Map::default(), Map::default());
        (0..SMALL).try_for_each(|at| one.put(at))?;
        one.count()?;
        let other = Ours(one.0.clone(), Map::default());
        Ok([one, other])
    }

    fn put(&mut self, at: usize) -> Result<()> {
        self.1 = self.0.put(ReplicaId(1), 1, stamp(at as u64, 1), element(at % SMALL), value(at))?;
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.1 = self.0.change::<Counter>("count", |count| count.add(ReplicaId(1), 1, 1))?;
        Ok(())
    }

    fn send(&mut self, other: &mut Self) -> Result<()> {
        let delta: Map = decode(&encode(&self.1)?)?;
        let _ = other.0.join(&delta);
        Ok(())
    }

    fn total(&self) -> Result<f64> {
        Ok(self.0.get::<Counter>(b"count").map_or(0, Counter::value) as f64)
    }
}

struct Loro(LoroDoc);

impl Side for Loro {
    fn pair() -> Result<[Self; 2]> {
        let mut one = Loro(LoroDoc::new());
        (0..SMALL).try_for_each(|at| one.put(at))?;
        one.count()?;
        let other = Loro(LoroDoc::new());
        other.0.import(&one.0.export(ExportMode::Snapshot)?)?;
        Ok([one, other])
    }

    fn put(&mut self, at: usize) -> Result<()> {
        self.0.get_map("map").insert(std::str::from_utf8(&element(at % SMALL))?, value(at).to_vec())?;
        self.0.commit();
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.0.get_counter("count").increment(1.0)?;
        self.0.commit();
        Ok(())
    }

    fn send(&mut self, other: &mut Self) -> Result<()> {
        other.0.import(&self.0.export(ExportMode::updates(&other.0.oplog_vv()))?)?;
        Ok(())
    }

    fn total(&self) -> Result<f64> {
        Ok(self.0.get_counter("count").get_value())
    }
}

struct Automerge(AutoCommit);

impl Side for Automerge {
    fn pair() -> Result<[Self; 2]> {
        let mut one = Automerge(AutoCommit::new());
        one.0.put(automerge::ROOT, "count", ScalarValue::counter(0))?;
        (0..SMALL).try_for_each(|at| one.put(at))?;
        one.count()?;
        let other = Automerge(one.0.fork());
        one.0.save_incremental();
        Ok([one, other])
    }

    fn put(&mut self, at: usize) -> Result<()> {
        let name = std::str::from_utf8(&element(at % SMALL))?.to_owned();
        self.0.put(automerge::ROOT, name, value(at).to_vec())?;
        self.0.commit();
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.0.increment(automerge::ROOT, "count", 1)?;
        self.0.commit();
        Ok(())
    }

    fn send(&mut self, other: &mut Self) -> Result<()> {
        other.0.load_incremental(&self.0.save_incremental())?;
        Ok(())
    }

    fn total(&self) -> Result<f64> {
        let count = self.0.get(automerge::ROOT, "count")?;
        Ok(count.and_then(|(value, _)| value.as_i64()).unwrap_or(0) as f64)
    }
}

#[derive(Clone, Copy)]
enum Work {
    Put,
    PutAndSend,
    CountAndSend,
}

/// Seconds of 100 times `work`.
fn work<S: Side>(work: Work) -> Result<f64> {
    let [mut one, mut other] = S::pair()?;
    let watch = Stopwatch::start();
    for at in 0..CHANGES {
        match work {
            Work::Put | Work::PutAndSend => one.put(SMALL + at)?,
            Work::CountAndSend => one.count()?,
        }
        if !matches!(work, Work::Put) {
            one.send(&mut other)?;
        }
    }
    let seconds = watch.seconds();
    ensure!(one.total()? >= 1.0 && other.total()? >= 1.0, "the counters were not raised");
    if !matches!(work, Work::Put) {
        ensure!(one.total()? == other.total()?, "the counts differ");
    }
    Ok(seconds)
}

/// Maps beside documents.
pub(super) async fn measure(rounds: usize) -> Result<Section> {
    let mut table = Comparisons::new("Lattices: a map, beside documents", &DOCUMENTS);
    let rows = [
        ("field written", Work::Put),
        ("field written and merged elsewhere", Work::PutAndSend),
        ("counter raised and merged elsewhere", Work::CountAndSend),
    ];
    for (what, kind) in rows {
        let loro = duel(rounds, async || work::<Ours>(kind), || work::<Loro>(kind)).await?;
        table.each(&format!("{what}, Loro"), CHANGES, &loro, None)?;
        let automerge = duel(rounds, async || work::<Ours>(kind), || work::<Automerge>(kind)).await?;
        table.each(&format!("{what}, Automerge"), CHANGES, &automerge, None)?;
    }
    Ok(table.finish())
}
