use async_trait::async_trait;
use memlife_core::store::{
    Batch, Changes, Due, DuePage, Feed, Fetched, Outcome, Page, Repair, Scan, StoreInfo, UsagePage,
    UsageQuery, Verification, Verify, Want,
};
use memlife_core::{Error, ErrorKind, Key, Result, Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// [`Store::get`].
    Get,
    /// [`Store::apply`].
    Apply,
    /// [`Store::scan`].
    Scan,
    /// [`Store::due`].
    Due,
    /// [`Store::changes`].
    Changes,
    /// [`Store::usage`].
    Usage,
    /// [`Verify::verify`].
    Verify,
}

const METHODS: usize = Method::Verify as usize + 1;

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the store sees it: nothing was done.
    Before,
    /// After the store carried it out: the caller cannot tell.
    After,
}

/// One call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of this method.
    pub method: Method,
    /// The first call that fails, counted from 1 since the store was wrapped.
    pub nth: u64,
    /// How many calls fail from there on, at least 1; `u64::MAX` is all of them.
    pub times: u64,
    /// Before or after it is carried out.
    pub moment: Moment,
    /// With an error of this kind.
    pub kind: ErrorKind,
}

/// A store that fails chosen calls, reads and writes, and passes on all others.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    calls: [u64; METHODS],
    faults: Vec<Fault>,
    damaged: Option<Key>,
    refuses: bool,
}

impl FaultStore {
    /// A wrapper that fails nothing yet.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        FaultStore { inner, plan: Mutex::default() }
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Fails the next call of `method` once.
    pub fn fail_next(&self, method: Method, moment: Moment, kind: ErrorKind) {
        let nth = self.calls(method) + 1;
        self.plan(Fault { method, nth, times: 1, moment, kind });
    }

    /// Fails to read the body of this key alone from now on; of none, for `None`.
    pub fn damage(&self, key: Option<Key>) {
        self.lock().damaged = key;
    }

    /// Refuses every write from now on, as if the store saw what nobody else can see.
    pub fn refuse_writes(&self) {
        self.lock().refuses = true;
    }

    /// How often a method was called.
    pub fn calls(&self, method: Method) -> u64 {
        self.lock().calls[method as usize]
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and finds the fault that is planned for it.
    fn enter(&self, method: Method) -> Option<Fault> {
        let mut plan = self.lock();
        plan.calls[method as usize] += 1;
        let call = plan.calls[method as usize];
        let strikes = |fault: &&Fault| {
            fault.method == method && call >= fault.nth && call - fault.nth < fault.times.max(1)
        };
        plan.faults.iter().find(strikes).copied()
    }

    async fn call<T>(&self, method: Method, call: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(fault) = self.enter(method) else { return call.await };
        if fault.moment == Moment::After {
            call.await?;
        }
        Err(Error::new(fault.kind, format!("call {} of {method:?} was planned to fail", fault.nth)))
    }
}

#[async_trait]
impl Store for FaultStore {
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched> {
        let damaged = self.lock().damaged.clone().filter(|key| want == Want::Whole && keys.contains(key));
        if let Some(key) = damaged {
            return Err(Error::new(ErrorKind::Corrupt, "the body was planned to be damaged").on(&key));
        }
        self.call(Method::Get, self.inner.get(keys, want)).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>> {
        if self.lock().refuses {
            return Ok(batch.writes.iter().map(|_| Ok(Outcome::Refused { current: None })).collect());
        }
        self.call(Method::Apply, self.inner.apply(batch)).await
    }

    async fn scan(&self, query: &Scan) -> Result<Page> {
        self.call(Method::Scan, self.inner.scan(query)).await
    }

    async fn due(&self, query: &Due) -> Result<DuePage> {
        self.call(Method::Due, self.inner.due(query)).await
    }

    async fn changes(&self, query: &Feed) -> Result<Changes> {
        self.call(Method::Changes, self.inner.changes(query)).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        self.call(Method::Usage, self.inner.usage(query)).await
    }

    fn part_of(&self, key: &Key) -> usize {
        self.inner.part_of(key)
    }

    fn info(&self) -> &StoreInfo {
        self.inner.info()
    }
}

#[async_trait]
impl Verify for FaultStore {
    async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.call(Method::Verify, self.inner.verify(repair)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::put;
    use crate::{Session, draft};
    use memlife_core::{InMemoryStore, ReplicaId};

    fn faulty() -> (Arc<FaultStore>, Session) {
        let store = Arc::new(FaultStore::new(Arc::new(InMemoryStore::with_replica(ReplicaId(1)))));
        (store.clone(), Session::on(store))
    }

    #[tokio::test]
    async fn fails_the_chosen_call_alone() {
        let (store, session) = faulty();
        store.plan(Fault {
            method: Method::Apply,
            nth: 2,
            times: 1,
            moment: Moment::Before,
            kind: ErrorKind::Unavailable,
        });
        session.apply(put("a", "1")).await;
        let error = session.try_batch(vec![put("a", "2").build()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(session.value("a").await.as_deref(), Some("1"));
        session.apply(put("a", "3")).await;
        assert_eq!(store.calls(Method::Apply), 3);
    }

    #[tokio::test]
    async fn a_fault_after_the_fact_leaves_the_write_done() {
        let (store, session) = faulty();
        store.fail_next(Method::Apply, Moment::After, ErrorKind::Indeterminate);
        let error = session.try_batch(vec![draft::add("n", 5).build()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate);
        assert_eq!(session.value("n").await.as_deref(), Some("5"));
    }

    #[tokio::test]
    async fn a_sticky_fault_stays() {
        let (store, session) = faulty();
        store.plan(Fault {
            method: Method::Scan,
            nth: 1,
            times: u64::MAX,
            moment: Moment::Before,
            kind: ErrorKind::Poisoned,
        });
        for _ in 0..3 {
            let error = session.store().scan(&Scan { limit: 1, ..Scan::default() }).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Poisoned);
        }
    }
}
