//! Policy files: YAML, as the Python original has them, and what memlife adds.

mod fields;
mod node;
mod rules;
mod sections;

pub use sections::{CleanupSchedule, LogLevel, Logging, TimeOfDay};

use super::ruleset::Placed;
use super::{Lint, RuleSet};
use crate::Result;
use fields::Fields;
use node::{Node, Value, problem};
use rules::RuleReader;
use std::sync::Arc;

/// The largest policy file, in bytes.
pub const MAX_POLICY_FILE_BYTES: usize = 64 << 10;
/// The most rules in a file; the index of a rule set grows with their square at worst.
const MAX_RULES: usize = 1_000;
const SECTIONS: [&str; 5] = ["namespaces", "default", "cleanup_schedule", "compression", "logging"];

/// A policy file as read.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// The rules and the default.
    pub rules: RuleSet,
    /// When to sweep.
    pub schedule: CleanupSchedule,
    /// What to log.
    pub logging: Logging,
}

/// What a policy file may refer to beyond what is built in.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The names of the conflict strategies that the program registered.
    pub custom_strategies: Vec<Arc<str>>,
}

impl PolicyFile {
    /// Reads `text`; `source` is its path or another name, for messages.
    ///
    /// # Errors
    /// `Invalid` for anything that is not a policy: what, on which line, and what to write instead.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        PolicyFile::parse_with(text, source, &ParseOptions::default())
    }

    /// Reads `text`, which may refer to what `options` name.
    ///
    /// # Errors
    /// As [`PolicyFile::parse`].
    pub fn parse_with(text: &str, source: &str, options: &ParseOptions) -> Result<Self> {
        if text.len() > MAX_POLICY_FILE_BYTES {
            let message = format!(
                "a policy file has at most {MAX_POLICY_FILE_BYTES} bytes; this one has {}",
                text.len()
            );
            return Err(problem(source, 0, message));
        }
        let document = Node::parse(text, source)?;
        let fields = Fields::new(source, "a policy file", &document, &SECTIONS)?;
        let section = |name| fields.get(name).map(|field| field.node());
        let compression = section("compression").map(|node| sections::compression(source, node));
        let reader = RuleReader {
            source,
            custom_strategies: &options.custom_strategies,
            compression: compression.transpose()?.unwrap_or_default(),
        };
        let rules = section("namespaces").map(|node| read_rules(&reader, node)).transpose()?;
        let default = reader.default(section("default"))?;
        let schedule = section("cleanup_schedule").map(|node| sections::schedule(source, node));
        let logging = section("logging").map(|node| sections::logging(source, node));
        Ok(PolicyFile {
            rules: RuleSet::from_placed(source, rules.unwrap_or_default(), default),
            schedule: schedule.transpose()?.unwrap_or_default(),
            logging: logging.transpose()?.unwrap_or_default(),
        })
    }

    /// What holds where there is no policy file.
    pub fn built_in() -> Self {
        PolicyFile {
            rules: RuleSet::built_in(),
            schedule: CleanupSchedule::default(),
            logging: Logging::default(),
        }
    }

    /// What the file says in vain or may not mean; in the order of its lines.
    pub fn lint(&self) -> Vec<Lint> {
        self.rules.lint()
    }
}

fn read_rules(reader: &RuleReader<'_>, node: &Node) -> Result<Vec<Placed>> {
    let list = match &node.value {
        Value::List(list) => list.as_slice(),
        Value::Null => &[],
        _ => {
            let message = format!("`namespaces` takes a list of rules; found {}", node.described());
            return Err(problem(reader.source, node.line, message));
        }
    };
    if list.len() > MAX_RULES {
        let message = format!("`namespaces` has {} rules; at most {MAX_RULES} are allowed", list.len());
        return Err(problem(reader.source, node.line, message));
    }
    let mut rules: Vec<Placed> = Vec::with_capacity(list.len());
    for item in list {
        let placed = reader.rule(item)?;
        if let Some(first) = rules.iter().find(|first| first.rule.pattern.is_same(&placed.rule.pattern)) {
            let (id, line) = (first.rule.id(), first.line.unwrap_or_default());
            let message = format!(
                "the rule `{}` is for the same keys as `{id}` on line {line}: keep one",
                placed.rule.id()
            );
            return Err(problem(reader.source, item.line, message));
        }
        rules.push(placed);
    }
    Ok(rules)
}
