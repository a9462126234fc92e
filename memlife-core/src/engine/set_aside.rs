//! Records that cannot be merged, or not yet: kept for people to look at, never dropped.

use super::{Entry, Memory, StateLine};
use crate::record::Record;
use crate::store::{Cause, Change, Guard, Scan, Want, Write};
use crate::{Error, ErrorKind, Key, MAX_DRIFT_MS, Result, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

const LOST: &str = "lost+found";
const QUARANTINE: &str = "quarantine";
/// The bytes of one page of what was set aside.
const PAGE_BYTES: usize = 4 << 20;
const PAGE: usize = 100;
/// Room for a record as JSON, whatever the limit on values.
const READ_BYTES: usize = 1 << 30;
/// How far ahead a stamp may lie that is waited for: a month. Beyond, no clock is meant.
const LONGEST_WAIT_MS: u64 = 31 * 86_400_000;

/// A record that was set aside instead of being merged.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetAside {
    /// The key that it is of.
    pub key: Key,
    /// Why.
    pub why: WhySetAside,
    /// When.
    pub at: Timestamp,
    /// The record. A line of `key` and this `state` can be imported.
    pub state: StateLine,
}

/// Why a record is not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhySetAside {
    /// Another replica holds the key as another kind, and decided so later.
    TypeConflict,
    /// Another replica removed it while this one was away for long.
    RemovedElsewhere,
    /// Its stamp lies further ahead of the clock than replicas may differ. It is merged from this instant on.
    FutureStamp(Timestamp),
}

impl SetAside {
    /// What the record holds.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn entry(&self, memory: &Memory) -> Result<Entry> {
        memory.to_entry(self.state.record(&self.key)?)
    }
}

impl Memory {
    /// Everything that was set aside and is still there: what lost its key to another kind, and what waits because its
    /// stamp lies in the future.
    ///
    /// # Errors
    /// The store's. What is damaged is left out, with a warning.
    pub async fn set_aside(&self) -> Result<Vec<SetAside>> {
        let mut found = Vec::new();
        for folder in [LOST, QUARANTINE] {
            let mut after = None;
            loop {
                let (page, next) = self.aside_page(folder, after).await?;
                found.extend(page.into_iter().map(|(_, aside)| aside));
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Removes what lost its key to another kind; what waits for its time stays. Returns how many went.
    ///
    /// # Errors
    /// The store's.
    pub async fn discard_lost(&self) -> Result<u64> {
        let (mut count, mut after) = (0, None);
        loop {
            let (page, next) = self.aside_page(LOST, after).await?;
            for (place, _) in page {
                self.remove_aside(&place).await?;
                count += 1;
            }
            after = next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// Keeps a record that loses its key to one of another kind. Doing it again changes nothing.
    pub(super) async fn keep_lost(&self, loser: &Record) -> Result<()> {
        if !loser.head.alive {
            return Ok(());
        }
        let (key, kind) = (&loser.key, &loser.head.kind);
        tracing::warn!(%key, %kind, "replicas hold the key as different kinds: what lost is set aside");
        self.keep_aside_as_lost(loser, WhySetAside::TypeConflict).await
    }

    pub(super) async fn keep_aside_as_lost(&self, record: &Record, why: WhySetAside) -> Result<()> {
        self.keep_aside(LOST, "", record, why).await
    }

    /// When a record whose latest time is `latest` can be merged; `None` is now.
    ///
    /// # Errors
    /// `Invalid` where that would be in more than a month.
    pub(super) fn merged_from(&self, latest: Timestamp) -> Result<Option<Timestamp>> {
        let now = self.wall();
        let due = latest.minus_ms(MAX_DRIFT_MS);
        if due <= now {
            return Ok(None);
        }
        if due.since(now) > LONGEST_WAIT_MS {
            let days = due.since(now) / 86_400_000;
            let message =
                format!("its stamp lies {days} days in the future: set the clock of its writer right");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Some(due))
    }

    /// The machine's own clock: the store's follows what it receives, and step by step would follow it anywhere.
    fn wall(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Keeps a record until `due`.
    pub(super) async fn quarantine(&self, record: &Record, due: Timestamp) -> Result<()> {
        let key = &record.key;
        tracing::warn!(%key, replica = %record.head.stamp.replica, "a stamp lies in the future: its record waits");
        // In the order of the instants.
        self.keep_aside(QUARANTINE, &format!("{:016}-", due.ms()), record, WhySetAside::FutureStamp(due))
            .await
    }

    /// Merges what was in quarantine and is due. What cannot be merged stays there, with a warning.
    pub(super) async fn release_quarantined(&self) -> Result<()> {
        let now = self.wall();
        let mut after = None;
        loop {
            let (page, next) = self.aside_page(QUARANTINE, after).await?;
            for (place, aside) in page {
                if matches!(aside.why, WhySetAside::FutureStamp(due) if due > now) {
                    return Ok(());
                }
                let merged = match aside.state.record(&aside.key) {
                    Ok(record) => self.submit(self.joining(record), None).await.map(drop),
                    Err(error) => Err(error),
                };
                match merged {
                    Ok(()) => self.remove_aside(&place).await?,
                    Err(error) if is_of_the_record(&error) => {
                        tracing::warn!(%error, "a record stays in quarantine");
                    }
                    Err(error) => return Err(error),
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// A write that merges `record`.
    pub(super) fn joining(&self, record: Record) -> Write {
        let key = record.key.clone();
        self.writing(key, Guard::Any, Change::Join(Box::new(record)))
    }

    async fn keep_aside(&self, folder: &str, order: &str, record: &Record, why: WhySetAside) -> Result<()> {
        let bytes = [record.key.as_str().as_bytes(), &record.head.encode(&record.key)?].concat();
        let place = Key::system(&format!("{folder}/{order}{:016x}", xxh3_64(&bytes)))?;
        let at = self.inner.now(Timestamp::EPOCH);
        let aside = SetAside { key: record.key.clone(), why, at, state: StateLine::of(record)? };
        self.system_put(&place, &aside, Guard::Absent).await.map(drop)
    }

    async fn remove_aside(&self, place: &Key) -> Result<()> {
        let write = self.writing(place.clone(), Guard::Any, Change::Erase(Cause::Purged));
        self.apply_one(write, None).await.map(drop)
    }

    /// One page of a folder and where the next begins.
    async fn aside_page(
        &self,
        folder: &str,
        after: Option<Key>,
    ) -> Result<(Vec<(Key, SetAside)>, Option<Key>)> {
        let scan = Scan {
            within: Some(Key::system(folder)?.as_str().into()),
            after,
            limit: PAGE,
            want: Want::Whole,
            bytes: PAGE_BYTES,
            system: true,
        };
        let page = self.inner.store.scan(&scan).await?;
        let mut found = Vec::new();
        for record in page.records {
            match record.and_then(|record| Ok((record.key.clone(), aside_of(&record)?))) {
                Ok(aside) => found.push(aside),
                Err(error) => tracing::warn!(%error, "what was set aside is damaged"),
            }
        }
        Ok((found, page.next))
    }
}

/// Whether the record is at fault, and not the store.
pub(super) fn is_of_the_record(error: &Error) -> bool {
    // Unsupported is a kind whose strategy is not registered here.
    use ErrorKind::{Corrupt, Invalid, TooLarge, TypeMismatch, Unsupported};
    matches!(error.kind(), Corrupt | Invalid | TooLarge | TypeMismatch | Unsupported)
}

fn aside_of(record: &Record) -> Result<SetAside> {
    record.body()?.value(READ_BYTES)?.parse()
}
