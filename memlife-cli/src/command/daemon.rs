mod signals;

use crate::exit::Exit;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use jiff::tz::TimeZone;
use memlife::{Memory, Stay, parse_duration};
use memlife_server::{RunSummary, Schedule, Scheduler};
use serde_json::json;
use std::process;
use tokio::runtime::Builder;

/// Sweeps by a schedule until told to stop
///
/// Without --at, --every and --cron the section `cleanup_schedule` of the policy file says when. SIGTERM and SIGINT
/// end the run; it ends with status 2 when a sweep failed. A second signal ends it at once. -v logs each sweep.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  memlife daemon --at 02:00\n  memlife daemon --every 15m\n  \
    memlife daemon --cron \"0 2 * * MON\"\n  memlife daemon --once")]
pub struct DaemonArgs {
    /// Sweeps once, now, and ends
    #[arg(long, group = "when")]
    once: bool,
    /// Sweeps every day at this local time
    #[arg(long, group = "when", value_name = "HH:MM", value_parser = daily)]
    at: Option<Schedule>,
    /// Sweeps at once and then after each interval
    #[arg(long, group = "when", value_name = "DURATION", value_parser = every)]
    every: Option<Schedule>,
    /// Sweeps at the local times that a cron expression matches
    #[arg(long, group = "when", value_name = "EXPRESSION", value_parser = Schedule::cron)]
    cron: Option<Schedule>,
}

/// Runs until the schedule, or somebody, ends it.
///
/// # Errors
/// When there is no schedule, or the store cannot be opened. A sweep that fails is told in the exit status.
pub fn run(session: &Session, args: DaemonArgs) -> Result<Exit> {
    let (memory, mut summary) = if args.once { once(session)? } else { until_told(session, args)? };
    if !summary.cut_short {
        close(session, &memory, &mut summary);
    }
    tell(session, &summary)?;
    if summary.cut_short {
        // Closing the store would wait for whoever keeps it. Nothing acknowledged is lost: it is as after a kill.
        session.output.flush()?;
        process::exit(if summary.failures == 0 { 0 } else { 2 });
    }
    Ok(if summary.failures == 0 { Exit::Done } else { Exit::Failed })
}

fn once(session: &Session) -> Result<(Memory, RunSummary)> {
    let memory = session.open_for(Stay::Long)?;
    // Which schedule plays no part.
    let scheduler = scheduler(session, memory.clone(), Schedule::daily("00:00".parse()?));
    let summary = session.wait(scheduler.run_once());
    Ok((memory, summary))
}

fn until_told(session: &Session, args: DaemonArgs) -> Result<(Memory, RunSummary)> {
    let schedule = schedule(session, args)?;
    // Its own threads: a signal is heard while a sweep keeps one of them busy.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("the asynchronous runtime could not be started")?;
    // Before anything is opened, so that there is no moment in which a signal would be a crash.
    let stop = runtime.block_on(async { signals::stop() }).context("signals cannot be heard")?;
    let memory = session.open_for(Stay::Long)?;
    session.output.note(&format!("sweeping {}: {schedule}", session.store_url()));
    let scheduler = scheduler(session, memory.clone(), schedule);
    let summary = runtime.block_on(scheduler.run(stop))?;
    Ok((memory, summary))
}

fn scheduler(session: &Session, memory: Memory, schedule: Schedule) -> Scheduler {
    Scheduler::new(memory, schedule, TimeZone::system()).logging(session.policy.logging)
}

/// Erases what reads have left to be erased. Failing at that is maintenance that failed, too.
fn close(session: &Session, memory: &Memory, summary: &mut RunSummary) {
    if let Err(error) = session.wait(memory.close()) {
        summary.failures += 1;
        summary.last_failure = Some(error);
    }
}

fn schedule(session: &Session, args: DaemonArgs) -> Result<Schedule> {
    if let Some(schedule) = args.at.or(args.every).or(args.cron) {
        return Ok(schedule);
    }
    match Schedule::from_policy(&session.policy.schedule).context("`cleanup_schedule` of the policy file")? {
        Some(schedule) => Ok(schedule),
        None => bail!(
            "the policy file turns the schedule off (`cleanup_schedule`: `enabled: false`): \
             name one with --at, --every or --cron, or sweep once with --once"
        ),
    }
}

fn tell(session: &Session, summary: &RunSummary) -> Result<()> {
    let RunSummary { sweeps, failures, deleted, freed_bytes, last_failure, .. } = summary;
    let failure = last_failure.as_ref().map(ToString::to_string);
    if let Some(failure) = &failure {
        let failed =
            if *failures == 1 { "a sweep failed".into() } else { format!("{failures} sweeps failed") };
        session.output.problem(&format!("{failed}, of {sweeps}; the last one: {failure}"));
    }
    if session.output.is_json() {
        session.output.json(&json!({
            "sweeps": sweeps,
            "failures": failures,
            "deleted_count": deleted,
            "freed_bytes": freed_bytes,
            "last_failure": failure,
        }))?;
    } else {
        session.output.line(&format!("sweeps: {sweeps}, entries deleted: {deleted}"))?;
    }
    Ok(())
}

fn daily(time: &str) -> memlife::Result<Schedule> {
    Ok(Schedule::daily(time.parse()?))
}

fn every(interval: &str) -> memlife::Result<Schedule> {
    Schedule::every(parse_duration(interval)?)
}
