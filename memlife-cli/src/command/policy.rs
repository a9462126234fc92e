mod train;

use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use memlife::policy::{CleanupSchedule, Effective, Explanation, Lint, Rule, Severity};
use memlife::record::Codec;
use memlife::{Key, Policy, Ttl};
use serde::Serialize;

/// Shows, explains, checks and applies the policy
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLE: &str = "\
Examples:
  memlife policy explain coordination/agent1/status
  memlife --policies new.yaml policy lint
  memlife policy apply
  memlife policy train --dry-run";

#[derive(Debug, Subcommand)]
enum Action {
    /// Prints the rules in force
    #[command(after_help = "Example:\n  memlife policy show --output json")]
    Show,
    /// Prints which rule a key falls under, and why
    #[command(after_help = "Example:\n  memlife policy explain coordination/agent1/status")]
    Explain {
        /// The key
        key: Key,
    },
    /// Finds rules that can never win and settings without effect; exit status 1 when there are some
    #[command(after_help = "Example:\n  memlife --policies new.yaml policy lint")]
    Lint,
    /// Gives every stored entry what its present rule says, counted from the entry's own time
    ///
    /// An expiry that a writer asked for stays, and nothing expired is revived. May be stopped and repeated.
    #[command(after_help = "Example:\n  memlife policy apply")]
    Apply,
    /// Trains dictionaries that make small values smaller, for rules that compress by zstd
    ///
    /// A dictionary is trained for each rule on a sample of its values, and kept where values held out from the sample
    /// get at least a tenth smaller. New values are compressed with it; stored ones stay as they are and readable.
    #[command(
        after_help = "Examples:\n  memlife policy train --dry-run\n  memlife policy train --rule 'session/**'"
    )]
    Train(train::TrainArgs),
}

pub fn run(session: &Session, args: &PolicyArgs) -> Result<Exit> {
    match &args.action {
        Action::Show => show(session),
        Action::Explain { key } => explain(session, key),
        Action::Lint => lint(session),
        Action::Apply => apply(session),
        Action::Train(args) => train::run(session, args),
    }
}

#[derive(Serialize)]
struct PolicyView<'a> {
    source: String,
    rules: Vec<RuleView<'a>>,
    default: Option<RuleView<'a>>,
    cleanup_schedule: ScheduleView<'a>,
    logging: LoggingView,
}

#[derive(Serialize)]
struct RuleView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    ttl: Option<String>,
    min_ttl: Option<String>,
    max_ttl: Option<String>,
    jitter: u8,
    refresh: &'static str,
    cleanup_strategy: &'static str,
    conflict_strategy: &'a str,
    compression: Option<CompressionView>,
    max_siblings: u32,
    replicate: bool,
}

#[derive(Serialize)]
struct CompressionView {
    algorithm: &'static str,
    level: u8,
    threshold_bytes: u32,
}

#[derive(Serialize)]
struct ScheduleView<'a> {
    enabled: bool,
    interval_hours: u32,
    time_of_day: Option<String>,
    cron: Option<&'a str>,
}

#[derive(Serialize)]
struct LoggingView {
    level: &'static str,
    log_cleanup_operations: bool,
    log_compression_stats: bool,
}

impl<'a> RuleView<'a> {
    fn of(rule: &'a Rule) -> Self {
        let algorithm = match rule.compression.codec {
            Codec::None => None,
            Codec::Gzip => Some("gzip"),
            Codec::Zstd => Some("zstd"),
        };
        let shown = |ttl: Option<Ttl>| ttl.map(|ttl| ttl.to_string());
        RuleView {
            pattern: (!rule.is_default()).then_some(&**rule.id()),
            ttl: shown(rule.ttl),
            min_ttl: shown(rule.min_ttl),
            max_ttl: shown(rule.max_ttl),
            jitter: rule.jitter_percent,
            refresh: rule.refresh.name(),
            cleanup_strategy: rule.cleanup.name(),
            conflict_strategy: rule.conflict.name(),
            compression: algorithm.map(|algorithm| CompressionView {
                algorithm,
                level: rule.compression.level,
                threshold_bytes: rule.compression.threshold_bytes,
            }),
            max_siblings: rule.max_siblings,
            replicate: rule.replicates,
        }
    }

    fn line(&self) -> String {
        let compression = self.compression.as_ref().map_or_else(
            || "not compressed".to_owned(),
            |how| format!("{} {} from {} bytes", how.algorithm, how.level, how.threshold_bytes),
        );
        format!(
            "{}\t{}\t{}\t{}\trefresh {}\t{compression}",
            self.pattern.unwrap_or("(default)"),
            self.ttl.as_deref().unwrap_or("permanent"),
            self.cleanup_strategy,
            self.conflict_strategy,
            self.refresh,
        )
    }
}

fn show(session: &Session) -> Result<Exit> {
    let source = source(session);
    let rules = session.policy.rules.rules();
    let (named, default): (Vec<&Rule>, Vec<&Rule>) = rules.into_iter().partition(|rule| !rule.is_default());
    if !session.output.is_json() {
        session.output.line(&format!("# {source}"))?;
        for rule in named.into_iter().chain(default) {
            session.output.line(&RuleView::of(rule).line())?;
        }
        session.output.line(&format!("# sweeps: {}", schedule_text(&session.policy.schedule)))?;
        return Ok(Exit::Done);
    }
    let (schedule, logging) = (&session.policy.schedule, session.policy.logging);
    session.output.json(&PolicyView {
        source,
        rules: named.into_iter().map(RuleView::of).collect(),
        default: default.first().map(|rule| RuleView::of(rule)),
        cleanup_schedule: ScheduleView {
            enabled: schedule.enabled,
            interval_hours: schedule.interval_hours,
            time_of_day: schedule.time_of_day.map(|time| time.to_string()),
            cron: schedule.cron.as_deref(),
        },
        logging: LoggingView {
            level: logging.level.name(),
            log_cleanup_operations: logging.log_cleanup_operations,
            log_compression_stats: logging.log_compression_stats,
        },
    })?;
    Ok(Exit::Done)
}

fn source(session: &Session) -> String {
    let path = session.settings.policies.path.as_ref();
    path.map_or_else(|| "built-in".into(), |path| path.display().to_string())
}

fn schedule_text(schedule: &CleanupSchedule) -> String {
    let hours = schedule.interval_hours;
    match (schedule.enabled, &schedule.cron, schedule.time_of_day) {
        (false, ..) => "off".into(),
        (true, Some(cron), _) => format!("cron {cron}"),
        (true, None, Some(time)) => format!("at {time}, then every {hours} h"),
        (true, None, None) => format!("every {hours} h"),
    }
}

#[derive(Serialize)]
struct ExplanationView<'a> {
    key: &'a str,
    rule: &'a str,
    source: &'a str,
    line: Option<u32>,
    is_default: bool,
    values: Vec<EffectiveView<'a>>,
    beaten: Vec<BeatenView<'a>>,
}

#[derive(Serialize)]
struct EffectiveView<'a> {
    name: &'a str,
    value: &'a str,
    origin: &'a str,
}

#[derive(Serialize)]
struct BeatenView<'a> {
    pattern: &'a str,
    why: &'a str,
}

fn explain(session: &Session, key: &Key) -> Result<Exit> {
    let explanation = session.policy.rules.explain(key);
    if !session.output.is_json() {
        explain_text(session, &explanation)?;
        return Ok(Exit::Done);
    }
    let Explanation { key, winner, source, line, is_default, beaten, values } = &explanation;
    session.output.json(&ExplanationView {
        key: key.as_str(),
        rule: Rule::title(winner.id()),
        source,
        line: *line,
        is_default: *is_default,
        values: values
            .iter()
            .map(|Effective { name, value, origin }| EffectiveView { name, value, origin })
            .collect(),
        beaten: beaten.iter().map(|lost| BeatenView { pattern: &lost.pattern, why: &lost.why }).collect(),
    })?;
    Ok(Exit::Done)
}

fn explain_text(session: &Session, explanation: &Explanation) -> Result<()> {
    let Explanation { key, winner, source, line, beaten, values, .. } = explanation;
    let line = line.map_or_else(String::new, |line| format!(", line {line}"));
    session.output.line(&format!("{key} falls under {} ({source}{line})", Rule::title(winner.id())))?;
    for Effective { name, value, origin } in values {
        session.output.line(&format!("  {name:<28} {value:<12} {origin}"))?;
    }
    for lost in beaten {
        session.output.line(&format!("beats {}: {}", lost.pattern, lost.why))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct LintView<'a> {
    line: Option<u32>,
    pattern: &'a str,
    severity: &'static str,
    message: &'a str,
}

fn lint(session: &Session) -> Result<Exit> {
    let lints = session.policy.lint();
    for Lint { line, pattern, message, severity } in &lints {
        let severity = match severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        let pattern = Rule::title(pattern);
        if session.output.is_json() {
            session.output.json(&LintView { line: *line, pattern, severity, message })?;
        } else {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            session.output.line(&format!("{}{line}: {severity}: {pattern}: {message}", source(session)))?;
        }
    }
    let warned = lints.iter().any(|lint| lint.severity == Severity::Warning);
    Ok(if warned { Exit::Nothing } else { Exit::Done })
}

#[derive(Serialize)]
struct ApplyView {
    checked: u64,
    restamped: u64,
    converted: u64,
    failed: u64,
}

fn apply(session: &Session) -> Result<Exit> {
    let memory = session.open()?;
    let bar = Bar::new(&session.output, "applying", None);
    let applied = session.wait(memory.apply_policy(Some(bar.listener())));
    bar.finish();
    let report = applied?;
    let (checked, restamped, converted) = (report.checked, report.restamped, report.converted);
    if session.output.is_json() {
        session.output.json(&ApplyView { checked, restamped, converted, failed: report.failed })?;
    } else {
        session.output.line(&format!(
            "checked {checked} entries: {restamped} have a new expiry or rule, {converted} a new kind"
        ))?;
    }
    if report.failed > 0 {
        bail!("{} damaged entries were left as they are: `memlife verify` names them", report.failed);
    }
    Ok(Exit::Done)
}
