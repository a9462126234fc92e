use super::{Cause, Removal};
use crate::{Error, ErrorKind, KEEP_MS, Key, Result, Timestamp};

/// Removals that are kept however old they are.
const MIN_KEPT: u64 = 100_000;
/// Old removals are looked for once per this many change numbers.
const PRUNE_EVERY: u64 = 4_096;
/// The most bytes of keys in one run.
const MAX_RUN_BYTES: usize = 64 << 10;

/// Removals of one cause and instant with change numbers that follow each other, as an embedded store keeps them: in
/// one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalRun {
    /// The last change number.
    pub last_seq: u64,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// How many.
    pub count: u64,
    /// Of each key how much it shares with the one before, how much it has beyond, and that.
    pub keys: Vec<u8>,
}

impl RemovalRun {
    /// The removals with a number above `after`, in order.
    ///
    /// # Errors
    /// `Corrupt` for what is no run.
    pub fn removals(&self, after: u64) -> Result<Vec<Removal>> {
        let RemovalRun { last_seq, at, cause, count, ref keys } = *self;
        let before = last_seq.checked_sub(count).ok_or_else(RemovalRun::damaged)?;
        let mut removals = Vec::new();
        let mut rest = keys.as_slice();
        let mut text = Vec::new();
        for seq in (before..last_seq).map(|seq| seq + 1) {
            rest = next_key(rest, &mut text).ok_or_else(RemovalRun::damaged)?;
            if seq > after {
                let text = std::str::from_utf8(&text).map_err(|_| RemovalRun::damaged())?;
                removals.push(Removal { seq, key: Key::from_stored(text)?, cause, at });
            }
        }
        Ok(removals)
    }

    /// What a run that cannot be read is told as.
    pub fn damaged() -> Error {
        Error::new(ErrorKind::Corrupt, "a stored removal is damaged: run `memlife verify --repair`")
    }

    fn continues(&self, seq: u64, at: Timestamp, cause: Cause) -> bool {
        self.last_seq + 1 == seq && self.at == at && self.cause == cause && self.keys.len() < MAX_RUN_BYTES
    }
}

/// Turns the key before into the next one; what follows it.
fn next_key<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (shared, rest) = length(bytes)?;
    let (own, rest) = length(rest)?;
    let (own, rest) = rest.split_at_checked(own)?;
    if shared > text.len() {
        return None;
    }
    text.truncate(shared);
    text.extend_from_slice(own);
    Some(rest)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*length)), rest))
}

fn shared_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The removals of one transaction, gathered into runs.
#[derive(Debug, Default)]
pub struct Removals {
    run: Option<(RemovalRun, Key)>,
    added: u64,
}

impl Removals {
    /// Records that `key` went at change `seq`. Gives the run before, once it is whole: it is to be written.
    #[must_use]
    pub fn push(&mut self, key: &Key, seq: u64, at: Timestamp, cause: Cause) -> Option<RemovalRun> {
        let is_next = self.run.as_ref().is_some_and(|(run, _)| run.continues(seq, at, cause));
        let whole = if is_next { None } else { self.finish() };
        let text = key.as_str().as_bytes();
        let (run, shared) = match &mut self.run {
            Some((run, last)) => {
                let shared = shared_prefix(last.as_str().as_bytes(), text);
                *last = key.clone();
                (run, shared)
            }
            none => {
                let run = RemovalRun { last_seq: seq, at, cause, count: 0, keys: Vec::new() };
                (&mut none.insert((run, key.clone())).0, 0)
            }
        };
        run.last_seq = seq;
        run.count += 1;
        // A key has at most 1,024 bytes and a system key a few more.
        run.keys.extend_from_slice(&(shared as u16).to_le_bytes());
        run.keys.extend_from_slice(&((text.len() - shared) as u16).to_le_bytes());
        run.keys.extend_from_slice(&text[shared..]);
        whole
    }

    /// Gives the last run, which is to be written.
    #[must_use]
    pub fn finish(&mut self) -> Option<RemovalRun> {
        let (run, _) = self.run.take()?;
        self.added += run.count;
        Some(run)
    }

    /// Removals in the runs that were given.
    pub fn added(&self) -> u64 {
        self.added
    }
}

/// Which removals go: those that are both old and more than are kept anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    now: Timestamp,
    kept: u64,
    /// Removals that are no longer kept.
    pub count: u64,
    /// The last change number among them; 0 for none.
    pub floor: u64,
}

impl Pruning {
    /// The most runs that one pruning looks at.
    pub const MAX_RUNS: usize = 16_384;

    /// Of `kept` removals, after a transaction that led the change number from the first to the second of `seqs`;
    /// `None` when it is not time to look.
    ///
    /// It is when that passed a multiple of some number, so that the cost is spread evenly however short each process
    /// lives.
    pub fn begin(seqs: (u64, u64), now: Timestamp, kept: u64) -> Option<Self> {
        let is_time = seqs.0 / PRUNE_EVERY != seqs.1 / PRUNE_EVERY && kept > MIN_KEPT;
        is_time.then_some(Pruning { now, kept, count: 0, floor: 0 })
    }

    /// Lets the next run go, the oldest first; false when it stays, and all after it.
    pub fn take(&mut self, last_seq: u64, at: Timestamp, count: u64) -> bool {
        let goes = self.now.since(at) > KEEP_MS && self.kept.saturating_sub(self.count + count) >= MIN_KEPT;
        if goes {
            self.count += count;
            self.floor = last_seq;
        }
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    const AT: Timestamp = Timestamp::from_ms(7);

    #[test]
    fn what_follows_each_other_is_one_run_and_reads_back() {
        let mut removals = Removals::default();
        assert_eq!(removals.push(&key("a/one"), 4, AT, Cause::Expired), None);
        assert_eq!(removals.push(&key("a/only"), 5, AT, Cause::Expired), None);
        let run = removals.push(&key("b"), 6, AT, Cause::Deleted).unwrap();
        let read = |after| -> Vec<(u64, String)> {
            let found = run.removals(after).unwrap();
            found.into_iter().map(|removal| (removal.seq, removal.key.to_string())).collect()
        };
        assert_eq!(read(0), [(4, "a/one".to_owned()), (5, "a/only".to_owned())]);
        assert_eq!(read(4), [(5, "a/only".to_owned())]);
        assert_eq!(
            removals.finish().map(|run| (run.last_seq, run.count, run.cause)),
            Some((6, 1, Cause::Deleted))
        );
        assert_eq!((removals.added(), removals.finish()), (3, None));
    }

    #[test]
    fn any_bytes_are_a_run_or_damaged() {
        for (count, keys) in
            [(1, &[][..]), (9, b"\0\0\x01\0a"), (1, b"\x01\0\0\0"), (1, b"\0\0\x09\0a"), (u64::MAX, b"")]
        {
            let run = RemovalRun { last_seq: 8, at: AT, cause: Cause::Purged, count, keys: keys.to_vec() };
            assert_eq!(run.removals(0).unwrap_err().kind(), ErrorKind::Corrupt, "{count} {keys:?}");
        }
    }

    #[test]
    fn only_old_removals_beyond_what_is_kept_go() {
        let now = Timestamp::from_ms(10 * KEEP_MS);
        assert_eq!(Pruning::begin((1, 2), now, 2 * MIN_KEPT), None, "not every time");
        assert_eq!(Pruning::begin((1, PRUNE_EVERY), now, MIN_KEPT), None);
        let mut pruning = Pruning::begin((1, PRUNE_EVERY), now, MIN_KEPT + 30).unwrap();
        assert!(pruning.take(10, AT, 20));
        assert!(!pruning.take(20, now, 1), "it is young");
        assert!(!pruning.take(20, AT, 11), "it is kept anyway");
        assert_eq!((pruning.count, pruning.floor), (20, 10));
    }
}
