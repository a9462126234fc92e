//! The `memlife` command: the reference user of the library.

mod args;
mod command;
mod config;
mod exit;
mod instant;
mod locate;
mod logging;
mod output;
mod progress;
mod session;
mod view;

use args::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use exit::Exit;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&arguments, &error).into(),
    };
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            output::problem(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

/// Tells what is wrong with the arguments, or the help that they ask for.
fn refuse(arguments: &[OsString], error: &clap::Error) -> Exit {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_help && let Some(strictness) = command::hook::strictness(arguments) {
        let told = error.to_string();
        let first = told.lines().next().unwrap_or_default();
        return command::hook::fail(strictness, first.trim_start_matches("error: "));
    }
    // Nobody is left to tell when this cannot be printed.
    let _ = error.print();
    if is_help { Exit::Done } else { Exit::Failed }
}

/// Whoever reads the answer has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
