use crate::args::Places;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the scripts of this source tree are.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A benchmark script in Python.
#[derive(Clone, Debug)]
pub struct Script(PathBuf);

/// The script of the Python original.
pub fn original(places: &Places) -> Script {
    Script(places.python.clone().unwrap_or_else(|| Path::new(PEERS).join("seed_baseline.py")))
}

/// The script of Python's diskcache.
pub fn diskcache(places: &Places) -> Script {
    Script(places.diskcache.clone().unwrap_or_else(|| Path::new(PEERS).join("diskcache_bench.py")))
}

impl Script {
    /// Why it cannot run here; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        if !self.0.is_file() {
            return Some(format!("its script {} is not there", self.0.display()));
        }
        // Asked for help it imports all that it needs, and does nothing.
        let Ok(output) = Command::new("python3").arg(&self.0).arg("--help").output() else {
            return Some("python3 is not installed".to_owned());
        };
        if output.status.success() {
            return None;
        }
        let told = String::from_utf8_lossy(&output.stderr);
        Some(match told.lines().rfind(|line| !line.trim().is_empty()) {
            Some(complaint) => format!("its script does not run: {}", complaint.trim()),
            None => "its script does not run, and does not say why".to_owned(),
        })
    }

    /// Runs it with `arguments`; it prints one JSON object per operation, with `ops_per_s` or `total_ms`.
    pub fn run(&self, arguments: &[&str]) -> Result<Told> {
        let mut command = Command::new("python3");
        let output = command.arg(&self.0).args(arguments).output().context("cannot run python3")?;
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{} failed: {told}", self.0.display());
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(seconds_of).collect::<Result<_>>().map(Told)
    }
}

/// What a benchmark script in Python told, by operation.
#[derive(Debug)]
pub struct Told(HashMap<String, f64>);

impl Told {
    /// Seconds for one operation, or for the whole of one that was timed whole.
    pub fn seconds(&self, operation: &str) -> Result<f64> {
        self.0.get(operation).copied().with_context(|| format!("the script did not tell of {operation}"))
    }
}

fn seconds_of(line: &str) -> Result<(String, f64)> {
    let told: serde_json::Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
    let operation = told["op"].as_str().context("no operation is named")?;
    let seconds = match (told["ops_per_s"].as_f64(), told["total_ms"].as_f64()) {
        (Some(rate), _) => 1.0 / rate,
        (None, Some(ms)) => ms / 1e3,
        (None, None) => anyhow::bail!("no figure is told: {line}"),
    };
    Ok((operation.to_owned(), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_seconds() {
        let rate = seconds_of(r#"{"system": "x", "op": "store", "n": 10, "ops_per_s": 200.0}"#).unwrap();
        assert_eq!(rate, ("store".to_owned(), 0.005));
        let whole = seconds_of(r#"{"op": "cleanup", "n": 10, "total_ms": 250}"#).unwrap();
        assert_eq!(whole, ("cleanup".to_owned(), 0.25));
        assert!(seconds_of(r#"{"op": "store"}"#).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let places = Places { python: Some("no/such/script.py".into()), ..Places::default() };
        let why = original(&places).missing().unwrap();
        assert!(why.contains("no/such/script.py is not there"), "{why}");
        // The one of this source tree is there, whatever else is not.
        assert!(original(&Places::default()).0.is_file());
        assert!(diskcache(&Places::default()).0.is_file());
    }
}
