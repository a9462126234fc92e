use crate::compare::CompareArgs;
use crate::topic::Topic;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// What to measure.
#[derive(Debug, Parser)]
#[command(
    name = "benches",
    about = "Measures memlife beside what its users could pick instead",
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// Something else than the topics
    #[command(subcommand)]
    pub task: Option<Task>,
    /// Measure this topic alone; may be given several times
    #[arg(long, value_enum, value_name = "NAME")]
    pub only: Vec<Topic>,
    /// Fewer entries and rounds: a look, not a result
    #[arg(long)]
    pub quick: bool,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
    /// The memlife command to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub memlife: Option<PathBuf>,
    /// Write RESULTS.md
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    pub write: bool,
    /// Only do this errand and print its figures as JSON
    #[arg(long, hide = true, num_args = 2, value_names = ["ERRAND", "URL"])]
    pub child: Option<Vec<String>>,
}

/// What is done instead of measuring the topics.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Does the same work in each store and each peer, and sets them beside each other
    Compare(CompareArgs),
}

/// Where things are on this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Places {
    /// The benchmark script of the Python original [default: the one of this source tree]
    #[arg(long, value_name = "PATH", env = "MEMLIFE_BASELINE")]
    pub python: Option<PathBuf>,
    /// The benchmark script of Python's diskcache [default: the one of this source tree]
    #[arg(long, value_name = "PATH", env = "MEMLIFE_DISKCACHE")]
    pub diskcache: Option<PathBuf>,
    /// Where the stores are made; must be on a disk [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

impl Args {
    /// Whether `topic` is to be measured.
    pub fn wants(&self, topic: Topic) -> bool {
        self.only.is_empty() || self.only.contains(&topic)
    }

    /// The command that does the same again, without the paths of this machine.
    pub fn command(&self) -> String {
        let mut command = "cargo run --release -p benches --".to_owned();
        for topic in &self.only {
            command.push_str(&format!(" --only {}", topic.name()));
        }
        let given = [(self.quick, " --quick"), (self.write, " --write")];
        command.extend(given.iter().filter(|(is_given, _)| *is_given).map(|(_, text)| *text));
        command.push_str(&self.places.command());
        command
    }
}

impl Places {
    /// The flags of a command that were given, without the paths of this machine.
    pub fn command(&self) -> String {
        let given = [
            (&self.python, " --python PATH"),
            (&self.diskcache, " --diskcache PATH"),
            (&self.folder, " --folder FOLDER"),
        ];
        given.iter().filter(|(path, _)| path.is_some()).map(|(_, text)| *text).collect()
    }
}
