//! Writes: one script call for each shard where the script decides, two rounds where Rust has to.

use crate::config::Wall;
use crate::error::unexpected;
use crate::frame::{self, Fields, put_hlc};
use crate::lane::{CALL_WRITES, Calls, Job, Outcomes, still_unknown};
use crate::layout::Shard;
use crate::link::{Answered, Failure, Request as Sent};
use crate::reply::{self, Answer};
use crate::request::{Request, is_native};
use crate::script::Pair;
use crate::server::{self, Server, State};
use crate::there::There;
use bytes::Bytes;
use futures_util::future::try_join_all;
use memlife_core::store::{Token, Write};
use memlife_core::{Context, Error, ErrorKind, Hlc, KEEP_MS, Key, Ledger, Result, Timestamp};
use redis::{Cmd, Value, pipe};
use std::collections::HashMap;
use std::time::Duration;

/// How long a last reply is kept for whoever asks again, in milliseconds.
const KEEP_REPLY_MS: u64 = 3_600_000;
/// How often a decision is taken anew because others changed the shard meanwhile, before the write is contended.
const MOST_ROUNDS: u32 = 200;

/// A call to one shard, for one batch in as many steps as it takes, or for several in one.
struct Call<'a> {
    server: &'a Server,
    calls: &'a mut Calls,
    shard: Shard,
    now: Timestamp,
    deadline: Duration,
    lane: u32,
    number: u64,
    step: u32,
    /// Whether an earlier submission has an unknown fate.
    is_repeated: bool,
}

/// What a call gave.
enum Said {
    Answers(Vec<Answer>),
    /// What was decided in Rust is carried out.
    Done,
    /// The shard has changed since.
    Moved,
}

impl Server {
    /// Decides and carries out the writes of these jobs, in order; gives back those that were not begun.
    pub(crate) async fn write(&self, shard: Shard, calls: &mut Calls, mut jobs: Vec<Job>) -> Vec<Job> {
        if jobs.len() == 1 {
            let job = jobs.remove(0);
            self.call(shard, calls, &job).alone(job, Vec::new()).await;
            return Vec::new();
        }
        self.call(shard, calls, &jobs[0]).together(jobs).await
    }

    fn call<'a>(&'a self, shard: Shard, calls: &'a mut Calls, job: &Job) -> Call<'a> {
        calls.number += 1;
        let known = calls.unknown.get(&job.token).copied();
        Call {
            server: self,
            shard,
            now: job.batch.now,
            deadline: job.deadline,
            lane: known.unwrap_or(calls.lane),
            number: calls.number,
            step: 0,
            is_repeated: known.is_some(),
            calls,
        }
    }

    /// Lengthens the grace of every shard: a write that asks for it concerns the whole store.
    pub(crate) async fn lengthen(&self, grace_ms: u64) -> Result<()> {
        let lengthened = self.layout.shards().map(|shard| async move {
            let mut command = redis::cmd("EVAL");
            command.arg(&self.scripts.lengthen.text).arg(1).arg(self.layout.ledger(shard)).arg(grace_ms);
            self.read_one(shard, &command).await
        });
        try_join_all(lengthened).await.map(drop)
    }

    /// What the script takes for the wall clock, in milliseconds; 0 tells it to ask the server's.
    fn wall_argument(&self, now: Timestamp) -> u64 {
        match self.wall {
            Wall::Server => 0,
            Wall::Caller => now.ms().max(1),
        }
    }

    pub(crate) fn context<'a>(&self, wall: Timestamp, ledger: &'a mut Ledger) -> Context<'a> {
        Context { wall, replica: self.info.replica, body_limit: self.info.limits.body_bytes, ledger }
    }
}

impl Call<'_> {
    /// Carries out what several batches ask for at once; gives back those that were not begun.
    async fn together(mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut request = Request::default();
        let batches: Vec<(Token, usize)> = jobs.iter().map(|job| (job.token, job.places.len())).collect();
        let written = jobs.iter().flat_map(Job::writes).try_for_each(|write| request.decide(write));
        let said = match written {
            Ok(()) => self.ask(&batches, &request, None).await,
            Err(error) => Err(error),
        };
        let answers = match said {
            Ok(Said::Answers(answers)) => answers,
            Ok(_) => Vec::new(),
            // Some of them may free what the others take.
            Err(error) if error.kind() == ErrorKind::Full => {
                for job in jobs {
                    self.server.call(self.shard, self.calls, &job).alone(job, Vec::new()).await;
                }
                return Vec::new();
            }
            Err(error) => {
                if error.kind() == ErrorKind::Indeterminate {
                    self.calls.leave(batches.iter().map(|(token, _)| *token), self.lane);
                }
                jobs.into_iter().for_each(|job| job.end(Vec::new(), &error));
                return Vec::new();
            }
        };
        let mut answers = answers.into_iter();
        let mut jobs = jobs.into_iter();
        for job in jobs.by_ref() {
            let mut outcomes = Vec::with_capacity(job.places.len());
            for (write, answer) in job.writes().zip(answers.by_ref()) {
                match reply::outcome(write, &answer, self.server.info.replica) {
                    Ok(None) => break,
                    Ok(Some(outcome)) => outcomes.push(Ok(outcome)),
                    Err(error) => outcomes.push(Err(error)),
                }
            }
            if outcomes.len() == job.places.len() {
                job.end(outcomes, &unexpected("a batch"));
            } else {
                // Here the script stopped; what is left of the batch is Rust's.
                self.alone(job, outcomes).await;
                break;
            }
        }
        jobs.collect()
    }

    /// Carries out what is left of one batch.
    async fn alone(mut self, job: Job, mut outcomes: Outcomes) {
        let writes: Vec<&Write> = job.writes().collect();
        let failed = self.run(job.token, &writes, &mut outcomes).await.err();
        let error = match failed {
            None => {
                self.calls.unknown.remove(&job.token);
                unexpected("a batch")
            }
            Some(error) if self.is_repeated => still_unknown(&error),
            Some(error) => error,
        };
        drop(writes);
        if outcomes.len() < job.places.len() && (self.step > 0 || error.kind() == ErrorKind::Indeterminate) {
            self.calls.leave(std::iter::once(job.token), self.lane);
        }
        job.end(outcomes, &error);
    }

    async fn run(&mut self, token: Token, writes: &[&Write], outcomes: &mut Outcomes) -> Result<()> {
        let limit = self.server.info.limits.body_bytes;
        // Whether the script has left the next write over.
        let mut is_left_over = !outcomes.is_empty();
        while outcomes.len() < writes.len() {
            let rest = &writes[outcomes.len()..];
            let natives = rest.iter().take(CALL_WRITES).take_while(|write| is_native(write, limit)).count();
            if natives > 0 && !is_left_over {
                is_left_over = self.decide_there(token, &rest[..natives], outcomes).await?;
                continue;
            }
            is_left_over = false;
            // The first is Rust's by now, and so are those behind it that the script never decides.
            let others = rest[1..].iter().take(CALL_WRITES).take_while(|write| !is_native(write, limit));
            let count = 1 + others.count();
            self.decide_here(token, &rest[..count], outcomes).await?;
        }
        Ok(())
    }

    /// Has the script decide; whether it left over the write after those that have their outcomes now.
    async fn decide_there(
        &mut self,
        token: Token,
        writes: &[&Write],
        outcomes: &mut Outcomes,
    ) -> Result<bool> {
        let mut request = Request::default();
        for write in writes {
            request.decide(write)?;
        }
        let said = match self.ask(&[(token, writes.len())], &request, None).await {
            // One may free what another takes.
            Err(error) if error.kind() == ErrorKind::Full && writes.len() > 1 => {
                return Box::pin(self.decide_there(token, &writes[..1], outcomes)).await;
            }
            Err(error) if error.kind() == ErrorKind::Full => {
                outcomes.push(Err(error.on(&writes[0].key)));
                return Ok(false);
            }
            said => said?,
        };
        let Said::Answers(answers) = said else { return Err(unexpected("a write")) };
        for (write, answer) in writes.iter().zip(&answers) {
            match reply::outcome(write, answer, self.server.info.replica) {
                Ok(None) => return Ok(true),
                Ok(Some(outcome)) => outcomes.push(Ok(outcome)),
                Err(error) => outcomes.push(Err(error)),
            }
        }
        if answers.is_empty() { Err(unexpected("a write")) } else { Ok(false) }
    }

    /// Reads what is there, decides in Rust and sends the effects, which hold if nothing has changed meanwhile.
    async fn decide_here(&mut self, token: Token, writes: &[&Write], outcomes: &mut Outcomes) -> Result<()> {
        for round in 0..MOST_ROUNDS {
            let mut there = self.load(writes).await?;
            let upon = there.ledger.seq;
            let mut decided = Vec::with_capacity(writes.len());
            let mut request = Request::default();
            for write in writes {
                let (outcome, carried) = there.decide(self.server, write);
                request.carry_out(write, &carried, &reply::encode(&outcome)?)?;
                decided.push(outcome);
            }
            let upon = Some((upon, there.ledger.clock));
            match self.ask(&[(token, writes.len())], &request, upon).await {
                // One may free what another takes.
                Err(error) if error.kind() == ErrorKind::Full && writes.len() > 1 => {
                    return Box::pin(self.decide_here(token, &writes[..1], outcomes)).await;
                }
                Err(error) if error.kind() == ErrorKind::Full => {
                    outcomes.push(Err(error.on(&writes[0].key)));
                    return Ok(());
                }
                Err(error) => return Err(error),
                Ok(Said::Done) => {
                    outcomes.extend(decided);
                    return Ok(());
                }
                Ok(Said::Answers(answers)) => {
                    for (write, answer) in writes.iter().zip(&answers) {
                        let outcome = reply::outcome(write, answer, self.server.info.replica);
                        outcomes
                            .push(outcome.and_then(|outcome| outcome.ok_or_else(|| unexpected("a write"))));
                    }
                    return Ok(());
                }
                Ok(Said::Moved) => {
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
        let records: Vec<String> = keys.iter().map(|key| layout.record(self.shard, key)).collect();
        pipeline.cmd("MGET").arg(&records);
        let mut values = server.read(self.shard, &pipeline).await?.into_iter();
        let mut next = || values.next().ok_or_else(|| unexpected("a pipeline"));
        let State { mut ledger, jump, .. } = State::parse(next()?)?;
        // What was seen of other shards counts here, too.
        ledger.clock.observe(server.seen());
        let wall = time_of(next()?)?;
        server.heard(wall);
        let mut records = HashMap::with_capacity(keys.len());
        for (key, value) in keys.into_iter().zip(server::array(next()?, "MGET")?) {
            records.insert(key.clone(), server::bytes(value, "MGET")?);
        }
        let wall = if server.wall == Wall::Caller { self.now } else { wall };
        Ok(There { ledger, jump, wall, records, changed: HashMap::new() })
    }

    async fn ask(
        &mut self,
        batches: &[(Token, usize)],
        request: &Request,
        upon: Option<(u64, Hlc)>,
    ) -> Result<Said> {
        loop {
            let (values, was_unknown) = self.sent(batches, request, upon).await?;
            let mut values = values.into_iter();
            let word = values.next().map(|value| server::bytes(value, "EVALSHA")).transpose()?.flatten();
            let mut next = || values.next().ok_or_else(|| unexpected("EVALSHA"));
            let first = server::bytes(next()?, "EVALSHA")?.ok_or_else(|| unexpected("EVALSHA"))?;
            let answers = next()?;
            if word.as_deref() == Some(b"late") {
                self.overtake(&first, was_unknown)?;
                continue;
            }
            self.hear(&first)?;
            return match word.as_deref() {
                Some(b"moved") => Ok(Said::Moved),
                Some(b"done") => {
                    self.step += 1;
                    Ok(Said::Done)
                }
                Some(b"ok") => {
                    self.step += 1;
                    reply::answers(answers).map(Said::Answers)
                }
                _ => Err(unexpected("EVALSHA")),
            };
        }
    }

    /// Takes note of the server's clocks and, where it was asked, of its epoch.
    fn hear(&mut self, info: &Bytes) -> Result<()> {
        let mut fields = Fields(info);
        let heard = (|| Some((fields.number(7)?, fields.hlc()?, fields.instant()?)))();
        let (_, clock, wall) = heard.ok_or_else(|| unexpected("EVALSHA"))?;
        self.server.heard(wall);
        self.server.clock(clock);
        if let Ok(epoch @ [_, ..]) = std::str::from_utf8(fields.0).map(str::as_bytes) {
            self.calls.bound = Some(self.server.scripts.bound_to(epoch));
        }
        Ok(())
    }

    /// Goes on behind the calls of another handle that has the same session.
    fn overtake(&mut self, last: &Bytes, was_unknown: bool) -> Result<()> {
        let last: Option<u64> = std::str::from_utf8(last).ok().and_then(|text| text.parse().ok());
        let last = last.ok_or_else(|| unexpected("EVALSHA"))?;
        if self.step > 0 || self.is_repeated || was_unknown {
            let message = "another handle went on with this session: read before repeating the write";
            return Err(Error::new(ErrorKind::Indeterminate, message));
        }
        self.number = last + 1;
        self.calls.number = self.calls.number.max(self.number);
        Ok(())
    }

    /// Calls the script by its digest, and by its text where the server does not know it; what it answers, and whether
    /// an attempt before may have been carried out.
    async fn sent(
        &mut self,
        batches: &[(Token, usize)],
        request: &Request,
        upon: Option<(u64, Hlc)>,
    ) -> Result<(Vec<Value>, bool)> {
        let mut earlier = None;
        loop {
            let bound = self.calls.bound.clone();
            let (scripts, epoch) = match &bound {
                Some(bound) => (&bound.scripts, &bound.epoch[..]),
                None => (&self.server.scripts.unbound, &b""[..]),
            };
            let by_digest = self.command(scripts, true, epoch, batches, request, upon)?;
            let mut answer = self.put_forward(by_digest).await;
            if let Err(Failure::NoScript(unknown)) = answer {
                earlier = unknown.or(earlier);
                if bound.as_ref().is_some_and(|bound| bound.was_known(request.takes_memory)) {
                    // Another server process, which has to tell its epoch, or its scripts were flushed.
                    self.calls.bound = None;
                    continue;
                }
                // By its text it asks for the epoch, and so learns when this is not the one.
                let by_text = self.command(scripts, false, b"", batches, request, upon)?;
                answer = self.put_forward(by_text).await;
            }
            return match answer {
                Ok(answered) => {
                    if let Some(bound) = bound {
                        bound.is_known(request.takes_memory);
                    }
                    let mut values = answered.values;
                    let value = server::array(values.pop().unwrap_or_default(), "EVALSHA")?;
                    Ok((value, answered.was_unknown || earlier.is_some()))
                }
                Err(Failure::Unknown(error)) => Err(error),
                // What an attempt before left unknown, the refusal of a later one does not settle.
                Err(Failure::Refused(error)) => Err(earlier.unwrap_or(error)),
                Err(Failure::NoScript(_)) => Err(unexpected("EVAL")),
            };
        }
    }

    /// Sends the call and, where that is asked for, waits until as many replicas have it.
    async fn put_forward(&self, command: Cmd) -> std::result::Result<Answered, Failure> {
        let (server, link) = (self.server, &self.server.link);
        let place = link.writer(self.shard);
        if server.replicas == 0 {
            return link.ask(place, Sent::One(&command), self.deadline).await;
        }
        let mut pipeline = pipe();
        pipeline.add_command(command);
        pipeline.cmd("WAIT").arg(server.replicas).arg(server.replicas_ms);
        let mut answered = link.ask(place, Sent::Many(&pipeline), self.deadline).await?;
        let reached = match answered.values.pop() {
            Some(Value::Int(reached)) => reached,
            _ => return Err(Failure::Refused(unexpected("WAIT"))),
        };
        if reached < server.replicas.into() {
            let message = format!(
                "the server has the write, and {reached} of {} replicas have it yet: repeat it with its token",
                server.replicas
            );
            return Err(Failure::Unknown(Error::new(ErrorKind::Indeterminate, message)));
        }
        Ok(answered)
    }

    fn command(
        &self,
        scripts: &Pair,
        by_digest: bool,
        epoch: &[u8],
        batches: &[(Token, usize)],
        request: &Request,
        upon: Option<(u64, Hlc)>,
    ) -> Result<Cmd> {
        use memlife_core::record::ReclaimClass;
        let (layout, shard) = (&self.server.layout, self.shard);
        let script = scripts.of(request.takes_memory);
        let mut command = redis::cmd(if by_digest { "EVALSHA" } else { "EVAL" });
        command.arg(if by_digest { &script.digest } else { &script.text });
        command.arg(6 + ReclaimClass::ALL.len() + request.keys.len());
        let names =
            [layout.ledger(shard), layout.ordered(shard), layout.changes(shard), layout.removals(shard)];
        command.arg(&names).arg(layout.usage(shard));
        let session = batches.first().map_or(0, |(token, _)| token.session);
        command.arg(layout.last_reply(shard, session, self.lane));
        for class in ReclaimClass::ALL {
            command.arg(layout.due(shard, class));
        }
        for key in &request.keys {
            command.arg(layout.record(shard, key));
        }
        let placements = request.placements()?;
        let (upon_seq, clock_after) = upon.unwrap_or_default();
        let mut numbers = Vec::with_capacity(73);
        numbers.extend_from_slice(&self.server.info.replica.0.to_le_bytes());
        numbers.push(upon.is_some().into());
        frame::put(&mut numbers, upon_seq, 7);
        frame::put(&mut numbers, self.server.wall_argument(self.now), 6);
        frame::put(&mut numbers, self.step.into(), 4);
        frame::put(&mut numbers, self.number, 7);
        frame::put(&mut numbers, KEEP_REPLY_MS, 6);
        frame::put(&mut numbers, layout.record_prefix(shard).len() as u64, 2);
        frame::put(&mut numbers, self.server.keep_removals as u64, 4);
        frame::put(&mut numbers, KEEP_MS, 6);
        put_hlc(&mut numbers, clock_after);
        frame::put(&mut numbers, self.server.seen().ms(), 6);
        numbers.push(self.is_repeated.into());
        frame::put(&mut numbers, placements.len() as u64, 2);
        numbers.push(request.way());
        let mut tokens = Vec::with_capacity(18 * batches.len());
        for (token, writes) in batches {
            tokens.extend_from_slice(&token.session.to_be_bytes());
            tokens.extend_from_slice(&token.number.to_be_bytes());
            frame::put(&mut tokens, *writes as u64, 2);
        }
        command.arg(&numbers[..]).arg(&tokens[..]);
        // Every node of a cluster would be told, and nobody listens there.
        command.arg(if self.server.is_cluster { String::new() } else { layout.channel() }).arg(epoch);
        command.arg(request.answers.as_bytes()).arg(request.tallies.encode());
        for placement in &placements {
            command.arg(&placement[..]);
        }
        for part in request.writes.iter().flatten() {
            command.arg(&part[..]);
        }
        Ok(command)
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
