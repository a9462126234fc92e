mod lost;

use super::damage::Damage;
use super::put::parse_value;
use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use crate::view::{KeyValueView, text_of};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use lost::LostArgs;
use memlife::{Entry, ExportLine, Guard, Key, ListOptions, Memory, PutOptions, ReadOptions, Written};
use serde::Serialize;

/// Shows the values that an entry holds beside each other, newest first
///
/// Without a key, lists the keys that hold more than one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct ConflictsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// The key
    key: Option<Key>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Puts one value in place of all that stand beside each other
    ///
    /// Refused when somebody wrote meanwhile: exit status 1.
    #[command(after_help = "Example:\n  memlife conflicts resolve swarm/shared/decisions --pick 1")]
    Resolve(ResolveArgs),
    /// Shows what an import set aside: what lost its key to another kind, and what waits for its time
    ///
    /// A record whose stamp lies in the future waits until it does not; a sweep or an import merges it then.
    #[command(after_help = "Exit status: 1 when there is nothing.\n\nExample:\n  memlife conflicts lost")]
    Lost(LostArgs),
}

/// What is to stand there.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// The sibling of this number, as `conflicts KEY` shows them
    #[arg(long, value_name = "N")]
    pick: Option<usize>,
    /// This value: JSON where it parses as JSON, else a string
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<String>,
}

#[derive(Args, Debug)]
struct ResolveArgs {
    /// The key
    key: Key,
    #[command(flatten)]
    chosen: Chosen,
    /// Only if the entry still has this version, as `conflicts KEY --output json` shows it
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing is found.

Examples:
  memlife conflicts swarm/shared/decisions
  memlife conflicts resolve swarm/shared/decisions --pick 1";

#[derive(Serialize)]
struct ConflictView<'a> {
    key: &'a str,
    siblings: u32,
}

#[derive(Serialize)]
struct SiblingView<'a> {
    #[serde(flatten)]
    held: KeyValueView<'a>,
    sibling: usize,
    writer: Option<&'a str>,
    written_at: String,
    stamp: String,
    version: u64,
}

pub fn run(session: &Session, args: &ConflictsArgs) -> Result<Exit> {
    let memory = session.open()?;
    match &args.action {
        Some(Action::Resolve(args)) => return resolve(session, &memory, args),
        Some(Action::Lost(args)) => return lost::run(session, &memory, args),
        None => {}
    }
    if let Some(key) = &args.key {
        let Some(entry) = session.wait(memory.entry_with(key, ReadOptions::new()))? else {
            session.output.note(&format!("nothing is at {:?}", key.as_str()));
            return Ok(Exit::Nothing);
        };
        print_siblings(session, &entry)?;
        return Ok(Exit::Done);
    }
    let mut listing = memory.list(ListOptions::new());
    let mut damage = Damage::new(&session.output);
    let mut found = Exit::Nothing;
    loop {
        match session.wait(listing.next()) {
            Ok(Some(entry)) if entry.siblings > 1 => {
                found = Exit::Done;
                print_conflict(session, &entry)?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return damage.end(found),
            Err(error) => damage.meet(error)?,
        }
    }
}

fn resolve(session: &Session, memory: &Memory, args: &ResolveArgs) -> Result<Exit> {
    let key = &args.key;
    let Some(entry) = session.wait(memory.entry_with(key, ReadOptions::new()))? else {
        session.output.note(&format!("nothing is at {:?}", key.as_str()));
        return Ok(Exit::Nothing);
    };
    let value = match (&args.chosen.pick, &args.chosen.value) {
        (Some(number), _) => {
            let held = number.checked_sub(1).and_then(|at| entry.values.get(at));
            let there = entry.values.len();
            held.with_context(|| {
                format!("{:?} holds {there} values: pick one of 1 to {there}", key.as_str())
            })?
            .value
            .clone()
        }
        (None, text) => parse_value(text.clone().unwrap_or_default())?,
    };
    let options = PutOptions::new().guard(Guard::Version(args.if_version.unwrap_or(entry.version)));
    match session.wait(memory.put_value(key, value, options))? {
        Written::Applied(_) => Ok(Exit::Done),
        Written::Superseded | Written::Refused(_) => {
            let message = format!("{:?} was written meanwhile: look at its values again", key.as_str());
            session.output.problem(&message);
            Ok(Exit::Nothing)
        }
    }
}

fn print_conflict(session: &Session, entry: &Entry) -> Result<()> {
    let (key, siblings) = (entry.key.as_str(), entry.siblings);
    if session.output.is_json() {
        session.output.json(&ConflictView { key, siblings })?;
    } else {
        session.output.line(&format!("{key}\t{siblings} values"))?;
    }
    Ok(())
}

fn print_siblings(session: &Session, entry: &Entry) -> Result<()> {
    if !session.output.is_json() {
        for (number, held) in entry.values.iter().enumerate() {
            let (at, writer) = (instant::show(held.stamp.at()), held.writer.as_deref().unwrap_or("-"));
            let value = text_of(&held.value);
            session.output.line(&format!("{}\t{at}\tby {writer}\t{value}", number + 1))?;
        }
        return Ok(());
    }
    let line = ExportLine::of(entry)?;
    let others = line.siblings.into_iter().map(|sibling| (sibling.value, sibling.encoding));
    let values = std::iter::once((line.value, line.encoding)).chain(others);
    for (number, (held, (value, encoding))) in entry.values.iter().zip(values).enumerate() {
        session.output.json(&SiblingView {
            held: KeyValueView { key: entry.key.as_str(), value, encoding },
            sibling: number + 1,
            writer: held.writer.as_deref(),
            written_at: instant::show(held.stamp.at()),
            stamp: held.stamp.to_string(),
            version: entry.version,
        })?;
    }
    Ok(())
}
