use anyhow::{Result, ensure};
use memlife::{Memory, Timestamp};
use serde::Serialize;

/// How long an entry is to live.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// As its rule says.
    ByRule,
    /// Until this instant.
    Until(Timestamp),
    /// A century: the import has no word for never, and this is as good.
    Permanent,
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    value: &'a serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
}

/// Puts many entries quickly, by an import; returns how many.
pub async fn import(
    memory: &Memory,
    items: impl IntoIterator<Item = (String, serde_json::Value, Life)>,
) -> Result<u64> {
    const CENTURY_MS: u64 = 100 * 365 * 86_400_000;
    let century = memory.clock().now().plus_ms(CENTURY_MS);
    let mut import = memory.import();
    for (key, value, life) in items {
        let until = match life {
            Life::ByRule => None,
            Life::Until(until) => Some(until),
            Life::Permanent => Some(century),
        };
        let expires_at =
            until.map(|until| jiff::Timestamp::from_millisecond(until.ms().cast_signed())).transpose()?;
        let line = Line { key: &key, value: &value, expires_at };
        import.line(&serde_json::to_string(&line)?).await?;
    }
    let report = import.finish().await?;
    ensure!(report.imported == report.lines, "{} of {} lines were imported", report.imported, report.lines);
    Ok(report.imported)
}
