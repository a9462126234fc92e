use super::origin::{Origin, Origins, Setting};
use super::pattern::Specificity;
use super::{CleanupStrategy, Explanation, Pattern, Policy, Refresh, Rule};
use crate::record::{Codec, Kind};
use crate::{Key, Ttl};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Rules and a default, ready to be asked.
///
/// Finding the rule of a key looks only at rules whose first segment is the key's or has a wildcard, the most
/// specific first.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) source: Arc<str>,
    /// In the order of the file.
    pub(super) rules: Vec<Placed>,
    pub(super) default: Placed,
    /// What holds for memlife's own keys, whatever the policy.
    system: Placed,
    index: Index,
    fingerprint: u64,
    refreshes_on_read: bool,
}

/// The rules that may match a key, by its first segment. Places in the rule set, the winner first.
#[derive(Clone, Debug)]
struct Index {
    /// Sorted by the first segment, where that is literal.
    by_first_segment: Vec<(Box<str>, Vec<usize>)>,
    /// The rules whose first segment has a wildcard.
    anywhere: Vec<usize>,
}

/// A rule and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) line: Option<u32>,
    pub(super) origins: Origins,
}

impl Placed {
    fn given(rule: Rule) -> Self {
        Placed { rule, line: None, origins: Origins::given() }
    }

    pub(super) fn built_in(rule: Rule) -> Self {
        Placed { rule, line: None, origins: Origins::default() }
    }
}

impl RuleSet {
    /// `rules` in their order, and the rule for keys that none of them matches; its pattern plays no part.
    /// `source` says where they come from, for people.
    pub fn new(source: &str, rules: Vec<Rule>, default: Rule) -> Self {
        let rules = rules.into_iter().map(Placed::given).collect();
        RuleSet::from_placed(source, rules, Placed::given(default))
    }

    /// The rules that hold where there is no policy file.
    pub fn built_in() -> Self {
        const HOUR: u64 = 3_600_000;
        use CleanupStrategy::{Lazy, Manual, Scheduled};
        let rules = [
            ("coordination/*", Some(HOUR), Lazy, Kind::Lww),
            ("session/*", Some(HOUR), Lazy, Kind::Lww),
            ("swarm/shared/*", Some(24 * HOUR), Scheduled, Kind::MultiValue),
            ("swarm/agent/state/*", Some(7 * 24 * HOUR), Scheduled, Kind::Lww),
            ("knowledge/*", None, Manual, Kind::MultiValue),
        ];
        let rules = rules.into_iter().filter_map(|(pattern, ttl_ms, cleanup, conflict)| {
            // All of them are sound, as `the_built_in_rules` of the tests shows.
            let pattern = Pattern::parse(pattern).ok()?;
            let ttl = ttl_ms.map(Ttl::from_ms).transpose().ok()?;
            let mut placed = Placed::built_in(Rule { pattern, ttl, cleanup, conflict, ..Rule::fallback() });
            for setting in [Setting::Ttl, Setting::CleanupStrategy, Setting::ConflictStrategy] {
                placed.origins.set(setting, Origin::Given);
            }
            Some(placed)
        });
        RuleSet::from_placed("built-in", rules.collect(), Placed::built_in(Rule::fallback()))
    }

    pub(super) fn from_placed(source: &str, rules: Vec<Placed>, mut default: Placed) -> Self {
        default.rule.pattern = Pattern::of_default();
        let order = by_precedence(&rules);
        let canonical = canonical_order(&rules, &order);
        let fingerprint = fingerprint(canonical.iter().map(|&at| &rules[at].rule).chain([&default.rule]));
        let refreshes = |placed: &Placed| placed.rule.refresh == Refresh::OnRead;
        RuleSet {
            source: source.into(),
            refreshes_on_read: rules.iter().any(refreshes) || refreshes(&default),
            index: Index::new(&rules, &order),
            rules,
            default,
            system: Placed::built_in(Rule::fallback()),
            fingerprint,
        }
    }

    /// The rules that match `key`, the winner first.
    pub(super) fn matching<'a>(&'a self, key: &Key) -> impl Iterator<Item = &'a Placed> {
        let candidates = self.index.candidates(first_segment(key.as_str()));
        candidates.iter().map(|&at| &self.rules[at]).filter(|placed| placed.rule.pattern.matches(key))
    }

    /// What holds for `key` when no rule matches it.
    pub(super) fn unmatched(&self, key: &Key) -> &Placed {
        if key.is_system() { &self.system } else { &self.default }
    }
}

impl Index {
    fn new(rules: &[Placed], order: &[usize]) -> Self {
        let first = |at: usize| rules[at].rule.pattern.literal_prefix().map(first_segment);
        let mut segments: Vec<&str> = order.iter().filter_map(|&at| first(at)).collect();
        segments.sort_unstable();
        segments.dedup();
        let candidates = |segment: &str| {
            order.iter().copied().filter(|&at| first(at).is_none_or(|own| own == segment)).collect()
        };
        Index {
            by_first_segment: segments
                .into_iter()
                .map(|segment| (segment.into(), candidates(segment)))
                .collect(),
            anywhere: order.iter().copied().filter(|&at| first(at).is_none()).collect(),
        }
    }

    fn candidates(&self, first: &str) -> &[usize] {
        let found = self.by_first_segment.binary_search_by(|(segment, _)| (**segment).cmp(first));
        found.map_or(&self.anywhere, |at| &self.by_first_segment[at].1)
    }
}

impl Policy for RuleSet {
    fn rule_for(&self, key: &Key) -> &Rule {
        let placed = self.matching(key).next().unwrap_or_else(|| self.unmatched(key));
        &placed.rule
    }

    fn explain(&self, key: &Key) -> Explanation {
        super::explain::explain(self, key)
    }

    fn rules(&self) -> Vec<&Rule> {
        self.rules.iter().chain([&self.default]).map(|placed| &placed.rule).collect()
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn refreshes_on_read(&self) -> bool {
        self.refreshes_on_read
    }
}

fn first_segment(path: &str) -> &str {
    path.split_once('/').map_or(path, |(first, _)| first)
}

/// The places of `rules`, the most specific first; of equally specific ones the later in the file first.
fn by_precedence(rules: &[Placed]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(precedence(rules, at)));
    order
}

/// `order` without what is chance in it: rules that are equally specific and begin with different segments share no
/// key, so which of them comes first makes no difference.
fn canonical_order(rules: &[Placed], order: &[usize]) -> Vec<usize> {
    let pattern = |at: usize| &rules[at].rule.pattern;
    let mut canonical = order.to_vec();
    for tie in
        canonical.chunk_by_mut(|&one, &other| pattern(one).specificity() == pattern(other).specificity())
    {
        if tie.iter().all(|&at| pattern(at).literal_prefix().is_some()) {
            tie.sort_by_key(|&at| pattern(at).literal_prefix().map(first_segment));
        }
    }
    canonical
}

/// Of two rules that match a key, the one with the greater precedence wins.
pub(super) fn precedence(rules: &[Placed], at: usize) -> (Specificity, usize) {
    (rules[at].rule.pattern.specificity(), at)
}

/// The same in every process and on every machine for the same rules; comments, line numbers and the way a value is
/// written play no part.
fn fingerprint<'a>(rules: impl Iterator<Item = &'a Rule>) -> u64 {
    let mut hasher = Xxh3::new();
    for rule in rules {
        for text in [rule.id(), rule.conflict.name()] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let ttls = [rule.ttl, rule.min_ttl, rule.max_ttl];
        for ms in ttls.map(|ttl| ttl.map_or(0, Ttl::ms)) {
            hasher.update(&ms.to_le_bytes());
        }
        let codec = match rule.compression.codec {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Zstd => 2,
        };
        let refresh = match rule.refresh {
            Refresh::Never => 0,
            Refresh::OnWrite => 1,
            Refresh::OnRead => 2,
        };
        let custom = u8::from(matches!(rule.conflict, Kind::Custom(_)));
        let class = rule.cleanup.class().code();
        hasher.update(&[rule.jitter_percent, refresh, class, codec, rule.compression.level, custom]);
        hasher.update(&rule.compression.threshold_bytes.to_le_bytes());
        hasher.update(&rule.max_siblings.to_le_bytes());
    }
    hasher.digest()
}
