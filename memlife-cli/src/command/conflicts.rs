use super::damage::Damage;
use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use crate::view::{KeyValueView, text_of};
use anyhow::Result;
use clap::Args;
use memlife::{Entry, ExportLine, Key, ListOptions, ReadOptions};
use serde::Serialize;

/// Shows the values that an entry holds beside each other, newest first
///
/// Without a key, lists the keys that hold more than one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ConflictsArgs {
    /// The key
    key: Option<Key>,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing is found.

Example:
  memlife conflicts swarm/shared/decisions";

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
