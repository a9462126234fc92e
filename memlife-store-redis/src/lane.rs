//! The way of a shard's writes: they come one call after the other, so that a last reply is enough, and those that wait
//! for the same call go together.

use crate::config::Wall;
use crate::layout::Shard;
use crate::request::is_native;
use crate::script::Bound;
use crate::server::Server;
use memlife_core::store::{Batch, Outcome, Token, Write};
use memlife_core::{Error, ErrorKind, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

/// The most writes of one call: some ten milliseconds in which the server does nothing else.
pub(crate) const CALL_WRITES: usize = 500;
/// The most bytes of bodies of a call that several batches share.
const CALL_BYTES: usize = 1 << 20;
/// The most batches of unknown fate that are remembered for each shard.
const MAX_UNKNOWN: usize = 10_000;

/// The outcomes of one batch's writes to one shard.
pub(crate) type Outcomes = Vec<Result<Outcome>>;

/// The part of a batch that concerns one shard.
pub(crate) struct Job {
    pub(crate) batch: Arc<Batch>,
    /// The places of its writes in the batch.
    pub(crate) places: Vec<usize>,
    pub(crate) token: Token,
    /// Until when the server is waited for.
    pub(crate) deadline: Duration,
    pub(crate) answer: oneshot::Sender<Outcomes>,
}

impl Job {
    pub(crate) fn writes(&self) -> impl Iterator<Item = &Write> {
        self.places.iter().map(|place| &self.batch.writes[*place])
    }

    /// Ends the job; the writes that have no outcome yet fail with `error`.
    pub(crate) fn end(self, mut outcomes: Outcomes, error: &Error) {
        for write in self.places.iter().skip(outcomes.len()).map(|place| &self.batch.writes[*place]) {
            outcomes.push(Err(error.duplicate().on(&write.key)));
        }
        // Whoever does not wait any more needs no answer.
        let _ = self.answer.send(outcomes);
    }

    /// Whether it can share a call with others: the script is likely to decide all of it.
    fn is_sociable(&self, body_limit: usize) -> bool {
        self.places.len() < CALL_WRITES && self.writes().all(|write| is_native(write, body_limit))
    }
}

/// The way to one shard.
#[derive(Default)]
pub(crate) struct Lane {
    waiting: std::sync::Mutex<Waiting>,
    /// Held by whoever writes to the shard.
    pub(crate) calls: Mutex<Calls>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_served: bool,
}

/// How the calls to one shard are told apart.
#[derive(Default)]
pub(crate) struct Calls {
    /// A lane whose last call has an unknown fate is left to whoever repeats it.
    pub(crate) lane: u32,
    pub(crate) number: u64,
    pub(crate) unknown: HashMap<Token, u32>,
    /// The scripts that only the server process behind this shard knows.
    pub(crate) bound: Option<Arc<Bound>>,
}

impl Calls {
    /// Leaves `lane` to whoever repeats these batches.
    pub(crate) fn leave(&mut self, tokens: impl Iterator<Item = Token>, lane: u32) {
        for token in tokens {
            if self.unknown.len() >= MAX_UNKNOWN {
                self.unknown.clear();
            }
            self.unknown.insert(token, lane);
        }
        if lane == self.lane {
            self.lane = self.lane.wrapping_add(1);
        }
    }
}

impl Lane {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next call is one job's own.
    fn is_next_alone(&self, server: &Server) -> bool {
        let limit = server.info.limits.body_bytes;
        self.waiting().jobs.front().is_some_and(|job| !job.is_sociable(limit))
    }

    /// The jobs of the next call; with none the lane is served no more.
    fn take(&self, calls: &Calls, server: &Server) -> Vec<Job> {
        let mut waiting = self.waiting();
        let limit = server.info.limits.body_bytes;
        let is_sociable = |job: &Job| job.is_sociable(limit) && !calls.unknown.contains_key(&job.token);
        let Some(first) = waiting.jobs.pop_front() else {
            waiting.is_served = false;
            return Vec::new();
        };
        let (mut count, mut bytes) = (first.places.len(), 0);
        let is_alone = !is_sociable(&first);
        let mut jobs = vec![first];
        while !is_alone
            && let Some(next) = waiting.jobs.front()
            && next.token.session == jobs[0].token.session
            && (server.wall == Wall::Server || next.batch.now == jobs[0].batch.now)
            && is_sociable(next)
        {
            count += next.places.len();
            bytes += next.writes().map(Write::body_bytes).sum::<usize>();
            if count > CALL_WRITES || bytes > CALL_BYTES {
                break;
            }
            jobs.extend(waiting.jobs.pop_front());
        }
        jobs
    }
}

/// Whoever serves a lane, until nobody waits in it.
struct Service {
    server: Arc<Server>,
    shard: Shard,
    is_over: bool,
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.is_over {
            // It was given up; so are those who wait, and the next to come is served anew.
            let mut waiting = self.server.lane(self.shard).waiting();
            self.server.convoy.leave(waiting.jobs.len());
            waiting.jobs.clear();
            waiting.is_served = false;
        }
    }
}

impl Server {
    pub(crate) fn lane(&self, shard: Shard) -> &Lane {
        &self.lanes[usize::from(shard)]
    }

    /// Has the writes of `batch` that stand at `places` carried out, which are all of `shard`.
    pub(crate) fn submit(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        shard: Shard,
        batch: &Arc<Batch>,
        places: Vec<usize>,
    ) -> oneshot::Receiver<Outcomes> {
        let (answer, receiver) = oneshot::channel();
        let token = batch.token.unwrap_or_else(|| self.new_token());
        let deadline = self.link.deadline();
        let mut waiting = self.lane(shard).waiting();
        waiting.jobs.push_back(Job { batch: batch.clone(), places, token, deadline, answer });
        if !waiting.is_served {
            waiting.is_served = true;
            runtime.spawn(Service { server: self.clone(), shard, is_over: false }.run());
        }
        drop(waiting);
        self.convoy.join();
        receiver
    }
}

impl Service {
    async fn run(mut self) {
        let server = self.server.clone();
        let lane = server.lane(self.shard);
        loop {
            let mut calls = lane.calls.lock().await;
            // The nodes of a cluster work side by side, and who shares no call needs no company.
            if !server.is_cluster && !lane.is_next_alone(&server) {
                server.convoy.gather().await;
            }
            let jobs = lane.take(&calls, &server);
            if jobs.is_empty() {
                self.is_over = true;
                return;
            }
            let mut call = server.convoy.set_out(jobs.len());
            let left = server.write(self.shard, &mut calls, jobs).await;
            call.keep(left.len());
            drop(call);
            let mut waiting = lane.waiting();
            left.into_iter().rev().for_each(|job| waiting.jobs.push_front(job));
        }
    }
}

/// The error of a write whose repetition did not find out what became of it.
pub(crate) fn still_unknown(error: &Error) -> Error {
    if error.kind() == ErrorKind::Indeterminate {
        return error.duplicate();
    }
    let message = format!("what became of the write is not known yet: repeat it with its token ({error})");
    Error::new(ErrorKind::Indeterminate, message)
}
