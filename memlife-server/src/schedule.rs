use croner::Cron;
use croner::errors::CronError;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Zoned};
use memlife::policy::{CleanupSchedule, TimeOfDay};
use memlife::{Error, ErrorKind, Result, Ttl};
use std::fmt;
use std::time::Duration;

/// The shortest and the longest time between two sweeps.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(366 * 24 * 3_600);
const MAX_CRON_BYTES: usize = 256;
/// A clock that is set back repeats a range of wall-clock times: no more than a day of them, an hour apart at least.
const MAX_REPEATED: i64 = 25;

/// When to sweep. Pure: the same instants give the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// At once, and then after so much elapsed time.
    Elapsed(Duration),
    /// At a time of the local clock, and then each time that clock has gone on by so many hours.
    Local {
        first: TimeOfDay,
        hours: u32,
    },
    Cron(Box<Cron>),
}

impl Schedule {
    /// At once, and then after each `interval`.
    ///
    /// # Errors
    /// `Invalid` for less than a second and more than 366 days.
    pub fn every(interval: Duration) -> Result<Self> {
        if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
            return Ok(Schedule(Kind::Elapsed(interval)));
        }
        Err(invalid("the interval of a schedule is between 1s and 366d"))
    }

    /// Every day at `time` of the local clock.
    ///
    /// A time that the clock skips is moved on by as much as it skips; one that it repeats is taken once.
    pub fn daily(time: TimeOfDay) -> Self {
        Schedule(Kind::Local { first: time, hours: 24 })
    }

    /// At the times of the local clock that a cron expression matches: five fields, or six with seconds in front.
    ///
    /// # Errors
    /// `Invalid` when it is no cron expression.
    pub fn cron(expression: &str) -> Result<Self> {
        let refuse = |reason: &dyn fmt::Display| {
            invalid(&format!(
                "{expression:?} is not a cron expression ({reason}): write five fields, such as \"0 2 * * *\""
            ))
        };
        if expression.len() > MAX_CRON_BYTES {
            return Err(invalid(&format!("a cron expression has at most {MAX_CRON_BYTES} bytes")));
        }
        let cron = expression.parse::<Cron>().map_err(|error| refuse(&error))?;
        Ok(Schedule(Kind::Cron(Box::new(cron))))
    }

    /// What the section `cleanup_schedule` of a policy file asks for; `None` when it is not enabled.
    ///
    /// # Errors
    /// `Invalid` when its cron expression is none.
    pub fn from_policy(section: &CleanupSchedule) -> Result<Option<Self>> {
        if !section.enabled {
            return Ok(None);
        }
        if let Some(expression) = &section.cron {
            return Schedule::cron(expression).map(Some);
        }
        let hours = section.interval_hours.max(1);
        Ok(Some(match section.time_of_day {
            Some(first) => Schedule(Kind::Local { first, hours }),
            None => Schedule(Kind::Elapsed(Duration::from_secs(u64::from(hours) * 3_600))),
        }))
    }

    /// The first time, for a schedule that starts at `start`; `None` when it never comes.
    ///
    /// # Errors
    /// `Invalid` beyond the end of the calendar.
    pub fn first(&self, start: &Zoned) -> Result<Option<Zoned>> {
        match &self.0 {
            Kind::Elapsed(_) => Ok(Some(start.clone())),
            Kind::Local { first, .. } => local_not_before(*first, start).map(Some),
            Kind::Cron(cron) => cron_after(cron, start),
        }
    }

    /// The next time after `now`, counted from the `first` one; `None` when there is none any more.
    ///
    /// Times that were missed are not made up for.
    ///
    /// # Errors
    /// `Invalid` beyond the end of the calendar.
    pub fn next_after(&self, first: &Zoned, now: &Zoned) -> Result<Option<Zoned>> {
        if now < first {
            return Ok(Some(first.clone()));
        }
        match &self.0 {
            Kind::Elapsed(interval) => elapsed_after(first, *interval, now).map(Some),
            Kind::Local { first: time, hours } => {
                let anchor = first.date().at(time_hour(*time), time_minute(*time), 0, 0);
                local_after(anchor, SignedDuration::from_hours(i64::from(*hours)), now).map(Some)
            }
            Kind::Cron(cron) => cron_after(cron, now),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Elapsed(interval) => match Ttl::try_from(*interval) {
                Ok(shown) => write!(f, "every {shown}"),
                Err(_) => write!(f, "every {interval:?}"),
            },
            Kind::Local { first, hours: 24 } => write!(f, "daily at {first}"),
            Kind::Local { first, hours } => write!(f, "at {first} and every {hours}h from then"),
            Kind::Cron(cron) => write!(f, "cron {}", cron.as_str()),
        }
    }
}

fn time_hour(time: TimeOfDay) -> i8 {
    i8::try_from(time.hour()).unwrap_or(0)
}

fn time_minute(time: TimeOfDay) -> i8 {
    i8::try_from(time.minute()).unwrap_or(0)
}

/// The first instant at `time` of the local clock that is not before `start`.
fn local_not_before(time: TimeOfDay, start: &Zoned) -> Result<Zoned> {
    let mut date = start.date();
    // A day that the calendar of the zone skips, and one whose time lies in a repeated hour, make it more than two.
    for _ in 0..4 {
        let at = resolve(date.at(time_hour(time), time_minute(time), 0, 0), start)?;
        if at >= *start {
            return Ok(at);
        }
        date = date.tomorrow().map_err(beyond)?;
    }
    Err(Error::new(ErrorKind::Internal, format!("no day has the time {time}")))
}

fn elapsed_after(first: &Zoned, interval: Duration, now: &Zoned) -> Result<Zoned> {
    let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let passed = now.timestamp().as_millisecond() - first.timestamp().as_millisecond();
    let ahead = (passed / step + 1).checked_mul(step).map(SignedDuration::from_millis);
    let ahead = ahead.ok_or_else(|| invalid("the next sweep lies beyond the end of the calendar"))?;
    first.checked_add(ahead).map_err(beyond)
}

/// Counts on the local clock, so that the times of day stay when the clock is set forward or back.
fn local_after(anchor: DateTime, interval: SignedDuration, now: &Zoned) -> Result<Zoned> {
    let step = interval.as_secs().max(1);
    let passed = now.datetime().duration_since(anchor).as_secs().div_euclid(step);
    // From the last local time that is not later than now: a skipped one is moved on and may still lie ahead.
    for count in passed..=passed + MAX_REPEATED {
        let ahead = count.checked_mul(step).map(SignedDuration::from_secs);
        let ahead = ahead.ok_or_else(|| invalid("the next sweep lies beyond the end of the calendar"))?;
        let at = resolve(anchor.checked_add(ahead).map_err(beyond)?, now)?;
        if at > *now {
            return Ok(at);
        }
    }
    Err(Error::new(ErrorKind::Internal, "the local clock repeats more than a day"))
}

/// The instant of a local time: a skipped one is moved on, of a repeated one it is the first.
fn resolve(local: DateTime, zone_of: &Zoned) -> Result<Zoned> {
    local.to_zoned(zone_of.time_zone().clone()).map_err(beyond)
}

fn cron_after(cron: &Cron, now: &Zoned) -> Result<Option<Zoned>> {
    match cron.find_next_occurrence(now, false) {
        Ok(at) => Ok(Some(at)),
        Err(CronError::TimeSearchLimitExceeded) => Ok(None),
        Err(error) => Err(invalid("the next time of the cron expression cannot be told").because(error)),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn beyond(error: jiff::Error) -> Error {
    invalid("the next sweep lies beyond the end of the calendar").because(error)
}
