use crate::error::of_call;
use memlife_core::{Result, Timestamp};
use rustix::fd::OwnedFd;

/// How often a reading that was being written is read again.
const MAX_READINGS: u32 = 8;

/// The store's clock in a file of 16 bytes, so that reading an entry does not take the index.
///
/// Every commit writes it before it is visible, under the index's write lock: whoever sees a commit sees a clock
/// that is no older. It may be ahead of the index by a commit that failed, which revives nothing.
#[derive(Debug)]
pub(crate) struct StoreClock {
    file: OwnedFd,
}

impl StoreClock {
    pub(crate) fn new(file: OwnedFd) -> Self {
        StoreClock { file }
    }

    /// The clock; `None` when the file holds no reading, as after a power cut.
    pub(crate) fn read(&self) -> Result<Option<Timestamp>> {
        for _ in 0..MAX_READINGS {
            let mut reading = [0; 16];
            let read = rustix::io::pread(&self.file, &mut reading, 0)
                .map_err(|errno| of_call("reading the clock", errno))?;
            let number = u128::from_le_bytes(reading);
            let (ms, check) = (number as u64, (number >> 64) as u64);
            // The second half is the first with every bit turned over: a half-written reading is not taken.
            if read == reading.len() && ms == !check {
                return Ok(Some(Timestamp::from_ms(ms)));
            }
            if read == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// Sets the clock. For whoever holds the index's write lock.
    pub(crate) fn write(&self, clock: Timestamp) {
        let ms = clock.ms();
        let reading = u128::from(ms) | u128::from(!ms) << 64;
        if let Err(error) = rustix::io::pwrite(&self.file, &reading.to_le_bytes(), 0) {
            tracing::warn!(%error, "the clock stays behind: a step back of the wall clock may revive what expired");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_written_and_nothing_else() {
        let mut file = tempfile::tempfile().unwrap();
        let clock = StoreClock::new(file.try_clone().unwrap().into());
        assert_eq!(clock.read().unwrap(), None);
        for ms in [0, 1, 1_800_000_000_000, Timestamp::MAX.ms()] {
            clock.write(Timestamp::from_ms(ms));
            assert_eq!(clock.read().unwrap(), Some(Timestamp::from_ms(ms)));
        }
        std::io::Write::write_all(&mut file, b"torn").unwrap();
        assert_eq!(clock.read().unwrap(), None);
    }
}
