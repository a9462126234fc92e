use super::{Effective, Rule};
use crate::Ttl;
use crate::record::Codec;

/// What a rule can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Ttl,
    MinTtl,
    MaxTtl,
    Jitter,
    Refresh,
    CleanupStrategy,
    ConflictStrategy,
    CompressionEnabled,
    CompressionAlgorithm,
    CompressionLevel,
    CompressionThreshold,
    MaxSiblings,
    Replicate,
}

impl Setting {
    const ALL: [Setting; 13] = [
        Setting::Ttl,
        Setting::MinTtl,
        Setting::MaxTtl,
        Setting::Jitter,
        Setting::Refresh,
        Setting::CleanupStrategy,
        Setting::ConflictStrategy,
        Setting::CompressionEnabled,
        Setting::CompressionAlgorithm,
        Setting::CompressionLevel,
        Setting::CompressionThreshold,
        Setting::MaxSiblings,
        Setting::Replicate,
    ];

    /// The key as policy files write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Setting::Ttl => "ttl",
            Setting::MinTtl => "min_ttl",
            Setting::MaxTtl => "max_ttl",
            Setting::Jitter => "jitter",
            Setting::Refresh => "refresh",
            Setting::CleanupStrategy => "cleanup_strategy",
            Setting::ConflictStrategy => "conflict_strategy",
            Setting::CompressionEnabled => "compression_enabled",
            Setting::CompressionAlgorithm => "compression_algorithm",
            Setting::CompressionLevel => "compression_level",
            Setting::CompressionThreshold => "compression_threshold_bytes",
            Setting::MaxSiblings => "max_siblings",
            Setting::Replicate => "replicate",
        }
    }

    /// Its value in `rule`, as policy files write it; `None` where it means nothing there.
    fn value(self, rule: &Rule) -> Option<String> {
        let packs = rule.compression.codec != Codec::None;
        let optional = |ttl: Option<Ttl>| ttl.map(|ttl| ttl.to_string());
        match self {
            Setting::Ttl => Some(optional(rule.ttl).unwrap_or_else(|| "permanent".into())),
            Setting::MinTtl => optional(rule.min_ttl),
            Setting::MaxTtl => optional(rule.max_ttl),
            Setting::Jitter => Some(rule.jitter_percent.to_string()),
            Setting::Refresh => Some(rule.refresh.name().into()),
            Setting::CleanupStrategy => Some(rule.cleanup.name().into()),
            Setting::ConflictStrategy => Some(rule.conflict.name().into()),
            Setting::CompressionEnabled => Some(packs.to_string()),
            Setting::CompressionAlgorithm => packs.then(|| codec_name(rule.compression.codec).into()),
            Setting::CompressionLevel => packs.then(|| rule.compression.level.to_string()),
            Setting::CompressionThreshold => packs.then(|| rule.compression.threshold_bytes.to_string()),
            Setting::MaxSiblings => Some(rule.max_siblings.to_string()),
            Setting::Replicate => Some(rule.replicates.to_string()),
        }
    }
}

/// The name as policy files write it.
pub(super) const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Zstd => "zstd",
    }
}

/// Who decided the value of a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody: the built-in default.
    #[default]
    BuiltIn,
    /// The rule, or the default section, at this line.
    Own(u32),
    /// The file's compression section, at this line.
    CompressionSection(u32),
    /// A rule that did not come from a file.
    Given,
}

/// Where each setting of one rule comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins([Origin; Setting::ALL.len()]);

impl Origins {
    /// Every setting from the rule itself, which has no file.
    pub(super) fn given() -> Self {
        Origins([Origin::Given; Setting::ALL.len()])
    }

    pub(super) fn set(&mut self, setting: Setting, origin: Origin) {
        self.0[setting as usize] = origin;
    }

    /// The line where the rule itself sets `setting`.
    pub(super) fn own_line(&self, setting: Setting) -> Option<u32> {
        if let Origin::Own(line) = self.0[setting as usize] { Some(line) } else { None }
    }

    /// Who decided `setting`. The algorithm `none` decides that nothing is compressed where the rule does not.
    fn decisive(&self, setting: Setting, rule: &Rule) -> Origin {
        let own = self.0[setting as usize];
        let undecided = setting == Setting::CompressionEnabled && own == Origin::BuiltIn;
        if undecided && rule.compression.codec == Codec::None {
            return self.0[Setting::CompressionAlgorithm as usize];
        }
        own
    }

    /// What holds in `rule`, setting by setting.
    pub(super) fn effective(&self, rule: &Rule) -> Vec<Effective> {
        let describe = |setting: Setting| {
            let value = setting.value(rule)?;
            let origin = match (self.decisive(setting, rule), rule.is_default()) {
                (Origin::BuiltIn, _) => "built-in default".into(),
                (Origin::Own(line), false) => format!("rule, line {line}"),
                (Origin::Own(line), true) => format!("default section, line {line}"),
                (Origin::CompressionSection(line), _) => format!("compression section, line {line}"),
                (Origin::Given, false) => "rule".into(),
                (Origin::Given, true) => "default rule".into(),
            };
            Some(Effective { name: setting.name(), value, origin })
        };
        Setting::ALL.into_iter().filter_map(describe).collect()
    }
}
