use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Result, bail};
use memlife::{Error, ErrorKind};

/// Entries that could not be read: each is told, and the rest goes on.
pub struct Damage<'a> {
    output: &'a Output,
    met: u64,
}

impl<'a> Damage<'a> {
    pub fn new(output: &'a Output) -> Self {
        Damage { output, met: 0 }
    }

    /// Tells of one damaged entry.
    ///
    /// # Errors
    /// `error` itself where it concerns the store and not one entry.
    pub fn meet(&mut self, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Corrupt && error.key().is_none() {
            return Err(error.into());
        }
        self.met += 1;
        self.output.problem(&format!("{:#}", anyhow::Error::from(error)));
        Ok(())
    }

    /// `exit`, unless something was damaged.
    ///
    /// # Errors
    /// How much was left out.
    pub fn end(self, exit: Exit) -> Result<Exit> {
        match self.met {
            0 => Ok(exit),
            met => bail!("{met} damaged entries were left out: `memlife verify` names them"),
        }
    }
}
