mod report;
mod stage;
mod walks;

use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use report::Report;
use serde_json::json;
use stage::Stage;

/// Walks through what memlife does, on a throw-away store, and checks every step
///
/// Uses a temporary store of its own and touches no other. Its clock is simulated, so that hours pass at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  memlife demo\n  memlife demo --output json")]
pub struct DemoArgs {}

/// One walk-through.
struct Walk {
    /// What programs know it by.
    name: &'static str,
    /// What people read.
    title: &'static str,
    run: fn(&Stage, &mut Report<'_>) -> Result<()>,
}

const WALKS: [Walk; 6] = [
    Walk { name: "basics", title: "Basic operations", run: walks::basics },
    Walk { name: "compression", title: "Compression", run: walks::compression },
    Walk { name: "expiry", title: "TTL and cleanup", run: walks::expiry },
    Walk { name: "conflicts", title: "Conflict resolution", run: walks::conflicts },
    Walk { name: "coordination", title: "Agents that coordinate", run: walks::coordination },
    Walk { name: "persistence", title: "Knowledge that stays", run: walks::persistence },
];

/// Runs every walk-through; a check that fails is told, and the others run all the same.
///
/// # Errors
/// When there is no place for the store, or the answer cannot be printed.
pub fn run(session: &Session, _args: DemoArgs) -> Result<Exit> {
    let stage = Stage::new()?;
    if !session.output.is_json() {
        session
            .output
            .line(&format!("On a throw-away {} store, with a simulated clock.", stage.backend()))?;
    }
    let mut reports = Vec::new();
    let mut wrong = Vec::new();
    for walk in &WALKS {
        let mut report = Report::start(&session.output, walk.title)?;
        if let Err(error) = (walk.run)(&stage, &mut report) {
            report.fail(&format!("{error:#}"))?;
        }
        wrong.extend(report.wrong.iter().map(|what| format!("{}: {what}", walk.title)));
        reports.push(json!({
            "name": walk.name,
            "ok": report.wrong.is_empty(),
            "results": report.results,
            "wrong": report.wrong,
        }));
    }
    if session.output.is_json() {
        let ok = wrong.is_empty();
        session.output.json(&json!({ "store": stage.backend(), "ok": ok, "walk_throughs": reports }))?;
    }
    for what in &wrong {
        session.output.problem(what);
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}
