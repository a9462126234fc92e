use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use clap::Args;
use memlife::store::{Finding, Repair, Verification};
use serde::Serialize;

/// Reads everything stored and checks it against its checksums and indexes
///
/// Others may use the store meanwhile.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// Rebuilds the indexes and sets damaged entries aside
    #[arg(long)]
    repair: bool,
}

const EXAMPLE: &str = "\
Exit status: 1 when problems are left, 2 when the store could not be checked.

Example:
  memlife verify --repair";

#[derive(Serialize)]
struct VerifyView<'a> {
    checked: u64,
    problems: u64,
    unrepaired: u64,
    findings: Vec<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    key: Option<&'a str>,
    place: &'a str,
    problem: &'a str,
    repaired: bool,
}

pub fn run(session: &Session, args: &VerifyArgs) -> Result<Exit> {
    let memory = session.open()?;
    let repair = if args.repair { Repair::Yes } else { Repair::No };
    let found = session.wait(memory.verify(repair))?;
    if session.output.is_json() {
        print_json(session, &found)?
    } else {
        print_text(session, &found)?
    }
    if found.unrepaired() == 0 {
        return Ok(Exit::Done);
    }
    if !args.repair {
        session.output.note("`memlife verify --repair` mends what can be mended; make a copy first");
    }
    Ok(Exit::Nothing)
}

fn print_json(session: &Session, found: &Verification) -> Result<()> {
    let findings = found.findings.iter().map(|finding| FindingView {
        key: finding.key.as_ref().map(|key| key.as_str()),
        place: &finding.place,
        problem: &finding.problem,
        repaired: finding.repaired,
    });
    session.output.json(&VerifyView {
        checked: found.checked,
        problems: found.problems,
        unrepaired: found.unrepaired(),
        findings: findings.collect(),
    })?;
    Ok(())
}

fn print_text(session: &Session, found: &Verification) -> Result<()> {
    for Finding { key, place, problem, repaired } in &found.findings {
        let key = key.as_ref().map_or_else(String::new, |key| format!("{key:?}: "));
        let repaired = if *repaired { " (repaired)" } else { "" };
        session.output.line(&format!("{place}: {key}{problem}{repaired}"))?;
    }
    let (checked, problems, left) = (found.checked, found.problems, found.unrepaired());
    session.output.line(&format!("{checked} entries checked, {problems} problems, {left} left"))?;
    Ok(())
}
