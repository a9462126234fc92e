use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies one store among its replicas; drawn at random when a store is created.
///
/// Every process that shares a store shares its id, so that short-lived programs do not become replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A hybrid logical clock reading: physical milliseconds (48 bits) and a counter (16 bits).
///
/// Kept as two integers because a packed 64-bit value loses its low bits wherever numbers are doubles.
/// Encoded it takes about 10 bytes. Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014.
///
/// ```
/// use memlife_crdt::{Hlc, Timestamp};
///
/// let mut clock = Hlc::default();
/// let first = clock.tick(Timestamp::from_ms(1_000));
/// let second = clock.tick(Timestamp::from_ms(400)); // the wall clock stepped back
/// assert!(second > first);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hlc {
    /// The physical part.
    pub at: Timestamp,
    /// Orders readings within one millisecond.
    pub counter: u16,
}

/// A received reading lies further ahead of the wall clock than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// How far ahead of the wall clock the reading is, in milliseconds.
    pub ahead_ms: u64,
}

impl Hlc {
    /// The reading `at` with counter 0.
    pub const fn new(at: Timestamp) -> Self {
        Hlc { at, counter: 0 }
    }

    /// Advances this clock for a local event and returns the new reading, greater than any before it.
    ///
    /// Never fails: with the wall clock behind, the clock ticks logically. Only at the last instant that can be
    /// told, [`Timestamp::MAX`] with the greatest counter, it stands still.
    pub fn tick(&mut self, wall: Timestamp) -> Hlc {
        if wall > self.at {
            *self = Hlc::new(wall);
        } else if let Some(counter) = self.counter.checked_add(1) {
            self.counter = counter;
        } else if self.at < Timestamp::MAX {
            *self = Hlc::new(self.at.plus_ms(1));
        }
        *self
    }

    /// Moves the clock to at least `wall` without minting a reading.
    pub fn observe(&mut self, wall: Timestamp) {
        *self = (*self).max(Hlc::new(wall));
    }

    /// Learns a reading received from elsewhere.
    ///
    /// One that lies more than `max_drift_ms` ahead of `wall` leaves the clock unchanged: the caller
    /// quarantines what carried it. It is never clamped, since replicas would then hold different stamps
    /// for one write.
    pub fn receive(&mut self, remote: Hlc, wall: Timestamp, max_drift_ms: u64) -> Result<(), Drift> {
        let ahead_ms = remote.at.since(wall);
        if ahead_ms > max_drift_ms {
            return Err(Drift { ahead_ms });
        }
        *self = (*self).max(remote);
        Ok(())
    }
}

/// When and where a write was made: a total order that replicas agree on.
///
/// Ordered by time, then by replica. Encoded it takes about 20 bytes.
///
/// ```
/// use memlife_crdt::{Hlc, ReplicaId, Stamp, Timestamp};
///
/// let time = Hlc::new(Timestamp::from_ms(1_000));
/// let (here, there) = (Stamp::new(time, ReplicaId(1)), Stamp::new(time, ReplicaId(2)));
/// assert!(here < there); // the same millisecond: the replica decides, everywhere alike
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The hybrid time of the write.
    pub time: Hlc,
    /// The store that minted it.
    pub replica: ReplicaId,
}

impl Stamp {
    /// The stamp of `replica` at `time`.
    pub const fn new(time: Hlc, replica: ReplicaId) -> Self {
        Stamp { time, replica }
    }

    /// The physical part of the stamp's time.
    pub const fn at(self) -> Timestamp {
        self.time.at
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.time.at.ms(), self.time.counter, self.replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_while_the_wall_steps_back() {
        let mut clock = Hlc::default();
        let mut last = clock.tick(Timestamp::from_ms(10_000));
        for wall in [9_000, 0, 9_999, 10_000, 10_001, 5] {
            let next = clock.tick(Timestamp::from_ms(wall));
            assert!(next > last, "{next:?} after {last:?}");
            last = next;
        }
    }

    #[test]
    fn readings_of_one_millisecond_are_told_apart() {
        // In our time, where a packed reading has more bits than a double.
        let wall = Timestamp::from_ms(1_790_000_000_000);
        let mut clock = Hlc::default();
        let mut last = clock.tick(wall);
        for _ in 0..100 {
            let next = clock.tick(wall);
            assert!(next > last && next != last, "{next:?} after {last:?}");
            last = next;
        }
    }

    #[test]
    fn counter_overflow_borrows_a_millisecond() {
        let mut clock = Hlc { at: Timestamp::from_ms(7), counter: u16::MAX };
        assert_eq!(clock.tick(Timestamp::EPOCH), Hlc::new(Timestamp::from_ms(8)));
    }

    #[test]
    fn the_last_instant_is_not_left_backwards() {
        let last = Hlc { at: Timestamp::MAX, counter: u16::MAX };
        let mut clock = last;
        assert_eq!(clock.tick(Timestamp::MAX), last);
    }

    #[test]
    fn a_reading_from_the_far_future_changes_nothing() {
        let mut clock = Hlc::new(Timestamp::from_ms(1_000));
        let wall = Timestamp::from_ms(1_000);
        let remote = Hlc::new(Timestamp::from_ms(62_000));
        assert_eq!(clock.receive(remote, wall, 60_000), Err(Drift { ahead_ms: 61_000 }));
        assert_eq!(clock, Hlc::new(wall));
        assert_eq!(clock.receive(Hlc::new(Timestamp::from_ms(61_000)), wall, 60_000), Ok(()));
        assert_eq!(clock.at, Timestamp::from_ms(61_000));
    }
}
