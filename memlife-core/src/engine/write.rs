use super::shelf::with_dictionary;
use super::{Memory, PutOptions, Receipt, Written, placement};
use crate::decide::MAX_DRIFT_MS;
use crate::key::IntoKey;
use crate::policy::Rule;
use crate::record::{Body, Compression, Content, ExpiryOrigin, Kind};
use crate::store::{Change, Durability, Expiry, Guard, Op, Outcome, Placement, Reply, Retouch, Write};
use crate::{Error, ErrorKind, Key, Result, Value};
use serde::Serialize;
use std::sync::Arc;

/// How a touch treats the expiry that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TouchMode {
    /// Sets it exactly.
    #[default]
    Set,
    /// Only makes it later.
    OnlyExtend,
    /// Only makes it earlier.
    OnlyShorten,
}

/// What became of a touch.
#[derive(Clone, Debug, PartialEq)]
pub enum Touched {
    /// The expiry is this now.
    Applied(Receipt),
    /// It stayed as it was, as the mode asks.
    Unchanged,
    /// Nothing visible is there.
    Absent,
}

impl Memory {
    /// Puts `value` under `key`, as the rule of the key says.
    ///
    /// What that means follows the kind of the entry: `lww` replaces, `counter` adds, `multi_value` replaces what
    /// the same named writer wrote and stands beside what others wrote.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` for the key or value; `TypeMismatch` when the key holds another kind; the store's own.
    pub async fn put<T: Serialize + ?Sized>(&self, key: impl IntoKey, value: &T) -> Result<Receipt> {
        let key = key.into_key()?;
        let value = Value::json(value).map_err(|error| error.during("put").on(&key))?;
        match self.put_value(&key, value, PutOptions::new()).await? {
            Written::Applied(receipt) => Ok(receipt),
            Written::Superseded | Written::Refused(_) => Err(internal("a plain put was refused").on(&key)),
        }
    }

    /// As [`Memory::put`], with options.
    ///
    /// # Errors
    /// As [`Memory::put`].
    pub async fn put_with<T: Serialize + ?Sized>(
        &self,
        key: impl IntoKey,
        value: &T,
        options: PutOptions,
    ) -> Result<Written> {
        let key = key.into_key()?;
        let value = Value::json(value).map_err(|error| error.during("put").on(&key))?;
        self.put_value(&key, value, options).await
    }

    /// Puts a value that is bytes, or JSON text that is kept byte for byte.
    ///
    /// # Errors
    /// As [`Memory::put`].
    pub async fn put_value(&self, key: impl IntoKey, value: Value, options: PutOptions) -> Result<Written> {
        let key = key.into_key()?;
        self.check_durability(options.durability).map_err(|error| error.during("put").on(&key))?;
        // The first write learns how values are compressed.
        self.note_policy().await;
        let (write, clamped) =
            self.put_write(&key, &value, &options).map_err(|error| error.during("put").on(&key))?;
        let outcome = self.submit(write, options.durability).await;
        let written = self.written(outcome.map_err(|error| error.during("put").on(&key))?, clamped)?;
        if let Written::Applied(Receipt { dropped_siblings: dropped @ 1.., .. }) = &written {
            tracing::warn!(%key, dropped, "the key has as many siblings as it may: the oldest values went");
        }
        Ok(written)
    }

    /// The write that a put submits, and whether the rule's limits changed its expiry.
    pub(super) fn put_write(&self, key: &Key, value: &Value, options: &PutOptions) -> Result<(Write, bool)> {
        self.check_size(value)?;
        let rule = self.inner.policy.rule_for(key);
        let mut placed = placement::by_rule(rule, &self.inner.seed);
        let mut clamped = false;
        if let Some(asked) = options.expiry {
            (placed.expiry, clamped) = placement::clamp(asked, rule, self.inner.clock.now());
            if asked != Expiry::Keep {
                placed.origin = ExpiryOrigin::Caller;
            }
        }
        // Where the value becomes part of a state, the state is what is compressed.
        let body = match placed.kind {
            Kind::Lww => self.packed(value, rule)?,
            _ => Body::of_value(value, Compression::NONE)?,
        };
        let op = match (options.timestamp, options.guard) {
            (Some(at), _) => Op::PutAt(body, at),
            // Whoever names the version has seen all it held.
            (None, Guard::Version(_)) => Op::Assign(body),
            (None, _) => Op::Put(body),
        };
        let reply = if options.guard == Guard::Any { Reply::Outcome } else { Reply::Whole };
        let write = Write {
            key: key.clone(),
            guard: options.guard,
            change: Change::Op(op),
            placement: Arc::new(placed),
            writer: options.writer.clone().or_else(|| self.inner.writer.clone()),
            reply,
        };
        Ok((write, clamped))
    }

    /// A register's value, compressed as its rule says.
    fn packed(&self, value: &Value, rule: &Rule) -> Result<Body> {
        let (how, dictionary) = (rule.compression, self.inner.store.dictionary_of(rule.id()));
        Body::of_value(value, with_dictionary(Content::Value(value.encoding), how, dictionary))
    }

    fn check_durability(&self, asked: Option<Durability>) -> Result<()> {
        let most = self.inner.store.info().max_durability;
        match asked {
            Some(asked) if asked > most => {
                let message =
                    format!("this store gives at most the durability {most}, and {asked} was asked for");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, value: &Value) -> Result<()> {
        let limit = self.inner.limits.value_bytes;
        if value.bytes.len() > limit {
            let size = value.bytes.len();
            let message = format!(
                "the value has {size} bytes and at most {limit} are allowed: split it or raise the limit"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    /// Deletes `key`. Returns whether something visible was there.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, key: impl IntoKey) -> Result<bool> {
        let written = self.delete_if(key, Guard::Any).await?;
        Ok(matches!(written, Written::Applied(_)))
    }

    /// Deletes `key` if `guard` holds; [`Written::Superseded`] when there was nothing to delete.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_if(&self, key: impl IntoKey, guard: Guard) -> Result<Written> {
        let key = key.into_key()?;
        let write = self.operation(&key, guard, Op::Delete);
        let outcome = self.submit(write, None).await;
        self.written(outcome.map_err(|error| error.during("delete").on(&key))?, false)
    }

    /// Changes when a visible entry expires; its version stays.
    ///
    /// Never revives an expired entry.
    ///
    /// # Errors
    /// `Invalid` for [`Expiry::Keep`]; the store's.
    pub async fn touch(&self, key: impl IntoKey, expiry: Expiry, mode: TouchMode) -> Result<Touched> {
        let key = key.into_key()?;
        if expiry == Expiry::Keep {
            return Err(internal("touching keeps nothing: name an expiry").during("touch").on(&key));
        }
        let rule = self.inner.policy.rule_for(&key);
        let (expiry, clamped) = placement::clamp(expiry, rule, self.inner.clock.now());
        let retouch = match mode {
            TouchMode::Set => Retouch::Set(expiry),
            TouchMode::OnlyExtend => Retouch::Extend(expiry),
            TouchMode::OnlyShorten => Retouch::Shorten(expiry),
        };
        let write = self.writing(key.clone(), Guard::Visible, Change::Touch(retouch));
        let outcome = self.submit(write, None).await.map_err(|error| error.during("touch").on(&key))?;
        Ok(match self.written(outcome, clamped)? {
            Written::Applied(receipt) => Touched::Applied(receipt),
            Written::Superseded => Touched::Unchanged,
            Written::Refused(_) => Touched::Absent,
        })
    }

    /// An operation under the key's rule.
    pub(super) fn operation(&self, key: &Key, guard: Guard, op: Op) -> Write {
        let reply = if guard == Guard::Any { Reply::Outcome } else { Reply::Whole };
        Write {
            key: key.clone(),
            guard,
            change: Change::Op(op),
            placement: self.inner.placement(key),
            writer: self.inner.writer.clone(),
            reply,
        }
    }

    /// Submits one write; what the store cannot decide is decided here and put back under its version.
    pub(super) async fn submit(&self, write: Write, durability: Option<Durability>) -> Result<Outcome> {
        self.note_policy().await;
        match self.apply_one(write.clone(), durability).await? {
            Outcome::NotNative { current } => self.resolve_here(write, current, durability).await,
            outcome => Ok(outcome),
        }
    }

    pub(super) async fn apply_one(&self, write: Write, durability: Option<Durability>) -> Result<Outcome> {
        let batch = self.inner.batch(vec![write], durability);
        let results = self.inner.store.apply(&batch).await?;
        results.into_iter().next().unwrap_or_else(|| Err(internal("the store answered no write")))
    }

    /// Writes `writes` in one batch and returns the outcomes in order.
    pub(super) async fn submit_all(&self, writes: Vec<Write>) -> Result<Vec<Result<Outcome>>> {
        self.note_policy().await;
        let mut outcomes = self.inner.store.apply(&self.inner.batch(writes.clone(), None)).await?;
        for (write, slot) in writes.into_iter().zip(&mut outcomes) {
            if let Ok(Outcome::NotNative { current }) = slot {
                let current = current.take();
                *slot = self.resolve_here(write, current, None).await;
            }
        }
        Ok(outcomes)
    }

    /// A write that gives the entry what its present rule says.
    pub(super) fn restamping(&self, key: &Key) -> Write {
        self.writing(key.clone(), Guard::Visible, Change::Restamp)
    }

    /// A write of nobody in particular, under the key's rule.
    pub(super) fn writing(&self, key: Key, guard: Guard, change: Change) -> Write {
        let placement = self.inner.placement(&key);
        Write::new(key, guard, change, placement)
    }

    pub(super) fn written(&self, outcome: Outcome, clamped: bool) -> Result<Written> {
        Ok(match outcome {
            Outcome::Applied { version, stamp, expires_at, dropped, .. } => {
                Written::Applied(Receipt { version, stamp, expires_at, clamped, dropped_siblings: dropped })
            }
            Outcome::Unchanged { .. } => Written::Superseded,
            Outcome::Refused { current } => {
                let now = self.inner.now(crate::Timestamp::EPOCH);
                let seen = current.filter(|record| self.is_visible(&record.key, &record.head, now));
                Written::Refused(seen.map(|record| self.to_entry(*record)).transpose()?.map(Box::new))
            }
            Outcome::NotNative { .. } => return Err(internal("a write was left undecided")),
        })
    }

    /// The latest instant that a caller's timestamp may name.
    pub fn latest_timestamp(&self) -> crate::Timestamp {
        self.inner.clock.now().plus_ms(MAX_DRIFT_MS)
    }
}

/// Whether two placements would store an entry alike.
pub(super) fn places_alike(placement: &Placement, head: &crate::record::Head) -> bool {
    *placement.rule == *head.rule && placement.class == head.class && placement.kind == head.kind
}

pub(super) fn internal(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}
