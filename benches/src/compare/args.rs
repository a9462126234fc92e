use super::who::{Level, Other, Store, Who};
use crate::args::Places;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::path::PathBuf;

/// The most bytes of all texts together: they are held in memory, several times over.
const MOST_BYTES: u64 = 1 << 30;

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// The stores to measure, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub stores: Vec<Store>,
    /// The peers to set beside them, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub peers: Vec<Other>,
    /// Entries of a usual measurement; sweeps find as many due, but no more than 10,000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(64..=1_000_000))]
    pub entries: u64,
    /// Bytes of a value's text; the JSON around it makes some 50 more
    #[arg(long, value_name = "B", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub value_bytes: u64,
    /// Rounds; sweeps and memory get half as many
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub rounds: u64,
    /// What an acknowledged write survives, on all sides
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Process)]
    pub durability: Level,
    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page to this file that needs nothing else to be read
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
    /// Only put and get in the one of this name, and print as JSON what memory that took
    #[arg(long, hide = true, value_name = "NAME")]
    pub reside: Option<String>,
}

impl CompareArgs {
    /// What no single flag shows.
    ///
    /// # Errors
    /// Where the flags cannot be meant so.
    pub fn check(&self) -> Result<()> {
        let bytes = self.entries.saturating_mul(self.value_bytes);
        ensure!(
            bytes <= MOST_BYTES,
            "--entries {} with --value-bytes {} are more than 1 GiB of texts: take less of one",
            self.entries,
            self.value_bytes
        );
        let is_same = self.json.is_some() && self.json == self.html;
        ensure!(!is_same, "--json and --html name the same file: name two");
        Ok(())
    }

    /// Who is to be measured: the stores, then the peers.
    pub fn crew(&self) -> Vec<Who> {
        let stores = chosen(&self.stores).into_iter().map(Who::Store);
        stores.chain(chosen(&self.peers).into_iter().map(Who::Peer)).collect()
    }

    /// Rounds of what takes long.
    pub fn long_rounds(&self) -> usize {
        self.rounds().div_ceil(2)
    }

    /// Rounds of everything else.
    pub fn rounds(&self) -> usize {
        usize::try_from(self.rounds).unwrap_or(1)
    }

    /// The command that does the same again, without the paths of this machine.
    pub fn command(&self) -> String {
        let mut command = "cargo run --release -p benches -- compare".to_owned();
        for (flag, names) in [("stores", names(&self.stores)), ("peers", names(&self.peers))] {
            if !names.is_empty() {
                command.push_str(&format!(" --{flag} {names}"));
            }
        }
        command.push_str(&format!(
            " --entries {} --value-bytes {} --rounds {} --durability {}",
            self.entries, self.value_bytes, self.rounds, self.durability
        ));
        command.push_str(&self.places.command());
        let files = [(&self.json, " --json FILE"), (&self.html, " --html FILE")];
        command.extend(files.iter().filter(|(path, _)| path.is_some()).map(|(_, text)| *text));
        command
    }
}

/// Each once, in the order of the help; all where none is named.
fn chosen<T: ValueEnum + PartialEq + Copy>(named: &[T]) -> Vec<T> {
    T::value_variants().iter().copied().filter(|one| named.is_empty() || named.contains(one)).collect()
}

fn names<T: ValueEnum>(values: &[T]) -> String {
    let values = values.iter().filter_map(T::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Task};
    use clap::Parser;

    fn parsed(flags: &[&str]) -> Result<CompareArgs, String> {
        let words = ["benches", "compare"].iter().chain(flags);
        match Args::try_parse_from(words).map_err(|error| error.to_string())?.task {
            Some(Task::Compare(args)) => Ok(args),
            None => Err("no task was parsed".to_owned()),
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let told = parsed(&["--stores", "sqlite,tape"]).unwrap_err();
        assert!(told.contains("'tape'") && told.contains("memory, sqlite, fs, redb, redis"), "{told}");
        let told = parsed(&["--peers", "abacus"]).unwrap_err();
        assert!(
            told.contains("'abacus'") && told.contains("raw-sqlite") && told.contains("diskcache"),
            "{told}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(parsed(&["--entries", "0"]).is_err());
        assert!(parsed(&["--durability", "forever"]).is_err());
        let much = parsed(&["--entries", "1000000", "--value-bytes", "1000000"]).unwrap();
        assert!(much.check().unwrap_err().to_string().contains("1 GiB"));
        let same = parsed(&["--json", "report", "--html", "report"]).unwrap();
        assert!(same.check().unwrap_err().to_string().contains("same file"));
    }

    #[test]
    fn the_command_says_what_was_chosen() {
        let args = parsed(&["--stores", "redb,sqlite", "--peers", "moka", "--entries", "200", "--json", "x"])
            .unwrap();
        let crew: Vec<String> = args.crew().iter().map(ToString::to_string).collect();
        assert_eq!(crew, ["sqlite", "redb", "moka"]);
        assert_eq!(
            args.command(),
            "cargo run --release -p benches -- compare --stores redb,sqlite --peers moka --entries 200 \
             --value-bytes 200 --rounds 5 --durability process --json FILE"
        );
        assert_eq!(parsed(&[]).unwrap().crew().len(), 13);
    }
}
