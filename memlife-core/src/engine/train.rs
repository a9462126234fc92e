//! Training dictionaries on what is stored.

use super::shelf::{Index, Shelf, with_dictionary};
use super::{Memory, Progress};
use crate::policy::Rule;
use crate::record::{
    Body, Codec, Compression, Content, DICTIONARY_THRESHOLD_BYTES, Dictionary, Kind, Record,
};
use crate::store::{Guard, Scan, UsageQuery, Want};
use crate::{Error, ErrorKind, Result, Timestamp, Value};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Entries per page, and the bytes of bodies that end one early.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;
/// The most values of a rule that are looked at, and the most bytes of them.
const MAX_SAMPLES: usize = 5_000;
const MAX_SAMPLE_BYTES: usize = 8 << 20;
/// Larger values gain nothing: what they have in common with themselves is more.
const MAX_VALUE_BYTES: usize = 64 << 10;
/// The fewest values to train on.
const MIN_SAMPLES: usize = 100;
/// One value of so many is held out: a dictionary is judged by values that it was not trained on.
const HELD_OUT: usize = 5;
/// A dictionary has a tenth of what it is trained on, within these bounds.
const SHARE: usize = 10;
const MIN_BYTES: usize = 1 << 10;
const MAX_BYTES: usize = 32 << 10;
/// How often the index is tried again when another training changed it.
const INDEX_ATTEMPTS: u32 = 8;

/// How to train.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TrainOptions {
    /// Only the rule of this pattern; all of them unless set.
    pub rule: Option<String>,
    /// Tell what training would bring, and keep nothing.
    pub dry_run: bool,
}

impl TrainOptions {
    /// Trains for all rules, and keeps what brings a gain.
    pub fn new() -> Self {
        TrainOptions::default()
    }

    /// Only the rule of this pattern.
    #[must_use]
    pub fn rule(mut self, pattern: impl Into<String>) -> Self {
        self.rule = Some(pattern.into());
        self
    }

    /// Keeps nothing.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What training brought for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Training {
    /// The rule's pattern.
    pub rule: Arc<str>,
    /// Values of the rule that a dictionary can be for: registers of 48 bytes to 64 KiB.
    pub values: u64,
    /// How many of them were looked at.
    pub samples: usize,
    /// What came of it.
    pub result: Trained,
}

/// What came of training for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trained {
    /// The rule compresses by something else than zstd, or not at all.
    NotZstd,
    /// There are fewer values than the 125 that a dictionary can be trained and judged on.
    TooFew,
    /// The values have too little in common; bytes stored of those held out, as now and with a dictionary.
    NoGain {
        /// As the rule compresses now.
        now: u64,
        /// With the dictionary; the same as `now` where none could be trained.
        then: u64,
    },
    /// New values are compressed with this dictionary, unless this was a dry run.
    Gain {
        /// Its number.
        dictionary: u32,
        /// Its size in bytes.
        bytes: usize,
        /// Bytes stored of the values held out, as the rule compresses now.
        now: u64,
        /// The same with the dictionary.
        then: u64,
    },
}

impl Memory {
    /// Trains a dictionary for each rule on a sample of its values, and keeps those that make values held out from the
    /// sample at least a tenth smaller, and all the rule's values smaller by more than the dictionary's own size.
    ///
    /// New values are compressed with it from then on: in this process at once, in others when they are opened next,
    /// or meet the first such value. Values that are stored stay as they are, and so do earlier dictionaries, since
    /// values name them.
    ///
    /// # Errors
    /// `Invalid` for a pattern that no rule has; `Unsupported` where the store keeps no dictionaries; the store's.
    pub async fn train(&self, options: &TrainOptions, progress: Option<Progress>) -> Result<Vec<Training>> {
        self.train_all(options, progress).await.map_err(|error| error.during("policy train"))
    }

    async fn train_all(&self, options: &TrainOptions, progress: Option<Progress>) -> Result<Vec<Training>> {
        let policy = self.inner.policy.clone();
        let is_asked = |rule: &&Rule| options.rule.as_ref().is_none_or(|pattern| **pattern == **rule.id());
        let rules: Vec<&Rule> = policy.rules().into_iter().filter(is_asked).collect();
        if rules.is_empty() {
            let asked = options.rule.as_deref().unwrap_or_default();
            let message = format!("no rule has the pattern {asked:?}: `policy list` shows them");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let info = self.inner.store.info();
        if !info.keeps_dictionaries {
            let message = format!(
                "the store `{}` keeps values so that each is readable by itself: dictionaries are for other stores",
                info.backend
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.note_policy().await;
        let mut samples = self.samples(&rules, progress).await?;
        let mut trainings = Vec::with_capacity(rules.len());
        for rule in rules {
            let sample = samples.remove(rule.id()).unwrap_or_default();
            let (result, trained) = self.judged(rule, &sample)?;
            if let (Some(bytes), false) = (trained, options.dry_run) {
                self.keep_dictionary(rule.id(), &bytes).await?;
            }
            let (values, samples) = (sample.values, sample.by_hash.len());
            trainings.push(Training { rule: rule.id().clone(), values, samples, result });
        }
        Ok(trainings)
    }

    /// A sample of the values of each rule.
    async fn samples(
        &self,
        rules: &[&Rule],
        progress: Option<Progress>,
    ) -> Result<HashMap<Arc<str>, Sample>> {
        let total = self.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?.totals.tally.entries;
        let mut samples: HashMap<Arc<str>, Sample> = HashMap::new();
        let (mut after, mut seen) = (None, 0);
        loop {
            let scan = Scan { after, limit: PAGE, want: Want::Whole, bytes: PAGE_BYTES, ..Scan::default() };
            let page = self.inner.store.scan(&scan).await?;
            let now = self.inner.now(page.clock);
            seen += page.records.len() as u64;
            // What is damaged is no sample; `verify` names it.
            for record in page.records.into_iter().flatten() {
                let rule = self.inner.policy.rule_for(&record.key);
                if rules.iter().any(|asked| asked.id() == rule.id()) && self.is_sample(&record, now) {
                    samples.entry(rule.id().clone()).or_default().take(&record);
                }
            }
            if let Some(progress) = &progress {
                progress(seen, Some(total.max(seen)));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(samples),
            }
        }
    }

    fn is_sample(&self, record: &Record, now: Timestamp) -> bool {
        let sizes = DICTIONARY_THRESHOLD_BYTES..=MAX_VALUE_BYTES;
        record.head.kind == Kind::Lww
            && sizes.contains(&(record.head.raw_len as usize))
            && self.is_visible(&record.key, &record.head, now)
    }

    /// What a dictionary trained on most of the sample brings for the rest of it, and the dictionary where it is worth
    /// keeping.
    fn judged(&self, rule: &Rule, sample: &Sample) -> Result<(Trained, Option<Vec<u8>>)> {
        if rule.compression.codec != Codec::Zstd {
            return Ok((Trained::NotZstd, None));
        }
        let (mut trained_on, mut held_out) = (Vec::new(), Vec::new());
        for (place, value) in sample.by_hash.values().enumerate() {
            let part = if place % HELD_OUT == 0 { &mut held_out } else { &mut trained_on };
            part.push(value);
        }
        if trained_on.len() < MIN_SAMPLES {
            return Ok((Trained::TooFew, None));
        }
        let total: usize = trained_on.iter().map(|value| value.bytes.len()).sum();
        let texts: Vec<&Bytes> = trained_on.iter().map(|value| &value.bytes).collect();
        let now = stored(&held_out, rule.compression, self.inner.store.dictionary_of(rule.id()))?;
        let Some(bytes) = Dictionary::train(&texts, (total / SHARE).clamp(MIN_BYTES, MAX_BYTES)) else {
            return Ok((Trained::NoGain { now, then: now }, None));
        };
        let dictionary = Dictionary::learn(&bytes)?.id();
        let then = stored(&held_out, rule.compression, dictionary)?;
        let saved = now.saturating_sub(then).saturating_mul(sample.values) / held_out.len().max(1) as u64;
        if then.saturating_mul(10) > now.saturating_mul(9) || saved <= bytes.len() as u64 {
            return Ok((Trained::NoGain { now, then }, None));
        }
        Ok((Trained::Gain { dictionary, bytes: bytes.len(), now, then }, Some(bytes)))
    }

    /// Stores a dictionary, and then that new values of the rule are compressed with it.
    async fn keep_dictionary(&self, rule: &str, bytes: &[u8]) -> Result<()> {
        let id = Dictionary::learn(bytes)?.id();
        let value = Value::bytes(bytes.to_vec());
        self.system_put_value(&Shelf::dictionary_key(id)?, &value, Guard::Any).await?;
        let key = Shelf::index_key()?;
        for _ in 0..INDEX_ATTEMPTS {
            let (mut index, guard) = match self.system_get::<Index>(&key).await? {
                Some((index, version)) => (index, Guard::Version(version)),
                None => (Index::default(), Guard::Absent),
            };
            index.rules.insert(rule.to_owned(), id);
            if self.system_put(&key, &index, guard).await? {
                return self.inner.store.learn_index(index).await;
            }
        }
        Err(Error::new(ErrorKind::Contended, "others kept training at the same time: try again later"))
    }
}

/// Bytes stored of these values.
fn stored(values: &[&Value], how: Compression, dictionary: u32) -> Result<u64> {
    let mut sum = 0;
    for value in values {
        let how = with_dictionary(Content::Value(value.encoding), how, dictionary);
        sum += Body::of_value(value, how)?.payload().len() as u64;
    }
    Ok(sum)
}

/// Values of one rule: those whose keys have the smallest hashes, so that every entry is as likely to be among them as
/// any other, wherever it stands ("bottom-k"; Cohen and Kaplan, PODC 2007).
#[derive(Default)]
struct Sample {
    values: u64,
    bytes: usize,
    by_hash: BTreeMap<u64, Value>,
}

impl Sample {
    fn take(&mut self, record: &Record) {
        self.values += 1;
        let hash = xxh3_64(record.key.as_str().as_bytes());
        let is_full = self.by_hash.len() >= MAX_SAMPLES || self.bytes >= MAX_SAMPLE_BYTES;
        if is_full && self.by_hash.last_key_value().is_some_and(|(last, _)| *last < hash) {
            return;
        }
        // What does not read is no sample; reading it tells.
        let Some(Ok(value)) = record.body.as_ref().map(|body| body.value(MAX_VALUE_BYTES)) else { return };
        self.bytes += value.bytes.len();
        if let Some(before) = self.by_hash.insert(hash, value) {
            self.bytes -= before.bytes.len();
        }
        while self.by_hash.len() > MAX_SAMPLES || self.bytes > MAX_SAMPLE_BYTES {
            let Some((_, last)) = self.by_hash.pop_last() else { return };
            self.bytes -= last.bytes.len();
        }
    }
}
