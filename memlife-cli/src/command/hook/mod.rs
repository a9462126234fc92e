//! Hooks of agents. They fail open: whatever goes wrong, the agent goes on.

mod input;

use super::cleanup::{CleanupStats, log_compression};
use super::stats::MemoryStats;
use crate::args::GlobalArgs;
use crate::exit::Exit;
use crate::output::{Format, problem};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use input::HookInput;
use memlife::{Key, Memory, Reach, Stay, SweepOptions};
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Cleans up at the moments that agents announce
///
/// Prints nothing but, with `--output json`, its report. Unless --session-id is given, one JSON value is read from
/// standard input for at most 50 ms: `session_id`, and `cwd` to look for the store from.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct HookArgs {
    /// The moment
    name: HookName,
    /// The session; standard input is not read then
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// Removes what manual rules hold, too; for memory-cleanup
    #[arg(long)]
    force: bool,
    /// The directory of the store: the same as --store fs:DIR
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    memory_dir: Option<String>,
    /// The policy file: the same as --policies FILE
    #[arg(long, value_name = "FILE", conflicts_with = "policies")]
    policy_file: Option<PathBuf>,
    /// Ends with 2 when something goes wrong, which some agents take as an order to stop
    #[arg(long)]
    strict: bool,
}

const EXAMPLE: &str = "\
Exit status: 0 whatever happens, with a note on standard error; 2 for errors with --strict.

Examples:
  memlife hook session-end --session-id 7f3a
  memlife hook pre-task < hook.json
  memlife hook memory-cleanup --force --output json";

/// A moment that agents announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HookName {
    /// Removes what the session left, and sweeps for 50 ms
    SessionEnd,
    /// Sweeps coordination/* for 50 ms
    PreTask,
    /// Sweeps everything
    MemoryCleanup,
}

/// What becomes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// A note, and 0.
    Open,
    /// A note, and 2.
    Strict,
}

/// How long the sweep of a hook that somebody waits for takes at most.
const SWEEP_BUDGET: Duration = Duration::from_millis(50);

/// How much of an id that is none is shown; an agent may send megabytes.
const MAX_SHOWN_CHARS: usize = 64;

impl HookName {
    const fn name(self) -> &'static str {
        match self {
            HookName::SessionEnd => "session-end",
            HookName::PreTask => "pre-task",
            HookName::MemoryCleanup => "memory-cleanup",
        }
    }

    /// How long the store may make it wait for other processes.
    const fn patience(self) -> Duration {
        match self {
            HookName::SessionEnd | HookName::PreTask => Duration::from_millis(40),
            HookName::MemoryCleanup => Duration::from_secs(2),
        }
    }

    /// After how long the agent goes on, whatever the disk does. A healthy store answers in milliseconds.
    const fn deadline(self) -> Duration {
        match self {
            HookName::SessionEnd | HookName::PreTask => Duration::from_secs(2),
            HookName::MemoryCleanup => Duration::from_secs(600),
        }
    }
}

#[derive(Serialize)]
struct HookReport {
    hook: &'static str,
    session_id: Option<String>,
    timestamp: f64,
    cleanup_stats: CleanupStats,
    memory_stats: MemoryStats,
}

/// Runs the hook on a thread of its own, so that neither a panic nor a store that hangs holds up the agent.
pub fn run(global: GlobalArgs, args: HookArgs) -> Exit {
    let strictness = if args.strict { Strictness::Strict } else { Strictness::Open };
    let deadline = args.name.deadline();
    let (sender, receiver) = sync_channel(1);
    let work = move || {
        // Nobody is there to take it after the deadline.
        let _ = sender.send(serve(global, &args));
    };
    if let Err(error) = thread::Builder::new().name("memlife-hook".into()).spawn(work) {
        return fail(strictness, &format!("no thread could be started: {error}"));
    }
    match receiver.recv_timeout(deadline) {
        Ok(Ok(Some(report))) => print(strictness, &report),
        Ok(Ok(None)) => Exit::Done,
        Ok(Err(error)) => fail(strictness, &format!("{error:#}")),
        Err(RecvTimeoutError::Timeout) => {
            fail(strictness, &format!("the store did not answer within {} s", deadline.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => fail(strictness, "it panicked: please report this"),
    }
}

/// Tells what went wrong and lets the agent go on, unless it is to be strict.
pub fn fail(strictness: Strictness, told: &str) -> Exit {
    problem(&format!("hook: {told}"));
    match strictness {
        Strictness::Open => Exit::Done,
        Strictness::Strict => Exit::Failed,
    }
}

/// How strict `arguments` that could not be parsed mean to be, if they call a hook at all.
pub fn strictness(arguments: &[OsString]) -> Option<Strictness> {
    const WITH_VALUE: [&str; 6] =
        ["--store", "--policies", "--as", "--output", "--durability", "--max-value-bytes"];
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    loop {
        let argument = rest.next()?;
        if WITH_VALUE.contains(&&*argument) {
            rest.next();
        } else if argument == "hook" {
            break;
        } else if !argument.starts_with('-') {
            return None;
        }
    }
    Some(if rest.any(|argument| argument == "--strict") { Strictness::Strict } else { Strictness::Open })
}

fn print(strictness: Strictness, report: &HookReport) -> Exit {
    let written = serde_json::to_string(report).map_err(io::Error::from).and_then(|mut line| {
        line.push('\n');
        io::stdout().lock().write_all(line.as_bytes())
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(strictness, &format!("the report could not be printed: {error}"))
        }
        _ => Exit::Done,
    }
}

/// What the hook did; only with JSON asked for, since counting takes longer than sweeping.
fn serve(mut global: GlobalArgs, args: &HookArgs) -> Result<Option<HookReport>> {
    let input = match &args.session_id {
        Some(id) => HookInput { session_id: Some(id.clone()), ..HookInput::default() },
        None => input::read(io::stdin()).context("its input is no hook's")?,
    };
    let session_keys = match args.name {
        HookName::SessionEnd => session_keys(input.session_id.as_deref())?,
        HookName::PreTask | HookName::MemoryCleanup => Vec::new(),
    };
    if let Some(directory) = &args.memory_dir {
        global.store = Some(format!("fs:{directory}"));
    }
    global.policies = args.policy_file.clone().or(global.policies);
    let mut session = Session::begin(&global, input.directory().as_deref())?;
    if global.store.is_none() && !session.store_is_there() {
        // There is nothing to clean up, and a hook leaves no store wherever an agent happens to stand.
        global.store = Some("memory:".to_owned());
        session = Session::begin(&global, None)?;
    }
    let options = session.open_options(Stay::Brief).busy_timeout(args.name.patience());
    let memory = session.open_as(options)?;
    let cleanup_stats = clean(&session, &memory, args, &session_keys)?;
    if global.output == Format::Text {
        return Ok(None);
    }
    Ok(Some(HookReport {
        hook: args.name.name(),
        session_id: input.session_id,
        timestamp: cleanup_stats.timestamp,
        cleanup_stats,
        memory_stats: MemoryStats::new(&session.wait(memory.stats())?, memory.store().info()),
    }))
}

/// Removes what is within `session_keys` and sweeps; the statistics are of both together.
fn clean(session: &Session, memory: &Memory, args: &HookArgs, session_keys: &[Key]) -> Result<CleanupStats> {
    let started = memory.clock().monotonic();
    let removed = session.wait(remove(memory, session_keys))?;
    let report = session.wait(memory.sweep(sweep_options(args)?))?;
    if report.failed > 0 {
        bail!("{} damaged entries could not be removed: `memlife verify` names them", report.failed);
    }
    log_compression(session, memory)?;
    let swept = CleanupStats::new(&report);
    Ok(CleanupStats {
        deleted_count: swept.deleted_count + removed,
        entries_before: swept.entries_before + removed,
        elapsed_seconds: memory.clock().monotonic().saturating_sub(started).as_secs_f64(),
        ..swept
    })
}

/// Where a session keeps what is its own.
fn session_keys(id: Option<&str>) -> Result<Vec<Key>> {
    let Some(id) = id else {
        bail!("session-end needs a session: give --session-id, or `session_id` on standard input");
    };
    let is_segment = Key::new(id).is_ok_and(|key| key.segments().count() == 1);
    if !is_segment {
        let shown: String = id.chars().take(MAX_SHOWN_CHARS).collect();
        bail!("{shown:?} is no session id, and nothing was removed: an id is one segment of a key");
    }
    ["session", "coordination"].iter().map(|place| Ok(Key::new(&format!("{place}/{id}"))?)).collect()
}

async fn remove(memory: &Memory, keys: &[Key]) -> Result<u64> {
    let mut removed = 0;
    for key in keys {
        removed += memory.delete_within(key).await?;
    }
    Ok(removed)
}

fn sweep_options(args: &HookArgs) -> Result<SweepOptions> {
    let options = SweepOptions::new();
    Ok(match args.name {
        HookName::SessionEnd => options.budget(SWEEP_BUDGET),
        HookName::PreTask => options.scope("coordination/*")?.budget(SWEEP_BUDGET),
        HookName::MemoryCleanup => options.reach(if args.force { Reach::Forced } else { Reach::Due }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_hook_is_known_by_its_place() {
        for line in [
            "memlife hook",
            "memlife hook nonsense --x",
            "memlife -q --store hook hook",
            "memlife --bad hook",
        ] {
            assert_eq!(strictness(&arguments(line)), Some(Strictness::Open), "{line}");
        }
        assert_eq!(strictness(&arguments("memlife hook x --strict")), Some(Strictness::Strict));
        for line in ["memlife", "memlife put hook", "memlife --store hook get x", "memlife get hook --bad"] {
            assert_eq!(strictness(&arguments(line)), None, "{line}");
        }
    }

    #[test]
    fn an_id_is_one_segment() {
        let told = |keys: Vec<Key>| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        let keys = session_keys(Some("7f3a")).unwrap();
        assert_eq!(told(keys), ["session/7f3a", "coordination/7f3a"]);
        for id in ["", "a/b", "..", ".", "a\0b", "a\nb", "/", &"x".repeat(1020)] {
            assert!(session_keys(Some(id)).is_err(), "{id:?}");
        }
        assert!(session_keys(None).is_err());
    }
}
