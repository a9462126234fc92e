//! One of the processes.

use super::{count_key, key, open};
use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use clap::Args;
use memlife::{ErrorKind, Memory};
use std::time::Duration;

/// Which of the processes this is: said by the one that starts them.
#[derive(Args, Debug)]
pub struct Part {
    #[arg(long, hide = true, requires_all = ["run", "from"])]
    worker: Option<usize>,
    #[arg(long, hide = true)]
    run: Option<String>,
    #[arg(long, hide = true)]
    from: Option<u64>,
}

impl Part {
    pub fn worker(&self) -> Option<Worker<'_>> {
        Some(Worker { number: self.worker?, run: self.run.as_deref()?, from: self.from? })
    }
}

/// A process that writes and says so.
pub struct Worker<'a> {
    number: usize,
    run: &'a str,
    from: u64,
}

/// How long to wait before a write is tried again that could not be made now.
const PAUSE: Duration = Duration::from_millis(50);

impl Worker<'_> {
    pub fn run(&self, session: &Session, writes: u64) -> Result<Exit> {
        let memory = open(session)?;
        for number in self.from..writes {
            let key = key(self.run, self.number, number);
            while let Err(error) = session.wait(memory.put(key.as_str(), &number)) {
                self.wait(session, error)?;
            }
            session.output.line("adding")?;
            session.output.flush()?;
            while let Err(error) = session.wait(self.add(&memory)) {
                let may_be_done = error.kind() == ErrorKind::Indeterminate;
                self.wait(session, error)?;
                if may_be_done {
                    session.output.line("adding")?;
                }
            }
            session.output.line(&number.to_string())?;
            session.output.flush()?;
        }
        Ok(Exit::Done)
    }

    async fn add(&self, memory: &Memory) -> memlife::Result<i128> {
        memory.counter(count_key(self.run).as_str())?.add(1).await
    }

    /// Waits out a server that restarts, or a lock.
    fn wait(&self, session: &Session, error: memlife::Error) -> Result<()> {
        use ErrorKind::{Indeterminate, Locked, Unavailable};
        if !matches!(error.kind(), Indeterminate | Locked | Unavailable) {
            return Err(error.into());
        }
        session.output.problem(&format!("{error}; trying again"));
        session.wait(async { tokio::time::sleep(PAUSE).await });
        Ok(())
    }
}
