//! All the processes, seen by the one that starts and kills them.

use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What one process said, over all its lives.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Writes that it acknowledged: all numbers below this.
    pub acknowledged: u64,
    /// Additions that it began and did not acknowledge.
    pub unknown: u64,
    /// How often it was killed.
    pub kills: u32,
}

/// Starts that come to nothing, after which a process is given up.
const MAX_FAILURES: u32 = 5;

/// One life of a process.
struct Life {
    child: Child,
    /// Whether it was killed here.
    is_killed: bool,
}

/// The processes that write.
pub struct Herd {
    program: PathBuf,
    arguments: Vec<String>,
    workers: Vec<Mutex<Option<Life>>>,
    writes: u64,
    random: u64,
    running: AtomicUsize,
    done: AtomicU64,
}

impl Herd {
    pub fn new(session: &Session, run: &str, processes: u32, writes: u64, seed: u64) -> Result<Self> {
        let store = session.settings.store.url.clone();
        let mut arguments = vec!["--store".into(), store, "--quiet".into()];
        if let Some(durability) = session.settings.durability {
            arguments.extend(["--durability".into(), durability.to_string()]);
        }
        let rest = ["torture", "--run", run, "--writes", &writes.to_string()];
        arguments.extend(rest.map(str::to_owned));
        Ok(Herd {
            program: std::env::current_exe().context("the program does not know where it is")?,
            arguments,
            workers: (0..processes).map(|_| Mutex::new(None)).collect(),
            writes,
            random: seed,
            running: AtomicUsize::new(processes as usize),
            done: AtomicU64::new(0),
        })
    }

    /// Runs all to their ends, and kills one of them `kills` times.
    pub fn run(mut self, kills: u32, bar: &Bar) -> Result<Vec<Told>> {
        let mut random = std::mem::take(&mut self.random);
        let herd = &self;
        thread::scope(|scope| {
            let watched: Vec<_> =
                (0..herd.workers.len()).map(|number| scope.spawn(move || herd.watch(number))).collect();
            let mut left = kills;
            while herd.running.load(Ordering::Relaxed) > 0 {
                // A process is killed wherever it happens to be by then.
                thread::sleep(Duration::from_millis(20 + below(&mut random, 180)));
                bar.set(herd.done.load(Ordering::Relaxed));
                let victim = below(&mut random, herd.workers.len() as u64) as usize;
                if left > 0 && herd.kill(victim) {
                    left -= 1;
                }
            }
            let told = watched.into_iter().map(|watched| match watched.join() {
                Ok(told) => told,
                Err(_) => bail!("a watcher of a process panicked"),
            });
            told.collect()
        })
    }

    /// Starts one process again and again until it has written everything.
    fn watch(&self, number: usize) -> Result<Told> {
        let told = self.watch_to_the_end(number);
        self.running.fetch_sub(1, Ordering::Relaxed);
        told
    }

    fn watch_to_the_end(&self, number: usize) -> Result<Told> {
        let mut told = Told::default();
        let mut failures = 0;
        while told.acknowledged < self.writes {
            let before = told.acknowledged;
            let was_killed = self.live(number, &mut told)?;
            told.kills += u32::from(was_killed);
            failures = if was_killed || told.acknowledged > before { 0 } else { failures + 1 };
            if failures == MAX_FAILURES {
                bail!("process {number} came to nothing {MAX_FAILURES} times: see above");
            }
        }
        Ok(told)
    }

    /// One life of a process; whether it ended by being killed here.
    fn live(&self, number: usize, told: &mut Told) -> Result<bool> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.args(["--worker", &number.to_string(), "--from", &told.acknowledged.to_string()]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("a process could not be started")?;
        let stdout = child.stdout.take().context("a process has no output")?;
        *self.lock(number) = Some(Life { child, is_killed: false });
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        let mut pending = 0;
        loop {
            line.clear();
            // A line without its end was cut off by the kill, and says nothing.
            if lines.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                break;
            }
            match line.trim() {
                "adding" => pending += 1,
                number => {
                    let number: u64 = number.parse().context("a process says something else")?;
                    told.acknowledged = number + 1;
                    told.unknown += pending - 1;
                    pending = 0;
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        told.unknown += pending;
        let life = self.lock(number).take();
        let Life { mut child, is_killed } = life.context("a process is gone")?;
        let status = child.wait()?;
        ensure!(
            is_killed || status.code().is_some(),
            "process {number} ended by a signal that was not sent here: {status}"
        );
        Ok(status.code().is_none())
    }

    fn kill(&self, number: usize) -> bool {
        let mut slot = self.lock(number);
        let Some(life) = slot.as_mut() else { return false };
        life.is_killed |= life.child.kill().is_ok();
        life.is_killed
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Option<Life>> {
        self.workers[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn below(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % end.max(1)
}
