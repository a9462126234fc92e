//! What is stored, counted.

use crate::error::unexpected;
use crate::frame::Fields;
use crate::layout::Shard;
use crate::server::{self, Server, State};
use futures_util::future::try_join_all;
use memlife_core::store::{Group, Tally, Totals, UsagePage, UsageQuery};
use memlife_core::{Result, Timestamp};
use redis::pipe;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

impl Server {
    pub(crate) async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        let mut groups: BTreeMap<Group, Tally> = BTreeMap::new();
        let mut totals = Totals::default();
        let mut clock = Timestamp::EPOCH;
        for (state, tallies) in try_join_all(self.layout.shards().map(|shard| self.tallies(shard))).await? {
            clock = clock.max(self.clock(state.ledger.clock));
            totals.removed.iter_mut().zip(state.removed).for_each(|(sum, removed)| *sum += removed);
            for (group, tally) in tallies {
                totals.tally.add(tally);
                groups.entry(group).or_default().add(tally);
            }
        }
        let start = query.after.clone().map_or(Unbounded, Excluded);
        let page = groups.range((start, Unbounded)).take(query.limit.saturating_add(1));
        let mut page: Vec<_> = page.map(|(group, tally)| (group.clone(), *tally)).collect();
        let has_more = page.len() > query.limit;
        page.truncate(query.limit);
        let next = page.last().map(|(group, _)| group.clone()).filter(|_| has_more);
        Ok(UsagePage { groups: page, next, totals, clock })
    }

    pub(crate) async fn tallies(&self, shard: Shard) -> Result<(State, Vec<(Group, Tally)>)> {
        let mut pipeline = pipe();
        State::ask(&mut pipeline, &self.layout.ledger(shard));
        pipeline.cmd("HGETALL").arg(self.layout.usage(shard));
        let mut values = self.read(shard, &pipeline).await?.into_iter();
        let state = State::parse(values.next().unwrap_or_default())?;
        let mut tallies = Vec::new();
        for (group, tally) in pairs(values.next().unwrap_or_default())? {
            tallies.push((group_of(&group)?, tally_of(&tally).ok_or_else(|| unexpected("HGETALL"))?));
        }
        Ok((state, tallies))
    }
}

/// The fields of a hash.
pub(crate) fn pairs(value: redis::Value) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
    let values = match value {
        redis::Value::Map(pairs) => pairs.into_iter().flat_map(|(name, value)| [name, value]).collect(),
        value => server::array(value, "HGETALL")?,
    };
    let mut values = values.into_iter().map(|value| {
        server::bytes(value, "HGETALL").and_then(|bytes| bytes.ok_or_else(|| unexpected("HGETALL")))
    });
    let mut pairs = Vec::new();
    while let Some(name) = values.next() {
        pairs.push((name?, values.next().ok_or_else(|| unexpected("HGETALL"))??));
    }
    Ok(pairs)
}

/// The field of a group.
pub(crate) fn field_of(group: &Group) -> Vec<u8> {
    format!("{}\0{}", group.rule, group.namespace).into_bytes()
}

fn group_of(field: &[u8]) -> Result<Group> {
    let text = std::str::from_utf8(field).map_err(|_| unexpected("HGETALL"))?;
    // A namespace has no control characters.
    let (rule, namespace) = text.rsplit_once('\0').ok_or_else(|| unexpected("HGETALL"))?;
    Ok(Group { rule: rule.into(), namespace: namespace.into() })
}

fn tally_of(bytes: &[u8]) -> Option<Tally> {
    let mut fields = Fields(bytes);
    Some(Tally {
        entries: fields.number(6)?,
        stored_bytes: fields.number(7)?,
        raw_bytes: fields.number(7)?,
        compressed: fields.number(6)?,
    })
}

/// A tally as the script keeps it.
pub(crate) fn tally_bytes(tally: Tally) -> Vec<u8> {
    let mut out = Vec::with_capacity(26);
    let parts = [(tally.entries, 6), (tally.stored_bytes, 7), (tally.raw_bytes, 7), (tally.compressed, 6)];
    parts.iter().for_each(|(number, bytes)| crate::frame::put(&mut out, *number, *bytes));
    out
}
