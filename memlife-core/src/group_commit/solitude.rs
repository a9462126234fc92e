use std::sync::atomic::{AtomicU32, Ordering};

/// After so many lone commits in a row the next is likely to be one, too.
const LIKELY: u32 = 16;
/// From there company is looked for once in so many commits, which is how often others get to run on this thread.
const EVERY: u32 = 8;

/// How many commits in a row were of one who was alone.
///
/// To look for company is to let others run, for which a runtime with idle threads wakes one of them: in SQLite that
/// was a tenth of a small commit.
#[derive(Debug, Default)]
pub(super) struct Solitude(AtomicU32);

impl Solitude {
    /// Whether to let others run before the next commit.
    pub(super) fn looks_for_company(&self) -> bool {
        let lone = self.0.load(Ordering::Relaxed);
        lone < LIKELY || lone.is_multiple_of(EVERY)
    }

    /// One more commit was a lone one.
    pub(super) fn goes_on(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Others came, or had better be looked for.
    pub(super) fn ends(&self) {
        // Many come at once, and a number that only is read costs them nothing.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(solitude: &Solitude, commits: u32) -> u32 {
        let mut count = 0;
        for _ in 0..commits {
            count += u32::from(solitude.looks_for_company());
            solitude.goes_on();
        }
        count
    }

    #[test]
    fn who_is_alone_for_long_looks_for_company_now_and_then() {
        let solitude = Solitude::default();
        assert_eq!(looks(&solitude, LIKELY), LIKELY);
        assert_eq!(looks(&solitude, 10 * EVERY), 10);
    }

    #[test]
    fn who_was_in_company_looks_for_it_again() {
        let solitude = Solitude::default();
        looks(&solitude, 10 * LIKELY);
        solitude.ends();
        assert_eq!(looks(&solitude, LIKELY), LIKELY);
    }
}
