use super::peer::{self, Peer};
use super::{HORIZON_MS, ReplicateOptions, ReplicationReport};
use crate::decide::latest_time;
use crate::engine::set_aside::is_of_the_record;
use crate::engine::{Memory, WhySetAside};
use crate::record::Record;
use crate::store::{
    Cause, Change, Changes, Cursor, Feed, FeedItem, Guard, Outcome, Reply, Scan, UsageQuery, Want, Write,
};
use crate::{Error, Key, Result, Timestamp};
use std::time::Duration;

/// Records of one page, and the bytes of bodies that are held at once.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;
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
    /// When the two last met, where that is long ago.
    met_at: Option<Timestamp>,
    report: ReplicationReport,
    total: Option<u64>,
}

impl<'a> Run<'a> {
    pub(super) fn new(from: &'a Memory, to: &'a Memory, options: &'a ReplicateOptions, mode: Mode) -> Self {
        Run { from, to, options, mode, met_at: None, report: ReplicationReport::default(), total: None }
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
        let complete_at = known.as_ref().and_then(|peer| peer.complete_at);
        self.met_at = complete_at.filter(|at| begin.since(*at) > HORIZON_MS);
        let head = self.head().await?;
        let read = known.as_ref().and_then(Peer::cursor).filter(|_| self.met_at.is_none());
        let mut cursor = match read {
            Some(cursor) => cursor,
            None => self.start_over(&place, head.clone()).await?,
        };
        while !reaches(&cursor, &head) {
            let feed =
                Feed { after: Some(cursor.clone()), limit: PAGE, wait: Duration::ZERO, want: Want::Head };
            match self.from.inner.store.changes(&feed).await? {
                Changes::Gap(now) => cursor = self.start_over(&place, now).await?,
                Changes::Page(page) if page.next == cursor => break,
                Changes::Page(page) => {
                    let heads = page.items.into_iter().filter_map(|item| match item {
                        FeedItem::Record(record) => Some(*record),
                        // What a store frees by itself is nobody else's affair.
                        FeedItem::Removed(_) => None,
                    });
                    self.send_by_head(heads.collect()).await?;
                    cursor = page.next;
                    self.to.set_peer(&place, &Peer::new(&cursor, complete_at)).await?;
                }
            }
        }
        let has_moved = known.as_ref().and_then(Peer::cursor).as_ref() != Some(&cursor);
        if has_moved || complete_at.is_none_or(|at| begin.since(at) > TELL_MS) {
            self.to.set_peer(&place, &Peer::new(&cursor, Some(begin))).await?;
        }
        Ok(())
    }

    /// Sends everything, and goes on from `cursor`, which was taken before.
    async fn start_over(&mut self, place: &Key, cursor: Cursor) -> Result<Cursor> {
        self.everything().await?;
        // Who is stopped from here on need not send it all again; the two have met only at the end.
        self.to.set_peer(place, &Peer::new(&cursor, self.met_at)).await?;
        Ok(cursor)
    }

    async fn head(&self) -> Result<Cursor> {
        let feed = Feed { after: None, limit: 1, wait: Duration::ZERO, want: Want::Head };
        match self.from.inner.store.changes(&feed).await? {
            Changes::Page(page) => Ok(page.next),
            Changes::Gap(cursor) => Ok(cursor),
        }
    }

    async fn everything(&mut self) -> Result<()> {
        let usage = self.from.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?;
        self.total = Some(usage.totals.tally.entries);
        let mut scan = Scan { limit: PAGE, bytes: PAGE_BYTES, want: Want::Whole, ..Scan::default() };
        loop {
            let page = self.from.inner.store.scan(&scan).await?;
            let mut records = Vec::with_capacity(page.records.len());
            for record in page.records {
                match record {
                    Ok(record) => records.push(record),
                    // Damage to one entry holds up no other.
                    Err(error) => self.refuse(&error),
                }
            }
            self.send(records).await?;
            match page.next {
                Some(next) => scan.after = Some(next),
                None => return Ok(()),
            }
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
            let fetched = self.from.inner.store.get(&keys, Want::Whole).await?;
            self.send(fetched.slots.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, mut records: Vec<Record>) -> Result<()> {
        records.retain(|record| self.goes(&record.key));
        if let Some(met_at) = self.met_at {
            records = self.without_the_gone(records, met_at).await?;
        }
        let mut writes = Vec::with_capacity(records.len());
        for record in records {
            self.report.sent += 1;
            match self.to.merged_from(latest_time(&record.head).at) {
                Ok(None) => writes.push(self.to.joining(record)),
                Ok(Some(due)) => {
                    self.to.quarantine(&record, due).await?;
                    self.report.quarantined += 1;
                }
                Err(error) => self.refuse(&error.on(&record.key)),
            }
        }
        let most = self.to.inner.store.info().limits.batch_writes.max(1);
        while !writes.is_empty() {
            let batch = writes.drain(..most.min(writes.len())).collect();
            for outcome in self.to.submit_all(batch).await? {
                match outcome {
                    Ok(Outcome::Applied { .. }) => self.report.joined += 1,
                    Ok(_) => self.report.unchanged += 1,
                    Err(error) if is_of_the_record(&error) => self.refuse(&error),
                    Err(error) => return Err(error),
                }
            }
        }
        if let Some(progress) = &self.options.progress {
            progress(self.report.sent, self.total.map(|total| total.max(self.report.sent)));
        }
        Ok(())
    }

    /// Leaves out, and removes here, what was there when the two last met and is not there any more.
    async fn without_the_gone(&mut self, records: Vec<Record>, met_at: Timestamp) -> Result<Vec<Record>> {
        let keys: Vec<Key> = records.iter().map(|record| record.key.clone()).collect();
        let fetched = self.to.inner.store.get(&keys, Want::Head).await?;
        let mut left = Vec::with_capacity(records.len());
        for (record, there) in records.into_iter().zip(fetched.slots) {
            if there.is_some() || record.head.created_at >= met_at {
                left.push(record);
                continue;
            }
            self.from.keep_gone(&record).await?;
            self.report.gone += 1;
        }
        Ok(left)
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
        if self.report.refusals.len() < MAX_REFUSALS {
            self.report.refusals.push(error.to_string());
        }
    }
}

/// Whether everything up to `head` was read.
fn reaches(cursor: &Cursor, head: &Cursor) -> bool {
    cursor.parts.len() == head.parts.len()
        && cursor
            .parts
            .iter()
            .zip(&head.parts)
            .all(|(read, head)| read.incarnation == head.incarnation && read.seq >= head.seq)
}

impl Memory {
    /// Sets aside what another store removed in the meantime, and removes it.
    async fn keep_gone(&self, record: &Record) -> Result<()> {
        if record.head.alive {
            self.keep_aside_as_lost(record, WhySetAside::RemovedElsewhere).await?;
        }
        let write = Write {
            placement: self.inner.placement(&record.key),
            key: record.key.clone(),
            guard: if record.head.alive { Guard::Version(record.head.version) } else { Guard::Any },
            change: Change::Erase(Cause::Purged),
            writer: None,
            reply: Reply::Outcome,
        };
        self.apply_one(write, None).await.map(drop)
    }
}
