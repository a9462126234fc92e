use crate::exit::Exit;
use crate::instant;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Result, bail};
use clap::Args;
use memlife::{Effort, Memory, Reach, Stop, SweepOptions, SweepReport, parse_duration};
use serde::Serialize;
use std::time::Duration;

/// Removes what expired
///
/// What `--limit` or `--budget` leaves, the next sweep takes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct CleanupArgs {
    /// Removes what manual rules hold, too
    #[arg(long)]
    force: bool,
    /// Only keys within this prefix or pattern
    #[arg(long, value_name = "PATTERN")]
    namespace: Option<String>,
    /// Counts what would go, and removes nothing
    #[arg(long)]
    dry_run: bool,
    /// Removes at most this many entries
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Stops after about this long, such as 500ms or 10s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    budget: Option<Duration>,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing was removed because the clock jumped, 2 when entries could not be removed.

Example:
  memlife cleanup --namespace coordination --dry-run --output json";

/// What a sweep did, under the names that the Python original gave it.
#[derive(Serialize)]
pub struct CleanupStats {
    pub deleted_count: u64,
    pub entries_before: u64,
    pub entries_after: u64,
    pub elapsed_seconds: f64,
    pub timestamp: f64,
}

#[derive(Serialize)]
struct CleanupView {
    #[serde(flatten)]
    original: CleanupStats,
    freed_bytes: u64,
    tombstones: u64,
    kept: u64,
    failed: u64,
    stopped: Option<Stop>,
    dry_run: bool,
}

impl CleanupStats {
    /// Those of `report`.
    pub fn new(report: &SweepReport) -> Self {
        CleanupStats {
            deleted_count: report.deleted,
            entries_before: report.entries_before,
            entries_after: report.entries_after,
            elapsed_seconds: report.elapsed.as_secs_f64(),
            timestamp: instant::unix_seconds(report.started_at),
        }
    }
}

pub fn run(session: &Session, args: &CleanupArgs) -> Result<Exit> {
    let options = options(args)?;
    let memory = session.open()?;
    let bar = Bar::new(&session.output, "sweeping", None);
    let swept = session.wait(memory.sweep(options.progress(bar.listener())));
    bar.finish();
    let report = swept?;
    log_compression(session, &memory)?;
    if session.output.is_json() {
        print_json(session, &report)?
    } else {
        print_text(session, &report)?
    }
    judge(session, &report)
}

/// Logs how well values compress, where the policy file asks for it.
///
/// # Errors
/// The store's.
pub fn log_compression(session: &Session, memory: &Memory) -> Result<()> {
    if session.policy.logging.log_compression_stats {
        let stored = session.wait(memory.stats())?.stored;
        let (entries, compressed) = (stored.entries, stored.compressed);
        tracing::info!(
            entries,
            compressed,
            raw_bytes = stored.raw_bytes,
            stored_bytes = stored.stored_bytes,
            "compression"
        );
    }
    Ok(())
}

/// How the sweep went, as an exit status.
///
/// # Errors
/// When entries could not be removed.
pub fn judge(session: &Session, report: &SweepReport) -> Result<Exit> {
    if report.failed > 0 {
        bail!("{} damaged entries could not be removed: `memlife verify` names them", report.failed);
    }
    if let Some(Stop::ClockJump(seconds)) = report.stopped {
        session.output.problem(&format!(
            "the clock ran {seconds} s ahead while sweeping, so nothing was removed: check it and sweep again"
        ));
        return Ok(Exit::Nothing);
    }
    Ok(Exit::Done)
}

fn options(args: &CleanupArgs) -> Result<SweepOptions> {
    let mut options = SweepOptions::new()
        .reach(if args.force { Reach::Forced } else { Reach::Due })
        .effort(if args.dry_run { Effort::DryRun } else { Effort::Remove });
    if let Some(pattern) = &args.namespace {
        options = options.scope(pattern)?;
    }
    if let Some(limit) = args.limit {
        options = options.limit(limit);
    }
    if let Some(budget) = args.budget {
        options = options.budget(budget);
    }
    Ok(options)
}

fn print_json(session: &Session, report: &SweepReport) -> Result<()> {
    session.output.json(&CleanupView {
        original: CleanupStats::new(report),
        freed_bytes: report.freed_bytes,
        tombstones: report.tombstones,
        kept: report.kept,
        failed: report.failed,
        stopped: report.stopped,
        dry_run: report.dry_run,
    })?;
    Ok(())
}

fn print_text(session: &Session, report: &SweepReport) -> Result<()> {
    let removed = if report.dry_run { "would remove" } else { "removed" };
    session.output.line(&format!(
        "{removed} {} of {} entries ({} bytes) in {:.3} s",
        report.deleted,
        report.entries_before,
        report.freed_bytes,
        report.elapsed.as_secs_f64()
    ))?;
    let left = match report.stopped {
        Some(Stop::Limit) => "stopped at the limit: the next sweep takes the rest",
        Some(Stop::Budget) => "stopped by the time budget: the next sweep takes the rest",
        Some(Stop::ClockJump(_)) | None => return Ok(()),
    };
    session.output.line(left)?;
    Ok(())
}
