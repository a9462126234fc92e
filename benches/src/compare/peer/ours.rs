use super::{Life, Peer};
use crate::compare::operation::Operation;
use crate::compare::place::Place;
use crate::compare::who::{Store, Who};
use crate::drive::Pair;
use crate::stage::HOUR_MS;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use memlife::policy::{CleanupStrategy, Pattern, Rule, RuleSet};
use memlife::record::Kind;
use memlife::{Guard, Key, ListOptions, Memory, OpenOptions, PutOptions, SweepOptions, Ttl};
use std::sync::Arc;

/// A store of memlife.
pub struct Ours(Memory);

/// The rules that the built-in ones have for these keys, and one for counters, of which those have none.
fn rules() -> Result<RuleSet> {
    let rule = |pattern: &str, hours: u64, conflict: Kind| -> Result<Rule> {
        let ttl = Some(Ttl::from_ms(hours * HOUR_MS)?);
        Ok(Rule {
            pattern: Pattern::parse(pattern)?,
            ttl,
            cleanup: CleanupStrategy::Lazy,
            conflict,
            ..Rule::fallback()
        })
    };
    let rules = vec![
        rule("coordination/*", 1, Kind::Lww)?,
        rule("session/*", 1, Kind::Lww)?,
        rule("swarm/shared/*", 24, Kind::MultiValue)?,
        rule("metrics/*/count", 24, Kind::Counter)?,
    ];
    Ok(RuleSet::new("benches", rules, Rule::fallback()))
}

impl Peer for Ours {
    fn lacks(_operation: Operation) -> bool {
        false
    }

    async fn open(place: &Place) -> Result<Self> {
        let url = match place.who {
            Who::Store(Store::Memory) => "memory:".to_owned(),
            Who::Store(Store::Redis) => place.server_url()?,
            Who::Store(Store::Sqlite | Store::Fs | Store::Redb) => {
                format!("{}:{}", place.who, place.path("store").display())
            }
            Who::Peer(peer) => bail!("{peer:?} is no store of memlife"),
        };
        let options = OpenOptions::new().durability(place.level.durability()).policy(Arc::new(rules()?));
        Ok(Ours(memlife::open_with(&url, options).await?))
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        let options = match life {
            Life::Hour => PutOptions::new(),
            Life::Over => PutOptions::new().expires_at(self.0.clock().now().minus_ms(2 * HOUR_MS)),
        };
        let written = self.0.put_value(key.as_str(), value.clone(), options).await?;
        ensure!(written.receipt().is_some(), "a put of {key} was not applied");
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.get_value(key).await?.map(|value| value.bytes))
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let entry = self.0.entry(key.as_str()).await?.with_context(|| format!("{key} is missing"))?;
        let options = PutOptions::new().guard(Guard::Version(entry.version));
        Ok(self.0.put_value(key.as_str(), value.clone(), options).await?.receipt().is_some())
    }

    async fn add(&self, key: &str) -> Result<()> {
        self.0.counter(key)?.add(1).await?;
        Ok(())
    }

    async fn page(&self, after: Option<String>, limit: usize) -> Result<Option<String>> {
        let options = ListOptions::new().limit(limit as u64);
        let mut listing = self.0.list(match after {
            Some(after) => options.after(Key::new(&after)?),
            None => options,
        });
        let mut last = None;
        let mut count = 0;
        while let Some(entry) = listing.next().await? {
            count += 1;
            last = Some(entry.key.as_str().to_owned());
        }
        Ok(last.filter(|_| count == limit))
    }

    async fn export(&self) -> Result<Vec<String>> {
        let mut export = self.0.export(ListOptions::new());
        let mut lines = Vec::new();
        while let Some(line) = export.next().await? {
            lines.push(serde_json::to_string(&line)?);
        }
        Ok(lines)
    }

    async fn import(&self, lines: &[String]) -> Result<()> {
        let mut import = self.0.import();
        for line in lines {
            import.line(line).await?;
        }
        let report = import.finish().await?;
        ensure!(
            report.imported == report.lines,
            "{} of {} lines were imported",
            report.imported,
            report.lines
        );
        Ok(())
    }

    async fn sweep(&self) -> Result<u64> {
        Ok(self.0.sweep(SweepOptions::new()).await?.deleted)
    }

    async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
