//! What can be said on the command line. Parsing has no side effects.

use crate::command;
use crate::output::Format;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use memlife::Durability;
use std::path::PathBuf;

/// Shared memory for cooperating programs that stays small, true and shareable.
#[derive(Debug, Parser)]
#[command(name = "memlife", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 nothing found or a conflict, 2 an error.

Example:
  memlife put coordination/agent1/status running --ttl 10m
  memlife get coordination/agent1/status";

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct GlobalArgs {
    /// The store: sqlite:PATH, fs:DIR, redb:PATH or memory: [env: MEMLIFE_STORE] [default: see `memlife where`]
    #[arg(long, global = true, value_name = "URL")]
    pub store: Option<String>,
    /// The policy file [env: MEMLIFE_POLICIES] [default: see `memlife where`]
    #[arg(long, global = true, value_name = "FILE")]
    pub policies: Option<PathBuf>,
    /// Who writes [env: MEMLIFE_WRITER]
    #[arg(long = "as", global = true, value_name = "WRITER", value_parser = NonEmptyStringValueParser::new())]
    pub writer: Option<String>,
    /// How answers are written
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// What an acknowledged write survives [default: process]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub durability: Option<DurabilityArg>,
    /// The most bytes of one value
    #[arg(long, global = true, value_name = "BYTES", default_value_t = 16 << 20)]
    pub max_value_bytes: usize,
    /// Logs more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Tells errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// A level of durability that an embedded store can give.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DurabilityArg {
    /// Nothing beyond the command
    Memory,
    /// The end of the command, however sudden; a power cut may take the last moments
    Process,
    /// A power cut
    Disk,
}

impl From<DurabilityArg> for Durability {
    fn from(level: DurabilityArg) -> Self {
        match level {
            DurabilityArg::Memory => Durability::Memory,
            DurabilityArg::Process => Durability::Process,
            DurabilityArg::Disk => Durability::Disk,
        }
    }
}

/// What to do. Only the arguments of the command that was named are built.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    Put(command::put::PutArgs),
    Get(command::get::GetArgs),
    Delete(command::delete::DeleteArgs),
    List(command::list::ListArgs),
    Touch(command::touch::TouchArgs),
    Counter(command::counter::CounterArgs),
    Set(command::set::SetArgs),
    Flag(command::flag::FlagArgs),
    Claim(command::claim::ClaimArgs),
    Renew(command::claim::RenewArgs),
    Release(command::claim::ReleaseArgs),
    Watch(command::watch::WatchArgs),
    Cleanup(command::cleanup::CleanupArgs),
    Stats(command::stats::StatsArgs),
    Conflicts(command::conflicts::ConflictsArgs),
    Policy(command::policy::PolicyArgs),
    Export(command::export::ExportArgs),
    Import(command::import::ImportArgs),
    Copy(command::replicate::CopyArgs),
    Sync(command::replicate::SyncArgs),
    Hook(command::hook::HookArgs),
    #[cfg(feature = "daemon")]
    Daemon(command::daemon::DaemonArgs),
    Verify(command::verify::VerifyArgs),
    Torture(command::torture::TortureArgs),
    Where(command::whereabouts::WhereArgs),
    Demo(command::demo::DemoArgs),
    Completions(command::completions::CompletionsArgs),
    Man(command::man::ManArgs),
}
