use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// What a benchmark script in Python told, by operation.
#[derive(Debug)]
pub struct Told(HashMap<String, f64>);

impl Told {
    /// Runs `script` with `arguments`; it prints one JSON object per operation, with `ops_per_s` or `total_ms`.
    pub fn by(script: &Path, arguments: &[&str]) -> Result<Self> {
        let output =
            Command::new("python3").arg(script).args(arguments).output().context("cannot run python3")?;
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{} failed: {told}", script.display());
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(seconds_of).collect::<Result<_>>().map(Told)
    }

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
}
