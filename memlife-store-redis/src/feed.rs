//! What changed, shard by shard.

use crate::error::unexpected;
use crate::layout::{REMOVAL_BYTES, Shard, number};
use crate::server::{self, Server, State};
use futures_util::future::try_join_all;
use memlife_core::store::{Cause, Changes, Cursor, CursorPart, Feed, FeedItem, FeedPage, Removal};
use memlife_core::{Key, Result, Timestamp};
use redis::pipe;
use std::collections::VecDeque;

/// Up to so many shards are cheaper to ask for what is new than for whether anything is.
const FEW: usize = 4;

/// What one shard has to tell.
struct News {
    items: VecDeque<(u64, FeedItem)>,
    /// Where to go on once all items are told.
    reached: u64,
    clock: Timestamp,
}

impl Server {
    pub(crate) async fn changes_now(&self, after: Option<&[u64]>, query: &Feed) -> Result<Changes> {
        let Some(after) = after.filter(|after| after.len() == self.layout.count()) else {
            return self.gap().await;
        };
        let limit = query.limit.max(1);
        // Of few shards, all that is new is asked for at once; of many, first which of them have changed.
        let states = if after.len() > FEW { self.states().await? } else { Vec::new() };
        let news = self.layout.shards().zip(after).enumerate().map(|(at, (shard, seq))| {
            let unchanged = states.get(at).filter(|state| state.ledger.seq == *seq);
            let clock = unchanged.map(|state| self.clock(state.ledger.clock));
            async move {
                match clock {
                    Some(clock) => Ok(Some(News { items: VecDeque::new(), reached: *seq, clock })),
                    None => self.news(shard, *seq, limit, query).await,
                }
            }
        });
        let Some(mut news) = try_join_all(news).await?.into_iter().collect::<Option<Vec<News>>>() else {
            return self.gap().await;
        };
        let clock = news.iter().map(|news| news.clock).max().unwrap_or_default();
        let mut items = Vec::new();
        let mut next: Vec<u64> = after.to_vec();
        // One of each shard in turn, so that a busy one does not hold up the others.
        while items.len() < limit && news.iter().any(|news| !news.items.is_empty()) {
            for (news, next) in news.iter_mut().zip(&mut next) {
                if items.len() < limit
                    && let Some((seq, item)) = news.items.pop_front()
                {
                    *next = seq;
                    items.push(item);
                }
            }
        }
        for (news, next) in news.iter().zip(&mut next) {
            if news.items.is_empty() {
                *next = news.reached.max(*next);
            }
        }
        Ok(Changes::Page(FeedPage { items, next: self.cursor(next.into_iter()), clock }))
    }

    /// Where to go on from now, for whom what happened since the cursor is not known any more.
    async fn gap(&self) -> Result<Changes> {
        let states = self.states().await?;
        Ok(Changes::Gap(self.cursor(states.iter().map(|state| state.ledger.seq))))
    }

    /// What happened in a shard; `None` where some of it is forgotten by now, or the shard has never been so far.
    async fn news(&self, shard: Shard, after: u64, limit: usize, query: &Feed) -> Result<Option<News>> {
        let mut pipeline = pipe();
        // The ledger comes first: every change up to its `seq` is in what is read behind it.
        State::ask(&mut pipeline, &self.layout.ledger(shard));
        for name in [self.layout.changes(shard), self.layout.removals(shard)] {
            pipeline.cmd("ZRANGEBYSCORE").arg(name).arg(format!("({after}")).arg("+inf");
            pipeline.arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
        }
        let mut values = self.read(shard, &pipeline).await?.into_iter();
        let mut next = || values.next().ok_or_else(|| unexpected("a pipeline"));
        let state = State::parse(next()?)?;
        if !(state.floor..=state.ledger.seq).contains(&after) {
            return Ok(None);
        }
        let mut changed: Vec<(u64, Key)> = Vec::new();
        for (member, seq) in scored(next()?)? {
            changed.push((seq, server::key(&member)?));
        }
        let mut items = Vec::new();
        for (member, seq) in scored(next()?)? {
            items.push((seq, FeedItem::Removed(removal(&member, seq)?)));
        }
        // Beyond the last member of a list that was cut there may be more of it.
        let end_of =
            |seqs: Vec<u64>| seqs.last().copied().filter(|_| seqs.len() >= limit).unwrap_or(u64::MAX);
        let end = end_of(changed.iter().map(|(seq, _)| *seq).collect())
            .min(end_of(items.iter().map(|(seq, _)| *seq).collect()))
            // What came in between the three commands may be in one list and not in the other.
            .min(state.ledger.seq);
        changed.retain(|(seq, _)| *seq <= end);
        items.retain(|(seq, _)| *seq <= end);
        let keys: Vec<&Key> = changed.iter().map(|(_, key)| key).collect();
        let mut clock = self.clock(state.ledger.clock);
        if !keys.is_empty() {
            let (at, records) = self.records(shard, &keys, query.want).await?;
            clock = clock.max(at);
            for ((seq, _), record) in changed.iter().zip(records) {
                // What has gone since is told by its removal.
                if let Some(record) = record {
                    items.push((*seq, FeedItem::Record(Box::new(record?))));
                }
            }
        }
        items.sort_by_key(|(seq, _)| *seq);
        Ok(Some(News { items: items.into(), reached: end, clock }))
    }

    fn cursor(&self, seqs: impl Iterator<Item = u64>) -> Cursor {
        let incarnation = self.info.incarnation;
        Cursor { parts: seqs.map(|seq| CursorPart { incarnation, seq }).collect() }
    }

    /// The change numbers to read after; `None` for a cursor that this store did not hand out.
    pub(crate) async fn positions(&self, query: &Feed) -> Result<Option<Vec<u64>>> {
        let Some(cursor) = &query.after else {
            return Ok(Some(self.states().await?.into_iter().map(|state| state.ledger.seq).collect()));
        };
        if cursor.parts.is_empty() {
            return Ok(Some(vec![0; self.layout.count()]));
        }
        let is_own = cursor.parts.iter().all(|part| part.incarnation == self.info.incarnation);
        Ok(is_own.then(|| cursor.parts.iter().map(|part| part.seq).collect()))
    }
}

/// Members with their scores.
pub(crate) fn scored(value: redis::Value) -> Result<Vec<(bytes::Bytes, u64)>> {
    let mut scored = Vec::new();
    let mut values = server::array(value, "ZRANGEBYSCORE")?.into_iter();
    while let Some(member) = values.next() {
        let (member, score) = match member {
            redis::Value::Array(pair) => {
                let mut pair = pair.into_iter();
                (pair.next().unwrap_or_default(), pair.next().unwrap_or_default())
            }
            member => (member, values.next().unwrap_or_default()),
        };
        let member = server::bytes(member, "ZRANGEBYSCORE")?.ok_or_else(|| unexpected("ZRANGEBYSCORE"))?;
        let score = match score {
            redis::Value::Double(score) => score as u64,
            score => server::text_number(score)?.ok_or_else(|| unexpected("ZRANGEBYSCORE"))?,
        };
        scored.push((member, score));
    }
    Ok(scored)
}

fn removal(member: &[u8], seq: u64) -> Result<Removal> {
    let malformed = || unexpected("a removal");
    let (front, key) = member.split_at_checked(REMOVAL_BYTES).ok_or_else(malformed)?;
    let cause = Cause::from_code(front[0]).ok_or_else(malformed)?;
    Ok(Removal { seq, key: server::key(key)?, cause, at: Timestamp::from_ms(number(&front[1..7])) })
}
