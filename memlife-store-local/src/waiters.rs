use memlife_core::Result;
use memlife_core::store::{Changes, Feed, FeedPage};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most that wait at once; further ones do not wait.
const MAX_WAITERS: usize = 10_000;
/// How long the thread stays when nobody waits.
const IDLE: Duration = Duration::from_secs(1);

/// Those who wait for the next change.
///
/// A thread keeps their deadlines while there are any, so that waiting needs no async runtime. Where other processes
/// change the store and tell nobody, the thread asks.
#[derive(Debug, Default)]
pub struct Waiters {
    state: Mutex<State>,
    wake: Condvar,
    count: AtomicUsize,
    poll: Option<Poll>,
}

/// How changes of other processes are found while somebody waits.
pub struct Poll {
    /// How often they are looked for.
    pub every: Duration,
    /// Gives, on the thread that looks, what says whether anything changed since it looked last; there may be false
    /// alarms.
    pub begin: Box<dyn Fn() -> Box<dyn FnMut() -> bool> + Send + Sync>,
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("every", &self.every).finish_non_exhaustive()
    }
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
    /// For a store that other processes change, too.
    pub fn polling(poll: Poll) -> Self {
        Waiters { poll: Some(poll), ..Waiters::default() }
    }

    /// Answers with what `look` finds; where that is nothing, and the query waits, with what it finds later.
    ///
    /// # Errors
    /// Those of `look`.
    pub async fn changes(
        self: &Arc<Self>,
        query: &Feed,
        look: impl Fn() -> Result<Changes>,
    ) -> Result<Changes> {
        let may_wait = !query.wait.is_zero() && query.after.is_some();
        let Some(deadline) = now().checked_add(query.wait).filter(|_| may_wait) else { return look() };
        loop {
            // Before looking, so that no change slips through between the look and the signal.
            let signal = self.register(deadline);
            let changes = look()?;
            let is_empty = matches!(&changes, Changes::Page(FeedPage { items, .. }) if items.is_empty());
            match signal {
                Some(signal) if is_empty && now() < deadline => {
                    // An ended watch looks once more, as a signal does.
                    let _ = signal.await;
                }
                _ => return Ok(changes),
            }
        }
    }

    /// Signals at the next change or at the deadline. `None` when waiting cannot be.
    fn register(self: &Arc<Self>, deadline: Instant) -> Option<oneshot::Receiver<()>> {
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
        // One that polls meets the deadline by itself.
        if self.poll.is_none() {
            self.wake.notify_all();
        }
        Some(receiver)
    }

    /// Tells everybody that something changed.
    pub fn wake(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tell(|_| true);
        }
    }

    /// Tells everybody and ends the thread.
    pub fn close(&self) {
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
        let mut is_changed = self.poll.as_ref().map(|poll| (poll.begin)());
        let mut idle_since = None;
        loop {
            let is_changed = is_changed.as_mut().is_some_and(|is_changed| is_changed());
            let now = now();
            self.tell(|waiter| is_changed || waiter.deadline <= now || waiter.signal.is_closed());
            let mut state = self.state();
            let next = state.waiting.iter().map(|waiter| waiter.deadline).min();
            idle_since = if next.is_some() { None } else { idle_since.or(Some(now)) };
            if state.is_closed || idle_since.is_some_and(|since| now.duration_since(since) >= IDLE) {
                state.is_running = false;
                return;
            }
            let pause = match (&self.poll, next) {
                (Some(poll), _) => poll.every,
                (None, Some(next)) => next.saturating_duration_since(now),
                (None, None) => IDLE,
            };
            drop(self.wake.wait_timeout(state, pause));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Real time: how long a caller waits has nothing to do with what entries are stamped with.
#[allow(clippy::disallowed_methods, reason = "a caller's patience is real elapsed time")]
pub fn now() -> Instant {
    Instant::now()
}
