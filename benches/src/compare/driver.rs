use super::load::{Load, living_key};
use super::operation::{Operation, Stored};
use super::peer::{Life, Peer};
use super::place::Place;
use super::subject::{Ability, Cost, Memory, Subject};
use super::who::Who;
use crate::child;
use crate::drive::{Pair, TASKS};
use crate::measure::Stopwatch;
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use std::sync::Arc;

/// Entries of a page of a list.
const PAGE: usize = 100;
/// Lines that are imported at once while a store is filled.
const FILL: usize = 10_000;

/// Does and times the work of a [`Peer`].
pub struct Driver<P> {
    who: Who,
    place: Place,
    load: Arc<Load>,
    /// What is kept open because it keeps nothing when it is closed.
    kept: Option<Arc<P>>,
    filled: usize,
}

/// What is done with each pair.
#[derive(Clone, Copy)]
enum Deed {
    Put(Life),
    Hit,
    Miss,
    Swap,
    Add,
}

impl<P: Peer> Driver<P> {
    /// Ready to begin at `place`, where nothing is.
    pub fn new(who: Who, place: Place, load: Arc<Load>) -> Self {
        Driver { who, place, load, kept: None, filled: 0 }
    }

    fn has(&self, operation: Operation) -> bool {
        self.ability(operation) == Ability::Measured
    }

    async fn open(&mut self) -> Result<Arc<P>> {
        match self.kept.take() {
            Some(kept) => Ok(kept),
            None => Ok(Arc::new(P::open(&self.place).await?)),
        }
    }

    async fn close(&mut self, peer: Arc<P>) -> Result<()> {
        if self.who.is_in_memory() {
            self.kept = Some(peer);
            return Ok(());
        }
        Arc::into_inner(peer).context("a task still works")?.close().await
    }

    /// Opens and reads one entry; the seconds that took.
    async fn timed_open(&mut self, key: &str) -> Result<(Arc<P>, f64)> {
        let watch = Stopwatch::start();
        let peer = self.open().await?;
        let value = peer.get(key).await?;
        let seconds = watch.seconds();
        ensure!(value.is_some(), "{key} is missing after opening anew");
        Ok((peer, seconds))
    }

    /// Does `deed` with all of `pairs` and notes the seconds of each, if there is such an operation.
    async fn note(
        &self,
        costs: &mut Vec<Cost>,
        operation: Operation,
        work: (&Arc<P>, &Arc<Vec<Pair>>, Deed, usize),
    ) -> Result<()> {
        if !self.has(operation) {
            return Ok(());
        }
        let (peer, pairs, deed, tasks) = work;
        let seconds = drive(peer, pairs, deed, tasks).await.with_context(|| operation.title(&self.load))?;
        costs.push((operation, seconds / pairs.len() as f64));
        Ok(())
    }

    async fn small(&self, peer: &Arc<P>, costs: &mut Vec<Cost>) -> Result<()> {
        let load = &self.load;
        self.note(costs, Operation::PutShared, (peer, &load.small, Deed::Put(Life::Hour), TASKS)).await?;
        self.note(costs, Operation::Put, (peer, &load.others, Deed::Put(Life::Hour), 1)).await?;
        self.note(costs, Operation::Hit, (peer, &load.mixed, Deed::Hit, 1)).await?;
        self.note(costs, Operation::HitShared, (peer, &load.mixed, Deed::Hit, TASKS)).await?;
        self.note(costs, Operation::Miss, (peer, &load.absent, Deed::Miss, 1)).await?;
        self.note(costs, Operation::MissShared, (peer, &load.absent, Deed::Miss, TASKS)).await
    }

    async fn whole(&self, peer: &P, costs: &mut Vec<Cost>) -> Result<()> {
        if self.has(Operation::ListPage) {
            let watch = Stopwatch::start();
            let (mut pages, mut after) = (1, None);
            while let Some(last) = peer.page(after, PAGE).await? {
                (pages, after) = (pages + 1, Some(last));
            }
            costs.push((Operation::ListPage, watch.seconds() / f64::from(pages)));
        }
        if self.has(Operation::Export) {
            let watch = Stopwatch::start();
            let lines = peer.export().await?;
            let seconds = watch.seconds();
            let stored = self.load.small.len() + self.load.others.len();
            ensure!(lines.len() == stored, "the export holds {} of {stored} entries", lines.len());
            costs.push((Operation::Export, seconds / stored as f64));
        }
        if self.has(Operation::Import) {
            let place = self.place.another()?;
            let empty = P::open(&place).await?;
            let watch = Stopwatch::start();
            empty.import(&self.load.lines).await?;
            costs.push((Operation::Import, watch.seconds() / self.load.lines.len() as f64));
            empty.close().await?;
        }
        Ok(())
    }

    async fn rest(&self, peer: &Arc<P>, costs: &mut Vec<Cost>) -> Result<()> {
        let load = &self.load;
        self.note(costs, Operation::PutCompressed, (peer, &load.large, Deed::Put(Life::Hour), 1)).await?;
        self.note(costs, Operation::GetCompressed, (peer, &load.large, Deed::Hit, 1)).await?;
        self.note(costs, Operation::Swap, (peer, &load.few, Deed::Swap, 1)).await?;
        self.note(costs, Operation::AddOwn, (peer, &load.own_counters, Deed::Add, TASKS)).await?;
        self.note(costs, Operation::AddHot, (peer, &load.hot_counter, Deed::Add, TASKS)).await
    }
}

#[async_trait]
impl<P: Peer> Subject for Driver<P> {
    fn ability(&self, operation: Operation) -> Ability {
        let is_of_files = matches!(operation, Operation::Open(_) | Operation::Disk);
        let keeps_files = !self.who.is_in_memory()
            && (operation != Operation::Disk
                || !self.who.has_server()
                || self.place.level > super::who::Level::Memory);
        match P::lacks(operation) || (is_of_files && !keeps_files) {
            true => Ability::HasNone,
            false => Ability::Measured,
        }
    }

    async fn round(&mut self) -> Result<Vec<Cost>> {
        let mut costs = Vec::new();
        // The place of the round before goes with its files.
        self.place = self.place.another()?;
        self.kept = None;
        let peer = self.open().await?;
        self.small(&peer, &mut costs).await?;
        self.whole(&peer, &mut costs).await?;
        self.close(peer).await?;
        if self.has(Operation::Disk) {
            let stored = self.load.small.len() + self.load.others.len();
            costs.push((Operation::Disk, self.place.disk_bytes()? as f64 / stored as f64));
        }
        let peer = self.open().await?;
        self.rest(&peer, &mut costs).await?;
        self.close(peer).await?;
        Ok(costs)
    }

    async fn fill(&mut self, stored: Stored) -> Result<()> {
        if self.filled == 0 {
            self.place = self.place.another()?.swept();
            self.kept = None;
        }
        let peer = self.open().await?;
        let target = self.load.stored(stored);
        while self.filled < target {
            let end = (self.filled + FILL).min(target);
            let lines = self.load.living(self.filled..end)?;
            if self.has(Operation::Import) {
                peer.import(&lines).await?;
            } else {
                let pairs =
                    Arc::new(lines.iter().map(|line| super::load::pair(line)).collect::<Result<_>>()?);
                drive(&peer, &pairs, Deed::Put(Life::Hour), TASKS).await?;
            }
            self.filled = end;
        }
        self.close(peer).await
    }

    async fn visit(&mut self, stored: Stored) -> Result<Vec<Cost>> {
        let mut costs = Vec::new();
        let (peer, seconds) = self.timed_open(&living_key(self.filled / 2)).await?;
        if self.has(Operation::Open(stored)) {
            costs.push((Operation::Open(stored), seconds));
        }
        if self.has(Operation::Sweep(stored)) {
            drive(&peer, &self.load.due, Deed::Put(Life::Over), TASKS).await?;
            peer.ripen().await?;
            let watch = Stopwatch::start();
            let swept = peer.sweep().await?;
            let seconds = watch.seconds();
            let due = self.load.due_count();
            ensure!(swept == due as u64, "the sweep removed {swept} of {due} entries");
            costs.push((Operation::Sweep(stored), seconds));
        }
        self.close(peer).await?;
        Ok(costs)
    }

    async fn reside(&mut self) -> Result<Memory> {
        let process = self.place.process()?;
        let before = child::resident_bytes(&process)?;
        let peer = self.open().await?;
        drive(&peer, &self.load.small, Deed::Put(Life::Hour), TASKS).await?;
        drive(&peer, &self.load.mixed, Deed::Hit, TASKS).await?;
        let (now, peak) = (child::resident_bytes(&process)?, child::peak_bytes(&process)?);
        self.close(peer).await?;
        Ok(Memory { before, now, peak })
    }
}

/// Does `deed` with all of `pairs` and returns the seconds it took: one after the other, or each of `tasks` its share.
async fn drive<P: Peer>(peer: &Arc<P>, pairs: &Arc<Vec<Pair>>, deed: Deed, tasks: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    if tasks == 1 {
        for pair in pairs.iter() {
            step(&**peer, pair, deed).await?;
        }
        return Ok(watch.seconds());
    }
    let share = |task: usize| {
        let (peer, pairs) = (Arc::clone(peer), Arc::clone(pairs));
        tokio::spawn(async move {
            for pair in pairs.iter().skip(task).step_by(tasks) {
                step(&*peer, pair, deed).await?;
            }
            anyhow::Ok(())
        })
    };
    let shares: Vec<_> = (0..tasks).map(share).collect();
    for share in shares {
        share.await??;
    }
    Ok(watch.seconds())
}

async fn step<P: Peer>(peer: &P, pair: &Pair, deed: Deed) -> Result<()> {
    match deed {
        Deed::Put(life) => peer.put(pair, life).await,
        Deed::Hit => {
            let bytes = peer.get(&pair.0).await?.with_context(|| format!("{} is missing", pair.0))?;
            ensure!(
                std::hint::black_box(bytes).len() == pair.1.bytes.len(),
                "{} holds something else",
                pair.0
            );
            Ok(())
        }
        Deed::Miss => {
            ensure!(peer.get(&pair.0).await?.is_none(), "{} is there", pair.0);
            Ok(())
        }
        Deed::Swap => {
            ensure!(peer.swap(pair).await?, "{} was not replaced, and nobody else writes", pair.0);
            Ok(())
        }
        Deed::Add => peer.add(&pair.0).await,
    }
}
