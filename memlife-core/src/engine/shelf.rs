//! The store as the engine sees it: what comes out names no dictionary that the process does not know, and what goes in
//! names none that the store does not keep.

use super::write::internal;
use crate::record::{
    Body, Codec, Compression, Content, Dictionary, MAX_DICTIONARY_BYTES, MAX_RAW_BYTES, Record,
};
use crate::store::{
    Batch, Change, Changes, Feed, FeedItem, Fetched, Op, Outcome, Page, Repair, Scan, Store, Verification,
    Want, Write,
};
use crate::{Error, ErrorKind, Key, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Dictionaries that are read at once.
const PAGE: usize = 64;

/// Which dictionary new values of each rule are compressed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub rules: BTreeMap<String, u32>,
}

pub(super) struct Shelf {
    store: Arc<dyn Store>,
    dictionaries: RwLock<Kept>,
}

/// What is known of the dictionaries in the store.
#[derive(Default)]
struct Kept {
    ids: HashSet<u32>,
    rules: HashMap<Arc<str>, u32>,
}

impl Deref for Shelf {
    type Target = Arc<dyn Store>;

    fn deref(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl Shelf {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Shelf { store, dictionaries: RwLock::default() }
    }

    pub async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        let fetched = self.store.get(keys, want).await?;
        self.learn_of(fetched.slots.iter().flatten()).await?;
        Ok(fetched)
    }

    pub async fn scan(&self, query: &Scan) -> Result<Page> {
        let page = self.store.scan(query).await?;
        self.learn_of(page.records.iter().flatten()).await?;
        Ok(page)
    }

    pub async fn changes(&self, query: &Feed) -> Result<Changes> {
        let changes = self.store.changes(query).await?;
        if let Changes::Page(page) = &changes {
            let records = page.items.iter().filter_map(|item| match item {
                FeedItem::Record(record) => Some(&**record),
                FeedItem::Removed(_) => None,
            });
            self.learn_of(records).await?;
        }
        Ok(changes)
    }

    pub async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        let known = self.kept().ids.len();
        let mut outcomes = self.apply_once(batch).await?;
        let is_damage = |outcome: &Result<Outcome>| {
            outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt)
        };
        if !outcomes.iter().any(is_damage) {
            return Ok(outcomes);
        }
        Box::pin(self.learn_all()).await?;
        if self.kept().ids.len() > known {
            // A store that joins two values of one stamp reads them, and this process did not know by which dictionary;
            // it does now, by this batch or by another one at the same time. What failed has done nothing, so it is
            // asked for once more.
            let failed = batch.writes.iter().zip(&outcomes).filter(|(_, outcome)| is_damage(outcome));
            let writes = failed.map(|(write, _)| write.clone()).collect();
            let again = Batch { token: None, writes, ..*batch };
            let mut told = Box::pin(self.apply_once(&again)).await?.into_iter();
            for outcome in outcomes.iter_mut().filter(|outcome| is_damage(outcome)) {
                *outcome = told.next().unwrap_or_else(|| Err(internal("the store answered no write")));
            }
        }
        Ok(outcomes)
    }

    async fn apply_once(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        let is_foreign = |write: &Write| body_of(write).is_some_and(|body| !self.keeps(body.dictionary()));
        let outcomes = if batch.writes.iter().any(is_foreign) {
            Box::pin(self.apply_foreign(batch)).await?
        } else {
            self.store.apply(batch).await?
        };
        let records = outcomes.iter().flatten().filter_map(|outcome| match outcome {
            Outcome::Applied { record, .. } => record.as_deref(),
            Outcome::Unchanged { current }
            | Outcome::Refused { current }
            | Outcome::NotNative { current } => current.as_deref(),
        });
        self.learn_of(records).await?;
        Ok(outcomes)
    }

    pub async fn verify(&self, repair: Repair) -> Result<Verification> {
        // A value whose dictionary the process does not know looks like a damaged one.
        if let Err(error) = self.learn_all().await {
            tracing::warn!(%error, "dictionaries cannot be read");
        }
        self.store.verify(repair).await
    }

    /// The dictionary for new values of this rule; 0 for none.
    pub fn dictionary_of(&self, rule: &str) -> u32 {
        self.kept().rules.get(rule).copied().unwrap_or(0)
    }

    /// The key of the index.
    pub fn index_key() -> Result<Key> {
        Key::system("dictionaries")
    }

    /// The key of a dictionary.
    pub fn dictionary_key(id: u32) -> Result<Key> {
        Key::system(&format!("dictionary/{id:08x}"))
    }

    /// Takes over what the store says of its dictionaries.
    pub async fn learn_index(&self, index: Index) -> Result<()> {
        self.learn(index.rules.values().copied().collect()).await?;
        let rules = index.rules.into_iter().filter(|(_, id)| Dictionary::known(*id).is_some());
        self.kept_mut().rules = rules.map(|(rule, id)| (rule.into(), id)).collect();
        Ok(())
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.dictionaries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, Kept> {
        self.dictionaries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeps(&self, id: u32) -> bool {
        id == 0 || self.kept().ids.contains(&id)
    }

    /// Looks for the dictionaries of these records, where they are not known.
    async fn learn_of(&self, records: impl Iterator<Item = &Record>) -> Result<()> {
        let named = records.filter_map(|record| record.body.as_ref().map(Body::dictionary));
        let unknown: HashSet<u32> = named.filter(|id| *id != 0 && Dictionary::known(*id).is_none()).collect();
        if unknown.is_empty() { Ok(()) } else { Box::pin(self.learn(unknown)).await }
    }

    /// Reads these dictionaries, where the store has them.
    async fn learn(&self, ids: HashSet<u32>) -> Result<()> {
        let missing = ids.into_iter().filter(|id| !self.keeps(*id));
        let keys: Vec<Key> = missing.map(Shelf::dictionary_key).collect::<Result<_>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        self.take_in(self.store.get(&keys, Want::Whole).await?.slots.into_iter().flatten());
        Ok(())
    }

    /// Reads all dictionaries of the store.
    async fn learn_all(&self) -> Result<()> {
        let within = Key::system("dictionary")?;
        let mut after = None;
        loop {
            let scan = Scan {
                within: Some(within.as_str().into()),
                after,
                limit: PAGE,
                system: true,
                ..Scan::default()
            };
            let page = self.store.scan(&scan).await?;
            self.take_in(page.records.into_iter().flatten());
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Learns the dictionaries that these records hold. Whoever meets a value of one that cannot be read is told then.
    fn take_in(&self, records: impl Iterator<Item = Record>) {
        for record in records.filter(|record| record.head.alive) {
            let key = record.key.clone();
            let value = record.into_body().and_then(|body| body.into_value(MAX_DICTIONARY_BYTES));
            match value.and_then(|value| Dictionary::learn(&value.bytes)) {
                Ok(dictionary) => {
                    self.kept_mut().ids.insert(dictionary.id());
                }
                Err(error) => tracing::warn!(%error, %key, "a dictionary cannot be read"),
            }
        }
    }

    /// Carries out a batch with bodies from elsewhere: those with a dictionary that is not kept here are compressed
    /// anew. One that cannot be read is the error of its write.
    async fn apply_foreign(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        self.learn(batch.writes.iter().filter_map(|write| Some(body_of(write)?.dictionary())).collect())
            .await?;
        let mut own = Batch { writes: Vec::with_capacity(batch.writes.len()), ..*batch };
        let mut errors: Vec<(usize, Error)> = Vec::new();
        for (place, write) in batch.writes.iter().enumerate() {
            match self.own(write) {
                Ok(write) => own.writes.push(write),
                Err(error) => errors.push((place, error.on(&write.key))),
            }
        }
        let mut outcomes = if own.writes.is_empty() { Vec::new() } else { self.store.apply(&own).await? };
        // In order, so that each comes to its place.
        errors.into_iter().for_each(|(place, error)| outcomes.insert(place, Err(error)));
        Ok(outcomes)
    }

    fn own(&self, write: &Write) -> Result<Write> {
        let mut own = write.clone();
        let dictionary = self.dictionary_of(&own.placement.rule);
        let how = own.placement.compression;
        let body = match &mut own.change {
            Change::Op(Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body)) => body,
            Change::Join(record) | Change::Merged { record, .. } => {
                if let Some(body) = &mut record.body {
                    self.repack(body, how, dictionary)?;
                    record.head.measure(Some(body));
                }
                return Ok(own);
            }
            Change::Replace { body: Some(body), .. } => body,
            _ => return Ok(own),
        };
        self.repack(body, how, dictionary)?;
        Ok(own)
    }

    fn repack(&self, body: &mut Body, how: Compression, dictionary: u32) -> Result<()> {
        if !self.keeps(body.dictionary()) {
            let raw = body.open(MAX_RAW_BYTES)?;
            *body = Body::pack(body.content(), &raw, with_dictionary(body.content(), how, dictionary))?;
        }
        Ok(())
    }
}

/// How a value is compressed under a rule whose dictionary this is. Other content, which changes a piece at a time,
/// has none.
pub(super) fn with_dictionary(content: Content, how: Compression, dictionary: u32) -> Compression {
    match (content, how.codec) {
        (Content::Value(_), Codec::Zstd) => Compression { dictionary, ..how },
        _ => how,
    }
}

fn body_of(write: &Write) -> Option<&Body> {
    match &write.change {
        Change::Op(Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body)) => Some(body),
        Change::Join(record) | Change::Merged { record, .. } => record.body.as_ref(),
        Change::Replace { body, .. } => body.as_ref(),
        _ => None,
    }
}
