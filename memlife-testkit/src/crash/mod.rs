//! Kills processes that write to a store, opens it again, and compares with what was acknowledged.
//!
//! The processes are the test binary itself, started again with the name of the calling test:
//!
//! ```no_run
//! # use memlife_core::{InMemoryStore, Store};
//! # async fn open(_: std::path::PathBuf) -> memlife_core::Result<std::sync::Arc<dyn Store>> {
//! #     Ok(std::sync::Arc::new(InMemoryStore::new()?))
//! # }
//! // In tests/crash.rs of a store; the name is the one that `--exact` takes.
//! #[test]
//! fn nothing_acknowledged_is_lost() {
//!     memlife_testkit::crash::Torture::default().run("nothing_acknowledged_is_lost", open);
//! }
//! ```
//!
//! What is checked after each kill: of every key the last acknowledged write is there, or one that was submitted
//! later; a key is absent only if a deletion or its TTL says so; counters hold every acknowledged addition;
//! numbers go on rising; and the store's own check finds nothing wrong.

mod child;
mod ledger;
mod process;

use crate::random::{self, Random};
use crate::{Session, effort};
use child::{Part, Role};
use ledger::Ledger;
use memlife_core::store::Repair;
use memlife_core::{Clock, Result, Store, SystemClock};
use process::Family;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How hard a store is tried.
#[derive(Clone, Copy, Debug)]
pub struct Torture {
    /// How often everything is killed.
    pub rounds: u32,
    /// How many write at once; one more sweeps.
    pub writers: u32,
    /// Whether each of them is a process of its own. A store that one process has to itself cannot be opened by
    /// several: there one process has them all.
    pub apart: bool,
    /// A kill comes up to so many milliseconds after the first process has opened the store.
    pub max_delay_ms: u64,
}

impl Default for Torture {
    /// 200 rounds of 3 writing processes, killed within 60 ms; more rounds in the long run.
    fn default() -> Self {
        Torture { rounds: 200 * effort::factor(), writers: 3, apart: true, max_delay_ms: 60 }
    }
}

/// There are at most so many times as many rounds as asked for, until as many writes were acknowledged.
const MOST_TIMES: u32 = 5;
/// One kill in so many hits processes that are just opening what the kill before left behind.
const RECOVERY_KILLS: u64 = 5;
/// The processes of a recovery kill die up to so many milliseconds after they begin to open the store.
const RECOVERY_MS: u64 = 5;

impl Torture {
    /// Runs the rounds on a store that `open` finds in the directory it is given.
    ///
    /// `test` is the full name of the test that calls this, as `--exact` takes it. In a process that the harness
    /// started, this call writes to the store until it is killed.
    ///
    /// # Panics
    /// When anything acknowledged is lost, or the store is not sound.
    pub fn run<F>(self, test: &str, open: impl Fn(PathBuf) -> F)
    where
        F: Future<Output = Result<Arc<dyn Store>>>,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        if let Some(role) = Role::of_this_process() {
            runtime.block_on(role.play(open));
        }
        let directory = tempfile::tempdir().unwrap();
        let seed = random::seed();
        println!("crash torture of {} rounds, seed {seed}", self.rounds);
        let mut random = Random::new(seed);
        let mut ledger = Ledger::default();
        let mut round = 0;
        // Where much else runs, processes are killed before they have written anything.
        while round < self.rounds
            || (ledger.acknowledged() <= u64::from(self.rounds) && round < MOST_TIMES * self.rounds)
        {
            self.kill_once(test, directory.path(), &mut random, &mut ledger);
            let checked = runtime.block_on(check(&open, directory.path(), &mut ledger));
            if let Err(problem) = checked {
                panic!("round {round} of seed {seed}: {problem}");
            }
            round += 1;
        }
        let acknowledged = ledger.acknowledged();
        assert!(acknowledged > u64::from(self.rounds), "only {acknowledged} writes were acknowledged");
        println!("{acknowledged} acknowledged writes, none lost");
    }

    /// Who plays what.
    fn casts(&self) -> Vec<Vec<Part>> {
        let parts = (0..self.writers).map(|n| Part::Writer(n.into())).chain([Part::Sweeper]);
        if self.apart { parts.map(|part| vec![part]).collect() } else { vec![parts.collect()] }
    }

    fn kill_once(&self, test: &str, directory: &Path, random: &mut Random, ledger: &mut Ledger) {
        let family = Family::start(test, directory, self.casts(), random);
        family.wait_for(child::READY);
        // Real processes are killed wherever they happen to be by then, also while they recover.
        std::thread::sleep(Duration::from_millis(random.below(self.max_delay_ms + 1)));
        family.kill().into_iter().for_each(|log| ledger.read(&log));
        if random.below(RECOVERY_KILLS) == 0 {
            let family = Family::start(test, directory, self.casts(), random);
            family.wait_for(child::OPENING);
            std::thread::sleep(Duration::from_micros(random.below(RECOVERY_MS * 1_000)));
            family.kill().into_iter().for_each(|log| ledger.read(&log));
        }
    }
}

/// Opens the store after a kill and compares it with what the processes told.
async fn check<F>(
    open: impl Fn(PathBuf) -> F,
    directory: &Path,
    ledger: &mut Ledger,
) -> std::result::Result<(), String>
where
    F: Future<Output = Result<Arc<dyn Store>>>,
{
    let store = open(directory.to_owned()).await.map_err(|error| format!("it does not open: {error:?}"))?;
    let found = store.verify(Repair::No).await.map_err(|error| format!("it cannot be checked: {error:?}"))?;
    if found.problems > 0 {
        return Err(format!("{} problems: {:?}", found.problems, found.findings));
    }
    let session = Session::on(store);
    session.step_to(SystemClock.now());
    ledger.compare(&session).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use memlife_core::InMemoryStore;

    async fn forgetful(_directory: PathBuf) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(InMemoryStore::new()?))
    }

    /// The harness bites: a store that forgets with its process is found out.
    #[test]
    #[should_panic(expected = "was acknowledged")]
    fn a_store_that_forgets_is_found_out() {
        let torture = Torture { rounds: 3, writers: 2, apart: true, max_delay_ms: 60 };
        torture.run("crash::tests::a_store_that_forgets_is_found_out", forgetful);
    }
}
