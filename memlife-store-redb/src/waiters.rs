use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most that wait at once; further ones do not wait.
const MAX_WAITERS: usize = 10_000;
/// How long the thread stays when nobody waits.
const IDLE: Duration = Duration::from_secs(1);

/// Those who wait for the next change, all of them in this process.
///
/// A thread keeps their deadlines while there are any, so that waiting needs no async runtime.
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
    is_running: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiter {
    deadline: Instant,
    signal: oneshot::Sender<()>,
}

impl Waiters {
    /// Signals at the next change or at the deadline. `None` when waiting cannot be.
    ///
    /// Whoever waits looks for changes after this call and before the signal, so that none slips through.
    pub(crate) fn register(self: &Arc<Self>, deadline: Instant) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        if state.waiting.len() >= MAX_WAITERS || state.is_closed {
            return None;
        }
        if !state.is_running {
            let waiters = Arc::clone(self);
            let builder = std::thread::Builder::new().name("memlife-watch".to_owned());
            state.thread = Some(builder.spawn(move || waiters.run()).ok()?);
            state.is_running = true;
        }
        let (signal, receiver) = oneshot::channel();
        state.waiting.push(Waiter { deadline, signal });
        self.count.store(state.waiting.len(), Ordering::Release);
        drop(state);
        self.wake.notify_all();
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

    fn run(&self) {
        loop {
            let mut state = self.state();
            let next = state.waiting.iter().map(|waiter| waiter.deadline).min();
            if state.is_closed {
                state.is_running = false;
                return;
            }
            let pause = next.map_or(IDLE, |next| next.saturating_duration_since(now()));
            let (mut state, waited) =
                self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && state.waiting.is_empty() {
                state.is_running = false;
                return;
            }
            drop(state);
            let now = now();
            self.tell(|waiter| waiter.deadline <= now || waiter.signal.is_closed());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Real time: how long a caller waits has nothing to do with what entries are stamped with.
#[allow(clippy::disallowed_methods, reason = "a caller's patience is real elapsed time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
