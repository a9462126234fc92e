use crate::{Key, Result};
use async_trait::async_trait;

/// Whether a check also mends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repair {
    /// Only reports.
    #[default]
    No,
    /// Rebuilds indexes from the records, and sets damaged records aside.
    Yes,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records looked at.
    pub checked: u64,
    /// The first 1,000 problems.
    pub findings: Vec<Finding>,
    /// All of them.
    pub problems: u64,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key concerned, where it is known.
    pub key: Option<Key>,
    /// Where in the store: a file, a table.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// Whether it was mended.
    pub repaired: bool,
}

impl Verification {
    /// The most findings that are kept with their texts.
    pub const MAX_FINDINGS: usize = 1_000;

    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        self.problems += 1;
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Problems that were not mended.
    pub fn unrepaired(&self) -> u64 {
        let repaired = self.findings.iter().filter(|finding| finding.repaired).count();
        self.problems.saturating_sub(repaired as u64)
    }
}

/// A store's own check of its records, indexes and files.
#[async_trait]
pub trait Verify {
    /// Reads everything. Other users of the store may go on meanwhile.
    ///
    /// Under [`Repair::Yes`] every index is rebuilt from the records. A record that cannot be read is removed
    /// from service and kept aside where the backend can (a `lost+found` folder or table), never silently.
    async fn verify(&self, repair: Repair) -> Result<Verification>;
}
