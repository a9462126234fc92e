use crate::exit::Exit;
use crate::session::Session;
use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use memlife::{Guard, Key, Memory, Written};
use serde::Serialize;

/// Deletes entries and counts what went
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE, group = ArgGroup::new("what").required(true).args(["keys", "prefix", "all"]))]
pub struct DeleteArgs {
    /// The keys
    #[arg(value_name = "KEY")]
    keys: Vec<Key>,
    /// Deletes this key and everything below it
    #[arg(long, value_name = "KEY")]
    prefix: Option<Key>,
    /// Deletes every entry of the store; needs --yes
    #[arg(long)]
    all: bool,
    /// Says that --all is meant
    #[arg(long, requires = "all")]
    yes: bool,
    /// Only if this version is there; for one key
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["prefix", "all"])]
    if_version: Option<u64>,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing was there, or another version.

Examples:
  memlife delete task/41 task/42
  memlife delete --prefix session/7f3a
  memlife delete task/42 --if-version 12";

#[derive(Serialize)]
struct Deleted {
    deleted: u64,
}

pub fn run(session: &Session, args: &DeleteArgs) -> Result<Exit> {
    if args.all && !args.yes {
        bail!("delete --all takes every entry of {}: add --yes if that is meant", session.store_url());
    }
    if args.if_version.is_some() && args.keys.len() != 1 {
        bail!("--if-version is for one key: name one, or leave it out");
    }
    let memory = session.open()?;
    let deleted = session.wait(async {
        match &args.prefix {
            Some(prefix) => Ok(memory.delete_within(prefix).await?),
            None if args.all => Ok(memory.delete_all().await?),
            None => delete_keys(session, &memory, args).await,
        }
    })?;
    if session.output.is_json() {
        session.output.json(&Deleted { deleted })?;
    } else {
        session.output.line(&format!("deleted {deleted}"))?;
    }
    Ok(if deleted > 0 { Exit::Done } else { Exit::Nothing })
}

async fn delete_keys(session: &Session, memory: &Memory, args: &DeleteArgs) -> Result<u64> {
    let guard = args.if_version.map_or(Guard::Any, Guard::Version);
    let mut deleted = 0;
    for key in &args.keys {
        match memory.delete_if(key, guard).await? {
            Written::Applied(_) => deleted += 1,
            Written::Refused(Some(entry)) => session.output.problem(&format!(
                "delete {:?} was not done: version {} is there: read it and decide again",
                key.as_str(),
                entry.version
            )),
            Written::Superseded | Written::Refused(None) => {
                session.output.note(&format!("nothing is at {:?}", key.as_str()));
            }
        }
    }
    Ok(deleted)
}
