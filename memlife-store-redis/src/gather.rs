//! Gets that are asked for while others are on their way go together: one request carries them, sent by one of the tasks
//! that wait, so that what a request costs on both sides is shared by all of them.

use crate::company::Company;
use crate::error::unexpected;
use crate::layout::Shard;
use crate::link::{Failure, Request};
use crate::server::{self, Server};
use bytes::Bytes;
use memlife_core::{Key, Result};
use redis::{Cmd, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that may be on their way before those who come wait to share the next; all but the first of them had better
/// be complete.
const UNDER_WAY: usize = 2;
/// The most gets of one request.
const MOST: usize = 64;

/// Those who ask for records over one connection, of one shard where nothing asks for several at once.
#[derive(Default)]
pub(crate) struct Gathering(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: usize,
    waiting: VecDeque<Waiting>,
    company: Company,
}

impl State {
    fn may_set_out(&self) -> bool {
        self.under_way == 0 || (self.under_way < UNDER_WAY && self.company.is_complete())
    }

    /// A request sets out, with `more` of those who have waited longest.
    fn set_out(&mut self, more: usize) -> Vec<Waiting> {
        self.under_way += 1;
        self.company.set_out();
        let more = self.waiting.len().min(more);
        self.waiting.drain(..more).collect()
    }
}

/// One who waits for the record of this name.
struct Waiting {
    name: String,
    deadline: Duration,
    turn: oneshot::Sender<Turn>,
}

/// What those who wait are told.
enum Turn {
    /// What the record holds.
    Told(Result<Option<Bytes>>),
    /// To ask for what was waited for, and for others too.
    Ask(Permit, String, Vec<Waiting>),
}

/// Permission to have a request on its way.
struct Permit {
    gathering: Arc<Gathering>,
    /// How many share the request.
    count: usize,
}

impl Gathering {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The permission to ask for `name` at once, and for what others wait for, or what to wait for.
    fn enter(
        self: &Arc<Self>,
        name: String,
        deadline: Duration,
    ) -> Result<(Permit, String, Vec<Waiting>), oneshot::Receiver<Turn>> {
        let mut state = self.state();
        state.company.join();
        if state.may_set_out() {
            let others = state.set_out(MOST - 1);
            let permit = Permit { gathering: self.clone(), count: 1 + others.len() };
            return Ok((permit, name, others));
        }
        let (turn, told) = oneshot::channel();
        state.waiting.push_back(Waiting { name, deadline, turn });
        Err(told)
    }

    /// A request of so many has its answer; gives back who is to ask next, and with whom, if anybody had better ask.
    fn leave(&self, count: usize) -> Option<(Waiting, Vec<Waiting>)> {
        let mut state = self.state();
        state.under_way -= 1;
        state.company.leave(count);
        while state.may_set_out() {
            let first = state.waiting.pop_front()?;
            // Whoever gave up needs nothing.
            if first.turn.is_closed() {
                state.company.leave(1);
            } else {
                return Some((first, state.set_out(MOST - 1)));
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((Waiting { name, turn, .. }, others)) = self.gathering.leave(self.count) {
            let permit = Permit { gathering: self.gathering.clone(), count: 1 + others.len() };
            // One who gives up just now drops the permission, which goes on to the next; those who were to share the
            // request find that nobody asks for them, and ask themselves.
            drop(turn.send(Turn::Ask(permit, name, others)));
        }
    }
}

impl Server {
    /// What the record of `key` holds, which is of `shard`.
    ///
    /// # Errors
    /// `Unavailable` when the server does not answer in time.
    pub(crate) async fn record_of(&self, shard: Shard, key: &Key) -> Result<Option<Bytes>> {
        let gathering = &self.gatherings[usize::from(shard) % self.gatherings.len()];
        let deadline = self.link.deadline();
        let (permit, name, others) = loop {
            let told = match gathering.enter(self.layout.record(shard, key), deadline) {
                Ok(turn) => break turn,
                Err(told) => told,
            };
            match told.await {
                Ok(Turn::Told(answer)) => return answer,
                Ok(Turn::Ask(permit, name, others)) => break (permit, name, others),
                // Whoever asked for this one, too, was given up.
                Err(_) => {}
            }
        };
        // Apart, so that the future of a get whose answer another brings is small.
        let mut answers = Box::pin(self.ask_for(shard, &name, deadline, &others)).await.into_iter();
        // Before the others are woken, so that the next request is on its way meanwhile.
        drop(permit);
        let own = answers.next().unwrap_or_else(|| Err(unexpected("MGET")));
        for (waiting, answer) in others.into_iter().zip(answers) {
            // Whoever does not wait any more needs no answer.
            drop(waiting.turn.send(Turn::Told(answer)));
        }
        own
    }

    /// What the record `name` holds, and then those that the others wait for.
    async fn ask_for(
        &self,
        shard: Shard,
        name: &str,
        deadline: Duration,
        others: &[Waiting],
    ) -> Vec<Result<Option<Bytes>>> {
        let mut command = Cmd::new();
        command.arg(if others.is_empty() { "GET" } else { "MGET" }).arg(name);
        for waiting in others {
            command.arg(&waiting.name);
        }
        let deadline = others.iter().fold(deadline, |earliest, waiting| earliest.min(waiting.deadline));
        let answered = self.link.ask(self.link.reader(shard), Request::One(&command), deadline).await;
        let values = match answered.map_err(Failure::of_read) {
            Ok(mut answered) => match answered.values.pop() {
                Some(Value::Array(values)) => values,
                value => value.into_iter().collect(),
            },
            Err(error) => {
                let of_others = others.iter().map(|_| Err(error.duplicate())).collect::<Vec<_>>();
                return std::iter::once(Err(error)).chain(of_others).collect();
            }
        };
        let mut values = values.into_iter();
        let mut next = || server::bytes(values.next().ok_or_else(|| unexpected("MGET"))?, "MGET");
        (0..=others.len()).map(|_| next()).collect()
    }
}
