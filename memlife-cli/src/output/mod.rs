//! What is printed: data to stdout, talk to stderr.

mod sanitise;

use sanitise::{sanitise, sanitise_json};

use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON value per line.
    Json,
}

/// Where answers and messages go.
pub struct Output {
    /// How answers are written.
    pub format: Format,
    quiet: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    stdout: Mutex<BufWriter<Stdout>>,
}

impl Output {
    /// Answers in `format`; `quiet` leaves out notes and progress.
    pub fn new(format: Format, quiet: bool) -> Self {
        Output {
            format,
            quiet,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            stdout: Mutex::new(BufWriter::new(io::stdout())),
        }
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a progress bar makes sense: somebody watches and wants to know.
    pub fn shows_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet
    }

    /// Prints a line of text; on a terminal what could steer it is escaped.
    ///
    /// # Errors
    /// Those of stdout; a closed pipe is one of them.
    pub fn line(&self, text: &str) -> io::Result<()> {
        let mut stdout = self.lock();
        if self.stdout_is_terminal {
            writeln!(stdout, "{}", sanitise(text))
        } else {
            writeln!(stdout, "{text}")
        }
    }

    /// Prints `value` as one line of JSON.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        let text = if self.stdout_is_terminal { sanitise_json(&text) } else { text.into() };
        writeln!(self.lock(), "{text}")
    }

    /// Prints bytes as they are; on a terminal as text, with what could steer it escaped.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        if self.stdout_is_terminal {
            return self.lock().write_all(sanitise(&String::from_utf8_lossy(bytes)).as_bytes());
        }
        self.lock().write_all(bytes)
    }

    /// Tells something worth knowing on stderr, unless it is to be quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.problem(text);
        }
    }

    /// Tells what went wrong on stderr. A closed stderr stops nothing.
    pub fn problem(&self, text: &str) {
        problem(text);
    }

    /// Hands over what is buffered.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what went wrong on stderr, with everything escaped that could steer a terminal or forge a line of a log.
pub fn problem(text: &str) {
    // Nowhere is left to tell that stderr is closed.
    let _ = writeln!(io::stderr(), "memlife: {}", sanitise(text).replace('\n', "\\n"));
}
