//! `copy` and `sync`: from store to store.

use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::Args;
use memlife::{ErrorKind, Memory, ReplicateOptions, ReplicationReport, Stay, SyncReport};
use std::time::Duration;

/// Copies entries from one store to another
///
/// Entries are joined into what the other store holds already, deletions included, so that a copy may be stopped and
/// repeated. Neither store remembers the other: use `sync` to keep two stores the same.
#[derive(Args, Debug)]
#[command(after_help = COPY_EXAMPLE)]
pub struct CopyArgs {
    /// The URL of the store to read, which has to be there
    from: String,
    /// The URL of the store to write; it is created where there is none
    to: String,
    /// Only keys that match this pattern
    #[arg(long)]
    pattern: Option<String>,
}

const COPY_EXAMPLE: &str = "\
Exit status: 2 when entries were refused.

Example:
  memlife copy fs:.swarm/memory sqlite:.memlife/store.db";

/// Makes this store and another one the same
///
/// Sends both ways what has changed since the last time. The stores may have been apart for days and both been written
/// to: concurrent changes are merged as the rules say. Rules with `replicate: false` keep their entries at home.
#[derive(Args, Debug)]
#[command(after_help = SYNC_EXAMPLE)]
pub struct SyncArgs {
    /// The URL of the other store; it is created where there is none
    with: String,
    /// Only keys that match this pattern
    #[arg(long)]
    pattern: Option<String>,
    /// Goes on until it is stopped, and waits out failures
    #[arg(long)]
    watch: bool,
}

const SYNC_EXAMPLE: &str = "\
Exit status: 2 when entries were refused.

Example:
  memlife sync sqlite:/media/stick/store.db";

/// How long to wait for a change here before looking at the other side.
const LOOK: Duration = Duration::from_secs(1);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

pub fn copy(session: &Session, args: &CopyArgs) -> Result<Exit> {
    let options = options(args.pattern.as_deref())?;
    let from = session.open_existing(&args.from, Stay::Brief)?;
    let to = session.open_url(&args.to, Stay::Long)?;
    let bar = Bar::new(&session.output, "copying", None);
    let report = session.wait(from.copy_to(&to, &options.progress(bar.listener())));
    bar.finish();
    let report = report?;
    session.wait(to.close())?;
    if session.output.is_json() {
        session.output.json(&report)?;
    } else {
        session.output.line(&format!("copied {}", told(&report)))?;
    }
    Ok(conclude(session, &[&report]))
}

pub fn sync(session: &Session, args: &SyncArgs) -> Result<Exit> {
    let options = options(args.pattern.as_deref())?;
    let stay = if args.watch { Stay::Long } else { Stay::Brief };
    let here = session.open_for(stay)?;
    let there = session.open_url(&args.with, stay)?;
    if args.watch {
        return watch(session, &here, &there, &options);
    }
    let bar = Bar::new(&session.output, "syncing", None);
    let report = session.wait(here.sync_with(&there, &options.progress(bar.listener())));
    bar.finish();
    let report = report?;
    show(session, &report)?;
    Ok(conclude(session, &[&report.received, &report.sent]))
}

/// Every round begins where the last one ended, so that a signal may end the process at any instant.
fn watch(session: &Session, here: &Memory, there: &Memory, options: &ReplicateOptions) -> Result<Exit> {
    let mut pause = PAUSES.0;
    let mut shown = SyncReport::default();
    loop {
        let round = match session.wait(here.sync_with(there, options)) {
            Ok(report) => {
                // What is refused again in each round is told once.
                if report.received.sent + report.sent.sent > 0 && report != shown {
                    show(session, &report)?;
                    session.output.flush()?;
                    conclude(session, &[&report.received, &report.sent]);
                }
                shown = report;
                session.wait(wait_for_change(here))
            }
            Err(error) => Err(error),
        };
        match round {
            Ok(()) => pause = PAUSES.0,
            Err(error) if may_pass(&error) => {
                session.output.problem(&format!("{error}; trying again in {} s", pause.as_secs()));
                session.wait(async { tokio::time::sleep(pause).await });
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn wait_for_change(memory: &Memory) -> memlife::Result<()> {
    memory.changes(None, 1, LOOK).await.map(drop)
}

/// Whether the failure may pass by itself: a server that restarts, a lock, a full disk, a key that many write.
fn may_pass(error: &memlife::Error) -> bool {
    use ErrorKind::{Contended, Full, Indeterminate, Locked, Unavailable};
    matches!(error.kind(), Contended | Full | Indeterminate | Locked | Unavailable)
}

fn options(pattern: Option<&str>) -> Result<ReplicateOptions> {
    let options = ReplicateOptions::new();
    Ok(match pattern {
        Some(pattern) => options.pattern(pattern)?,
        None => options,
    })
}

fn show(session: &Session, report: &SyncReport) -> Result<()> {
    if session.output.is_json() {
        session.output.json(report).context("the report could not be written")?;
    } else {
        session.output.line(&format!("received {}", told(&report.received)))?;
        session.output.line(&format!("sent {}", told(&report.sent)))?;
    }
    Ok(())
}

fn told(report: &ReplicationReport) -> String {
    let ReplicationReport { sent, joined, unchanged, refused, .. } = report;
    format!(
        "{sent} entries ({joined} were new there, {unchanged} were there already, {refused} were refused)"
    )
}

/// Tells what needs somebody's attention.
fn conclude(session: &Session, reports: &[&ReplicationReport]) -> Exit {
    for report in reports {
        for refusal in &report.refusals {
            session.output.problem(&format!("refused: {refusal}"));
        }
        let aside = report.quarantined + report.gone;
        if aside > 0 {
            session.output.note(&format!("{aside} were set aside: see `memlife conflicts lost`"));
        }
    }
    if reports.iter().any(|report| report.refused > 0) { Exit::Failed } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_waited_out() {
        let passes = |kind| may_pass(&memlife::Error::new(kind, "planned"));
        assert!(passes(ErrorKind::Contended) && passes(ErrorKind::Unavailable) && passes(ErrorKind::Full));
        assert!(!passes(ErrorKind::Invalid) && !passes(ErrorKind::Poisoned));
    }
}
