use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

/// How long an entry lives: more than 0 ms, at most 1,000 years of 365 days.
///
/// Parses `90s`, `10m`, `1h30m`, `7d`, `2w`, ISO 8601 (`PT1H`) or a bare number of seconds. A day is 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ttl(NonZeroU64);

const MAX_MS: u64 = 1_000 * 365 * 86_400_000;

impl Ttl {
    /// `ms` milliseconds.
    ///
    /// # Errors
    /// `Invalid` for 0 and for more than 1,000 years.
    pub fn from_ms(ms: u64) -> Result<Self> {
        match NonZeroU64::new(ms) {
            Some(ms) if ms.get() <= MAX_MS => Ok(Ttl(ms)),
            Some(_) => {
                Err(Error::new(ErrorKind::Invalid, "a TTL is at most 1,000 years: use `permanent` instead"))
            }
            None => Err(Error::new(
                ErrorKind::Invalid,
                "a TTL is longer than 0: use `permanent` to keep an entry, or delete it",
            )),
        }
    }

    /// `seconds` seconds.
    ///
    /// # Errors
    /// As [`Ttl::from_ms`].
    pub fn from_secs(seconds: u64) -> Result<Self> {
        Ttl::from_ms(seconds.saturating_mul(1_000))
    }

    /// The TTL in milliseconds.
    pub const fn ms(self) -> u64 {
        self.0.get()
    }

    /// The TTL as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0.get())
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(duration: Duration) -> Result<Self> {
        Ttl::from_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl std::str::FromStr for Ttl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ttl::try_from(parse_duration(text)?)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.ms();
        for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= ms {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ttl::from_ms(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Reads a duration as people write it; a bare number is seconds and a day is 24 hours.
///
/// # Errors
/// `Invalid` for anything else, for a negative duration and for months or years.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let invalid = || {
        let message = format!("{text:?} is not a duration: write one such as 90s, 10m, 1h30m, 7d or PT1H");
        Error::new(ErrorKind::Invalid, message)
    };
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| invalid())?;
    Duration::try_from(duration).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("PT1H", 3_600_000),
            ("5", 5_000),
            ("2w", 1_209_600_000),
            ("250ms", 250),
        ] {
            assert_eq!(text.parse::<Ttl>().unwrap().ms(), ms, "{text}");
        }
    }

    #[test]
    fn refuses_nonsense_and_extremes() {
        for text in [
            "",
            "0",
            "0s",
            "-5m",
            "-1",
            "NaN",
            "1y",
            "ten minutes",
            "99999999999999999999",
            "1e400",
            "18446744073709551615",
            "P1M",
        ] {
            assert_eq!(text.parse::<Ttl>().unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["7d", "1h30m", "250ms", "1d1s"] {
            assert_eq!(text.parse::<Ttl>().unwrap().to_string(), text);
        }
    }
}
