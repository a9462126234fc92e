use super::operation::{Operation, Stored};
use anyhow::{Result, bail};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What one measurement of an operation cost: seconds for one, seconds for the whole, or bytes.
pub type Cost = (Operation, f64);

/// Whether there is a figure for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It is measured.
    Measured,
    /// There is no such operation.
    HasNone,
    /// There is, and it is not measured here; this is why.
    NotHere(String),
}

/// What memory the work took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Resident before anything was opened, in bytes.
    pub before: u64,
    /// Resident in the end.
    pub now: u64,
    /// The most that ever was.
    pub peak: u64,
}

/// Someone who does the work, as what measures sees them.
#[async_trait]
pub trait Subject: Send {
    /// Whether there are figures for `operation`.
    fn ability(&self, operation: Operation) -> Ability;

    /// Everything but sweeps, once, from an empty store on.
    async fn round(&mut self) -> Result<Vec<Cost>>;

    /// Brings the living entries up to the number of `stored`.
    async fn fill(&mut self, _stored: Stored) -> Result<()> {
        bail!("nothing is kept between rounds")
    }

    /// Opens what was filled, puts what is due, and sweeps.
    async fn visit(&mut self, _stored: Stored) -> Result<Vec<Cost>> {
        bail!("nothing is kept between rounds")
    }

    /// Puts and gets everything once, in a process that does nothing else.
    async fn reside(&mut self) -> Result<Memory> {
        bail!("no process of its own can be looked at")
    }
}
