use super::damage::Damage;
use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use crate::view::{EntryView, KeyValueView, text_of};
use anyhow::Result;
use clap::Args;
use memlife::{Encoding, Entry, ExportLine, Key, ListContent, ListOptions, Show};
use serde::Serialize;

/// Lists entries in the order of their keys
///
/// With `--output json` one object per line.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ListArgs {
    /// A prefix of whole segments, or a pattern: `*` is one segment or part of it, `**` any number of them
    pattern: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Only keys behind this one: the last of the page before
    #[arg(long, value_name = "KEY")]
    after: Option<Key>,
    /// Shows version, expiry, size, siblings and writer
    #[arg(long, conflicts_with = "keys")]
    long: bool,
    /// Lists expired entries whose bytes are still there, too
    #[arg(long)]
    expired: bool,
    /// Keys alone
    #[arg(long)]
    keys: bool,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing matches.

Examples:
  memlife list coordination
  memlife list 'task/*/status' --limit 100 --keys";

#[derive(Serialize)]
struct KeyView<'a> {
    key: &'a str,
}

pub fn run(session: &Session, args: &ListArgs) -> Result<Exit> {
    let options = options(args)?;
    let memory = session.open()?;
    let mut listing = memory.list(options);
    let mut damage = Damage::new(&session.output);
    let mut found = Exit::Nothing;
    loop {
        match session.wait(listing.next()) {
            Ok(Some(entry)) => {
                found = Exit::Done;
                match print(session, args, &entry) {
                    Ok(()) => {}
                    Err(error) => match error.downcast::<memlife::Error>() {
                        Ok(damaged) => damage.meet(damaged)?,
                        Err(error) => return Err(error),
                    },
                }
            }
            Ok(None) => return damage.end(found),
            Err(error) => damage.meet(error)?,
        }
    }
}

fn options(args: &ListArgs) -> Result<ListOptions> {
    let mut options = ListOptions::new();
    if let Some(pattern) = &args.pattern {
        options = options.pattern(pattern)?;
    }
    if let Some(limit) = args.limit {
        options = options.limit(limit);
    }
    if let Some(after) = &args.after {
        options = options.after(after.clone());
    }
    if args.expired {
        options = options.show(Show::Expired);
    }
    let content = if args.keys { ListContent::Heads } else { ListContent::Values };
    Ok(options.content(content))
}

fn print(session: &Session, args: &ListArgs, entry: &Entry) -> Result<()> {
    let key = entry.key.as_str();
    if session.output.is_json() {
        if args.keys {
            session.output.json(&KeyView { key })?;
        } else if args.long {
            session.output.json(&EntryView::whole(entry)?)?;
        } else {
            let ExportLine { value, encoding, .. } = ExportLine::of(entry)?;
            session.output.json(&KeyValueView { key, value, encoding })?;
        }
    } else if args.keys {
        session.output.line(key)?;
    } else if args.long {
        session.output.line(&long(entry))?;
    } else {
        session.output.line(&format!("{key}\t{}", short(entry)?))?;
    }
    Ok(())
}

fn long(entry: &Entry) -> String {
    let expires = entry.expires_at.map_or_else(|| "never".to_owned(), instant::show);
    let writer = entry.writer.as_deref().unwrap_or("-");
    format!(
        "{}\tversion {}\texpires {expires}\t{} bytes\t{} siblings\tby {writer}",
        entry.key, entry.version, entry.stored_len, entry.siblings
    )
}

/// The value on one line, cut where it gets long.
fn short(entry: &Entry) -> Result<String> {
    const LONGEST: usize = 200;
    let value = entry.value()?;
    if value.encoding == Encoding::Bytes {
        return Ok(format!("({} bytes)", value.bytes.len()));
    }
    let text = text_of(value);
    let mut line: String = text.chars().take(LONGEST).collect::<String>().replace(['\n', '\r'], " ");
    if line.len() < text.len() {
        line.push_str(" …");
    }
    Ok(line)
}
