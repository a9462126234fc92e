//! One file per thing that is measured; each returns its tables.

mod backends;
mod command;
mod counter;
mod counts;
mod dictionary;
mod files;
mod get;
mod growth;
mod lattices;
mod memory;
mod million;
mod put;
mod python;
mod redb;
mod redis;
mod sharing;
mod sweep;

use crate::args::Args;
use crate::report::Section;
use crate::stage::Stage;
use anyhow::Result;
use clap::ValueEnum;

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Topic {
    /// Commits, pages and calls, counted
    Counts,
    /// The states that merge, beside other crates of them
    Lattices,
    /// Reads by key beside plain SQL
    Get,
    /// Writes beside plain SQL
    Put,
    /// One counter, many tasks beside one
    Counter,
    /// Values with and without a trained dictionary
    Dictionary,
    /// Sweeps beside plain SQL
    Sweep,
    /// What a sweep visits, in a small store and in a big one
    Growth,
    /// Reads of what is in memory beside moka
    Memory,
    /// Puts into a folder of files beside plain files
    Files,
    /// redb beside its own transactions
    Redb,
    /// Redis beside its plain commands
    Redis,
    /// The same work as the Python original, and as diskcache
    Python,
    /// A store of a million entries
    Million,
    /// The memlife command as a process
    Command,
    /// Copies from store to store, and watches
    Sharing,
    /// The backends beside each other
    Backends,
}

impl Topic {
    /// Every topic, in the order of the results.
    pub const ALL: [Topic; 17] = [
        Topic::Counts,
        Topic::Lattices,
        Topic::Get,
        Topic::Put,
        Topic::Counter,
        Topic::Dictionary,
        Topic::Sweep,
        Topic::Growth,
        Topic::Memory,
        Topic::Files,
        Topic::Redb,
        Topic::Redis,
        Topic::Python,
        Topic::Million,
        Topic::Command,
        Topic::Sharing,
        Topic::Backends,
    ];

    /// As the command line names it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Measures; topics that cannot be measured here say so on standard error and return nothing.
    pub async fn measure(self, stage: &Stage, args: &Args) -> Result<Vec<Section>> {
        match self {
            Topic::Counts => Ok(vec![counts::measure(stage).await?]),
            Topic::Lattices => lattices::measure(stage).await,
            Topic::Get => Ok(vec![get::measure(stage).await?]),
            Topic::Put => Ok(vec![put::measure(stage).await?]),
            Topic::Counter => Ok(vec![counter::measure(stage).await?]),
            Topic::Dictionary => Ok(vec![dictionary::measure(stage).await?]),
            Topic::Memory => Ok(vec![memory::measure(stage).await?]),
            Topic::Files => Ok(vec![files::measure(stage).await?]),
            Topic::Sweep => Ok(vec![sweep::measure(stage).await?]),
            Topic::Growth => Ok(vec![growth::measure(stage).await?]),
            Topic::Redb => Ok(vec![redb::measure(stage).await?]),
            Topic::Redis => redis::measure(stage).await,
            Topic::Python => python::measure(stage, args).await,
            Topic::Million => Ok(vec![million::measure(stage).await?]),
            Topic::Command => command::measure(stage, args).await,
            Topic::Sharing => Ok(vec![sharing::measure(stage).await?]),
            Topic::Backends => Ok(vec![backends::measure(stage).await?]),
        }
    }
}
