//! Writes: one script call for each shard where the script decides, two rounds where Rust has to.

use crate::config::Wall;
use crate::error::unexpected;
use crate::frame::{self, Fields, put_hlc};
use crate::layout::Shard;
use crate::link::{Failure, Request as Sent};
use crate::reply;
use crate::request::{Carried, Request, is_native};
use crate::script::Script;
use crate::server::{self, Lane, MAX_UNKNOWN, Server, State};
use bytes::Bytes;
use memlife_core::store::{Batch, Outcome, Token, Want, Write};
use memlife_core::{
    Context, Decision, Effect, Error, ErrorKind, Hlc, KEEP_MS, Key, Ledger, Result, Timestamp, decide,
    needs_body,
};
use redis::{Cmd, Value, pipe};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The most writes of one call: some ten milliseconds in which the server does nothing else.
const CALL_WRITES: usize = 500;
/// How long a last reply is kept for whoever asks again, in milliseconds.
const KEEP_REPLY_MS: u64 = 3_600_000;
/// What the server lets an entry live beyond the instant from which a sweep may take it, in milliseconds.
const LATE_MS: u64 = 30 * 24 * 3_600_000;
/// How often a decision is taken anew because others changed the shard meanwhile, before the write is contended.
const MOST_ROUNDS: u32 = 200;

/// The calls of one batch to one shard.
struct Calls<'a> {
    server: &'a Server,
    shard: Shard,
    now: Timestamp,
    token: Token,
    /// Whether the batch may have been submitted before: then nothing is taken for new before the server was asked.
    is_named: bool,
    lane: u32,
    number: u64,
    step: u32,
    /// Whether an earlier submission of this batch has an unknown fate.
    is_repeated: bool,
}

/// What a call gave.
enum Said {
    Answers(Vec<Bytes>),
    /// What was decided in Rust is carried out.
    Done,
    /// The shard has changed since.
    Moved,
}

impl Server {
    /// Decides and carries out the writes of one shard, in order.
    pub(crate) async fn write(&self, shard: Shard, batch: &Batch, writes: &[&Write]) -> Vec<Result<Outcome>> {
        let mut lane = self.lanes[usize::from(shard)].lock().await;
        let token = batch.token.unwrap_or_else(|| Token {
            session: self.session,
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
        });
        let known = lane.unknown.get(&token).copied();
        let (at, number) = known.unwrap_or_else(|| {
            lane.number += 1;
            (lane.lane, lane.number)
        });
        let mut calls = Calls {
            server: self,
            shard,
            now: batch.now,
            token,
            is_named: batch.token.is_some(),
            lane: at,
            number,
            step: 0,
            is_repeated: known.is_some(),
        };
        let mut outcomes = Vec::with_capacity(writes.len());
        let failed = calls.run(writes, &mut outcomes).await.err();
        if at == lane.lane {
            lane.number = lane.number.max(calls.number);
        }
        match &failed {
            Some(error) if error.kind() == ErrorKind::Indeterminate => lane.leave(token, at, calls.number),
            _ => drop(lane.unknown.remove(&token)),
        }
        while outcomes.len() < writes.len() {
            let error = failed.as_ref().map_or_else(|| unexpected("a batch"), Error::duplicate);
            outcomes.push(Err(error.on(&writes[outcomes.len()].key)));
        }
        outcomes
    }

    /// Lengthens the grace of every shard: a write that asks for it concerns the whole store.
    pub(crate) async fn lengthen(&self, grace_ms: u64) -> Result<()> {
        for shard in self.layout.shards() {
            let mut command = redis::cmd("EVAL");
            command.arg(&self.scripts.lengthen.text).arg(1).arg(self.layout.ledger(shard)).arg(grace_ms);
            self.read_one(shard, &command).await?;
        }
        Ok(())
    }

    fn wall_argument(&self, now: Timestamp) -> String {
        match self.wall {
            Wall::Server => String::new(),
            Wall::Caller => now.ms().to_string(),
        }
    }

    fn context<'a>(&self, wall: Timestamp, ledger: &'a mut Ledger) -> Context<'a> {
        Context { wall, replica: self.info.replica, body_limit: self.info.limits.body_bytes, ledger }
    }
}

impl Lane {
    /// Leaves the lane to whoever repeats the call; the next calls go by another.
    fn leave(&mut self, token: Token, at: u32, number: u64) {
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(token, (at, number));
        if at == self.lane {
            self.lane = self.lane.wrapping_add(1);
            self.number = 0;
        }
    }
}

impl Calls<'_> {
    async fn run(&mut self, writes: &[&Write], outcomes: &mut Vec<Result<Outcome>>) -> Result<()> {
        let limit = self.server.info.limits.body_bytes;
        while outcomes.len() < writes.len() {
            let rest = &writes[outcomes.len()..];
            let natives = rest.iter().take(CALL_WRITES).take_while(|write| is_native(write, limit)).count();
            if natives > 0 {
                let left_over = self.ask(&rest[..natives], outcomes).await?;
                if !left_over {
                    continue;
                }
            }
            let rest = &writes[outcomes.len()..];
            // The first is Rust's by now, and so are those behind it that the script never decides.
            let others = rest[1..].iter().take(CALL_WRITES).take_while(|write| !is_native(write, limit));
            let count = 1 + others.count();
            self.decide_here(&rest[..count], outcomes).await?;
        }
        Ok(())
    }

    /// Has the script decide; whether it left over the write after those that have their outcomes now.
    async fn ask(&mut self, writes: &[&Write], outcomes: &mut Vec<Result<Outcome>>) -> Result<bool> {
        let mut request = Request::default();
        for write in writes {
            request.decide(write)?;
        }
        let Said::Answers(answers) = self.call(&request, None).await? else {
            return Err(unexpected("a write"));
        };
        for (write, answer) in writes.iter().zip(&answers) {
            match reply::outcome(write, answer) {
                Ok(None) => return Ok(true),
                Ok(Some(outcome)) => outcomes.push(Ok(outcome)),
                Err(error) => outcomes.push(Err(error)),
            }
        }
        Ok(answers.is_empty())
    }

    /// Reads what is there, decides in Rust and sends the effects, which hold if nothing has changed meanwhile.
    async fn decide_here(&mut self, writes: &[&Write], outcomes: &mut Vec<Result<Outcome>>) -> Result<()> {
        for round in 0..MOST_ROUNDS {
            let mut there = self.load(writes).await?;
            let upon = there.ledger.seq;
            let mut decided = Vec::with_capacity(writes.len());
            let mut request = Request::default();
            let mut is_idle = true;
            for write in writes {
                let (outcome, carried) = there.decide(self.server, write);
                is_idle &= matches!(carried, Carried::Nothing);
                request.carry_out(write, &carried, reply::encode(&outcome)?)?;
                decided.push(outcome);
            }
            if is_idle && !self.is_named {
                outcomes.extend(decided);
                return Ok(());
            }
            match self.call(&request, Some((upon, there.ledger.clock))).await? {
                Said::Done => {
                    outcomes.extend(decided);
                    return Ok(());
                }
                Said::Answers(answers) => {
                    for (write, answer) in writes.iter().zip(&answers) {
                        let outcome = reply::outcome(write, answer);
                        outcomes
                            .push(outcome.and_then(|outcome| outcome.ok_or_else(|| unexpected("a write"))));
                    }
                    return Ok(());
                }
                Said::Moved => {
                    let pause = Duration::from_micros(u64::from(round.min(20)) * 250);
                    tokio::time::sleep(pause).await;
                }
            }
        }
        let message = format!("others kept changing the shard for {MOST_ROUNDS} attempts: try again later");
        Err(Error::new(ErrorKind::Contended, message))
    }

    async fn load(&self, writes: &[&Write]) -> Result<There> {
        let (server, layout) = (self.server, &self.server.layout);
        let mut keys: Vec<&Key> = writes.iter().map(|write| &write.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut pipeline = pipe();
        // The ledger comes first: what is read behind it is no older, and newer only if the ledger has moved on.
        State::ask(&mut pipeline, &layout.ledger(self.shard));
        pipeline.cmd("TIME");
        for key in &keys {
            pipeline.cmd("GET").arg(layout.record(self.shard, key));
        }
        let mut values = server.read(self.shard, &pipeline).await?.into_iter();
        let mut next = || values.next().ok_or_else(|| unexpected("a pipeline"));
        let mut ledger = State::parse(next()?)?.ledger;
        // What was seen of other shards counts here, too.
        ledger.clock.observe(server.seen());
        let wall = time_of(next()?)?;
        server.heard(wall);
        let mut records = HashMap::new();
        for key in keys {
            records.insert(key.clone(), server::bytes(next()?, "GET")?);
        }
        let wall = if server.wall == Wall::Caller { self.now } else { wall };
        Ok(There { ledger, wall, records, changed: HashMap::new() })
    }

    async fn call(&mut self, request: &Request, upon: Option<(u64, Hlc)>) -> Result<Said> {
        loop {
            let values = self.sent(request, upon).await?;
            let mut values = values.into_iter();
            let word = values.next().map(|value| server::bytes(value, "EVALSHA")).transpose()?.flatten();
            let list = values.next().ok_or_else(|| unexpected("EVALSHA"))?;
            let list =
                server::array(list, "EVALSHA")?.into_iter().map(|value| server::bytes(value, "EVALSHA"));
            let mut list: Vec<Bytes> = list
                .map(|bytes| bytes.and_then(|bytes| bytes.ok_or_else(|| unexpected("EVALSHA"))))
                .collect::<Result<_>>()?;
            if list.is_empty() {
                return Err(unexpected("EVALSHA"));
            }
            let first = list.remove(0);
            if word.as_deref() == Some(b"late") {
                self.overtake(&first)?;
                continue;
            }
            let mut fields = Fields(&first);
            let heard = (|| Some((fields.number(7)?, fields.hlc()?, fields.instant()?)))();
            let (_, clock, wall) = heard.ok_or_else(|| unexpected("EVALSHA"))?;
            self.server.heard(wall);
            self.server.clock(clock);
            return match word.as_deref() {
                Some(b"moved") => Ok(Said::Moved),
                Some(b"done") => {
                    self.step += 1;
                    Ok(Said::Done)
                }
                Some(b"ok") => {
                    self.step += 1;
                    Ok(Said::Answers(list))
                }
                _ => Err(unexpected("EVALSHA")),
            };
        }
    }

    /// Goes on behind the calls of another handle that has the same session.
    fn overtake(&mut self, last: &Bytes) -> Result<()> {
        let last: Option<u64> = std::str::from_utf8(last).ok().and_then(|text| text.parse().ok());
        let last = last.ok_or_else(|| unexpected("EVALSHA"))?;
        if self.step > 0 || self.is_repeated {
            let message = "another handle went on with this session: read before repeating the write";
            return Err(Error::new(ErrorKind::Indeterminate, message));
        }
        self.number = last + 1;
        Ok(())
    }

    /// Calls the script by its digest, and by its text where the server has forgotten it.
    async fn sent(&self, request: &Request, upon: Option<(u64, Hlc)>) -> Result<Vec<Value>> {
        let scripts = &self.server.scripts;
        let script = if request.takes_memory { &scripts.apply } else { &scripts.free };
        let lane = usize::from(self.shard);
        let by_digest = self.command(script, true, request, upon)?;
        let answer = match self.server.link.ask(lane, Sent::One(&by_digest)).await {
            Err(Failure::NoScript(unknown)) => {
                let by_text = self.command(script, false, request, upon)?;
                let answer = self.server.link.ask(lane, Sent::One(&by_text)).await;
                match (answer, unknown) {
                    (Err(Failure::Refused(_)), Some(unknown)) => Err(Failure::Unknown(unknown)),
                    (answer, _) => answer,
                }
            }
            answer => answer,
        };
        match answer {
            Ok(mut values) => server::array(values.pop().unwrap_or_default(), "EVALSHA"),
            Err(Failure::Refused(error) | Failure::Unknown(error)) => Err(error),
            Err(Failure::NoScript(_)) => Err(unexpected("EVAL")),
        }
    }

    fn command(
        &self,
        script: &Script,
        by_digest: bool,
        request: &Request,
        upon: Option<(u64, Hlc)>,
    ) -> Result<Cmd> {
        use memlife_core::record::ReclaimClass;
        let (layout, shard) = (&self.server.layout, self.shard);
        let mut command = redis::cmd(if by_digest { "EVALSHA" } else { "EVAL" });
        command.arg(if by_digest { &script.digest } else { &script.text });
        command.arg(6 + ReclaimClass::ALL.len() + request.keys.len());
        let names =
            [layout.ledger(shard), layout.ordered(shard), layout.changes(shard), layout.removals(shard)];
        command.arg(&names).arg(layout.usage(shard));
        command.arg(layout.last_reply(shard, self.token.session, self.lane));
        for class in ReclaimClass::ALL {
            command.arg(layout.due(shard, class));
        }
        for key in &request.keys {
            command.arg(layout.record(shard, key));
        }
        command.arg(&self.server.info.replica.0.to_le_bytes()[..]);
        command.arg(upon.map(|(seq, _)| seq.to_string()).unwrap_or_default());
        command.arg(self.server.wall_argument(self.now));
        let token = [self.token.session.to_be_bytes(), self.token.number.to_be_bytes()].concat();
        command.arg(&token[..]).arg(self.step).arg(self.number).arg(KEEP_REPLY_MS);
        command.arg(layout.record_prefix(shard).len()).arg(self.server.keep_removals);
        command.arg(KEEP_MS).arg(LATE_MS).arg(layout.channel());
        let mut clock = Vec::with_capacity(8);
        put_hlc(&mut clock, upon.map(|(_, clock)| clock).unwrap_or_default());
        command.arg(&clock[..]);
        command.arg(self.server.seen().ms());
        let placements = request.placements()?;
        command.arg(placements.len());
        for placement in &placements {
            command.arg(&placement[..]);
        }
        for part in request.writes.iter().flatten() {
            command.arg(&part[..]);
        }
        Ok(command)
    }
}

/// What was read of a shard, and what the writes decided so far make of it.
struct There {
    ledger: Ledger,
    wall: Timestamp,
    records: HashMap<Key, Option<Bytes>>,
    changed: HashMap<Key, Option<memlife_core::record::Record>>,
}

impl There {
    /// The outcome of a write and what is to be carried out.
    fn decide(&mut self, server: &Server, write: &Write) -> (Result<Outcome>, Carried) {
        let current = match self.changed.get(&write.key) {
            Some(changed) => Ok(changed.clone()),
            None => match self.records.get(&write.key).and_then(Option::as_ref) {
                Some(bytes) => frame::decode_whole(&write.key, bytes, Want::Whole).map(Some),
                None => Ok(None),
            },
        };
        let current = match current {
            Ok(current) => current,
            Err(error) => return (Err(error), Carried::Nothing),
        };
        // `decide` is given what it asks for, so that it answers the same as on every store.
        let current = current
            .map(|record| if needs_body(&record.head, write) { record } else { record.without_body() });
        let mut ledger = self.ledger;
        let decided = decide(current.as_ref(), write, &mut server.context(self.wall, &mut ledger));
        let Decision { effect, ended, outcome } = match decided {
            Ok(decision) => decision,
            Err(error) => return (Err(error), Carried::Nothing),
        };
        let ended = ended.map(memlife_core::store::Cause::code);
        let (carried, record) = match effect {
            Effect::None => return (Ok(outcome), Carried::Nothing),
            Effect::Put(record) => match frame::encode(&record) {
                Ok(bytes) => (Carried::Put { record: bytes, ended }, Some(*record)),
                Err(error) => return (Err(error), Carried::Nothing),
            },
            Effect::Erase { cause, seq } => (Carried::Erase { cause: cause.code(), seq, ended }, None),
        };
        self.ledger = ledger;
        self.changed.insert(write.key.clone(), record);
        (Ok(outcome), carried)
    }
}

/// The server's wall clock.
pub(crate) fn time_of(value: Value) -> Result<Timestamp> {
    let parts = server::array(value, "TIME")?;
    let mut parts = parts.into_iter().map(server::text_number);
    match (parts.next(), parts.next()) {
        (Some(Ok(Some(seconds))), Some(Ok(Some(micros)))) => {
            Ok(Timestamp::from_ms(seconds.saturating_mul(1_000).saturating_add(micros / 1_000)))
        }
        _ => Err(unexpected("TIME")),
    }
}
