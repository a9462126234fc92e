//! Which rule a key falls under.

mod explain;
mod file;
mod glob;
mod lint;
mod origin;
mod pattern;
mod rule;
mod ruleset;

pub use file::{
    CleanupSchedule, LogLevel, Logging, MAX_POLICY_FILE_BYTES, ParseOptions, PolicyFile, TimeOfDay,
};
pub use lint::{Lint, Severity};
pub use pattern::{MAX_PATTERN_BYTES, MAX_PATTERN_STARS, Pattern, Specificity};
pub use rule::{CleanupStrategy, DEFAULT_MAX_SIBLINGS, MAX_MAX_SIBLINGS, Refresh, Rule};
pub use ruleset::RuleSet;

use crate::Key;

/// Decides which rule a key falls under. Pure: the same key always gets the same rule.
pub trait Policy: Send + Sync {
    /// The rule of `key`; every key has one.
    fn rule_for(&self, key: &Key) -> &Rule;

    /// How that rule was chosen.
    fn explain(&self, key: &Key) -> Explanation;

    /// The rules, in the order of the file; the default last.
    fn rules(&self) -> Vec<&Rule>;

    /// Changes when any rule changes, and not otherwise.
    fn fingerprint(&self) -> u64;

    /// Whether reading can renew anything, so that plain reads need not look up their rule.
    fn refreshes_on_read(&self) -> bool {
        self.rules().iter().any(|rule| rule.refresh == Refresh::OnRead)
    }
}

/// Why a key falls under its rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The key.
    pub key: Key,
    /// The rule that holds.
    pub winner: Rule,
    /// Where the policy comes from: a path, or `built-in`.
    pub source: String,
    /// The winner's line in its file, where it has one; for the default, its section's.
    pub line: Option<u32>,
    /// Whether no rule matched and the default holds.
    pub is_default: bool,
    /// The other rules that match, the most specific first.
    pub beaten: Vec<Beaten>,
    /// Each effective setting, its value and where the value comes from: the rule, the file's default section, its
    /// compression section, or the built-in default.
    pub values: Vec<Effective>,
}

/// A rule that matches and does not win.
#[derive(Clone, Debug, PartialEq)]
pub struct Beaten {
    /// Its pattern.
    pub pattern: String,
    /// Why it lost, in words.
    pub why: String,
}

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The setting, as policy files name it.
    pub name: &'static str,
    /// Its value, as policy files write it.
    pub value: String,
    /// Where the value comes from.
    pub origin: String,
}
