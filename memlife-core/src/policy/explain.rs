use super::ruleset::{Placed, RuleSet};
use super::{Beaten, Explanation};
use crate::Key;

pub(super) fn explain(rules: &RuleSet, key: &Key) -> Explanation {
    let mut matching = rules.matching(key);
    let first = matching.next();
    let winner = first.unwrap_or_else(|| rules.unmatched(key));
    let beaten = matching.map(|loser| beaten(winner, loser)).collect();
    Explanation {
        key: key.clone(),
        winner: winner.rule.clone(),
        source: rules.source.to_string(),
        line: winner.line,
        is_default: first.is_none(),
        beaten,
        values: winner.origins.effective(&winner.rule),
    }
}

fn beaten(winner: &Placed, loser: &Placed) -> Beaten {
    let place = loser.line.map_or_else(String::new, |line| format!("line {line}: "));
    Beaten { pattern: loser.rule.id().to_string(), why: format!("{place}{}", why(winner, loser)) }
}

/// The first comparison that the loser loses.
fn why(winner: &Placed, loser: &Placed) -> String {
    let (won, lost) = (winner.rule.pattern.specificity(), loser.rule.pattern.specificity());
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    };
    if won.literal_segments != lost.literal_segments {
        let lost = count(lost.literal_segments, "literal segment");
        return format!("{lost}, the winner has {}", won.literal_segments);
    }
    if won.literal_chars != lost.literal_chars {
        let lost = count(lost.literal_chars, "literal character");
        return format!("{lost}, the winner has {}", won.literal_chars);
    }
    if won.wildcards != lost.wildcards {
        return format!("{}, the winner has {}", count(lost.wildcards.0, "wildcard"), won.wildcards.0);
    }
    "as specific as the winner, which comes later in the file".into()
}
