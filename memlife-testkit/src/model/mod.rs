//! Random operations on a store and on a model of it, compared after every step and shrunk where they differ.
//!
//! [`check`] holds a store to [`InMemoryStore`]; [`check_reference`] holds that one to a map of visible values.

mod compare;
mod oracle;
mod plan;

use crate::{InMemorySubject, Session, Subject, effort};
use compare::differences;
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Guard, Outcome, Want, Write};
use memlife_core::{InMemoryStore, ReplicaId, Result, Timestamp};
use oracle::Oracle;
use plan::{Plan, Step};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::sync::Arc;

/// How many sequences a run of the whole test suite tries.
pub const DEFAULT_CASES: u32 = 64;
/// The most steps of one sequence.
const MAX_STEPS: usize = 40;
/// Enough to get to a handful of steps; each try opens a fresh store.
const MAX_SHRINKS: u32 = 2_000;

/// Runs `cases` random sequences on fresh subjects and on the store in memory; more in the long run.
///
/// The store must begin at `seq` 0, as every fresh store does, so that both mint the same numbers and stamps.
///
/// # Panics
/// With the shortest sequence found on which the two differ, and how.
pub fn check<S: Subject, F: Future<Output = S>>(subject: impl Fn() -> F, cases: u32) {
    let subject = &subject;
    run(plan::any_step(), cases, |steps| async move {
        let subject = subject().await;
        Twins::open(&subject).await.run(&subject, steps).await
    });
}

/// Runs `cases` random sequences on the store in memory and on a map of what users should see.
///
/// # Panics
/// With the shortest sequence found on which the two differ, and how.
pub fn check_reference(cases: u32) {
    run(plan::plain_step(), cases, |steps| async move {
        let session = Session::open(&InMemorySubject::new()).await;
        let mut oracle = Oracle::default();
        for step in steps {
            oracle.follow(&session, &step).await?;
        }
        Ok(())
    });
}

fn run<F>(step: impl Strategy<Value = Step>, cases: u32, test: impl Fn(Vec<Step>) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let cases = cases * effort::factor();
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: MAX_SHRINKS, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let steps = proptest::collection::vec(step, 1..MAX_STEPS);
    let outcome = TestRunner::new(config)
        .run(&steps, |steps| runtime.block_on(test(steps)).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// What became of a write, in a word.
pub fn word(outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome::Applied { .. }) => "applied".into(),
        Ok(Outcome::Unchanged { .. }) => "unchanged".into(),
        Ok(Outcome::Refused { .. }) => "refused".into(),
        Ok(Outcome::NotNative { .. }) => "not native".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// The store under test and the reference, of one replica and under one wall clock.
struct Twins {
    tested: Session,
    reference: Session,
    /// Another replica, whose records both are sent.
    elsewhere: Session,
    after: [memlife_core::store::Cursor; 2],
}

impl Twins {
    async fn open(subject: &dyn Subject) -> Self {
        let tested = Session::open(subject).await;
        let replica = tested.store().info().replica;
        let in_memory = |replica| Session::on(Arc::new(InMemoryStore::with_replica(replica)));
        Twins {
            tested,
            reference: in_memory(replica),
            elsewhere: in_memory(ReplicaId(replica.0 ^ 1)),
            after: Default::default(),
        }
    }

    async fn run(mut self, subject: &dyn Subject, steps: Vec<Step>) -> Result<(), String> {
        for (i, step) in steps.iter().enumerate() {
            let told = |difference: String| format!("after step {i}, {step:?}: {difference}");
            self.take(subject, step).await.map_err(told)?;
            differences(&self.tested, &self.reference, &mut self.after).await.map_err(told)?;
        }
        Ok(())
    }

    async fn take(&mut self, subject: &dyn Subject, step: &Step) -> Result<(), String> {
        match step {
            Step::Write(plans) => self.write(plans).await,
            Step::WriteElsewhere(plan) => {
                // Whether that does anything is no matter here.
                let _ = self.elsewhere.try_write(plan.write(&self.elsewhere).await).await;
                Ok(())
            }
            Step::Join(plan) => self.join(plan).await,
            Step::Sweep(class) => self.sweep(*class).await,
            Step::Pass(ms) => {
                self.all(|session| session.pass(*ms));
                Ok(())
            }
            Step::Back(ms) => {
                self.all(|session| session.step_back(*ms));
                Ok(())
            }
            Step::Reopen => {
                self.reopen(subject).await;
                Ok(())
            }
        }
    }

    fn all(&self, act: impl Fn(&Session)) {
        [&self.tested, &self.reference, &self.elsewhere].into_iter().for_each(act);
    }

    /// Opens the store anew; one that only lives in memory keeps its handle.
    async fn reopen(&mut self, subject: &dyn Subject) {
        if subject.persistent() {
            let now = self.tested.now();
            // The old handle goes first: what is reopened beside another handle proves nothing.
            self.tested = Session::open(&InMemorySubject::new()).await;
            self.tested = Session::open(subject).await;
            self.tested.step_to(now);
        }
    }

    async fn write(&self, plans: &[Plan]) -> Result<(), String> {
        let mut writes = Vec::new();
        for plan in plans {
            writes.push(plan.write(&self.reference).await);
        }
        self.submit(writes.clone(), writes).await
    }

    async fn join(&self, plan: &Plan) -> Result<(), String> {
        match self.elsewhere.fetch(&plan.key(), Want::Whole).await {
            Some(theirs) => {
                let join = plan.join(&theirs, &self.reference).await;
                self.submit(vec![join.clone()], vec![join]).await
            }
            None => Ok(()),
        }
    }

    /// Erases what is due by each store's own list, in one order for both.
    async fn sweep(&self, class: ReclaimClass) -> Result<(), String> {
        let mut batches = Vec::new();
        for session in [&self.tested, &self.reference] {
            let mut due = session.due(class, session.now()).await;
            due.sort_by(|one, other| (one.reclaim_at, &one.key).cmp(&(other.reclaim_at, &other.key)));
            let erasures = due.into_iter().map(|entry| {
                let erasure = memlife_core::store::Change::Erase(Cause::Expired);
                crate::Draft::on(entry.key, erasure).guard(Guard::Due(entry.locator)).build()
            });
            batches.push(erasures.collect::<Vec<Write>>());
        }
        let expected = batches.pop().unwrap_or_default();
        self.submit(batches.pop().unwrap_or_default(), expected).await
    }

    async fn submit(&self, tested: Vec<Write>, reference: Vec<Write>) -> Result<(), String> {
        let got = self.tested.batch(tested).await;
        let expected = self.reference.batch(reference).await;
        if got.len() != expected.len() {
            return Err(format!("{} outcomes where {} are expected", got.len(), expected.len()));
        }
        for (i, pair) in got.iter().zip(&expected).enumerate() {
            let same = match pair {
                (Ok(got), Ok(expected)) => got == expected,
                (Err(got), Err(expected)) => got.kind() == expected.kind(),
                _ => false,
            };
            if !same {
                return Err(format!("write {i} gave {:?} and not {:?}", pair.0, pair.1));
            }
        }
        Ok(())
    }
}

/// The end of time, for lists of everything that will ever be due.
const END: Timestamp = Timestamp::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use memlife_core::Store;
    use memlife_core::store::Limits;

    /// A store that differs from the contract in one point: it takes no large bodies.
    struct Narrow;

    #[async_trait]
    impl Subject for Narrow {
        async fn open(&self) -> Arc<dyn Store> {
            let limits = Limits { body_bytes: 60, ..Limits::default() };
            Arc::new(InMemoryStore::new().unwrap().with_limits(limits))
        }

        fn persistent(&self) -> bool {
            false
        }
    }

    #[test]
    #[should_panic(expected = "limit of 60 bytes")]
    fn a_store_that_differs_is_found_out() {
        check(|| async { Narrow }, DEFAULT_CASES);
    }
}
