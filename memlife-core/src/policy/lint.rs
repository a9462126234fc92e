use super::origin::Setting;
use super::ruleset::{Placed, RuleSet, precedence};
use super::{CleanupStrategy, Rule};
use crate::record::{Codec, Kind};

/// Something a policy says in vain, or may not mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The line in the file, where there is one.
    pub line: Option<u32>,
    /// The pattern of the rule; empty for the default.
    pub pattern: String,
    /// What is the matter and what to do about it.
    pub message: String,
    /// How sure it is that something is wrong.
    pub severity: Severity,
}

/// How sure it is that something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It may be meant.
    Note,
    /// It has no effect.
    Warning,
}

impl RuleSet {
    /// What the rules say in vain or may not mean; in the order of the lines.
    pub fn lint(&self) -> Vec<Lint> {
        let mut lints = Vec::new();
        if self.rules.is_empty() {
            let message = "there are no rules: every key falls under the default; add rules under `namespaces`, \
                or do without the file to have the built-in rules";
            lints.push(lint(&self.default, None, message.into(), Severity::Note));
        }
        for (at, placed) in self.rules.iter().enumerate() {
            lints.extend(self.never_wins(at));
            lints.extend(without_effect(placed));
            lints.extend(self.does_not_inherit(placed));
        }
        if self.default.line.is_some() {
            lints.extend(self.default_never_holds());
            lints.extend(without_effect(&self.default));
        }
        lints.sort_by_key(|lint| lint.line);
        lints
    }

    /// A rule that another beats for each of its keys.
    fn never_wins(&self, at: usize) -> Option<Lint> {
        let loser = &self.rules[at];
        let beats = |other: &usize| {
            *other != at
                && precedence(&self.rules, *other) > precedence(&self.rules, at)
                && self.rules[*other].rule.pattern.covers(&loser.rule.pattern)
        };
        let winner = &self.rules[(0..self.rules.len()).find(beats)?];
        let message = format!(
            "never wins: `{}`{} has all of its keys and is more specific or comes later; remove it or narrow \
             the other",
            winner.rule.id(),
            on_line(winner),
        );
        Some(lint(loser, None, message, Severity::Warning))
    }

    fn default_never_holds(&self) -> Option<Lint> {
        let everything = super::Pattern::everything();
        let rule = self.rules.iter().find(|placed| placed.rule.pattern.covers(&everything))?;
        let message = format!(
            "the default section has no effect: the rule `{}`{} takes every key; remove one of them",
            rule.rule.id(),
            on_line(rule),
        );
        Some(lint(&self.default, None, message, Severity::Warning))
    }

    /// A rule without a TTL beside a default with one: its author may think that it inherits it.
    fn does_not_inherit(&self, placed: &Placed) -> Option<Lint> {
        let ttl = self.default.rule.ttl.filter(|_| self.default.origins.own_line(Setting::Ttl).is_some())?;
        if placed.line.is_none() || placed.origins.own_line(Setting::Ttl).is_some() {
            return None;
        }
        let message = format!(
            "has no TTL, so its entries are permanent: the {ttl} of the default section is only for keys that \
             no rule matches; write `ttl: {ttl}` or `ttl: permanent`"
        );
        Some(lint(placed, None, message, Severity::Note))
    }
}

/// Settings of a rule that its other settings make void.
fn without_effect(placed: &Placed) -> Vec<Lint> {
    let Placed { rule, origins, .. } = placed;
    let mut lints = Vec::new();
    let mut add = |setting: Setting, severity, why: &str| {
        if let Some(line) = origins.own_line(setting) {
            let message = format!("`{}` {why}", setting.name());
            lints.push(lint(placed, Some(line), message, severity));
        }
    };
    if rule.compression.codec == Codec::None {
        let why = "has no effect: compression is off; remove it or turn compression on";
        add(Setting::CompressionThreshold, Severity::Warning, why);
        add(Setting::CompressionLevel, Severity::Warning, why);
        if origins.own_line(Setting::CompressionEnabled).is_some() {
            add(Setting::CompressionAlgorithm, Severity::Warning, why);
        }
    }
    if !matches!(rule.conflict, Kind::MultiValue | Kind::Custom(_)) {
        let why = format!("has no effect: {} keeps one value; remove it", rule.conflict);
        add(Setting::MaxSiblings, Severity::Warning, &why);
    }
    if rule.ttl.is_none() && rule.jitter_percent > 0 {
        add(Setting::Jitter, Severity::Warning, "has no effect: the rule has no TTL to lengthen; remove it");
    }
    lints.extend(manual_with_ttl(placed));
    lints
}

fn manual_with_ttl(placed: &Placed) -> Option<Lint> {
    let Rule { cleanup: CleanupStrategy::Manual, ttl: Some(_), .. } = placed.rule else {
        return None;
    };
    let message = "expired entries are hidden but stay on disk until a forced sweep (`memlife cleanup --force`): \
        `cleanup_strategy: scheduled` removes them at every sweep";
    let line = placed.origins.own_line(Setting::CleanupStrategy);
    Some(lint(placed, line, message.into(), Severity::Note))
}

fn lint(placed: &Placed, line: Option<u32>, message: String, severity: Severity) -> Lint {
    Lint { line: line.or(placed.line), pattern: placed.rule.id().to_string(), message, severity }
}

fn on_line(placed: &Placed) -> String {
    placed.line.map_or_else(String::new, |line| format!(" on line {line}"))
}
