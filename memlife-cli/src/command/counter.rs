use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use clap::{Args, Subcommand};
use memlife::Key;

/// Counts: additions of many writers all count
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct CounterArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLE: &str = "\
Examples:
  memlife counter add metrics/tasks
  memlife counter add metrics/tasks -3
  memlife counter get metrics/tasks";

#[derive(Debug, Subcommand)]
enum Action {
    /// Adds, and prints the new value
    #[command(after_help = "Example:\n  memlife counter add metrics/tasks 5")]
    Add {
        /// The key
        key: Key,
        /// How much; may be negative
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Prints the value; exit status 1 when nothing is there
    #[command(after_help = "Example:\n  memlife counter get metrics/tasks")]
    Get {
        /// The key
        key: Key,
    },
}

pub fn run(session: &Session, args: &CounterArgs) -> Result<Exit> {
    let memory = session.open()?;
    let (key, value) = match &args.action {
        Action::Add { key, by } => (key, Some(session.wait(memory.counter(key)?.add(*by))?)),
        Action::Get { key } => (key, session.wait(memory.counter(key)?.get())?),
    };
    match value {
        // The same in both formats: a number.
        Some(value) => {
            session.output.line(&value.to_string())?;
            Ok(Exit::Done)
        }
        None => {
            session.output.note(&format!("nothing is at {:?}", key.as_str()));
            Ok(Exit::Nothing)
        }
    }
}
