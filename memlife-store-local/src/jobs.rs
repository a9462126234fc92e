use memlife_core::store::{Batch, Change, Durability, Op, Outcome, Write};
use memlife_core::{Answer, Error, Result};

/// One write of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The write.
    pub write: &'a Write,
}

impl Job<'_> {
    /// Whether it frees space: these run on a full disk.
    pub fn is_freeing(&self) -> bool {
        matches!(self.write.change, Change::Erase(_) | Change::Op(Op::Delete))
    }
}

/// The writes of all batches that are committed together, but those of batches that are refused.
#[derive(Debug)]
pub struct Jobs<'a> {
    batches: &'a [&'a Batch],
    refusals: Vec<Option<Error>>,
    /// The writes, in order.
    pub all: Vec<Job<'a>>,
    /// The most that any of their batches asks for.
    pub durability: Durability,
}

impl<'a> Jobs<'a> {
    /// Those of `batches`; `refusal` says why a batch is refused, if it is.
    pub fn of(batches: &'a [&'a Batch], refusal: impl Fn(&Batch) -> Option<Error>) -> Self {
        let refusals: Vec<Option<Error>> = batches.iter().map(|batch| refusal(batch)).collect();
        let accepted = || batches.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let all = accepted()
            .flat_map(|(&batch, _)| batch.writes.iter().map(move |write| Job { batch, write }))
            .collect();
        let durability = accepted().map(|(batch, _)| batch.durability).max().unwrap_or_default();
        Jobs { batches, refusals, all, durability }
    }

    /// One answer per batch, with the `outcomes` of all writes that were not refused, in order.
    pub fn answers(self, outcomes: Vec<Result<Outcome>>) -> Vec<Answer> {
        let mut outcomes = outcomes.into_iter();
        let answers = self.batches.iter().zip(self.refusals).map(|(batch, refusal)| match refusal {
            Some(error) => Err(error),
            None => Ok(outcomes.by_ref().take(batch.writes.len()).collect()),
        });
        answers.collect()
    }
}

/// The same error for each.
pub fn fail_all(jobs: &[Job<'_>], error: &Error) -> Vec<Result<Outcome>> {
    jobs.iter().map(|_| Err(error.duplicate())).collect()
}
