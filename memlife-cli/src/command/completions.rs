use crate::args::Cli;
use crate::exit::Exit;
use crate::output::Output;
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Prints the completions of a shell
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  memlife completions bash > ~/.local/share/bash-completion/completions/memlife"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run(output: &Output, args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "memlife", &mut script);
    output.bytes(&script)?;
    output.flush()?;
    Ok(Exit::Done)
}
