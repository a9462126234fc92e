use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use clap::{Args, Subcommand};
use memlife::Key;

/// Keeps flags that are on or off
///
/// The key's rule says which of two concurrent writes wins: under `conflict_strategy: flag_ew` the one that turns on,
/// under `flag_dw` the one that turns off.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct FlagArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLE: &str = "\
Examples:
  memlife flag on team/paused
  memlife flag off team/paused
  memlife flag get team/paused";

#[derive(Debug, Subcommand)]
enum Action {
    /// Turns the flag on
    #[command(after_help = "Example:\n  memlife flag on team/paused")]
    On {
        /// The key
        key: Key,
    },
    /// Turns the flag off
    #[command(after_help = "Example:\n  memlife flag off team/paused")]
    Off {
        /// The key
        key: Key,
    },
    /// Prints true or false; exit status 1 when nothing is there
    #[command(after_help = "Example:\n  memlife flag get team/paused")]
    Get {
        /// The key
        key: Key,
    },
}

pub fn run(session: &Session, args: &FlagArgs) -> Result<Exit> {
    let memory = session.open()?;
    let (key, is_on) = match &args.action {
        Action::On { key } => (key, Some(true)),
        Action::Off { key } => (key, Some(false)),
        Action::Get { key } => (key, None),
    };
    let flag = memory.flag(key)?;
    if let Some(is_on) = is_on {
        session.wait(flag.set(is_on))?;
        return Ok(Exit::Done);
    }
    match session.wait(flag.get())? {
        Some(is_on) => {
            session.output.line(&is_on.to_string())?;
            Ok(Exit::Done)
        }
        None => {
            session.output.note(&format!("nothing is at {:?}", key.as_str()));
            Ok(Exit::Nothing)
        }
    }
}
