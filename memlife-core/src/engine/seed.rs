use crate::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// Random numbers for jitter and back-off: where chance spreads load, never where it has to be secret.
pub(super) struct Seed(AtomicU64);

impl Seed {
    pub fn from_system() -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("the system gives no random numbers: {error}"))
        })?;
        Ok(Seed(AtomicU64::new(u64::from_le_bytes(bytes))))
    }

    /// The next number of the SplitMix64 sequence (Steele, Lea and Flood, OOPSLA 2014).
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
