//! What the engine logs goes to stderr, as much of it as the policy file and the flags ask for.

use memlife::policy::{LogLevel, Logging};
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where the engine logs what a sweep did.
const SWEEPS: &str = "memlife_core::engine::sweep";

/// Begins to log, once per process.
pub fn start(level: LevelFilter, logging: Logging) {
    let mut targets = Targets::new().with_default(level);
    if !logging.log_cleanup_operations {
        targets = targets.with_target(SWEEPS, level.min(LevelFilter::WARN));
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false);
    // Somebody who logs already, as a test does, goes on doing so.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

/// The least severe level that is logged: the policy file's, else warnings; `-v` asks for more and `-q` for less.
pub fn level(of_file: Option<LogLevel>, verbose: u8, quiet: bool) -> LevelFilter {
    let base = match of_file.unwrap_or(LogLevel::Warn) {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    match (quiet, verbose) {
        (true, _) => base.min(LevelFilter::ERROR),
        (false, 0) => base,
        (false, 1) => base.max(LevelFilter::INFO),
        (false, 2) => base.max(LevelFilter::DEBUG),
        (false, _) => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_beyond_the_file() {
        assert_eq!(level(None, 0, false), LevelFilter::WARN);
        assert_eq!(level(Some(LogLevel::Info), 0, false), LevelFilter::INFO);
        assert_eq!(level(Some(LogLevel::Error), 1, false), LevelFilter::INFO);
        assert_eq!(level(Some(LogLevel::Trace), 1, false), LevelFilter::TRACE);
        assert_eq!(level(Some(LogLevel::Info), 0, true), LevelFilter::ERROR);
        assert_eq!(level(Some(LogLevel::Off), 0, true), LevelFilter::OFF);
    }
}
