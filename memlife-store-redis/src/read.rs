//! Reads of records: by key, in key order, and by when their bytes may go.

use crate::config::Wall;
use crate::error::unexpected;
use crate::feed::scored;
use crate::frame::{self, Decoded, PEEK_BYTES};
use crate::layout::{DueMember, Shard, locator, unlocate};
use crate::server::{self, Server, State};
use bytes::Bytes;
use futures_util::future::try_join_all;
use memlife_core::record::Record;
use memlife_core::store::{Due, DueEntry, DuePage, Fetched, Locator, Page, Scan, Want};
use memlife_core::{Key, Result, Timestamp};
use redis::{Cmd, pipe};
use std::cmp::Ordering;
use std::collections::VecDeque;

/// The most records that are asked for at once while a page has a limit of bytes.
const BOUNDED_RECORDS: usize = 32;
/// System keys begin with U+0001 and no other key begins below U+0020.
const FIRST_USER_KEY: &str = "\u{2}";

impl Server {
    pub(crate) async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        if let [key] = keys
            && want == Want::Whole
            && let Some(clock) = self.fresh_clock()
        {
            let shard = self.layout.shard_of(key);
            let bytes = self.record_of(shard, key).await?;
            let record = match bytes.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => self.decoded(shard, key, bytes, want).await?.transpose()?,
                None => None,
            };
            return Ok(Fetched { slots: vec![record], clock });
        }
        // Apart, so that the future of a lone get is small: each call allocates one.
        Box::pin(self.get_all(keys, want)).await
    }

    async fn get_all(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        let mut clock = Timestamp::EPOCH;
        let mut slots = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(Fetched { slots, clock: self.latest().await? });
        }
        let shards = self.by_shard(keys.iter());
        let found = shards.iter().map(|(shard, places)| async move {
            let keys: Vec<&Key> = places.iter().map(|place| &keys[*place]).collect();
            self.records(*shard, &keys, want).await
        });
        for ((_, places), (at, records)) in shards.iter().zip(try_join_all(found).await?) {
            clock = clock.max(at);
            for (place, record) in places.iter().zip(records) {
                slots[*place] = record.transpose()?;
            }
        }
        Ok(Fetched { slots, clock })
    }

    /// The clock of the shard that is ahead of the others.
    async fn latest(&self) -> Result<Timestamp> {
        let clocks = self.states().await?.into_iter().map(|state| self.clock(state.ledger.clock));
        Ok(clocks.max().unwrap_or_default())
    }

    /// What every ledger shows.
    pub(crate) async fn states(&self) -> Result<Vec<State>> {
        try_join_all(self.layout.shards().map(|shard| async move {
            let mut pipeline = pipe();
            State::ask(&mut pipeline, &self.layout.ledger(shard));
            let mut values = self.read(shard, &pipeline).await?;
            State::parse(values.pop().unwrap_or_default())
        }))
        .await
    }

    /// The shard's clock and the records of keys that are all in it.
    pub(crate) async fn records(
        &self,
        shard: Shard,
        keys: &[&Key],
        want: Want,
    ) -> Result<(Timestamp, Vec<Option<Result<Record>>>)> {
        let (state, records) = self.records_and_state(shard, keys, want).await?;
        Ok((self.clock(state.ledger.clock), records))
    }

    async fn records_and_state(
        &self,
        shard: Shard,
        keys: &[&Key],
        want: Want,
    ) -> Result<(State, Vec<Option<Result<Record>>>)> {
        let mut pipeline = pipe();
        State::ask(&mut pipeline, &self.layout.ledger(shard));
        for key in keys {
            pipeline.add_command(ask_record(&self.layout.record(shard, key), want));
        }
        let mut values = self.read(shard, &pipeline).await?.into_iter();
        let state = State::parse(values.next().unwrap_or_default())?;
        let mut records = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(values) {
            let bytes = server::bytes(value, "GET")?.filter(|bytes| !bytes.is_empty());
            records.push(match bytes {
                Some(bytes) => self.decoded(shard, key, bytes, want).await?,
                None => None,
            });
        }
        Ok((state, records))
    }

    async fn decoded(
        &self,
        shard: Shard,
        key: &Key,
        bytes: Bytes,
        want: Want,
    ) -> Result<Option<Result<Record>>> {
        match frame::decode(key, &bytes, want) {
            Ok(Decoded::Record(record)) => Ok(Some(Ok(record))),
            Ok(Decoded::Longer) => Box::pin(self.decoded_whole(shard, key, want)).await,
            Err(error) => Ok(Some(Err(error))),
        }
    }

    /// A head that is longer than what was read of it.
    async fn decoded_whole(&self, shard: Shard, key: &Key, want: Want) -> Result<Option<Result<Record>>> {
        let command = ask_record(&self.layout.record(shard, key), Want::Whole);
        let bytes = server::bytes(self.read_one(shard, &command).await?, "GET")?;
        Ok(bytes.map(|bytes| frame::decode_whole(key, &bytes, want)))
    }

    pub(crate) async fn scan(&self, query: &Scan) -> Result<Page> {
        let limit = query.limit.max(1);
        let mut clock = self.latest_of_scan().await?;
        let mut keys = self.keys(query, limit + 1).await?;
        let has_more = keys.len() > limit;
        keys.truncate(limit);
        let (mut records, mut last, mut bytes) = (Vec::new(), None, 0);
        let mut is_cut = false;
        let chunk = if query.bytes == 0 { limit } else { BOUNDED_RECORDS };
        'page: for keys in keys.chunks(chunk) {
            let shards = self.by_shard(keys.iter());
            let mut slots: Vec<Option<Result<Record>>> = keys.iter().map(|_| None).collect();
            let found = try_join_all(shards.iter().map(|(shard, places)| async move {
                let keys: Vec<&Key> = places.iter().map(|place| &keys[*place]).collect();
                self.records(*shard, &keys, query.want).await
            }))
            .await?;
            for ((_, places), (at, found)) in shards.iter().zip(found) {
                clock = clock.max(at);
                places.iter().zip(found).for_each(|(place, record)| slots[*place] = record);
            }
            for (key, slot) in keys.iter().zip(slots) {
                if query.bytes > 0 && bytes > query.bytes && !records.is_empty() {
                    is_cut = true;
                    break 'page;
                }
                last = Some(key.clone());
                // What was removed since its key was read is no longer there.
                let Some(record) = slot else { continue };
                if let Ok(Record { body: Some(body), .. }) = &record {
                    bytes += body.as_bytes().len();
                }
                records.push(record);
            }
        }
        Ok(Page { records, next: last.filter(|_| has_more || is_cut), clock })
    }

    /// With a page of records comes the clock of their shards; an empty page needs no clock but the server's.
    async fn latest_of_scan(&self) -> Result<Timestamp> {
        match self.wall {
            Wall::Server => Ok(self.clock(Default::default())),
            Wall::Caller => self.latest().await,
        }
    }

    /// The first keys that a scan asks for, over all shards, in order.
    async fn keys(&self, query: &Scan, limit: usize) -> Result<Vec<Key>> {
        // Shards are alike, so most pages need little more than their part of each.
        let part = limit / self.layout.count() * 2 + 16;
        let mut heads: Vec<Run> = Vec::new();
        let runs = self.layout.shards().map(|shard| async move {
            let mut run = Run { shard, keys: VecDeque::new(), is_whole: false };
            self.extend(&mut run, query, query.after.as_ref(), part.min(limit)).await?;
            Ok::<_, memlife_core::Error>(run)
        });
        heads.extend(try_join_all(runs).await?);
        let mut keys: Vec<Key> = Vec::with_capacity(limit);
        while keys.len() < limit {
            let first =
                heads.iter_mut().filter(|run| !run.keys.is_empty()).min_by(|a, b| a.keys[0].cmp(&b.keys[0]));
            let Some(run) = first else { break };
            let Some(key) = run.keys.pop_front() else { break };
            if run.keys.is_empty() && !run.is_whole {
                self.extend(run, query, Some(&key), part.min(limit)).await?;
            }
            keys.push(key);
        }
        Ok(keys)
    }

    async fn extend(&self, run: &mut Run, query: &Scan, after: Option<&Key>, limit: usize) -> Result<()> {
        let name = self.layout.ordered(run.shard);
        let mut pipeline = pipe();
        let mut commands = 0;
        for (from, to) in ranges(query, after) {
            pipeline.cmd("ZRANGEBYLEX").arg(&name).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit);
            commands += 1;
        }
        if commands == 0 {
            run.is_whole = true;
            return Ok(());
        }
        let mut count = 0;
        for value in self.read(run.shard, &pipeline).await? {
            for member in server::array(value, "ZRANGEBYLEX")? {
                let member =
                    server::bytes(member, "ZRANGEBYLEX")?.ok_or_else(|| unexpected("ZRANGEBYLEX"))?;
                if count < limit {
                    run.keys.push_back(server::key(&member)?);
                }
                count += 1;
            }
        }
        run.is_whole = count < limit;
        Ok(())
    }

    pub(crate) async fn due(&self, query: &Due) -> Result<DuePage> {
        let limit = query.limit.max(1);
        let found = try_join_all(self.layout.shards().map(|shard| self.due_in(shard, query, limit))).await?;
        let mut clock = Timestamp::EPOCH;
        let mut entries = Vec::new();
        for (at, mut part) in found {
            clock = clock.max(at);
            entries.append(&mut part);
        }
        entries.sort_by_key(|entry: &DueEntry| (entry.reclaim_at, entry.locator.0));
        entries.truncate(limit);
        Ok(DuePage { entries, clock })
    }

    async fn due_in(&self, shard: Shard, query: &Due, limit: usize) -> Result<(Timestamp, Vec<DueEntry>)> {
        let index = self.layout.due(shard, query.class);
        let from_instant = |from: String| {
            let mut command = Cmd::new();
            command.arg("ZRANGEBYSCORE").arg(&index).arg(from).arg(query.until.ms()).arg("WITHSCORES");
            command.arg("LIMIT").arg(0).arg(limit);
            command
        };
        let command = match query.after {
            None => from_instant("-inf".to_owned()),
            Some((at, Locator(place))) => {
                let (of, number) = unlocate(place);
                match of.cmp(&shard.into()) {
                    Ordering::Less => from_instant(at.ms().to_string()),
                    Ordering::Greater => from_instant(format!("({}", at.ms())),
                    Ordering::Equal => {
                        let mut command = redis::cmd("EVAL");
                        command.arg(&self.scripts.due.text).arg(1).arg(&index);
                        command.arg(at.ms()).arg(number).arg(query.until.ms()).arg(limit);
                        command
                    }
                }
            }
        };
        let mut members = Vec::new();
        for (bytes, at) in scored(self.read_one(shard, &command).await?)? {
            let member = DueMember::parse(&bytes).ok_or_else(|| unexpected("ZRANGEBYSCORE"))?;
            members.push((member, Timestamp::from_ms(at)));
        }
        if members.is_empty() && self.wall == Wall::Server {
            return Ok((self.clock(Default::default()), Vec::new()));
        }
        let keys: Vec<&Key> = members.iter().map(|(member, _)| &member.key).collect();
        let (state, records) = self.records_and_state(shard, &keys, Want::Head).await?;
        let clock = self.clock(state.ledger.clock);
        let mut entries = Vec::with_capacity(members.len());
        for ((member, reclaim_at), record) in members.into_iter().zip(records) {
            match record {
                // A damaged entry is due all the same; `verify` deals with it.
                Some(record) => entries.push(DueEntry {
                    reclaim_at,
                    locator: Locator(locator(shard, member.number)),
                    stored_len: record.map_or(0, |record| record.head.stored_len),
                    key: member.key,
                }),
                None => self.forget(shard, query, &member).await?,
            }
        }
        // Who asks for `until` wants what a guard would let go then, and guards wait for the grace.
        entries.retain(|entry| entry.reclaim_at.plus_ms(state.ledger.grace_ms) <= query.until);
        Ok((clock, entries))
    }

    /// Takes off the indexes what the server itself has evicted.
    async fn forget(&self, shard: Shard, query: &Due, member: &DueMember) -> Result<()> {
        let layout = &self.layout;
        let mut command = redis::cmd("EVAL");
        command.arg(&self.scripts.forget.text).arg(6);
        command.arg(layout.ledger(shard)).arg(layout.ordered(shard)).arg(layout.changes(shard));
        command.arg(layout.removals(shard)).arg(layout.due(shard, query.class));
        command.arg(layout.record(shard, &member.key));
        command.arg(member.bytes()).arg(member.key.as_str());
        let wall = if self.wall == Wall::Caller { query.until.ms().to_string() } else { String::new() };
        command.arg(wall).arg(u8::from(member.key.is_system()));
        self.read_one(shard, &command).await.map(drop)
    }
}

fn ask_record(name: &str, want: Want) -> Cmd {
    let mut command = Cmd::new();
    match want {
        Want::Whole => command.arg("GET").arg(name),
        Want::Head => command.arg("GETRANGE").arg(name).arg(0).arg(PEEK_BYTES - 1),
    };
    command
}

/// The next keys of one shard.
struct Run {
    shard: Shard,
    keys: VecDeque<Key>,
    /// Whether nothing follows.
    is_whole: bool,
}

/// The ranges of names that a scan covers, in order. Between `a/b` and `a/b/` stand keys such as `a/b-x`, so the key
/// itself and those below it are two ranges.
fn ranges(query: &Scan, after: Option<&Key>) -> Vec<(String, String)> {
    let mut ranges = Vec::new();
    let (from, to) = match query.within.as_deref() {
        Some(prefix) => {
            if after.is_none_or(|after| after.as_str() < prefix) {
                ranges.push((format!("[{prefix}"), format!("[{prefix}")));
            }
            (format!("{prefix}/"), format!("({prefix}0"))
        }
        None if query.system => ("\u{1}".to_owned(), format!("({FIRST_USER_KEY}")),
        None => (FIRST_USER_KEY.to_owned(), "+".to_owned()),
    };
    let lower = match after {
        Some(after) if after.as_str() >= from.as_str() => format!("({after}"),
        _ => format!("[{from}"),
    };
    ranges.push((lower, to));
    ranges.retain(|(from, to)| {
        let is_system = from[1..].starts_with('\u{1}');
        (is_system == query.system) && (to == "+" || from[1..] <= to[1..])
    });
    ranges
}
