use super::fields::{Field, Fields};
use super::sections::CompressionDefaults;
use crate::policy::origin::{Origin, Origins, Setting, codec_name};
use crate::policy::ruleset::Placed;
use crate::policy::{CleanupStrategy, MAX_MAX_SIBLINGS, Pattern, Refresh, Rule};
use crate::record::{Codec, Compression, Kind};
use crate::{Error, Result};
use std::sync::Arc;

/// What a rule may say; a default section all but the first.
const RULE_KEYS: [&str; 15] = [
    "namespace",
    "ttl_seconds",
    "ttl",
    "min_ttl",
    "max_ttl",
    "jitter",
    "refresh",
    "cleanup_strategy",
    "conflict_strategy",
    "compression_enabled",
    "compression_threshold_bytes",
    "compression_algorithm",
    "compression_level",
    "max_siblings",
    "replicate",
];
const CLEANUP_STRATEGIES: [(&str, CleanupStrategy); 3] = [
    ("lazy", CleanupStrategy::Lazy),
    ("scheduled", CleanupStrategy::Scheduled),
    ("manual", CleanupStrategy::Manual),
];
const REFRESHES: [(&str, Refresh); 3] =
    [("never", Refresh::Never), ("on_write", Refresh::OnWrite), ("on_read", Refresh::OnRead)];
pub(super) const ALGORITHMS: [(&str, Codec); 3] =
    [("zstd", Codec::Zstd), ("gzip", Codec::Gzip), ("none", Codec::None)];

/// Reads the rules of one file.
pub(super) struct RuleReader<'a> {
    pub(super) source: &'a str,
    pub(super) custom_strategies: &'a [Arc<str>],
    pub(super) compression: CompressionDefaults,
}

impl RuleReader<'_> {
    /// One rule of the list.
    pub(super) fn rule(&self, node: &super::node::Node) -> Result<Placed> {
        let fields = Fields::new(self.source, "a rule", node, &RULE_KEYS)?;
        let namespace = fields.required("namespace")?;
        let pattern = Pattern::parse(namespace.text()?)
            .map_err(|error| namespace.problem(format!("is not a pattern: {}", error.message())))?;
        self.settings(&fields, pattern)
    }

    /// The rule for keys that no other matches.
    pub(super) fn default(&self, node: Option<&super::node::Node>) -> Result<Placed> {
        let Some(node) = node else {
            let mut placed = Placed::built_in(Rule::fallback());
            (placed.rule.compression, placed.origins) = self.compression.alone();
            return Ok(placed);
        };
        let fields = Fields::new(self.source, "the default section", node, &RULE_KEYS[1..])?;
        self.settings(&fields, Pattern::of_default())
    }

    fn settings(&self, fields: &Fields<'_>, pattern: Pattern) -> Result<Placed> {
        let (compression, origins) = self.compression_of(fields)?;
        let rule = Rule { pattern, compression, ..Rule::fallback() };
        let mut placed = Placed { rule, line: Some(fields.line), origins };
        read_times(fields, &mut placed)?;
        check_times(fields, &placed.rule)?;
        let Placed { rule, origins, .. } = &mut placed;
        if let Some(field) = own(fields, Setting::Refresh, origins) {
            rule.refresh = field.one_of(&REFRESHES)?;
        }
        if let Some(field) = own(fields, Setting::CleanupStrategy, origins) {
            rule.cleanup = field.one_of(&CLEANUP_STRATEGIES)?;
        }
        if let Some(field) = own(fields, Setting::ConflictStrategy, origins) {
            rule.conflict = self.conflict_strategy(&field)?;
        }
        if let Some(field) = own(fields, Setting::MaxSiblings, origins) {
            rule.max_siblings = field.whole(1..=MAX_MAX_SIBLINGS)?;
        }
        if let Some(field) = own(fields, Setting::Replicate, origins) {
            rule.replicates = field.bool()?;
        }
        Ok(placed)
    }

    fn conflict_strategy(&self, field: &Field<'_>) -> Result<Kind> {
        let name = field.text()?;
        // Two names of one kind.
        let known = if name == "pn_counter" { Kind::Counter.name() } else { name };
        if let Some(kind) = Kind::BUILT_IN.iter().find(|kind| kind.name() == known) {
            return Ok(kind.clone());
        }
        if let Some(custom) = self.custom_strategies.iter().find(|custom| ***custom == *name) {
            return Ok(Kind::Custom(custom.clone()));
        }
        let custom = self.custom_strategies.iter().map(|custom| &**custom);
        let names: Vec<&str> =
            Kind::BUILT_IN.iter().map(Kind::name).chain(["pn_counter"]).chain(custom).collect();
        Err(field.unknown_name(name, &names))
    }

    /// What the rule says, over what the compression section says, over the built-in default.
    fn compression_of(&self, fields: &Fields<'_>) -> Result<(Compression, Origins)> {
        let (mut compression, mut origins) = self.compression.alone();
        if let Some(field) = own(fields, Setting::CompressionAlgorithm, &mut origins) {
            let codec = field.one_of(&ALGORITHMS)?;
            if codec != compression.codec {
                compression.codec = codec;
                compression.level = default_level(codec);
                origins.set(Setting::CompressionLevel, Origin::BuiltIn);
            }
        }
        if let Some(field) = own(fields, Setting::CompressionLevel, &mut origins) {
            compression.level = level(&field, compression.codec)?;
        }
        compression.threshold_bytes = self.compression.threshold_bytes;
        if let Some(field) = own(fields, Setting::CompressionThreshold, &mut origins) {
            compression.threshold_bytes = field.whole(0..=u32::MAX)?;
        }
        let is_enabled = self.compression_enabled(fields, compression.codec, &mut origins)?;
        let packs = is_enabled && compression.codec != Codec::None;
        Ok((if packs { compression } else { Compression::NONE }, origins))
    }

    fn compression_enabled(&self, fields: &Fields<'_>, codec: Codec, origins: &mut Origins) -> Result<bool> {
        let Some(field) = fields.get(Setting::CompressionEnabled.name()) else {
            return Ok(true);
        };
        let is_enabled = field.bool()?;
        if is_enabled && codec == Codec::None {
            return match origins.own_line(Setting::CompressionAlgorithm) {
                Some(line) => Err(field.problem(format!(
                    "is true, but `compression_algorithm` on line {line} is none: remove one of them"
                ))),
                // The section turns compression off for all rules: that decides, not this key.
                None => Ok(true),
            };
        }
        origins.set(Setting::CompressionEnabled, Origin::Own(field.line));
        Ok(is_enabled)
    }
}

/// The field of `setting` where the rule has it; notes its line as the origin.
fn own<'a>(fields: &Fields<'a>, setting: Setting, origins: &mut Origins) -> Option<Field<'a>> {
    let field = fields.get(setting.name())?;
    origins.set(setting, Origin::Own(field.line));
    Some(field)
}

fn read_times(fields: &Fields<'_>, placed: &mut Placed) -> Result<()> {
    let Placed { rule, origins, .. } = placed;
    let seconds = fields.get("ttl_seconds");
    let duration = own(fields, Setting::Ttl, origins);
    rule.ttl = match (seconds, duration) {
        (Some(seconds), Some(ttl)) => {
            let message = format!("says the same as `ttl` on line {}: keep one", ttl.line);
            return Err(seconds.problem(message));
        }
        (Some(seconds), None) => {
            origins.set(Setting::Ttl, Origin::Own(seconds.line));
            seconds.seconds()?
        }
        (None, Some(ttl)) => ttl.duration_or_permanent()?,
        (None, None) => None,
    };
    if let Some(field) = own(fields, Setting::MinTtl, origins) {
        rule.min_ttl = Some(field.duration()?);
    }
    if let Some(field) = own(fields, Setting::MaxTtl, origins) {
        rule.max_ttl = Some(field.duration()?);
    }
    if let Some(field) = own(fields, Setting::Jitter, origins) {
        rule.jitter_percent = field.percent()?;
    }
    Ok(())
}

fn check_times(fields: &Fields<'_>, rule: &Rule) -> Result<()> {
    let at_ttl = |message: String| match fields.get("ttl_seconds").or_else(|| fields.get("ttl")) {
        Some(field) => field.problem(message),
        None => fields.problem(format!("the TTL {message}")),
    };
    match (rule.min_ttl, rule.ttl, rule.max_ttl) {
        (Some(min), _, Some(max)) if min > max => {
            Err(fields.problem(format!("`min_ttl` {min} is longer than `max_ttl` {max}: swap them")))
        }
        (Some(min), Some(ttl), _) if ttl < min => {
            Err(at_ttl(format!("is {ttl}, shorter than `min_ttl` {min}: change one of them")))
        }
        (_, Some(ttl), Some(max)) if ttl > max => {
            Err(at_ttl(format!("is {ttl}, longer than `max_ttl` {max}: change one of them")))
        }
        (_, None, Some(max)) => {
            Err(at_ttl(format!("is permanent, longer than `max_ttl` {max}: write a TTL of at most {max}")))
        }
        _ => Ok(()),
    }
}

/// The level that people mean who name only the algorithm.
pub(super) fn default_level(codec: Codec) -> u8 {
    match codec {
        Codec::None => 0,
        Codec::Gzip => 6,
        Codec::Zstd => Compression::DEFAULT.level,
    }
}

/// A level of `codec`.
pub(super) fn level(field: &Field<'_>, codec: Codec) -> Result<u8> {
    let range = match codec {
        Codec::Gzip => 0..=9,
        Codec::Zstd => 1..=19,
        // Nothing is compressed, so any level that some algorithm has will do.
        Codec::None => 0..=19,
    };
    let in_codec = |error: Error| match codec {
        Codec::None => error,
        _ => {
            Error::new(error.kind(), format!("{} (the algorithm is {})", error.message(), codec_name(codec)))
        }
    };
    let level = field.whole(range).map_err(in_codec)?;
    Ok(u8::try_from(level).unwrap_or(u8::MAX))
}
