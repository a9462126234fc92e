use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use memlife_core::Result;
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often other processes' commits are looked for while somebody waits.
const POLL: Duration = Duration::from_millis(10);
/// Polls without anybody waiting before the polling thread ends.
const IDLE_POLLS: u32 = 100;
/// The most that wait at once; further ones do not wait.
const MAX_WAITERS: usize = 10_000;

/// Those who wait for the next change, in this process or another.
///
/// SQLite tells nobody of a commit, so a thread asks it while there is somebody to tell. The thread also keeps
/// the deadlines, so that waiting needs no async runtime.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
    wake: Condvar,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiter>,
    thread: Option<JoinHandle<()>>,
    is_polling: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiter {
    deadline: Instant,
    signal: oneshot::Sender<()>,
}

impl Waiters {
    /// Signals at the next change or at the deadline; there may be false alarms. `None` when waiting cannot be.
    ///
    /// Whoever waits looks for changes after this call and before the signal, so that none slips through.
    pub(crate) fn register(
        self: &Arc<Self>,
        config: &SqliteConfig,
        deadline: Instant,
    ) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        if state.waiting.len() >= MAX_WAITERS || state.is_closed {
            return None;
        }
        if !state.is_polling {
            let (waiters, config) = (Arc::clone(self), config.clone());
            let builder = std::thread::Builder::new().name("memlife-watch".to_owned());
            state.thread = Some(builder.spawn(move || waiters.run(&config)).ok()?);
            state.is_polling = true;
        }
        let (signal, receiver) = oneshot::channel();
        state.waiting.push(Waiter { deadline, signal });
        self.count.store(state.waiting.len(), Ordering::Release);
        Some(receiver)
    }

    /// Tells everybody that something changed.
    pub(crate) fn wake(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tell(|_| true);
        }
    }

    /// Tells everybody and ends the thread.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let thread = state.thread.take();
        drop(state);
        self.wake.notify_all();
        self.wake();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("a watching thread ended by a panic");
        }
    }

    fn tell(&self, whom: impl Fn(&Waiter) -> bool) {
        let mut state = self.state();
        let (told, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(whom);
        state.waiting = waiting;
        self.count.store(state.waiting.len(), Ordering::Release);
        drop(state);
        for waiter in Vec::into_iter(told) {
            // Who went away needs no telling.
            let _ = waiter.signal.send(());
        }
    }

    fn run(&self, config: &SqliteConfig) {
        let connection = connection::open_configured(config, Role::Read);
        let mut seen = None;
        let mut idle_polls = 0;
        loop {
            let version = connection.as_ref().ok().and_then(|connection| data_version(connection).ok());
            // The first look counts as a change: one may have come before it and after the waiter looked. So
            // does a failed one: the waiter then meets the failure itself.
            let is_changed = version.is_none() || version != seen;
            seen = version;
            let now = now();
            self.tell(|waiter| is_changed || waiter.deadline <= now || waiter.signal.is_closed());
            let mut state = self.state();
            idle_polls = if state.waiting.is_empty() { idle_polls + 1 } else { 0 };
            if state.is_closed || idle_polls > IDLE_POLLS {
                state.is_polling = false;
                return;
            }
            drop(self.wake.wait_timeout(state, POLL));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes whenever another connection committed.
fn data_version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Real time: how long a caller waits has nothing to do with what entries are stamped with.
#[allow(clippy::disallowed_methods, reason = "a caller's patience is real elapsed time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
