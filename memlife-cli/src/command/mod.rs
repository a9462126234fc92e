//! One file per command. Each calls the engine and prints.

pub mod claim;
pub mod cleanup;
pub mod completions;
pub mod conflicts;
pub mod counter;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod damage;
pub mod delete;
pub mod demo;
pub mod export;
pub mod flag;
pub mod get;
pub mod hook;
pub mod import;
pub mod list;
pub mod man;
pub mod policy;
pub mod put;
pub mod replicate;
pub mod set;
pub mod stats;
pub mod torture;
pub mod touch;
pub mod verify;
pub mod watch;
pub mod whereabouts;

use crate::args::{Cli, Command, GlobalArgs};
use crate::config::Settings;
use crate::exit::Exit;
use crate::output::Output;
use crate::session::Session;
use anyhow::Result;

/// Runs the command.
///
/// # Errors
/// What stopped the command.
pub fn run(cli: Cli) -> Result<Exit> {
    let Cli { global, command } = cli;
    match command {
        Command::Put(args) => in_session(&global, |session| put::run(session, args)),
        Command::Get(args) => in_session(&global, |session| get::run(session, &args)),
        Command::Delete(args) => in_session(&global, |session| delete::run(session, &args)),
        Command::List(args) => in_session(&global, |session| list::run(session, &args)),
        Command::Touch(args) => in_session(&global, |session| touch::run(session, &args)),
        Command::Counter(args) => in_session(&global, |session| counter::run(session, &args)),
        Command::Set(args) => in_session(&global, |session| set::run(session, &args)),
        Command::Flag(args) => in_session(&global, |session| flag::run(session, &args)),
        Command::Claim(args) => in_session(&global, |session| claim::claim(session, &args)),
        Command::Renew(args) => in_session(&global, |session| claim::renew(session, &args)),
        Command::Release(args) => in_session(&global, |session| claim::release(session, &args)),
        Command::Watch(args) => in_session(&global, |session| watch::run(session, &args)),
        Command::Cleanup(args) => in_session(&global, |session| cleanup::run(session, &args)),
        Command::Stats(_) => in_session(&global, stats::run),
        Command::Conflicts(args) => in_session(&global, |session| conflicts::run(session, &args)),
        Command::Policy(args) => in_session(&global, |session| policy::run(session, &args)),
        Command::Export(args) => in_session(&global, |session| export::run(session, &args)),
        Command::Import(args) => in_session(&global, |session| import::run(session, &args)),
        Command::Copy(args) => in_session(&global, |session| replicate::copy(session, &args)),
        Command::Sync(args) => in_session(&global, |session| replicate::sync(session, &args)),
        Command::Hook(args) => Ok(hook::run(global, args)),
        #[cfg(feature = "daemon")]
        Command::Daemon(args) => in_session(&global, |session| daemon::run(session, args)),
        Command::Verify(args) => in_session(&global, |session| verify::run(session, &args)),
        Command::Torture(args) => in_session(&global, |session| torture::run(session, &args)),
        Command::Where(_) => whereabouts::run(&Settings::resolve(&global, None)?, &output(&global)),
        Command::Demo(args) => in_session(&global, |session| demo::run(session, args)),
        Command::Completions(args) => completions::run(&output(&global), &args),
        Command::Man(args) => man::run(&output(&global), &args),
    }
}

/// Runs a command that needs settings and policy, and hands over what it printed even when it failed.
fn in_session(global: &GlobalArgs, command: impl FnOnce(&Session) -> Result<Exit>) -> Result<Exit> {
    let session = Session::begin(global, None)?;
    let exit = command(&session);
    let flushed = session.output.flush();
    let exit = exit?;
    flushed?;
    Ok(exit)
}

fn output(global: &GlobalArgs) -> Output {
    Output::new(global.output, global.quiet)
}
