use std::time::Duration;

/// A commit that takes less is not worth waiting for company: whoever comes too late has the next one.
const MIN_COMMIT: Duration = Duration::from_micros(500);
/// A pause is so small a part of what the last commit took, and there are at most so many.
const PAUSE_SHARE: u32 = 32;
const MAX_PAUSES: u32 = 16;
/// Pauses in which nobody came: a task that was answered may have to wake a thread first.
const MAX_VAIN: u32 = 2;

/// Waits for those who were answered last: tasks that write again and again come back at once, and those who come while
/// their like is being synced would halve every group. PostgreSQL's `commit_delay` does the same for a time that it is
/// told; this one knows how many it waits for, and goes as soon as nobody comes any more.
#[derive(Debug)]
pub(super) struct Reunion {
    /// Who was answered, and who waited already.
    size: usize,
    pause: Duration,
    pauses: u32,
    vain: u32,
    there: usize,
}

impl Reunion {
    /// After a commit that took `taken` for `answered` batches, while `waiting` others came; `None` where none pays.
    pub(super) fn after(taken: Duration, answered: usize, waiting: usize) -> Option<Self> {
        let pays = taken >= MIN_COMMIT && answered > 0;
        pays.then(|| Reunion {
            size: answered + waiting,
            pause: taken / PAUSE_SHARE,
            pauses: 0,
            vain: 0,
            there: 0,
        })
    }

    /// How many are waited for.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// How long to wait for more where `there` are waiting now; `None` to go.
    pub(super) fn pause(&mut self, there: usize) -> Option<Duration> {
        self.vain += u32::from(there <= self.there);
        let goes = there >= self.size || self.vain == MAX_VAIN || self.pauses == MAX_PAUSES;
        (self.there, self.pauses) = (there, self.pauses + 1);
        (!goes).then_some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_millis(3);

    #[test]
    fn all_who_were_answered_are_waited_for() {
        let mut reunion = Reunion::after(COMMIT, 63, 1).unwrap();
        assert!(reunion.pause(1).is_some());
        assert!(reunion.pause(40).is_some());
        assert_eq!(reunion.pause(64), None);
    }

    #[test]
    fn when_nobody_comes_any_more_it_goes() {
        let mut reunion = Reunion::after(COMMIT, 63, 1).unwrap();
        assert!(reunion.pause(1).is_some());
        assert!(reunion.pause(1).is_some());
        assert!(reunion.pause(30).is_some());
        assert_eq!(reunion.pause(30), None);
    }

    #[test]
    fn a_trickle_is_not_waited_for_longer_than_half_a_commit() {
        let mut reunion = Reunion::after(COMMIT, 1_000, 0).unwrap();
        let waited: Duration = (1..1_000).map_while(|there| reunion.pause(there)).sum();
        assert_eq!(waited, COMMIT / 2);
    }

    #[test]
    fn who_is_alone_or_quick_does_not_wait() {
        assert_eq!(Reunion::after(COMMIT, 1, 0).unwrap().pause(1), None);
        assert!(Reunion::after(Duration::from_micros(40), 63, 1).is_none());
        assert!(Reunion::after(COMMIT, 0, 0).is_none());
    }
}
