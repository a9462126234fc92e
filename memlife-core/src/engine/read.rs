use super::{Entry, Memory, ReadOptions, Renewal, Show};
use crate::decide::effective_expiry;
use crate::key::IntoKey;
use crate::policy::Refresh;
use crate::record::{ExpiryOrigin, Head, Kind, ReclaimClass, Record};
use crate::resolver::Held;
use crate::store::{Change, Guard, Retouch, Want};
use crate::{Error, ErrorKind, Key, Result, Timestamp, Ttl, Value};
use serde::de::DeserializeOwned;

impl Memory {
    /// The value of `key`, read as `T`; `None` when nothing is visible there.
    ///
    /// Under `multi_value` this is the newest of the values.
    ///
    /// # Errors
    /// `TypeMismatch` when the value is not a `T`; `Corrupt` when its bytes are damaged.
    pub async fn get<T: DeserializeOwned>(&self, key: impl IntoKey) -> Result<Option<T>> {
        let key = key.into_key()?;
        let value = self.get_value(&key).await?;
        value.map(|value| value.parse().map_err(|error| error.during("get").on(&key))).transpose()
    }

    /// The value of `key` as it was put, unparsed.
    ///
    /// # Errors
    /// As [`Memory::get`].
    pub async fn get_value(&self, key: impl IntoKey) -> Result<Option<Value>> {
        let key = key.into_key()?;
        let during = |error: Error| error.during("get").on(&key);
        let fetched = self.inner.store.get(std::slice::from_ref(&key), Want::Whole).await.map_err(during)?;
        let Some(record) = fetched.slots.into_iter().next().flatten() else { return Ok(None) };
        let now = self.inner.now(fetched.clock);
        if !self.shows(&record.key, &record.head, now, ReadOptions::new()).await {
            return Ok(None);
        }
        self.newest(record).map(Some).map_err(during)
    }

    /// The entry of `key` with its value, siblings and metadata.
    ///
    /// # Errors
    /// As [`Memory::get`].
    pub async fn entry(&self, key: impl IntoKey) -> Result<Option<Entry>> {
        self.entry_with(key, ReadOptions::new()).await
    }

    /// As [`Memory::entry`], with options.
    ///
    /// # Errors
    /// As [`Memory::get`].
    pub async fn entry_with(&self, key: impl IntoKey, options: ReadOptions) -> Result<Option<Entry>> {
        let key = key.into_key()?;
        let mut entries = self.entries(std::slice::from_ref(&key), options).await?;
        Ok(entries.pop().flatten())
    }

    /// The entries of several keys at once: one slot per key, in order.
    ///
    /// # Errors
    /// As [`Memory::get`]; one damaged entry fails the call and is named.
    pub async fn entries(&self, keys: &[Key], options: ReadOptions) -> Result<Vec<Option<Entry>>> {
        let fetched = self.inner.store.get(keys, Want::Whole).await.map_err(|error| error.during("get"))?;
        let now = self.inner.now(fetched.clock);
        let mut entries = Vec::with_capacity(keys.len());
        for slot in fetched.slots {
            let entry = match slot {
                Some(record) if self.shows(&record.key, &record.head, now, options).await => {
                    Some(self.to_entry(record).map_err(|error| error.during("get"))?)
                }
                _ => None,
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Whether a read shows the entry; renews it, or queues its bytes for removal, as its rule says.
    async fn shows(&self, key: &Key, head: &Head, now: Timestamp, options: ReadOptions) -> bool {
        if key.is_system() || !head.alive {
            return false;
        }
        if self.is_visible(key, head, now) {
            let renews = self.inner.renews_on_read && options.renewal == Renewal::ByRule;
            if renews && options.show == Show::Visible {
                self.renew_on_read(key, head, now).await;
            }
            return true;
        }
        if options.show == Show::Expired {
            return true;
        }
        if head.class == ReclaimClass::Lazy {
            self.reclaim_later(key).await;
        }
        false
    }

    /// Whether users can see the entry at `now`.
    pub(super) fn is_visible(&self, key: &Key, head: &Head, now: Timestamp) -> bool {
        head.alive && self.expires_at(key, head).is_none_or(|end| now < end)
    }

    /// When the entry expires: by its own mark, or by the present rule where none has judged it yet.
    pub(super) fn expires_at(&self, key: &Key, head: &Head) -> Option<Timestamp> {
        match head.origin {
            ExpiryOrigin::Unjudged => effective_expiry(head, &self.inner.placement(key)),
            ExpiryOrigin::Rule | ExpiryOrigin::Caller => head.life.expires_at,
        }
    }

    /// Renews an entry that was read. Failing to renew fails no read.
    async fn renew_on_read(&self, key: &Key, head: &Head, now: Timestamp) {
        let rule = self.inner.policy.rule_for(key);
        let (Refresh::OnRead, Some(ttl), ExpiryOrigin::Rule) = (rule.refresh, rule.ttl, head.origin) else {
            return;
        };
        let gain = now.plus_ms(ttl.ms()).since(head.life.expires_at.unwrap_or(Timestamp::MAX));
        if gain < (ttl.ms() / 8).max(1) || self.inner.store.info().read_only {
            return;
        }
        // Apart, as most reads renew nothing: the future of a read is moved about each time.
        if let Err(error) = Box::pin(self.refresh(key, ttl)).await {
            tracing::debug!(%error, %key, "a read could not renew its entry");
        }
    }

    async fn refresh(&self, key: &Key, ttl: Ttl) -> Result<()> {
        let write = self.writing(key.clone(), Guard::Visible, Change::Touch(Retouch::Refresh(ttl)));
        self.submit(write, None).await.map(drop)
    }

    pub(super) fn to_entry(&self, record: Record) -> Result<Entry> {
        let values = match &record.body {
            Some(body) if record.head.alive => self.held(&record.key, &record.head, body)?,
            _ => Vec::new(),
        };
        let expires_at = self.expires_at(&record.key, &record.head);
        Ok(Entry::new(record, values, expires_at))
    }

    fn held(&self, key: &Key, head: &Head, body: &crate::record::Body) -> Result<Vec<Held>> {
        let resolver = self.inner.resolver(&head.kind, key)?;
        resolver.read(head, body, self.read_limit(&head.kind)).map_err(|error| error.on(key))
    }

    fn newest(&self, record: Record) -> Result<Value> {
        if record.head.kind == Kind::Lww {
            return record.into_body()?.into_value(self.inner.limits.value_bytes);
        }
        let values = self.held(&record.key, &record.head, record.body()?)?;
        values
            .into_iter()
            .next()
            .map(|held| held.value)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a living entry holds no value").on(&record.key))
    }

    /// A state may hold as many values as it has siblings.
    fn read_limit(&self, kind: &Kind) -> usize {
        match kind {
            Kind::MultiValue => crate::record::MAX_RAW_BYTES,
            _ => self.inner.limits.value_bytes,
        }
    }
}
