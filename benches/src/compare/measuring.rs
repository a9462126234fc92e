use super::args::CompareArgs;
use super::findings::{Cell, Findings, Member, Missing};
use super::load::Load;
use super::operation::{Operation, Stored};
use super::peer;
use super::place::Place;
use super::subject::{Ability, Memory, Subject};
use super::who::Who;
use crate::machine::Machine;
use crate::measure::Stopwatch;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The longest that filling one store for its sweeps may take; who would take longer is left out there.
const FILLING: f64 = 180.0;

/// One of the crew at work.
struct Worker {
    who: Who,
    subject: Box<dyn Subject>,
    /// Seconds that the last filling took.
    filling: f64,
}

/// Measures everyone in turn, in folders below `root`.
pub async fn measure(args: &CompareArgs, root: &Path) -> Result<Findings> {
    let load = Arc::new(load(args)?);
    let mut findings =
        Findings::new(Machine::here(root)?, args.command(), args.durability, Arc::clone(&load));
    let mut workers = Vec::new();
    for who in args.crew() {
        if let Some(why) = peer::missing(who, &args.places) {
            findings.missing.push(Missing { name: who, why });
            continue;
        }
        let level = who.level(args.durability);
        let subject = peer::subject(who, Place::new(root, who, level)?, &load, &args.places);
        findings.crew.push(Member { name: who, level });
        workers.push(Worker { who, subject, filling: 0.0 });
    }
    ensure!(
        !workers.is_empty(),
        "nobody who was asked for can be measured here: {}",
        reasons(&findings.missing)
    );
    for worker in &workers {
        worker.leave_out(&mut findings);
    }
    for round in 0..args.rounds() {
        eprintln!("round {} of {}", round + 1, args.rounds());
        each(&mut workers, round, &mut findings, async |worker, findings| {
            for (operation, cost) in worker.subject.round().await? {
                findings.push(worker.who, operation, cost);
            }
            Ok(())
        })
        .await;
    }
    for stored in Stored::ALL {
        grow(&mut workers, stored, args.long_rounds(), &mut findings).await;
    }
    reside(&mut workers, args, root, &mut findings).await;
    Ok(findings)
}

/// The work that `args` ask for.
pub fn load(args: &CompareArgs) -> Result<Load> {
    Load::new(usize::try_from(args.entries)?, usize::try_from(args.value_bytes)?, args.durability)
}

/// Lets each work in turn, another one first in every round; who fails is done.
async fn each(
    workers: &mut Vec<Worker>,
    round: usize,
    findings: &mut Findings,
    mut work: impl AsyncFnMut(&mut Worker, &mut Findings) -> Result<()>,
) {
    let count = workers.len();
    let mut failed = Vec::new();
    for turn in 0..count {
        let Some(worker) = workers.get_mut((turn + round) % count) else { continue };
        if let Err(error) = work(worker, findings).await {
            eprintln!("{} failed: {error:#}", worker.who);
            findings.missing.push(Missing { name: worker.who, why: format!("{error:#}") });
            failed.push(worker.who);
        }
    }
    workers.retain(|worker| !failed.contains(&worker.who));
}

/// Fills everyone up to `stored`, then opens and sweeps, round by round.
async fn grow(workers: &mut Vec<Worker>, stored: Stored, rounds: usize, findings: &mut Findings) {
    let operations = [Operation::Open(stored), Operation::Sweep(stored)];
    let count = crate::figure::grouped(findings.load.stored(stored) as u64);
    eprintln!("filling up to {count} entries");
    let mut is_filled = Vec::new();
    each(workers, 0, findings, async |worker, findings| {
        if !worker.grows(stored) {
            return Ok(());
        }
        // Each time ten times as many.
        if worker.filling * 10.0 > FILLING {
            let minutes = (worker.filling / 6.0).ceil();
            let why = format!("filling {count} entries would take about {minutes} minutes");
            for operation in operations {
                findings.leave_out(worker.who, operation, Cell::NotHere(why.clone()));
            }
            // The next number would take even longer.
            worker.filling = f64::INFINITY;
            return Ok(());
        }
        let watch = Stopwatch::start();
        worker.subject.fill(stored).await?;
        worker.filling = watch.seconds();
        is_filled.push(worker.who);
        Ok(())
    })
    .await;
    for round in 0..rounds {
        each(workers, round, findings, async |worker, findings| {
            if is_filled.contains(&worker.who) {
                for (operation, cost) in worker.subject.visit(stored).await? {
                    findings.push(worker.who, operation, cost);
                }
            }
            Ok(())
        })
        .await;
    }
}

/// Has everyone put and get in a process of its own and notes the memory.
async fn reside(workers: &mut Vec<Worker>, args: &CompareArgs, root: &Path, findings: &mut Findings) {
    eprintln!("measuring memory");
    for round in 0..args.long_rounds() {
        each(workers, round, findings, async |worker, findings| {
            if worker.subject.ability(Operation::Resident) != Ability::Measured {
                return Ok(());
            }
            let Memory { before, now, peak } = send(worker.who, args, root)?;
            if !worker.who.has_server() {
                findings.resident_before.get_or_insert(before);
            }
            findings.push(worker.who, Operation::Resident, now as f64);
            findings.push(worker.who, Operation::Peak, peak as f64);
            Ok(())
        })
        .await;
    }
}

impl Worker {
    /// Notes what there will be no figures for.
    fn leave_out(&self, findings: &mut Findings) {
        for operation in Operation::ALL {
            let cell = match self.subject.ability(operation) {
                Ability::Measured => continue,
                Ability::HasNone => Cell::HasNone,
                Ability::NotHere(why) => Cell::NotHere(why),
            };
            findings.leave_out(self.who, operation, cell);
        }
    }

    /// Whether there is something to see in a store that was filled.
    fn grows(&self, stored: Stored) -> bool {
        // What is measured in a process of its own can be filled, too.
        self.subject.ability(Operation::Resident) == Ability::Measured
            && [Operation::Open(stored), Operation::Sweep(stored)]
                .iter()
                .any(|&operation| self.subject.ability(operation) == Ability::Measured)
    }
}

fn reasons(missing: &[Missing]) -> String {
    missing.iter().map(|Missing { name, why }| format!("{name}: {why}")).collect::<Vec<_>>().join("; ")
}

/// Has a new process of this program do the work of [`Subject::reside`].
fn send(who: Who, args: &CompareArgs, root: &Path) -> Result<Memory> {
    let (entries, bytes) = (args.entries.to_string(), args.value_bytes.to_string());
    // The program itself, even if a new build has taken its place meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.args(["compare", "--reside", &who.name(), "--entries", &entries, "--value-bytes", &bytes]);
    command.args(["--durability", &args.durability.to_string(), "--folder"]).arg(root);
    let output = command.output().context("cannot start this program once more")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the process of its own failed: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
