use crate::exit::Exit;
use crate::session::Session;
use anyhow::Result;
use clap::Args;
use memlife::policy::Rule;
use memlife::store::{StoreInfo, Tally};
use memlife::{Count, Stats};
use serde::Serialize;
use std::collections::BTreeMap;

/// Prints how much there is, per rule and namespace, and what expires when
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  memlife stats --output json")]
pub struct StatsArgs {}

/// The statistics under the names that the Python original gave them.
#[derive(Serialize)]
pub struct MemoryStats {
    total_entries: u64,
    compressed_entries: u64,
    namespace_counts: BTreeMap<String, u64>,
    policies_count: usize,
    storage_path: String,
    db_path: String,
}

impl MemoryStats {
    /// Those of `stats`, in the store that `info` is of.
    pub fn new(stats: &Stats, info: &StoreInfo) -> Self {
        let counts = stats.namespaces.iter().map(|(namespace, tally)| (namespace.clone(), tally.entries));
        let storage_path = info.location.clone();
        let db_path = match info.backend {
            "fs" => format!("{storage_path}/.memlife/index.db"),
            _ => storage_path.clone(),
        };
        MemoryStats {
            total_entries: stats.entries,
            compressed_entries: stats.stored.compressed,
            namespace_counts: counts.filter(|(_, entries)| *entries > 0).collect(),
            policies_count: stats.policies,
            storage_path,
            db_path,
        }
    }
}

#[derive(Serialize)]
struct StatsView<'a> {
    #[serde(flatten)]
    original: MemoryStats,
    backend: &'static str,
    store: &'a str,
    durability: String,
    read_only: bool,
    stored: TallyView,
    expired: CountView,
    removed: BTreeMap<String, u64>,
    rules: BTreeMap<&'a str, TallyView>,
    groups_cut: bool,
    expiring: ExpiringView,
    unmatched: u64,
    policy_pending: bool,
}

#[derive(Serialize)]
struct TallyView {
    entries: u64,
    compressed: u64,
    raw_bytes: u64,
    stored_bytes: u64,
}

#[derive(Serialize)]
struct CountView {
    at_least: u64,
    or_more: bool,
}

#[derive(Serialize)]
struct ExpiringView {
    hour: CountView,
    day: CountView,
    week: CountView,
}

pub fn run(session: &Session) -> Result<Exit> {
    let memory = session.open()?;
    let stats = session.wait(memory.stats())?;
    let info = memory.store().info();
    if session.output.is_json() {
        session.output.json(&view(session, &stats, info))?;
    } else {
        print_text(session, &stats, info)?;
    }
    if stats.policy_pending {
        session.output.note(
            "the policy differs from the one that the entries were stored under: run `memlife policy apply`",
        );
    }
    Ok(Exit::Done)
}

fn view<'a>(session: &'a Session, stats: &'a Stats, info: &StoreInfo) -> StatsView<'a> {
    StatsView {
        original: MemoryStats::new(stats, info),
        backend: info.backend,
        store: session.store_url(),
        durability: info.durability.to_string(),
        read_only: info.read_only,
        stored: tally(stats.stored),
        expired: count(stats.expired),
        removed: stats.removed.iter().map(|(cause, removed)| (cause.to_string(), *removed)).collect(),
        rules: stats.rules.iter().map(|(rule, sum)| (Rule::title(rule), tally(*sum))).collect(),
        groups_cut: stats.groups_cut,
        expiring: ExpiringView {
            hour: count(stats.expiring.hour),
            day: count(stats.expiring.day),
            week: count(stats.expiring.week),
        },
        unmatched: stats.unmatched,
        policy_pending: stats.policy_pending,
    }
}

fn tally(sum: Tally) -> TallyView {
    let Tally { entries, compressed, raw_bytes, stored_bytes } = sum;
    TallyView { entries, compressed, raw_bytes, stored_bytes }
}

fn count(count: Count) -> CountView {
    CountView { at_least: count.at_least, or_more: count.or_more }
}

fn print_text(session: &Session, stats: &Stats, info: &StoreInfo) -> Result<()> {
    let number = |count: Count| format!("{}{}", count.at_least, if count.or_more { "+" } else { "" });
    let stored = stats.stored;
    let mut lines = vec![
        format!("store       {}", session.store_url()),
        format!("durability  {}{}", info.durability, if info.read_only { ", read-only" } else { "" }),
        format!("entries     {} ({} expired and not swept yet)", stats.entries, number(stats.expired)),
        format!(
            "bytes       {} stored, {} before compression, {} entries compressed",
            stored.stored_bytes, stored.raw_bytes, stored.compressed
        ),
        format!(
            "expiring    {} within an hour, {} a day, {} a week",
            number(stats.expiring.hour),
            number(stats.expiring.day),
            number(stats.expiring.week)
        ),
        format!("policies    {} rules; {} entries match none of them", stats.policies, stats.unmatched),
    ];
    let removed = stats.removed.iter().filter(|(_, removed)| **removed > 0);
    lines.extend(removed.map(|(cause, removed)| format!("removed     {removed} {cause}")));
    let groups = stats.rules.iter().map(|(rule, sum)| ("rule", Rule::title(rule), sum));
    let groups = groups.chain(stats.namespaces.iter().map(|(name, sum)| ("namespace", name.as_str(), sum)));
    lines.extend(groups.filter(|(_, _, sum)| sum.entries > 0).map(|(what, name, sum)| {
        format!("{what:<11} {name}: {} entries, {} bytes", sum.entries, sum.stored_bytes)
    }));
    if stats.groups_cut {
        lines.push("more rules and namespaces are left out".into());
    }
    lines.iter().try_for_each(|line| session.output.line(line))?;
    Ok(())
}
