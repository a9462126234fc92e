//! One holder at a time, for as long as it said.

use super::{Entry, Memory, PutOptions, Written, placement};
use crate::key::IntoKey;
use crate::store::{Change, Expiry, Guard, Op, Outcome, Retouch};
use crate::{Error, ErrorKind, Key, Result, Timestamp, Ttl};

/// A claim that its owner holds.
///
/// It holds among all programs that share the store; stores that only replicate each other know of it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The key.
    pub key: Key,
    /// The fencing token: the version of the claimed key. It grows with every claim, so that whoever guards its writes
    /// by it is refused once somebody else has claimed the key.
    pub token: u64,
    /// When the claim ends unless it is renewed; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Claimed {
    /// The caller holds it.
    Won(Lease),
    /// Somebody holds it: the entry says who, as its writer, and until when.
    Held(Box<Entry>),
}

impl Memory {
    /// Claims `key` for `owner` for `ttl`, if nothing is visible there: an ordinary entry whose value and writer are the
    /// owner's name.
    ///
    /// Whoever claims again what it holds is told so, too: [`Memory::renew`] is for that.
    ///
    /// # Errors
    /// `TypeMismatch` where the rule of the key keeps something other than plain values; `Contended` when the store goes
    /// on refusing over a claim that has ended by the clock here; the store's.
    pub async fn claim(&self, key: impl IntoKey, owner: &str, ttl: Ttl) -> Result<Claimed> {
        let key = key.into_key()?;
        let during = |error: Error| error.during("claim").on(&key);
        let mut patience = self.patience();
        loop {
            let options = PutOptions::new().ttl(ttl).writer(owner).guard(Guard::Absent);
            match self.put_with(&key, owner, options).await.map_err(during)? {
                Written::Applied(receipt) => {
                    let (token, expires_at) = (receipt.version, receipt.expires_at);
                    return Ok(Claimed::Won(Lease { key, token, expires_at }));
                }
                Written::Refused(Some(entry)) => return Ok(Claimed::Held(entry)),
                // It ended between the refusal and now, or by the clock here alone.
                Written::Refused(None) => {
                    self.pause(&mut patience, &key).await.map_err(|error| match error.kind() {
                        ErrorKind::Contended => during(still_held()),
                        _ => during(error),
                    })?;
                }
                Written::Superseded => {
                    let message = "a claim was superseded: it has no timestamp of its own";
                    return Err(during(Error::new(ErrorKind::Internal, message)));
                }
            }
        }
    }

    /// Holds a claim for `ttl` from now; `None` when it is lost. The token stays.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew(&self, key: impl IntoKey, token: u64, ttl: Ttl) -> Result<Option<Lease>> {
        let key = key.into_key()?;
        let rule = self.inner.policy.rule_for(&key);
        let (expiry, _) = placement::clamp(Expiry::After(ttl), rule, self.inner.clock.now());
        let change = Change::Touch(Retouch::Set(expiry));
        let write = self.writing(key.clone(), Guard::Version(token), change);
        match self.submit(write, None).await.map_err(|error| error.during("renew").on(&key))? {
            Outcome::Applied { expires_at, .. } => Ok(Some(Lease { key, token, expires_at })),
            Outcome::Unchanged { .. } => {
                let entry = self.entry(&key).await?.filter(|entry| entry.version == token);
                Ok(entry.map(|entry| Lease { key, token, expires_at: entry.expires_at }))
            }
            Outcome::Refused { .. } | Outcome::NotNative { .. } => Ok(None),
        }
    }

    /// Gives a claim up; false when it was lost already.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, key: impl IntoKey, token: u64) -> Result<bool> {
        let key = key.into_key()?;
        let write = self.operation(&key, Guard::Version(token), Op::Delete);
        let outcome = self.submit(write, None).await.map_err(|error| error.during("release").on(&key))?;
        Ok(matches!(outcome, Outcome::Applied { .. }))
    }
}

fn still_held() -> Error {
    let message = "the claim that is there has ended by the clock here and not by the store's: set the clocks alike, \
                   or try again later";
    Error::new(ErrorKind::Contended, message)
}
