use super::put::parse_value;
use crate::exit::Exit;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use memlife::Key;

/// Keeps sets: what many writers insert all stays
///
/// The key's rule says which of a concurrent insertion and removal wins: `conflict_strategy: or_set` or `rw_set`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct SetArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLE: &str = "\
Examples:
  memlife set add team/members alice bob
  memlife set remove team/members bob
  memlife set members team/members";

#[derive(Debug, Subcommand)]
enum Action {
    /// Inserts elements
    #[command(after_help = "Example:\n  memlife set add team/members alice bob")]
    Add(ElementArgs),
    /// Removes elements
    #[command(after_help = "Example:\n  memlife set remove team/members bob")]
    Remove(ElementArgs),
    /// Prints the elements, one a line; exit status 1 when nothing is there
    #[command(after_help = "Example:\n  memlife set members team/members")]
    Members {
        /// The key
        key: Key,
    },
}

/// A key and elements.
#[derive(Args, Debug)]
struct ElementArgs {
    /// The key
    key: Key,
    /// The elements: JSON where it parses as JSON, else strings
    #[arg(required = true, allow_hyphen_values = true)]
    elements: Vec<String>,
}

impl ElementArgs {
    fn elements(&self) -> Result<Vec<serde_json::Value>> {
        let parse = |text: &String| -> Result<serde_json::Value> {
            let value = parse_value(text.clone()).with_context(|| format!("the element {text:?}"))?;
            Ok(value.parse()?)
        };
        self.elements.iter().map(parse).collect()
    }
}

pub fn run(session: &Session, args: &SetArgs) -> Result<Exit> {
    let memory = session.open()?;
    match &args.action {
        Action::Add(args) => {
            session.wait(memory.set(&args.key)?.insert_all(args.elements()?))?;
            Ok(Exit::Done)
        }
        Action::Remove(args) => {
            session.wait(memory.set(&args.key)?.remove_all(args.elements()?))?;
            Ok(Exit::Done)
        }
        Action::Members { key } => {
            let members: Option<Vec<serde_json::Value>> = session.wait(memory.set(key)?.members())?;
            match members {
                Some(members) => print(session, &members),
                None => {
                    session.output.note(&format!("nothing is at {:?}", key.as_str()));
                    Ok(Exit::Nothing)
                }
            }
        }
    }
}

fn print(session: &Session, members: &[serde_json::Value]) -> Result<Exit> {
    if session.output.is_json() {
        session.output.json(&members)?;
        return Ok(Exit::Done);
    }
    for member in members {
        let text = member.as_str().map_or_else(|| member.to_string(), str::to_owned);
        session.output.line(&text)?;
    }
    Ok(Exit::Done)
}
