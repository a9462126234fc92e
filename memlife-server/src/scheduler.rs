use crate::Schedule;
use jiff::Zoned;
use jiff::tz::TimeZone;
use memlife::policy::Logging;
use memlife::{Error, ErrorKind, Memory, Result, Stop, SweepOptions, SweepReport, Timestamp};
use std::pin::{Pin, pin};
use std::time::Duration;

/// How long a wait goes without a look at the wall clock, which may be set, and stands still for nobody.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A wall clock that went back by less than this is being adjusted, not set.
const ADJUSTED_MS: u64 = 60_000;
/// How long a sweep may go on when told to stop. One page takes milliseconds.
const GRACE: Duration = Duration::from_secs(5);

/// Sweeps a memory by a schedule until told to stop.
#[derive(Clone, Debug)]
pub struct Scheduler {
    memory: Memory,
    schedule: Schedule,
    zone: TimeZone,
    logging: Logging,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct RunSummary {
    /// Sweeps that ended, failed ones too; one that was cut short by the stop is not among them.
    pub sweeps: u64,
    /// Sweeps that failed, or left behind what they should have removed.
    pub failures: u64,
    /// Entries removed.
    pub deleted: u64,
    /// Their bytes as stored.
    pub freed_bytes: u64,
    /// Why the last failed sweep failed.
    pub last_failure: Option<Error>,
    /// Whether the stop cut a sweep short. The store may then still wait for whoever kept it, closing it as well.
    pub cut_short: bool,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// Where a run stands.
struct Timetable {
    first: Zoned,
    due: Zoned,
    /// What the wall clock showed when it was last looked at.
    seen: Timestamp,
}

impl Scheduler {
    /// Sweeps `memory` by `schedule`, whose local times are those of `zone`; it takes the time from the memory's
    /// clock.
    pub fn new(memory: Memory, schedule: Schedule, zone: TimeZone) -> Self {
        Scheduler { memory, schedule, zone, logging: Logging::default() }
    }

    /// What to log after each sweep, beyond what the engine logs of it.
    #[must_use]
    pub fn logging(self, logging: Logging) -> Self {
        Scheduler { logging, ..self }
    }

    /// Sweeps once, now.
    pub async fn run_once(&self) -> RunSummary {
        let mut summary = RunSummary::default();
        self.note(&mut summary, self.memory.sweep(SweepOptions::new()).await).await;
        summary
    }

    /// Sweeps whenever it is time, until `stop` is ready or the schedule is over.
    ///
    /// A time that passes while the machine sleeps or a sweep runs is made up for once. A wall clock that is set
    /// back starts the schedule anew. A failed sweep is remembered in the summary and the run goes on, except
    /// where the store has to be opened anew before it can be written again.
    ///
    /// A sweep that runs when `stop` becomes ready gets a few seconds to end. After that it is left where it is, at
    /// the end of a page; the next sweep takes the rest.
    ///
    /// # Errors
    /// `Invalid` for a schedule that never comes due, and for a clock beyond the end of the calendar.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<RunSummary> {
        let mut stop = pin!(stop);
        let mut summary = RunSummary::default();
        let Some(mut timetable) = self.start()? else {
            let message = format!("the schedule \"{}\" never comes due: write another one", self.schedule);
            return Err(Error::new(ErrorKind::Invalid, message).during("schedule"));
        };
        loop {
            tracing::debug!(next = %timetable.due, "waiting for the next sweep");
            if self.wait(&mut timetable, stop.as_mut()).await? == Next::End
                || self.sweep(&mut summary, stop.as_mut()).await == Next::End
            {
                return Ok(summary);
            }
            match self.schedule.next_after(&timetable.first, &self.now()?)? {
                Some(due) => timetable.due = due,
                None => {
                    tracing::info!("the schedule is over");
                    return Ok(summary);
                }
            }
        }
    }

    fn start(&self) -> Result<Option<Timetable>> {
        let first = self.schedule.first(&self.now()?)?;
        Ok(first.map(|first| Timetable { due: first.clone(), first, seen: Timestamp::EPOCH }))
    }

    fn now(&self) -> Result<Zoned> {
        let ms = i64::try_from(self.memory.clock().now().ms()).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(ms).map_err(|error| {
            Error::new(ErrorKind::Invalid, "the machine's clock is beyond the end of the calendar: set it")
                .because(error)
        })?;
        Ok(at.to_zoned(self.zone.clone()))
    }

    /// Waits until the timetable's time has come.
    async fn wait<S: Future<Output = ()>>(
        &self,
        timetable: &mut Timetable,
        mut stop: Pin<&mut S>,
    ) -> Result<Next> {
        loop {
            let now = self.memory.clock().now();
            if timetable.seen.since(now) > ADJUSTED_MS {
                tracing::warn!("the wall clock was set back: the schedule starts anew");
                match self.start()? {
                    Some(anew) => *timetable = anew,
                    None => return Ok(Next::End),
                }
            }
            timetable.seen = now;
            let left = ms_until(&timetable.due, now);
            let pause = LOOK_AGAIN.min(Duration::from_millis(left));
            // With nothing left the stop is looked at all the same: it goes before a sweep that is due.
            match tokio::time::timeout(pause, stop.as_mut()).await {
                Ok(()) => return Ok(Next::End),
                Err(_) if left == 0 => return Ok(Next::GoOn),
                // Nobody stopped it: the clock is looked at again.
                Err(_) => {}
            }
        }
    }

    async fn sweep<S: Future<Output = ()>>(&self, summary: &mut RunSummary, stop: Pin<&mut S>) -> Next {
        tracing::debug!("a sweep begins");
        let mut sweep = pin!(self.memory.sweep(SweepOptions::new()));
        tokio::select! {
            biased;
            result = &mut sweep => self.note(summary, result).await,
            () = stop => {
                match tokio::time::timeout(GRACE, sweep).await {
                    Ok(result) => {
                        self.note(summary, result).await;
                    }
                    Err(_) => {
                        tracing::warn!("a sweep was cut short: the next one takes the rest");
                        summary.cut_short = true;
                    }
                }
                Next::End
            }
        }
    }

    /// Adds the outcome of a sweep to the summary, and logs it.
    async fn note(&self, summary: &mut RunSummary, result: Result<SweepReport>) -> Next {
        summary.sweeps += 1;
        let failure = match result {
            Ok(report) => {
                summary.deleted += report.deleted;
                summary.freed_bytes += report.freed_bytes;
                if self.logging.log_compression_stats {
                    self.log_compression().await;
                }
                shortfall(&report)
            }
            Err(error) => Some(error),
        };
        let Some(error) = failure else { return Next::GoOn };
        tracing::error!(%error, "a sweep failed");
        // Such a store refuses every write until it is opened anew, which is for whoever started this run.
        let next = if error.kind() == ErrorKind::Poisoned { Next::End } else { Next::GoOn };
        summary.failures += 1;
        summary.last_failure = Some(error);
        next
    }

    async fn log_compression(&self) {
        match self.memory.stats().await {
            Ok(stats) => tracing::info!(
                compressed = stats.stored.compressed,
                raw_bytes = stats.stored.raw_bytes,
                stored_bytes = stats.stored.stored_bytes,
                "compression"
            ),
            Err(error) => tracing::warn!(%error, "how well values compress could not be read"),
        }
    }
}

/// Why a sweep that returned a report still failed its purpose.
fn shortfall(report: &SweepReport) -> Option<Error> {
    if let Some(Stop::ClockJump(seconds)) = report.stopped {
        let message = format!(
            "the wall clock ran {seconds} s ahead, so nothing was removed: check the clock, then start again"
        );
        return Some(Error::new(ErrorKind::Unavailable, message).during("sweep"));
    }
    if report.failed > 0 {
        let message = format!(
            "{} entries are due and too damaged to be removed: `memlife verify` names them",
            report.failed
        );
        return Some(Error::new(ErrorKind::Corrupt, message).during("sweep"));
    }
    None
}

fn ms_until(due: &Zoned, now: Timestamp) -> u64 {
    u64::try_from(due.timestamp().as_millisecond()).unwrap_or(0).saturating_sub(now.ms())
}
