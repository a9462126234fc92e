use crate::exit::Exit;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::Args;
use memlife::store::{Cause, Cursor};
use memlife::{ExportLine, Stay, WatchOptions, Watched};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Prints what happens, as one line of JSON each
///
/// `event` is `put`, `removed` (`cause` says why), `snapshot_end` or `gap` (some of what happened is not known any more).
/// `cursor` is where a later `--since` goes on; what it stands in the middle of is told again, and before the end of a
/// first snapshot there is none. Ends with a signal, or when nobody reads any more.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct WatchArgs {
    /// A prefix of whole segments, or a pattern
    pattern: Option<String>,
    /// Goes on after this cursor of an earlier watch
    #[arg(long)]
    since: Option<Cursor>,
    /// Tells what is there: first, unless `--since` goes on from a cursor, and after a gap
    #[arg(long)]
    snapshot: bool,
}

const EXAMPLE: &str = "\
Example:
  memlife watch 'coordination/*' --snapshot";

/// How long a look waits before the next one.
const LOOK: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

pub fn run(session: &Session, args: &WatchArgs) -> Result<Exit> {
    let mut options = WatchOptions::new();
    if let Some(pattern) = &args.pattern {
        options = options.pattern(pattern)?;
    }
    if let Some(cursor) = &args.since {
        options = options.since(cursor.clone());
    }
    if args.snapshot {
        options = options.snapshot();
    }
    let memory = session.open_for(Stay::Long)?;
    let mut watch = memory.watch(options);
    loop {
        let told = session.wait(watch.next(LOOK))?;
        let cursor = watch.cursor().map(ToString::to_string);
        if let Some(told) = told {
            print(session, &told, cursor)?;
            session.output.flush().context("nobody reads any more")?;
        }
    }
}

fn print(session: &Session, told: &Watched, cursor: Option<String>) -> Result<()> {
    let bare =
        Line { event: "gap", key: None, version: None, cause: None, value: None, encoding: None, cursor };
    let line = match told {
        Watched::Gap => bare,
        Watched::SnapshotEnd => Line { event: "snapshot_end", ..bare },
        Watched::Removed { key, cause } => {
            Line { event: "removed", key: Some(key.as_str()), cause: Some(*cause), ..bare }
        }
        Watched::Put(entry) => {
            let ExportLine { value, encoding, .. } = ExportLine::of(entry)?;
            let (key, version) = (Some(entry.key.as_str()), Some(entry.version));
            Line { event: "put", key, version, value: Some(value), encoding, ..bare }
        }
    };
    Ok(session.output.json(&line)?)
}
