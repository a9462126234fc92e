use super::ledger::{self, Attempt};
use crate::random::Random;
use crate::{Draft, Session, draft};
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Change, Guard, Outcome, Write};
use memlife_core::{Clock, Result, Store, SystemClock};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// What begins each line that is meant for the parent.
pub(super) const MARK: &str = "@ ";
/// A process is about to open the store.
pub(super) const OPENING: &str = "opening";
/// A process has opened the store.
pub(super) const READY: &str = "ready";

const ROLE: &str = "MEMLIFE_CRASH_ROLE";
const DIRECTORY: &str = "MEMLIFE_CRASH_DIRECTORY";
const SEED: &str = "MEMLIFE_CRASH_SEED";

/// So many keys each writer has.
const KEYS: u64 = 8;
/// So long a short-lived entry lives, in milliseconds.
const SHORT_MS: u64 = 20;
/// So long an entry lives that must outlive every test, in milliseconds.
const LONG_MS: u64 = 24 * 3_600_000;

/// What stands between the number of a part and what the part told.
pub(super) const TOLD: &str = ": ";

/// What is played in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Writer(u64),
    Sweeper,
}

/// What a process is told when it is started.
pub(super) struct Environment {
    pub parts: Vec<Part>,
    pub directory: PathBuf,
    pub seed: u64,
}

impl Environment {
    pub(super) fn give(&self, command: &mut Command) {
        let parts: Vec<String> = self.parts.iter().map(|part| part.to_string()).collect();
        command.env(ROLE, parts.join(",")).env(DIRECTORY, &self.directory).env(SEED, self.seed.to_string());
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Writer(writer) => write!(f, "{writer}"),
            Part::Sweeper => f.write_str("sweeper"),
        }
    }
}

/// What a process does until it is killed.
pub(super) struct Role {
    parts: Vec<Part>,
    directory: PathBuf,
    random: Random,
}

impl Role {
    /// The role that the harness gave this process; `None` in the test's own.
    #[allow(clippy::disallowed_methods, reason = "the only way to tell a process that runs a named test")]
    pub(super) fn of_this_process() -> Option<Self> {
        let role = std::env::var(ROLE).ok()?;
        Some(Role {
            parts: role.split(',').map(|part| part.parse().map_or(Part::Sweeper, Part::Writer)).collect(),
            directory: std::env::var(DIRECTORY).unwrap().into(),
            random: Random::new(std::env::var(SEED).unwrap().parse().unwrap()),
        })
    }

    /// Opens the store and works on it until killed.
    pub(super) async fn play<F>(self, open: impl Fn(PathBuf) -> F) -> !
    where
        F: Future<Output = Result<Arc<dyn Store>>>,
    {
        // The test runner has begun a line with the test's name.
        tell("\n");
        tell(&format!("{MARK}{OPENING}\n"));
        let store = match open(self.directory.clone()).await {
            Ok(store) => store,
            Err(error) => fail(&format!("the store does not open: {error:?}")),
        };
        tell(&format!("{MARK}{READY}\n"));
        let session = Arc::new(Session::on(store));
        let mut random = self.random;
        let tasks: Vec<_> = (0..)
            .zip(self.parts)
            .map(|(voice, part)| {
                let (session, random) = (Arc::clone(&session), Random::new(random.next()));
                tokio::spawn(async move {
                    match part {
                        Part::Writer(writer) => write(&session, writer, random, Voice(voice)).await,
                        Part::Sweeper => sweep(&session, Voice(voice)).await,
                    }
                })
            })
            .collect();
        for task in tasks {
            if let Err(error) = task.await {
                fail(&format!("a part ended: {error}"));
            }
        }
        fail("nothing was to be played")
    }
}

/// What a part tells: each part of a process acknowledges its own attempts, in order.
#[derive(Clone, Copy)]
struct Voice(usize);

impl Voice {
    fn tell(self, line: &str) {
        tell(&format!("{MARK}{}{TOLD}{line}\n", self.0));
    }
}

async fn write(session: &Session, writer: u64, mut random: Random, voice: Voice) {
    loop {
        session.step_to(SystemClock.now());
        let attempts = plan(writer, &mut random);
        for attempt in &attempts {
            voice.tell(&attempt.line());
        }
        let outcomes = match session.try_batch(attempts.iter().map(draft_of).collect()).await {
            Ok(outcomes) => outcomes,
            Err(error) => fail(&format!("a batch failed: {error:?}")),
        };
        for (attempt, outcome) in attempts.iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Applied { version, .. }) => {
                    voice.tell(&attempt.acknowledgement(version));
                }
                Ok(Outcome::Unchanged { .. }) => voice.tell(&attempt.acknowledgement(0)),
                other => fail(&format!("{attempt:?} gave {other:?}")),
            }
        }
    }
}

/// One write, or a few different keys in one batch.
fn plan(writer: u64, random: &mut Random) -> Vec<Attempt> {
    let key = random.below(KEYS);
    let (id, padding) = (random.next(), padding(random));
    match random.below(10) {
        0..5 => vec![Attempt::put(writer, key, id, padding)],
        5 => (0..4).map(|i| Attempt::put(writer, (key + i) % KEYS, id ^ i, 10)).collect(),
        6 | 7 => vec![Attempt::delete(writer, key)],
        8 => vec![Attempt::add(1 + random.below(9))],
        _ => vec![Attempt::short_lived(writer, key, id, padding)],
    }
}

/// Mostly small; sometimes more than a page of any store.
fn padding(random: &mut Random) -> usize {
    match random.below(10) {
        0 => 20_000 + random.below(80_000) as usize,
        _ => random.below(300) as usize,
    }
}

fn draft_of(attempt: &Attempt) -> Write {
    let draft = match attempt {
        Attempt::Put { key, id, padding } => {
            let draft = draft::put(key, &ledger::json(*id, *padding));
            // Entries that last a day must be there like permanent ones.
            if id % 2 == 0 { draft.ttl_ms(LONG_MS) } else { draft }
        }
        Attempt::ShortLived { key, id, padding } => {
            draft::put(key, &ledger::json(*id, *padding)).ttl_ms(SHORT_MS)
        }
        Attempt::Delete { key } => draft::delete(key),
        Attempt::Add { amount } => draft::add(ledger::COUNTER, *amount as i64),
    };
    draft.build()
}

/// Erases what is due, over and over.
async fn sweep(session: &Session, voice: Voice) {
    loop {
        session.step_to(SystemClock.now());
        for class in [ReclaimClass::Lazy, ReclaimClass::Scheduled, ReclaimClass::Tombstone] {
            let erasures = session.due(class, session.now()).await.into_iter().map(|entry| {
                let erasure = Draft::on(entry.key, Change::Erase(Cause::Expired));
                erasure.guard(Guard::Due(entry.locator)).build()
            });
            if let Err(error) = session.try_batch(erasures.collect()).await {
                fail(&format!("a sweep failed: {error:?}"));
            }
        }
        // Notices that the parent is gone.
        voice.tell("swept");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Writes a line in one piece; ends the process where nobody reads it any more.
fn tell(line: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

fn fail(problem: &str) -> ! {
    tell(&format!("{MARK}{}{problem}\n", ledger::FAILED));
    std::process::exit(1);
}
