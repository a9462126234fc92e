//! `claim`, `renew` and `release`: one holder at a time.

use crate::exit::Exit;
use crate::instant;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::Args;
use memlife::{Claimed, Entry, Key, Lease, Ttl};
use serde::Serialize;

/// Claims a key for one holder at a time
///
/// The owner is whoever `--as` names. Prints the fencing token: `renew` and `release` take it, and a
/// `put --if-version TOKEN` of a former holder is refused once somebody else has claimed the key.
#[derive(Args, Debug)]
#[command(after_help = CLAIM_EXAMPLE)]
pub struct ClaimArgs {
    /// The key
    key: Key,
    /// How long the claim holds unless it is renewed: 90s, 10m, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Ttl,
}

const CLAIM_EXAMPLE: &str = "\
Exit status: 1 when somebody holds it.

Example:
  memlife --as agent1 claim task/42/lease --ttl 5m";

/// Holds a claim for longer
#[derive(Args, Debug)]
#[command(after_help = RENEW_EXAMPLE)]
pub struct RenewArgs {
    /// The key
    key: Key,
    /// The token that `claim` printed
    #[arg(long)]
    token: u64,
    /// How long the claim holds from now on
    #[arg(long, value_name = "DURATION")]
    ttl: Ttl,
}

const RENEW_EXAMPLE: &str = "\
Exit status: 1 when the claim is lost.

Example:
  memlife renew task/42/lease --token 17 --ttl 5m";

/// Gives a claim up
#[derive(Args, Debug)]
#[command(after_help = RELEASE_EXAMPLE)]
pub struct ReleaseArgs {
    /// The key
    key: Key,
    /// The token that `claim` printed
    #[arg(long)]
    token: u64,
}

const RELEASE_EXAMPLE: &str = "\
Exit status: 1 when the claim was lost already.

Example:
  memlife release task/42/lease --token 17";

#[derive(Serialize)]
struct LeaseView<'a> {
    key: &'a str,
    held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

pub fn claim(session: &Session, args: &ClaimArgs) -> Result<Exit> {
    let owner =
        session.settings.writer.as_deref().context("a claim needs an owner: name it with --as NAME")?;
    let memory = session.open()?;
    match session.wait(memory.claim(&args.key, owner, args.ttl))? {
        Claimed::Won(lease) => held(session, &lease, Some(owner)),
        Claimed::Held(entry) => lost(session, &entry),
    }
}

pub fn renew(session: &Session, args: &RenewArgs) -> Result<Exit> {
    let memory = session.open()?;
    match session.wait(memory.renew(&args.key, args.token, args.ttl))? {
        Some(lease) => held(session, &lease, None),
        None => gone(session, &args.key),
    }
}

pub fn release(session: &Session, args: &ReleaseArgs) -> Result<Exit> {
    let memory = session.open()?;
    if !session.wait(memory.release(&args.key, args.token))? {
        return gone(session, &args.key);
    }
    if session.output.is_json() {
        let key = args.key.as_str();
        session.output.json(&LeaseView { key, held: false, token: None, owner: None, expires_at: None })?;
    }
    Ok(Exit::Done)
}

/// Tells of a claim that the caller holds.
fn held(session: &Session, lease: &Lease, owner: Option<&str>) -> Result<Exit> {
    let expires_at = lease.expires_at.map(instant::show);
    if session.output.is_json() {
        let (key, token) = (lease.key.as_str(), Some(lease.token));
        session.output.json(&LeaseView { key, held: true, token, owner, expires_at })?;
    } else {
        session.output.line(&lease.token.to_string())?;
    }
    Ok(Exit::Done)
}

/// Tells who holds it.
fn lost(session: &Session, entry: &Entry) -> Result<Exit> {
    let (key, owner) = (entry.key.as_str(), entry.writer.as_deref());
    let expires_at = entry.expires_at.map(instant::show);
    let until = expires_at.as_deref().map_or_else(|| "for ever".into(), |at| format!("until {at}"));
    session.output.note(&format!("{} holds {key:?} {until}", owner.unwrap_or("somebody without a name")));
    if session.output.is_json() {
        session.output.json(&LeaseView { key, held: false, token: None, owner, expires_at })?;
    }
    Ok(Exit::Nothing)
}

fn gone(session: &Session, key: &Key) -> Result<Exit> {
    session.output.note(&format!("the claim of {:?} is lost: claim it again", key.as_str()));
    if session.output.is_json() {
        let key = key.as_str();
        session.output.json(&LeaseView { key, held: false, token: None, owner: None, expires_at: None })?;
    }
    Ok(Exit::Nothing)
}
