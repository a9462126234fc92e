use crate::{Meter, Result};
use memlife_core::policy::{PolicyFile, RuleSet};
use memlife_core::{Key, Policy};

pub(crate) fn of_5_rules(meter: &mut impl Meter) -> Result {
    let keys = ["session/agent3/k12", "swarm/agent/state/agent17/k1234", "knowledge/rust", "none/of/them"];
    find(meter, &RuleSet::built_in(), &keys)
}

/// Ten teams with 16 rules each, and 40 rules that any first segment may fall under.
pub(crate) fn of_200_rules(meter: &mut impl Meter) -> Result {
    let mut file = String::from("namespaces:\n");
    let mut rule = |pattern: String| file.push_str(&format!("- {{namespace: '{pattern}', ttl: 1h}}\n"));
    for team in 0..10 {
        (0..8).for_each(|at| rule(format!("team{team}/project{at}/*")));
        (0..8).for_each(|at| rule(format!("team{team}/*/agent{at}*/status")));
    }
    (0..20).for_each(|at| rule(format!("*/shared/topic{at}")));
    (0..20).for_each(|at| rule(format!("**/draft{at}")));
    let keys = [
        "team7/project3/agent5/plan",
        "team7/other/agent5b/status",
        "team7/other/agent5b/draft11",
        "stranger/other/agent5b/notes",
    ];
    find(meter, &PolicyFile::parse(&file, "policies.yaml")?.rules, &keys)
}

/// The rules of all `keys`, one after the other.
fn find(meter: &mut impl Meter, rules: &RuleSet, keys: &[&str; 4]) -> Result {
    let keys = keys.iter().map(|key| Key::new(key)).collect::<Result<Vec<_>, _>>()?;
    meter.measure(|| &keys, |keys| Ok(keys.iter().map(|key| rules.rule_for(key).jitter_percent).max()))
}
