//! Those who ask again and again go together: what a request costs is shared by all who are in it.

/// After so many requests in a row that set out without all who were expected, so many wait for nobody.
const MAX_VAIN: u32 = 2;
const UNAWAITED: u32 = 32;

/// Tells whether a request had better wait for those who were answered just now, while the server is busy with another
/// one anyway: tasks that ask again and again come back at once, and a request that sets out without them is half as
/// large as it could be. As many are expected as were there when the last request set out.
#[derive(Debug, Default)]
pub(crate) struct Company {
    /// Those who have asked and have no answer yet.
    present: usize,
    expected: usize,
    /// Requests that set out incomplete, in a row.
    vain: u32,
}

impl Company {
    /// One more asks.
    pub(crate) fn join(&mut self) {
        self.present += 1;
    }

    /// So many have their answers, or have given up.
    pub(crate) fn leave(&mut self, count: usize) {
        self.present = self.present.saturating_sub(count);
    }

    /// Whether nobody is waited for.
    pub(crate) fn is_complete(&self) -> bool {
        self.present >= self.expected || self.vain >= MAX_VAIN
    }

    /// A request sets out.
    pub(crate) fn set_out(&mut self) {
        let begins_anew = self.present >= self.expected || self.vain + 1 == MAX_VAIN + UNAWAITED;
        self.vain = if begins_anew { 0 } else { self.vain + 1 };
        self.expected = self.present;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of `size` sets out and is answered, and `back` of them come again.
    fn round(company: &mut Company, size: usize, back: usize) {
        company.set_out();
        company.leave(size);
        (0..back).for_each(|_| company.join());
    }

    #[test]
    fn whoever_was_answered_is_expected_back() {
        let mut company = Company::default();
        (0..50).for_each(|_| company.join());
        round(&mut company, 25, 24);
        assert!(!company.is_complete());
        company.join();
        assert!(company.is_complete());
    }

    #[test]
    fn nobody_is_expected_at_first() {
        assert!(Company::default().is_complete());
    }

    #[test]
    fn those_who_stay_away_are_waited_for_twice_and_then_not_for_a_while() {
        let mut company = Company::default();
        (0..1_000).for_each(|_| company.join());
        let waits: Vec<bool> = (0..40)
            .map(|_| {
                round(&mut company, 10, 0);
                !company.is_complete()
            })
            .collect();
        let (first, later) = waits.split_at(MAX_VAIN as usize);
        let (unawaited, then) = later.split_at(UNAWAITED as usize);
        assert!(first.iter().all(|waits| *waits), "{waits:?}");
        assert!(!unawaited.contains(&true), "{waits:?}");
        assert!(then[0], "{waits:?}");
    }
}
