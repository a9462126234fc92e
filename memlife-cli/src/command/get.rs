use crate::exit::Exit;
use crate::session::Session;
use crate::view::{EntryView, text_of};
use anyhow::Result;
use clap::Args;
use memlife::{Encoding, Entry, ExportLine, Key, ReadOptions, Show, Stay};
use std::time::Duration;

/// Prints the value of a key
///
/// A string is printed without quotes and bytes as they are; with `--output json` the bare JSON value, bytes as
/// base64.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct GetArgs {
    /// The key
    key: Key,
    /// Prints version, stamp, expiry, writer, sizes and siblings, too
    #[arg(long)]
    meta: bool,
    /// Shows an expired entry whose bytes are still there
    #[arg(long)]
    expired: bool,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing is there.

Example:
  memlife get coordination/agent1/status --output json --meta";

/// How long renewing or removing what was read may wait for other processes. The answer itself waits for nobody.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn run(session: &Session, args: &GetArgs) -> Result<Exit> {
    let memory = session.open_as(session.open_options(Stay::Brief).busy_timeout(PATIENCE))?;
    let show = if args.expired { Show::Expired } else { Show::Visible };
    let found = session.wait(memory.entry_with(&args.key, ReadOptions::new().show(show)))?;
    let exit = print(session, args, found)?;
    session.output.flush()?;
    // An expired entry under a lazy rule goes now; whoever asked has the answer, and a sweep comes anyway.
    if let Err(error) = session.wait(memory.close()) {
        tracing::debug!(%error, "an expired entry stays until the next sweep");
    }
    Ok(exit)
}

fn print(session: &Session, args: &GetArgs, found: Option<Entry>) -> Result<Exit> {
    let Some(entry) = found else {
        session.output.note(&format!("nothing is at {:?}", args.key.as_str()));
        return Ok(Exit::Nothing);
    };
    if entry.siblings > 1 && !args.meta {
        let (key, siblings) = (args.key.as_str(), entry.siblings);
        session.output.note(&format!(
            "{key:?} holds {siblings} values, and this is the newest: `memlife conflicts` shows all"
        ));
    }
    if session.output.is_json() {
        print_json(session, args, &entry)?
    } else {
        print_text(session, args, &entry)?
    }
    Ok(Exit::Done)
}

fn print_json(session: &Session, args: &GetArgs, entry: &Entry) -> Result<()> {
    if args.meta {
        session.output.json(&EntryView::whole(entry)?)?;
    } else {
        session.output.json(&ExportLine::of(entry)?.value)?;
    }
    Ok(())
}

fn print_text(session: &Session, args: &GetArgs, entry: &Entry) -> Result<()> {
    let value = entry.value()?;
    if args.meta {
        for line in EntryView::of(entry).lines() {
            session.output.line(&line)?;
        }
        session.output.line(&format!("value       {}", text_of(value)))?;
    } else if value.encoding == Encoding::Bytes {
        session.output.bytes(&value.bytes)?;
    } else {
        session.output.line(&text_of(value))?;
    }
    Ok(())
}
