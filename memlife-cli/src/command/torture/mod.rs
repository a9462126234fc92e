//! `torture`: many processes write, some are killed, and everything they acknowledged has to be there.

mod herd;
mod worker;

use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Context, Result, ensure};
use clap::Args;
use herd::{Herd, Told};
use memlife::policy::PolicyFile;
use memlife::{Clock, ListContent, ListOptions, Memory, Stay, SystemClock};
use serde::Serialize;

/// Writes from many processes, kills some, and shows that nothing acknowledged is lost
///
/// Each process puts keys of its own and adds to one counter that all share. Everything is below `torture/` and is deleted
/// in the end.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct TortureArgs {
    /// Processes at once
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    processes: u32,
    /// Writes of each process, with as many additions
    #[arg(long, default_value_t = 1_000)]
    writes: u64,
    /// How often one of them is killed
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Makes the choice of victims and instants repeatable
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves what was written
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    part: worker::Part,
}

const EXAMPLE: &str = "\
Exit status: 2 when an acknowledged write is lost.

Example:
  memlife --store sqlite:/tmp/torture.db torture";

const RULES: &str = "namespaces: [{namespace: 'torture/*/count', conflict_strategy: counter}]";

/// What was found.
#[derive(Serialize)]
struct Proof {
    acknowledged: u64,
    kept: u64,
    /// What was acknowledged and is not there: writes, and additions that the counter lacks.
    lost: u64,
    kills: u32,
    /// Additions acknowledged.
    added: u64,
    /// Additions whose process was killed before it said so, at most.
    unknown: u64,
    /// What the counter holds.
    counted: i128,
}

impl Proof {
    fn holds(&self) -> bool {
        self.lost == 0 && self.counted <= i128::from(self.added) + i128::from(self.unknown)
    }
}

pub fn run(session: &Session, args: &TortureArgs) -> Result<Exit> {
    if let Some(worker) = args.part.worker() {
        return worker.run(session, args.writes);
    }
    check_shared(session)?;
    let seed = args.seed.unwrap_or_else(|| SystemClock.now().ms());
    let run = format!("{seed:x}");
    // Whatever is wrong with the store is told once, and not by every process.
    let memory = open(session)?;
    let bar = Bar::new(&session.output, "writing", Some(args.writes * u64::from(args.processes)));
    let told = Herd::new(session, &run, args.processes, args.writes, seed)?.run(args.kills, &bar);
    bar.finish();
    let proof = told.and_then(|told| session.wait(prove(&memory, &run, &told, args)));
    if !args.keep {
        let removed = session.wait(memory.delete_within(format!("torture/{run}").as_str()));
        match (&proof, removed) {
            (Ok(_), removed) => drop(removed?),
            // What went wrong first is told.
            (Err(_), Err(error)) => {
                session.output.problem(&format!("torture/{run} could not be removed: {error}"))
            }
            (Err(_), Ok(_)) => {}
        }
    }
    let proof = proof?;
    show(session, &proof)?;
    ensure!(proof.holds(), "an acknowledged write is lost: `--keep --seed {seed}` leaves the store as it is");
    Ok(Exit::Done)
}

/// Refuses stores that other processes cannot open at the same time.
fn check_shared(session: &Session) -> Result<()> {
    let scheme = session.settings.store.url.split(':').next().unwrap_or_default();
    ensure!(
        !matches!(scheme, "redb" | "memory"),
        "{} is open to one process alone: torture a store that many share, such as sqlite: or fs:",
        session.store_url()
    );
    Ok(())
}

fn open(session: &Session) -> Result<Memory> {
    let rules = PolicyFile::parse(RULES, "torture")?;
    let options = session.open_options(Stay::Long).policy_file(&rules);
    session.open_as(options)
}

async fn prove(memory: &Memory, run: &str, told: &[Told], args: &TortureArgs) -> Result<Proof> {
    let mut proof = Proof {
        acknowledged: told.iter().map(|told| told.acknowledged).sum(),
        kept: 0,
        lost: 0,
        kills: told.iter().map(|told| told.kills).sum(),
        added: told.iter().map(|told| told.acknowledged).sum(),
        unknown: told.iter().map(|told| told.unknown).sum(),
        counted: memory.counter(count_key(run).as_str())?.get().await?.unwrap_or(0),
    };
    for (worker, told) in told.iter().enumerate() {
        let options = ListOptions::new().pattern(&folder(run, worker))?.content(ListContent::Values);
        let mut listing = memory.list(options);
        while let Some(entry) = listing.next().await? {
            let number: u64 = entry.parse().with_context(|| format!("{} holds something else", entry.key))?;
            proof.kept +=
                u64::from(number < told.acknowledged && entry.key.as_str() == key(run, worker, number));
        }
    }
    let missing = i128::from(proof.added) - proof.counted;
    proof.lost = proof.acknowledged.saturating_sub(proof.kept) + u64::try_from(missing).unwrap_or(0);
    ensure!(proof.acknowledged == args.writes * u64::from(args.processes), "a process gave up");
    Ok(proof)
}

fn show(session: &Session, proof: &Proof) -> Result<()> {
    if session.output.is_json() {
        return Ok(session.output.json(proof)?);
    }
    let Proof { acknowledged, kept, lost, kills, added, unknown, counted } = proof;
    session.output.line(&format!("acknowledged {acknowledged}, kept {kept}, lost {lost}; {kills} kills"))?;
    session.output.line(&format!("added {added} and perhaps {unknown} more; the counter holds {counted}"))?;
    Ok(())
}

fn folder(run: &str, worker: usize) -> String {
    format!("torture/{run}/{worker}")
}

fn key(run: &str, worker: usize, number: u64) -> String {
    format!("{}/{number:012}", folder(run, worker))
}

fn count_key(run: &str) -> String {
    format!("torture/{run}/count")
}
