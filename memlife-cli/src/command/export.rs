use super::damage::Damage;
use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::Result;
use clap::Args;
use memlife::{ListContent, ListOptions, Memory};
use std::io::{self, IsTerminal};

/// Exports entries as JSON Lines
///
/// Every line has `key` and `value`; `encoding`, `expires_at`, `writer` and `siblings` where they apply.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  memlife export knowledge > knowledge.jsonl")]
pub struct ExportArgs {
    /// A prefix of whole segments, or a pattern
    pattern: Option<String>,
    /// Adds what a merge needs: an import joins such lines, in any order and any number of times, and deletions are
    /// exported, too
    #[arg(long)]
    state: bool,
}

pub fn run(session: &Session, args: &ExportArgs) -> Result<Exit> {
    let mut options = ListOptions::new();
    if let Some(pattern) = &args.pattern {
        options = options.pattern(pattern)?;
    }
    let memory = session.open()?;
    let bar = bar(session, &memory, args)?;
    if args.state {
        options = options.content(ListContent::State);
    }
    let mut export = memory.export(options);
    let mut damage = Damage::new(&session.output);
    let mut exported: u64 = 0;
    loop {
        match session.wait(export.next()) {
            Ok(Some(line)) => {
                session.output.json(&line)?;
                exported += 1;
                if let Some(bar) = &bar {
                    bar.set(exported);
                }
            }
            Ok(None) => break,
            Err(error) => damage.meet(error)?,
        }
    }
    if let Some(bar) = bar {
        bar.finish();
    }
    damage.end(Exit::Done)
}

/// A bar, unless the lines themselves go to the terminal.
fn bar(session: &Session, memory: &Memory, args: &ExportArgs) -> Result<Option<Bar>> {
    if !session.output.shows_progress() || io::stdout().is_terminal() {
        return Ok(None);
    }
    let total = match args.pattern {
        None => Some(session.wait(memory.stats())?.entries),
        Some(_) => None,
    };
    Ok(Some(Bar::new(&session.output, "exporting", total)))
}
