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

use args::{Cli, GlobalArgs};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches};
use exit::Exit;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&arguments) {
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

/// Reads the arguments. Help and complaints speak of all commands, so they come from one that has them all built.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    if let Some(cli) = parse_named(arguments) {
        return Ok(cli);
    }
    let mut all = Cli::command();
    all.build();
    Cli::from_arg_matches(&all.try_get_matches_from(arguments)?)
}

/// Reads the arguments with the one command that the first of them names: to build all takes as long as a get.
///
/// An option's value may look like a command. Then the true one is unknown here, and `None` is returned as for all else
/// that is wrong.
fn parse_named(arguments: &[OsString]) -> Option<Cli> {
    let all = Cli::command();
    let named = arguments.iter().skip(1).find_map(|argument| all.find_subcommand(argument))?;
    let only = GlobalArgs::augment_args(clap::Command::new("memlife")).subcommand(named.clone());
    Cli::from_arg_matches(&only.try_get_matches_from(arguments).ok()?).ok()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use args::Command;

    fn parsed(arguments: &[&str]) -> Result<Cli, String> {
        let arguments: Vec<OsString> =
            ["memlife"].iter().chain(arguments).copied().map(OsString::from).collect();
        parse(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn what_all_commands_take_stands_before_or_behind() {
        for arguments in [["--as", "me", "get", "a"], ["get", "--as", "me", "a"]] {
            let cli = parsed(&arguments).unwrap();
            assert!(matches!(cli.command, Command::Get(_)));
            assert_eq!(cli.global.writer.as_deref(), Some("me"));
        }
    }

    #[test]
    fn an_options_value_is_no_command() {
        let cli = parsed(&["--as", "get", "list", "a/*"]).unwrap();
        assert!(matches!(cli.command, Command::List(_)));
        assert_eq!(cli.global.writer.as_deref(), Some("get"));
        assert!(matches!(parsed(&["get", "list"]).unwrap().command, Command::Get(_)));
    }

    #[test]
    fn help_and_complaints_know_all_commands() {
        let help = parsed(&["--help"]).unwrap_err();
        assert!(help.contains("Prints the value of a key") && help.contains("verify"), "{help}");
        let complaint = parsed(&["gett", "a"]).unwrap_err();
        assert!(complaint.contains("'get'"), "{complaint}");
        assert!(parsed(&["help", "counter"]).unwrap_err().contains("exit status 1 when nothing is there"));
        assert!(parsed(&["--version"]).unwrap_err().starts_with("memlife "));
        assert!(parsed(&["get", "a", "--ttl", "1h"]).unwrap_err().contains("memlife get"));
    }
}
