use super::peer::{self, Peer};
use super::refused::Refused;
use super::{HORIZON_MS, ReplicateOptions, ReplicationReport};
use crate::decide::latest_time;
use crate::engine::set_aside::is_of_the_record;
use crate::engine::{Memory, WhySetAside};
use crate::record::Record;
use crate::store::{
    Change, Changes, Cursor, Feed, FeedItem, Guard, Op, Outcome, Scan, UsageQuery, Want, Write,
};
use crate::{Error, ErrorKind, Key, Result, Timestamp};
use futures_util::StreamExt;
use futures_util::future::try_join;
use futures_util::stream::FuturesOrdered;
use std::time::Duration;

/// Records of one page, and the bytes of bodies of one.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;
/// Pages of a copy that are on their way at once, so that neither side waits for the other; one more is held, which was
/// just read.
const UNDER_WAY: usize = 2;
/// Refusals that a report tells.
const MAX_REFUSALS: usize = 100;
/// A quiet run tells at least so often that it came to the end, in milliseconds.
const TELL_MS: u64 = HORIZON_MS / 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything, and nothing is remembered.
    Copy,
    /// What is new since the last time.
    Follow,
}

/// One way, once.
pub(super) struct Run<'a> {
    from: &'a Memory,
    to: &'a Memory,
    options: &'a ReplicateOptions,
    mode: Mode,
    /// What the other side has had, where the two have not met for long.
    seen: Option<Seen>,
    kept_back: u64,
    refused: Refused,
    report: ReplicationReport,
    total: Option<u64>,
}

/// How far the other side had read when the two last met, and what of it it could not take.
struct Seen {
    cursor: Cursor,
    refused: Refused,
}

impl<'a> Run<'a> {
    pub(super) fn new(from: &'a Memory, to: &'a Memory, options: &'a ReplicateOptions, mode: Mode) -> Self {
        Run {
            from,
            to,
            options,
            mode,
            seen: None,
            kept_back: peer::kept_back(from, to),
            refused: Refused::default(),
            report: ReplicationReport::default(),
            total: None,
        }
    }

    pub(super) async fn go(mut self) -> Result<ReplicationReport> {
        if self.mode == Mode::Copy {
            self.everything().await?;
        } else {
            self.follow().await?;
        }
        self.to.release_quarantined().await?;
        Ok(self.report)
    }

    async fn follow(&mut self) -> Result<()> {
        let place = peer::place(self.from.inner.store.info().replica, self.options.pattern.as_ref())?;
        let (known, begin) = (self.to.peer(&place).await?, self.from.inner.clock.now());
        if known.is_none() {
            self.from.grant_grace().await?;
            self.to.grant_grace().await?;
        }
        let known = known.unwrap_or_default();
        let head = self.from.inner.head().await?;
        let complete_at = known.complete_at.unwrap_or(begin);
        let mut cursor = match self.resumes_at(&known, &head, begin).await? {
            Some(cursor) => {
                self.retry(&known.refused).await?;
                cursor
            }
            None => self.start_over(&place, head.clone(), complete_at).await?,
        };
        while !reaches(&cursor, &head) {
            let feed =
                Feed { after: Some(cursor.clone()), limit: PAGE, wait: Duration::ZERO, want: Want::Head };
            match self.from.inner.store.changes(&feed).await? {
                Changes::Gap(now) => cursor = self.start_over(&place, now, complete_at).await?,
                Changes::Page(page) if page.next == cursor => break,
                Changes::Page(page) => {
                    let heads = page.items.into_iter().filter_map(|item| match item {
                        FeedItem::Record(record) => Some(*record),
                        // What a store frees by itself is nobody else's affair.
                        FeedItem::Removed(_) => None,
                    });
                    self.send_by_head(heads.collect()).await?;
                    cursor = page.next;
                    self.to.set_peer(&place, &self.peer(&cursor, complete_at)).await?;
                }
            }
        }
        let peer = self.peer(&cursor, begin);
        if peer.is_news_to(&known) || begin.since(complete_at) > TELL_MS {
            self.to.set_peer(&place, &peer).await?;
        }
        if self.refused.is_cut() {
            let message = "more was refused than is noted: the next run sends everything again";
            self.report.refusals.push(message.into());
        }
        Ok(())
    }

    /// Where the last run ended; `None` where everything has to be gone through.
    async fn resumes_at(&mut self, known: &Peer, head: &Cursor, begin: Timestamp) -> Result<Option<Cursor>> {
        // What other rules kept back was read, and did not arrive.
        let read = known.cursor().filter(|_| known.kept_back == Some(self.kept_back));
        if known.complete_at.is_none_or(|at| begin.since(at) <= HORIZON_MS) {
            return Ok(read);
        }
        // What waited there for its time is not missing.
        self.to.release_quarantined().await?;
        self.seen = read
            .filter(|cursor| is_of_one_store(cursor, head))
            .map(|cursor| Seen { cursor, refused: known.refused.clone() });
        Ok(None)
    }

    /// Sends everything, and goes on from `cursor`, which was taken before.
    async fn start_over(&mut self, place: &Key, cursor: Cursor, complete_at: Timestamp) -> Result<Cursor> {
        self.refused = Refused::default();
        self.everything().await?;
        // Who is stopped from here on need not send it all again; the two have met only at the end.
        self.to.set_peer(place, &self.peer(&cursor, complete_at)).await?;
        Ok(cursor)
    }

    fn peer(&self, cursor: &Cursor, complete_at: Timestamp) -> Peer {
        Peer::new(cursor, complete_at, self.kept_back, self.refused.clone())
    }

    /// Tries once more what was refused before.
    async fn retry(&mut self, refused: &Refused) -> Result<()> {
        let keys: Vec<Key> = refused.keys().cloned().collect();
        for keys in keys.chunks(PAGE) {
            let heads = self.fetch(keys, Want::Head).await?;
            self.send_by_head(heads).await?;
        }
        Ok(())
    }

    async fn everything(&mut self) -> Result<()> {
        let usage = self.from.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?;
        self.total = Some(usage.totals.tally.entries);
        let mut scan = Scan { limit: PAGE, bytes: PAGE_BYTES, want: Want::Whole, ..Scan::default() };
        let (from, to) = (&self.from.inner.store, self.to);
        let mut under_way = FuturesOrdered::new();
        let mut page = from.scan(&scan).await?;
        loop {
            let mut records = Vec::with_capacity(page.records.len());
            for record in page.records {
                match record {
                    Ok(record) => records.push(record),
                    // Damage to one entry holds up no other.
                    Err(error) => self.refuse(&error),
                }
            }
            under_way.push_back(submit(to, self.prepare(records).await?));
            let is_last = page.next.is_none();
            scan.after = page.next;
            let arrive = async {
                while (is_last || under_way.len() >= UNDER_WAY)
                    && let Some(answers) = under_way.next().await
                {
                    self.take_note(answers?)?;
                }
                Ok(())
            };
            if is_last {
                return arrive.await;
            }
            ((), page) = try_join(arrive, from.scan(&scan)).await?;
        }
    }

    /// Reads the bodies of these, a bounded part at a time, and sends them.
    async fn send_by_head(&mut self, heads: Vec<Record>) -> Result<()> {
        let mut heads = heads.into_iter().filter(|record| self.goes(&record.key)).peekable();
        let mut parts = Vec::new();
        while heads.peek().is_some() {
            let (mut keys, mut bytes) = (Vec::new(), 0);
            while bytes < PAGE_BYTES
                && let Some(record) = heads.next()
            {
                bytes += record.head.stored_len as usize;
                keys.push(record.key);
            }
            parts.push(keys);
        }
        drop(heads);
        for keys in parts {
            let records = self.fetch(&keys, Want::Whole).await?;
            self.send(records).await?;
        }
        Ok(())
    }

    /// What is at these keys, as far as it can be read.
    async fn fetch(&mut self, keys: &[Key], want: Want) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(keys.len());
        for (key, slot) in keys.iter().zip(get_each(self.from, keys, want).await?) {
            match slot {
                Ok(record) => records.extend(record),
                Err(error) => self.refuse(&error.on(key)),
            }
        }
        Ok(records)
    }

    async fn send(&mut self, records: Vec<Record>) -> Result<()> {
        let answers = submit(self.to, self.prepare(records).await?).await?;
        self.take_note(answers)
    }

    /// The writes that send these, as far as they go and need not wait for their time.
    async fn prepare(&mut self, mut records: Vec<Record>) -> Result<Vec<Write>> {
        records.retain(|record| self.goes(&record.key));
        if self.seen.is_some() {
            records = self.without_the_gone(records).await?;
        }
        let mut writes = Vec::with_capacity(records.len());
        for record in records {
            self.report.sent += 1;
            let waits = match self.to.merged_from(latest_time(&record.head).at) {
                Ok(None) => {
                    writes.push(self.to.joining(record));
                    continue;
                }
                Ok(Some(due)) => self.to.quarantine(&record, due).await,
                Err(error) => Err(error),
            };
            match waits {
                Ok(()) => self.report.quarantined += 1,
                Err(error) if is_of_the_record(&error) => self.refuse(&error.on(&record.key)),
                Err(error) => return Err(error),
            }
        }
        Ok(writes)
    }

    /// Takes note of what became of what was sent.
    fn take_note(&mut self, answers: Answers) -> Result<()> {
        for (key, outcome) in answers {
            match outcome {
                Ok(Outcome::Applied { .. }) => self.report.joined += 1,
                Ok(_) => self.report.unchanged += 1,
                Err(error) if is_of_the_record(&error) => self.refuse(&error.on(&key)),
                Err(error) => return Err(error),
            }
        }
        if let Some(progress) = &self.options.progress {
            progress(self.report.sent, self.total.map(|total| total.max(self.report.sent)));
        }
        Ok(())
    }

    /// Leaves out, and removes here, what the other side has had and has not any more.
    async fn without_the_gone(&mut self, records: Vec<Record>) -> Result<Vec<Record>> {
        let (known, mut left): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| self.was_there(record));
        let keys: Vec<Key> = known.iter().map(|record| record.key.clone()).collect();
        for (record, there) in known.into_iter().zip(get_each(self.to, &keys, Want::Head).await?) {
            match there {
                Ok(None) => self.keep_gone(record).await?,
                // Whatever is damaged there is there.
                Ok(Some(_)) | Err(_) => left.push(record),
            }
        }
        Ok(left)
    }

    /// Whether the other side has had just what is visible here.
    fn was_there(&self, record: &Record) -> bool {
        let Some(seen) = &self.seen else { return false };
        let (key, head) = (&record.key, &record.head);
        let part = seen.cursor.parts.get(self.from.inner.store.part_of(key));
        // What was renewed since may have come to its end there by itself.
        part.is_some_and(|part| head.seq <= part.seq)
            && self.from.is_visible(key, head, self.from.inner.now(Timestamp::EPOCH))
            && !seen.refused.contains(key)
            // What lies in the future may wait there.
            && matches!(self.to.merged_from(latest_time(head).at), Ok(None))
    }

    /// Sets aside what the other side removed in the meantime, and deletes it, so that others hear of it, too.
    async fn keep_gone(&mut self, record: Record) -> Result<()> {
        match self.from.keep_aside_as_lost(&record, WhySetAside::RemovedElsewhere).await {
            Ok(()) => {}
            Err(error) if is_of_the_record(&error) => {
                self.refuse(&error.on(&record.key));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let (key, guard) = (record.key, Guard::Version(record.head.version));
        let deletion = self.from.writing(key, guard, Change::Op(Op::Delete));
        // What was written meanwhile is sent by the next run.
        let outcome = self.from.submit(deletion, None).await?;
        self.report.gone += u64::from(matches!(outcome, Outcome::Applied { .. }));
        Ok(())
    }

    fn goes(&self, key: &Key) -> bool {
        let replicates = |memory: &Memory| memory.inner.policy.rule_for(key).replicates;
        !key.is_system()
            && self.options.pattern.as_ref().is_none_or(|pattern| pattern.matches(key))
            && replicates(self.from)
            && replicates(self.to)
    }

    fn refuse(&mut self, error: &Error) {
        self.report.refused += 1;
        if let Some(key) = error.key() {
            self.refused.insert(key);
        }
        if self.report.refusals.len() < MAX_REFUSALS {
            self.report.refusals.push(error.to_string());
        }
    }
}

/// What became of the writes to these keys.
type Answers = Vec<(Key, Result<Outcome>)>;

async fn submit(to: &Memory, mut writes: Vec<Write>) -> Result<Answers> {
    let most = to.inner.store.info().limits.batch_writes.max(1);
    let mut answers = Vec::with_capacity(writes.len());
    while !writes.is_empty() {
        let batch: Vec<Write> = writes.drain(..most.min(writes.len())).collect();
        let keys: Vec<Key> = batch.iter().map(|write| write.key.clone()).collect();
        answers.extend(keys.into_iter().zip(to.submit_all(batch).await?));
    }
    Ok(answers)
}

/// One slot per key. Damage to one entry holds up no other.
async fn get_each(memory: &Memory, keys: &[Key], want: Want) -> Result<Vec<Result<Option<Record>>>> {
    let store = &memory.inner.store;
    match store.get(keys, want).await {
        Ok(fetched) => return Ok(fetched.slots.into_iter().map(Ok).collect()),
        Err(error) if error.kind() == ErrorKind::Corrupt => {}
        Err(error) => return Err(error),
    }
    let mut slots = Vec::with_capacity(keys.len());
    for key in keys {
        slots.push(match store.get(std::slice::from_ref(key), want).await {
            Ok(fetched) => Ok(fetched.slots.into_iter().next().flatten()),
            Err(error) if error.kind() == ErrorKind::Corrupt => Err(error),
            Err(error) => return Err(error),
        });
    }
    Ok(slots)
}

/// Whether both were told by one store that has the same past.
fn is_of_one_store(cursor: &Cursor, head: &Cursor) -> bool {
    cursor.parts.len() == head.parts.len()
        && cursor.parts.iter().zip(&head.parts).all(|(read, head)| read.incarnation == head.incarnation)
}

/// Whether everything up to `head` was read.
fn reaches(cursor: &Cursor, head: &Cursor) -> bool {
    is_of_one_store(cursor, head)
        && cursor.parts.iter().zip(&head.parts).all(|(read, head)| read.seq >= head.seq)
}
