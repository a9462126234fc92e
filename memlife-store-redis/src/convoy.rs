//! Calls of several lanes to a server that works on one at a time.

use crate::company::Company;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The longest wait: only a server that hangs answers later, and then it keeps the next call waiting, too.
const LONGEST: Duration = Duration::from_millis(5);

/// Holds back a call until all who are expected are there, or the call under way has its answer, so that the server
/// never waits.
#[derive(Debug, Default)]
pub(crate) struct Convoy {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    company: Company,
    under_way: usize,
}

impl State {
    fn may_set_out(&self) -> bool {
        self.under_way == 0 || self.company.is_complete()
    }
}

impl Convoy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more asks.
    pub(crate) fn join(&self) {
        let mut state = self.state();
        state.company.join();
        let may_set_out = state.may_set_out();
        drop(state);
        if may_set_out {
            self.changed.notify_waiters();
        }
    }

    /// So many have given up before a call took them.
    pub(crate) fn leave(&self, count: usize) {
        self.state().company.leave(count);
    }

    /// Waits until a call had better set out.
    pub(crate) async fn gather(&self) {
        let changed = self.changed.notified();
        if !self.state().may_set_out() {
            // Whatever ends the wait, the call sets out.
            let _ = tokio::time::timeout(LONGEST, changed).await;
        }
    }

    /// A call sets out with so many; it is under way until what is given back is dropped.
    pub(crate) fn set_out(&self, count: usize) -> UnderWay<'_> {
        let mut state = self.state();
        state.company.set_out();
        state.under_way += 1;
        UnderWay { convoy: self, count }
    }
}

/// A call that the server works on.
pub(crate) struct UnderWay<'a> {
    convoy: &'a Convoy,
    count: usize,
}

impl UnderWay<'_> {
    /// So many of its company have no answer, and go on asking.
    pub(crate) fn keep(&mut self, count: usize) {
        self.count -= count;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.convoy.state();
        state.company.leave(self.count);
        state.under_way -= 1;
        drop(state);
        self.convoy.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn with_no_call_under_way_nobody_waits() {
        let convoy = Convoy::default();
        (0..50).for_each(|_| convoy.join());
        drop(convoy.set_out(50));
        assert!(convoy.gather().now_or_never().is_some());
    }

    #[test]
    fn a_call_waits_for_all_or_for_the_other_ones_answer() {
        let (runtime, convoy) = (runtime(), Convoy::default());
        let _entered = runtime.enter();
        (0..50).for_each(|_| convoy.join());
        let first = convoy.set_out(25);
        drop(convoy.set_out(25));
        let mut complete = Box::pin(convoy.gather());
        assert!(complete.as_mut().now_or_never().is_none());
        (0..24).for_each(|_| convoy.join());
        assert!(complete.as_mut().now_or_never().is_none());
        convoy.join();
        assert!(complete.now_or_never().is_some());

        drop(convoy.set_out(25));
        let mut incomplete = Box::pin(convoy.gather());
        assert!(incomplete.as_mut().now_or_never().is_none());
        drop(first);
        assert!(incomplete.now_or_never().is_some());
    }

    #[test]
    fn whoever_has_no_answer_yet_stays() {
        let convoy = Convoy::default();
        (0..2).for_each(|_| convoy.join());
        let mut call = convoy.set_out(2);
        call.keep(2);
        drop(call);
        assert!(convoy.state().company.is_complete());
    }

    #[test]
    fn whoever_gave_up_is_not_taken_for_one_who_came_back() {
        let convoy = Convoy::default();
        (0..2).for_each(|_| convoy.join());
        let _call = convoy.set_out(1);
        convoy.leave(1);
        assert!(!convoy.state().company.is_complete());
    }
}
