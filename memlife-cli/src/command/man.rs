use crate::args::Cli;
use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

/// Prints the manual page of memlife or of one command
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  memlife man put > memlife-put.1")]
pub struct ManArgs {
    /// The command
    command: Option<String>,
}

pub fn run(output: &Output, args: &ManArgs) -> Result<Exit> {
    let mut root = Cli::command();
    root.build();
    let page = match &args.command {
        None => root,
        Some(name) => {
            let command = root.find_subcommand(name);
            command.with_context(|| format!("there is no command {name:?}: see memlife --help"))?.clone()
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    output.bytes(&text)?;
    output.flush()?;
    Ok(Exit::Done)
}
