use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use crate::view::EntryView;
use anyhow::{Context, Result, bail};
use clap::Args;
use memlife::{Entry, Guard, Key, PutOptions, Receipt, Timestamp, Ttl, Value, Written};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::{self, IsTerminal, Read};

/// Puts a value: JSON if it parses as JSON, else a string
///
/// Without a VALUE, and with `-`, it is read from standard input; with @FILE from a file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct PutArgs {
    /// The key, such as coordination/agent1/status
    key: Key,
    /// The value, `-` for standard input, or @FILE
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
    /// Takes the value as bytes, whatever they are
    #[arg(long)]
    bytes: bool,
    /// Expires after this long: 90s, 10m, 7d
    #[arg(long, value_name = "DURATION", group = "expiry")]
    ttl: Option<Ttl>,
    /// Expires at this instant: RFC 3339 or seconds since 1970
    #[arg(long, value_name = "INSTANT", group = "expiry", value_parser = instant::parse)]
    expires_at: Option<Timestamp>,
    /// Never expires
    #[arg(long, group = "expiry")]
    permanent: bool,
    /// Keeps the expiry of the entry that is there
    #[arg(long, group = "expiry")]
    keep_ttl: bool,
    /// Only if nothing is there
    #[arg(long, group = "guard")]
    if_absent: bool,
    /// Only if this version is there
    #[arg(long, value_name = "VERSION", group = "guard")]
    if_version: Option<u64>,
    /// Writes as of this instant: anything newer stays
    #[arg(long, value_name = "SECONDS", value_parser = instant::parse)]
    timestamp: Option<Timestamp>,
}

const EXAMPLE: &str = "\
Exit status: 1 when the value was not put, because the condition does not hold or something newer is there.

Examples:
  memlife put coordination/agent1/status '{\"task\":\"running\"}' --ttl 10m
  memlife put task/42 agent1 --if-absent
  memlife put knowledge/report @report.json";

#[derive(Serialize)]
struct Put<'a> {
    key: &'a str,
    written: bool,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Done { version: u64, expires_at: Option<String>, clamped: bool },
    NotDone { reason: &'static str, current: Option<Box<EntryView<'a>>> },
}

pub fn run(session: &Session, args: PutArgs) -> Result<Exit> {
    let value = read_value(&args, session.settings.max_value_bytes)
        .with_context(|| format!("put {:?} failed", args.key.as_str()))?;
    let memory = session.open()?;
    let written = session.wait(memory.put_value(&args.key, value, options(&args)))?;
    match written {
        Written::Applied(receipt) => done(session, &args.key, &receipt),
        Written::Superseded => not_done(session, &args.key, "superseded", None),
        Written::Refused(current) => {
            let reason = match (&current, args.if_absent) {
                (Some(_), true) => "exists",
                (Some(_), false) => "version",
                (None, _) => "absent",
            };
            not_done(session, &args.key, reason, current.as_deref())
        }
    }
}

fn options(args: &PutArgs) -> PutOptions {
    let mut options = PutOptions::new();
    if let Some(ttl) = args.ttl {
        options = options.ttl(ttl);
    }
    if let Some(at) = args.expires_at {
        options = options.expires_at(at);
    }
    if args.permanent {
        options = options.permanent();
    }
    if args.keep_ttl {
        options = options.keep_ttl();
    }
    if args.if_absent {
        options = options.guard(Guard::Absent);
    }
    if let Some(version) = args.if_version {
        options = options.guard(Guard::Version(version));
    }
    if let Some(at) = args.timestamp {
        options = options.timestamp(at);
    }
    options
}

fn done(session: &Session, key: &Key, receipt: &Receipt) -> Result<Exit> {
    let expires_at = receipt.expires_at.map(instant::show);
    if receipt.clamped {
        let until = expires_at.as_deref().unwrap_or("never");
        session
            .output
            .note(&format!("the rule of {:?} limits how long it lives: it expires {until}", key.as_str()));
    }
    if receipt.dropped_siblings > 0 {
        let dropped = receipt.dropped_siblings;
        session.output.note(&format!("{:?} has too many values: the oldest {dropped} went", key.as_str()));
    }
    if session.output.is_json() {
        let detail = Detail::Done { version: receipt.version, expires_at, clamped: receipt.clamped };
        session.output.json(&Put { key: key.as_str(), written: true, detail })?;
    }
    Ok(Exit::Done)
}

fn not_done(session: &Session, key: &Key, reason: &'static str, current: Option<&Entry>) -> Result<Exit> {
    let told = match (reason, current) {
        ("superseded", _) => "it is superseded: something newer is there and stays".to_owned(),
        (_, Some(entry)) => {
            let writer = entry.writer.as_deref().map_or_else(String::new, |writer| format!(" by {writer}"));
            format!("version {}{writer} is there: read it and decide again", entry.version)
        }
        _ => "nothing is there any more: put it with --if-absent".to_owned(),
    };
    session.output.problem(&format!("put {:?} was not done: {told}", key.as_str()));
    if session.output.is_json() {
        let detail = Detail::NotDone { reason, current: current.map(EntryView::of).map(Box::new) };
        session.output.json(&Put { key: key.as_str(), written: false, detail })?;
    }
    Ok(Exit::Nothing)
}

fn read_value(args: &PutArgs, limit: usize) -> Result<Value> {
    let bytes = match args.value.as_deref() {
        None if io::stdin().is_terminal() => {
            bail!("no value is given: write it behind the key, or `-` to type it, or @FILE")
        }
        None | Some("-") => bounded(io::stdin().lock(), limit).context("standard input could not be read")?,
        Some(text) => match text.strip_prefix('@') {
            Some(path) => from_file(path, limit).with_context(|| format!("the file {path:?}"))?,
            None => text.as_bytes().to_vec(),
        },
    };
    if args.bytes {
        return Ok(Value::bytes(bytes));
    }
    let text = String::from_utf8(bytes)
        .ok()
        .context("the value is not valid UTF-8: put it with --bytes to keep it as it is")?;
    parse_value(text)
}

/// JSON where `text` is JSON, else a string.
pub fn parse_value(text: String) -> Result<Value> {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    match Value::json_text(trimmed.as_bytes().to_vec()) {
        Ok(value) => Ok(value),
        // JSON by its form that could not be read again, for its depth say, is no string that somebody meant.
        Err(error) if serde_json::from_str::<IgnoredAny>(trimmed).is_ok() => Err(error.into()),
        Err(_) => Ok(Value::json(&text)?),
    }
}

fn from_file(path: &str, limit: usize) -> Result<Vec<u8>> {
    bounded(File::open(path)?, limit)
}

/// Everything in `source`, unless it is more than `limit` bytes: then the rest is not even read.
fn bounded(source: impl Read, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        bail!("the value has more than {limit} bytes: split it, or raise the limit with --max-value-bytes");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_allowed() {
        let mut endless = io::repeat(b'x');
        let told = bounded(&mut endless, 10).unwrap_err().to_string();
        assert!(told.contains("10 bytes") && told.contains("--max-value-bytes"), "{told}");
        assert_eq!(bounded(&b"0123456789"[..], 10).unwrap(), b"0123456789");
    }
}
