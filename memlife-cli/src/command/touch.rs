use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use anyhow::Result;
use clap::{ArgGroup, Args};
use memlife::{Expiry, Key, Timestamp, TouchMode, Touched, Ttl};
use serde::Serialize;

/// Changes when an entry expires; its value and version stay
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
#[command(group = ArgGroup::new("expiry").required(true).args(["ttl", "expires_at", "permanent"]))]
pub struct TouchArgs {
    /// The key
    key: Key,
    /// Expires after this long: 90s, 10m, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,
    /// Expires at this instant: RFC 3339 or seconds since 1970
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    expires_at: Option<Timestamp>,
    /// Never expires
    #[arg(long)]
    permanent: bool,
    /// Only if that is later than now planned
    #[arg(long, conflicts_with = "only_shorten")]
    only_extend: bool,
    /// Only if that is earlier than now planned
    #[arg(long)]
    only_shorten: bool,
}

const EXAMPLE: &str = "\
Exit status: 1 when nothing is there: an expired entry is not revived.

Example:
  memlife touch task/42 --ttl 10m --only-extend";

#[derive(Serialize)]
struct TouchView<'a> {
    key: &'a str,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clamped: Option<bool>,
}

pub fn run(session: &Session, args: &TouchArgs) -> Result<Exit> {
    let expiry = match (args.ttl, args.expires_at) {
        (Some(ttl), _) => Expiry::After(ttl),
        (None, Some(at)) => Expiry::At(at),
        (None, None) => Expiry::Never,
    };
    let mode = match (args.only_extend, args.only_shorten) {
        (true, _) => TouchMode::OnlyExtend,
        (false, true) => TouchMode::OnlyShorten,
        (false, false) => TouchMode::Set,
    };
    let memory = session.open()?;
    let key = args.key.as_str();
    match session.wait(memory.touch(&args.key, expiry, mode))? {
        Touched::Applied(receipt) => {
            if receipt.clamped {
                session.output.note(&format!("the rule of {key:?} limits how long it lives"));
            }
            let expires_at = receipt.expires_at.map(instant::show);
            if session.output.is_json() {
                let (version, clamped) = (Some(receipt.version), Some(receipt.clamped));
                let expires_at = Some(expires_at);
                session.output.json(&TouchView { key, changed: true, version, expires_at, clamped })?;
            } else {
                session.output.line(&format!("expires {}", expires_at.as_deref().unwrap_or("never")))?;
            }
            Ok(Exit::Done)
        }
        Touched::Unchanged => {
            unchanged(session, key)?;
            session.output.note(&format!("{key:?} stays as it was"));
            Ok(Exit::Done)
        }
        Touched::Absent => {
            unchanged(session, key)?;
            session.output.note(&format!("nothing is at {key:?}"));
            Ok(Exit::Nothing)
        }
    }
}

fn unchanged(session: &Session, key: &str) -> Result<()> {
    if session.output.is_json() {
        let view = TouchView { key, changed: false, version: None, expires_at: None, clamped: None };
        session.output.json(&view)?;
    }
    Ok(())
}
