use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use crate::view::text_of;
use anyhow::Result;
use clap::Args;
use memlife::{ExportLine, Memory, SetAside, WhySetAside};
use serde::Serialize;

#[derive(Args, Debug)]
pub struct LostArgs {
    /// Removes what lost its key to another kind; what waits for its time stays
    #[arg(long)]
    clear: bool,
}

#[derive(Serialize)]
struct LostView {
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    set_aside_at: String,
    kind: String,
    /// A line that `import` takes.
    entry: ExportLine,
}

pub fn run(session: &Session, memory: &Memory, args: &LostArgs) -> Result<Exit> {
    if args.clear {
        let count = session.wait(memory.discard_lost())?;
        session.output.note(&format!("{count} removed"));
        return Ok(if count > 0 { Exit::Done } else { Exit::Nothing });
    }
    let found = session.wait(memory.set_aside())?;
    let exit = if found.is_empty() { Exit::Nothing } else { Exit::Done };
    for aside in found {
        print(session, memory, aside)?;
    }
    Ok(exit)
}

fn print(session: &Session, memory: &Memory, aside: SetAside) -> Result<()> {
    let entry = aside.entry(memory)?;
    let (why, told, due) = match aside.why {
        WhySetAside::TypeConflict => ("type_conflict", "lost to another kind".to_owned(), None),
        WhySetAside::RemovedElsewhere => ("removed_elsewhere", "was removed elsewhere".to_owned(), None),
        WhySetAside::FutureStamp(due) => {
            let due = instant::show(due);
            ("future_stamp", format!("waits until {due}"), Some(due))
        }
    };
    if session.output.is_json() {
        let line = ExportLine { state: Some(aside.state), ..ExportLine::of(&entry)? };
        let (kind, set_aside_at) = (entry.kind.name().to_owned(), instant::show(aside.at));
        session.output.json(&LostView { why, due, set_aside_at, kind, entry: line })?;
        return Ok(());
    }
    let value = entry.values.first().map(|held| text_of(&held.value)).unwrap_or_default();
    session.output.line(&format!("{}\t{}\t{told}\t{value}", entry.key, entry.kind.name()))?;
    Ok(())
}
