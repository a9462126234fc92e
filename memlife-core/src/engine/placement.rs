//! What a rule says, as the store wants it told.

use super::seed::Seed;
use crate::policy::{Refresh, Rule};
use crate::record::ExpiryOrigin;
use crate::store::{Anchor, Expiry, Placement};
use crate::{Timestamp, Ttl};

/// The placement of a write that asks for nothing special.
pub(super) fn by_rule(rule: &Rule, seed: &Seed) -> Placement {
    let expiry = match (rule.refresh, rule.ttl) {
        (_, None) => Expiry::Never,
        (Refresh::Never, Some(_)) => Expiry::Keep,
        (_, Some(ttl)) => Expiry::After(jittered(ttl, rule.jitter_percent, seed)),
    };
    Placement {
        rule: rule.id().clone(),
        kind: rule.conflict.clone(),
        class: rule.cleanup.class(),
        expiry,
        origin: ExpiryOrigin::Rule,
        rule_ttl: rule.ttl,
        anchor: if rule.refresh == Refresh::Never { Anchor::Creation } else { Anchor::Write },
        compression: rule.compression,
        max_siblings: rule.max_siblings,
    }
}

/// The expiry a caller asked for, within the rule's limits, and whether they changed it.
pub(super) fn clamp(asked: Expiry, rule: &Rule, now: Timestamp) -> (Expiry, bool) {
    let within = |ttl: Ttl| {
        let at_least = rule.min_ttl.map_or(ttl, |min| ttl.max(min));
        rule.max_ttl.map_or(at_least, |max| at_least.min(max))
    };
    let clamped = match asked {
        Expiry::Never => rule.max_ttl.map_or(asked, Expiry::After),
        Expiry::After(ttl) => Expiry::After(within(ttl)),
        // A deadline that is past stays past: it asks for an entry that is expired at once.
        Expiry::At(at) => match Ttl::from_ms(at.since(now)) {
            Ok(ttl) if within(ttl) != ttl => Expiry::At(now.plus_ms(within(ttl).ms())),
            _ => asked,
        },
        Expiry::Keep => asked,
    };
    (clamped, clamped != asked)
}

fn jittered(ttl: Ttl, percent: u8, seed: &Seed) -> Ttl {
    if percent == 0 {
        return ttl;
    }
    let most = ttl.ms() / 100 * u64::from(percent);
    Ttl::from_ms(ttl.ms().saturating_add(seed.below(most.saturating_add(1)))).unwrap_or(ttl)
}
