//! Which rule wins, why, and what the fingerprint sees.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_core::policy::{Pattern, PolicyFile, Refresh, Rule, RuleSet};
use memlife_core::record::Kind;
use memlife_core::{Key, Policy, Ttl};
use proptest::prelude::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn rule(pattern: &str) -> Rule {
    Rule { pattern: Pattern::parse(pattern).unwrap(), ..Rule::fallback() }
}

fn rules(patterns: &[&str]) -> RuleSet {
    RuleSet::new("test", patterns.iter().map(|pattern| rule(pattern)).collect(), Rule::fallback())
}

fn winner(rules: &RuleSet, text: &str) -> String {
    rules.rule_for(&key(text)).id().to_string()
}

#[test]
fn the_most_specific_wins_wherever_it_stands() {
    for patterns in
        [["*", "a/*", "a/*/c", "a/b/*", "a/b/c", "a/b*/c"], ["a/b/c", "a/b/*", "a/b*/c", "a/*/c", "a/*", "*"]]
    {
        let rules = rules(&patterns);
        for (key, id) in [
            ("a/b/c", "a/b/c"),
            ("a/b/d", "a/b/*"),
            ("a/bb/c", "a/b*/c"),
            ("a/x/c", "a/*/c"),
            ("a/x", "a/*"),
            ("a", "*"),
            ("x/y/z", "*"),
        ] {
            assert_eq!(winner(&rules, key), id, "{key}");
        }
    }
}

#[test]
fn of_equally_specific_rules_the_later_wins() {
    assert_eq!(winner(&rules(&["*/b", "a/*"]), "a/b"), "a/*");
    assert_eq!(winner(&rules(&["a/*", "*/b"]), "a/b"), "*/b");
}

#[test]
fn a_rule_for_everything_leaves_nothing_to_the_default() {
    let rules = rules(&["*"]);
    assert_eq!(winner(&rules, "x"), "*");
    assert!(!rules.rule_for(&key("x")).is_default());
    assert_eq!((Rule::title("*"), Rule::title("")), ("*", "(default)"));
}

#[test]
fn the_built_in_rules() {
    let rules = RuleSet::built_in();
    let ttl = |text: &str| rules.rule_for(&key(text)).ttl.map(|ttl| ttl.to_string());
    assert_eq!(rules.rules().len(), 6);
    assert_eq!(ttl("coordination/a/status").as_deref(), Some("1h"));
    assert_eq!(ttl("session/1").as_deref(), Some("1h"));
    assert_eq!(ttl("swarm/shared/x").as_deref(), Some("1d"));
    assert_eq!(ttl("swarm/agent/state/1").as_deref(), Some("7d"));
    assert_eq!((ttl("knowledge/x"), ttl("other")), (None, None));
    assert_eq!(rules.rule_for(&key("knowledge/x")).conflict, Kind::MultiValue);
    assert!(rules.rule_for(&key("other")).is_default());
    assert_eq!(rules.lint(), []);
}

#[test]
fn memlifes_own_keys_keep_to_the_built_in_default() {
    let hour = Some(Ttl::from_secs(3_600).unwrap());
    let short = Rule { ttl: hour, ..rule("*") };
    let rules = RuleSet::new("test", vec![short.clone()], short);
    let own = Key::system("peers/1").unwrap();
    assert_eq!(rules.rule_for(&own), &Rule::fallback());
    assert_eq!(rules.explain(&own).winner, Rule::fallback());
    assert_eq!(rules.rule_for(&key("peers/1")).ttl, hour);
}

#[test]
fn rules_are_listed_in_order_with_the_default_last() {
    let rules = rules(&["b", "a/*", "*/c"]);
    let ids: Vec<_> = rules.rules().iter().map(|rule| rule.id().to_string()).collect();
    assert_eq!(ids, ["b", "a/*", "*/c", ""]);
}

#[test]
fn only_some_rules_refresh_on_read() {
    let renewing = Rule { refresh: Refresh::OnRead, ..rule("a") };
    assert!(!rules(&["a"]).refreshes_on_read());
    assert!(RuleSet::new("test", vec![renewing.clone()], Rule::fallback()).refreshes_on_read());
    assert!(RuleSet::new("test", vec![], renewing).refreshes_on_read());
}

#[test]
fn explains_the_winner_the_beaten_and_the_values() {
    let file = PolicyFile::parse(
        "compression:\n  algorithm: gzip\nnamespaces:\n\
         - namespace: a/b/c\n  ttl_seconds: 60\n\
         - namespace: a/*\n- namespace: a/b*/c\n- namespace: a/*/c\n- namespace: '*/b/c'\n- namespace: x\n",
        "p.yaml",
    )
    .unwrap();
    let explanation = file.rules.explain(&key("a/b/c"));
    assert_eq!(
        (explanation.source.as_str(), explanation.line, explanation.is_default),
        ("p.yaml", Some(4), false)
    );
    assert_eq!(&**explanation.winner.id(), "a/b/c");
    let beaten: Vec<_> = explanation.beaten.iter().map(|one| (&*one.pattern, &*one.why)).collect();
    assert_eq!(
        beaten,
        [
            ("a/b*/c", "line 7: 2 literal segments, the winner has 3"),
            ("*/b/c", "line 9: 2 literal segments, the winner has 3"),
            ("a/*/c", "line 8: 2 literal segments, the winner has 3"),
            ("a/*", "line 6: 1 literal segment, the winner has 3"),
        ]
    );
    let value = |name: &str| {
        let found = explanation.values.iter().find(|value| value.name == name).unwrap();
        (found.value.as_str(), found.origin.as_str())
    };
    assert_eq!(value("ttl"), ("1m", "rule, line 5"));
    assert_eq!(value("compression_algorithm"), ("gzip", "compression section, line 2"));
    assert_eq!(value("compression_level"), ("6", "built-in default"));
    assert_eq!(value("cleanup_strategy"), ("scheduled", "built-in default"));
    assert!(explanation.values.iter().all(|value| value.name != "min_ttl"));
}

#[test]
fn explains_each_reason_to_lose() {
    let why = |winner: &str, loser: &str, text: &str| {
        let explanation = rules(&[loser, winner]).explain(&key(text));
        assert_eq!(&**explanation.winner.id(), winner);
        explanation.beaten[0].why.clone()
    };
    assert_eq!(why("a/b", "a/*", "a/b"), "1 literal segment, the winner has 2");
    assert_eq!(why("a/bc*", "a/b*", "a/bcd"), "2 literal characters, the winner has 3");
    assert_eq!(why("a/*", "a/*/*", "a/b/c"), "2 wildcards, the winner has 1");
    assert_eq!(why("a/*", "*/b", "a/b"), "as specific as the winner, which comes later in the file");
}

#[test]
fn explains_the_default() {
    let built_in = RuleSet::built_in().explain(&key("other"));
    assert!(built_in.is_default && built_in.beaten.is_empty() && built_in.line.is_none());
    assert_eq!(built_in.source, "built-in");
    assert!(built_in.values.iter().all(|value| value.origin == "built-in default"));
    let file = PolicyFile::parse("default:\n  ttl: 2h\n  compression_enabled: false\n", "p.yaml").unwrap();
    let explanation = file.rules.explain(&key("other"));
    assert!(explanation.is_default && explanation.line == Some(2));
    let ttl = &explanation.values[0];
    assert_eq!((ttl.value.as_str(), ttl.origin.as_str()), ("2h", "default section, line 2"));
    let off = explanation.values.iter().find(|value| value.name == "compression_enabled").unwrap();
    assert_eq!((off.value.as_str(), off.origin.as_str()), ("false", "default section, line 3"));
    assert!(explanation.values.iter().all(|value| value.name != "compression_level"));
}

#[test]
fn explains_who_turned_compression_off() {
    let origin = |text: &str| {
        let explanation = PolicyFile::parse(text, "p.yaml").unwrap().rules.explain(&key("a"));
        let found = explanation.values.into_iter().find(|value| value.name == "compression_enabled").unwrap();
        (found.value, found.origin)
    };
    let section =
        origin("compression:\n  algorithm: none\nnamespaces:\n- {namespace: a, compression_enabled: true}\n");
    assert_eq!(section, ("false".into(), "compression section, line 2".into()));
    let own = origin("namespaces:\n- namespace: a\n  compression_algorithm: none\n");
    assert_eq!(own, ("false".into(), "rule, line 3".into()));
}

#[test]
fn the_fingerprint_sees_rules_and_nothing_else() {
    let print = |text: &str| PolicyFile::parse(text, "p.yaml").unwrap().rules.fingerprint();
    let base = print("namespaces:\n- {namespace: a/*, ttl: 1h}\n- {namespace: b/c}\n");
    for same in [
        "# a comment\nnamespaces:\n\n- {namespace: a/*, ttl_seconds: 3600}\n- {namespace: b/c, refresh: on_write}\n",
        "namespaces:\n- {namespace: b/c}\n- {namespace: a/*, ttl: 60m}\nlogging: {level: DEBUG}\n",
        "compression: {algorithm: zstd}\nnamespaces:\n- {namespace: a/*, ttl: 1h}\n- {namespace: b/c}\n",
    ] {
        assert_eq!(print(same), base, "{same}");
    }
    let with = |settings: &str| {
        format!("namespaces:\n- {{namespace: a/*, ttl: 1h, {settings}}}\n- {{namespace: b/c}}\n")
    };
    let mut different: Vec<u64> = [
        "min_ttl: 1m",
        "max_ttl: 1m, min_ttl: 1s, ttl: 1m",
        "jitter: 1",
        "refresh: never",
        "cleanup_strategy: lazy",
        "conflict_strategy: counter",
        "compression_enabled: false",
        "compression_algorithm: gzip",
        "compression_level: 4",
        "compression_threshold_bytes: 1",
        "max_siblings: 1",
    ]
    .iter()
    .map(|settings| print(&with(settings).replacen("ttl: 1h, max_ttl", "max_ttl", 1)))
    .collect();
    different.extend([base, print(""), print("default: {ttl: 1h}\n"), RuleSet::built_in().fingerprint()]);
    let total = different.len();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), total);
}

/// Stored by every memlife that ran `policy apply`: another value would make all of them warn for nothing.
#[test]
fn the_fingerprint_stays_as_it_was() {
    assert_eq!(RuleSet::built_in().fingerprint(), BUILT_IN_FINGERPRINT);
}

const BUILT_IN_FINGERPRINT: u64 = 14_396_585_243_460_204_815;

#[test]
fn the_fingerprint_sees_the_order_only_where_it_matters() {
    let print = |patterns: &[&str]| rules(patterns).fingerprint();
    assert_eq!(print(&["a/*", "b/*", "c/d"]), print(&["c/d", "b/*", "a/*"]));
    assert_ne!(print(&["a/*", "*/b"]), print(&["*/b", "a/*"]));
    assert_ne!(print(&["a/*/b", "a/b/*"]), print(&["a/b/*", "a/*/b"]));
}

fn some_patterns() -> impl Strategy<Value = Vec<String>> {
    let segment =
        prop_oneof![3 => "[ab]{1,2}", 1 => Just("*".to_owned()), 1 => Just("**".to_owned()), 1 => "[ab]\\*"];
    let pattern = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"));
    prop::collection::vec(pattern, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// The index finds what looking at every rule finds.
    #[test]
    fn the_winner_is_the_best_of_all_that_match(
        patterns in some_patterns(),
        text in prop::collection::vec("[ab]{1,2}", 1..4).prop_map(|segments| segments.join("/")),
    ) {
        let key = key(&text);
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let rules = rules(&patterns);
        let parsed: Vec<Pattern> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let matching = parsed.iter().enumerate().filter(|(_, pattern)| pattern.matches(&key));
        let best = matching.clone().max_by_key(|(at, pattern)| (pattern.specificity(), *at));
        let expected = best.map_or("", |(_, pattern)| &**pattern.text());
        prop_assert_eq!(&**rules.rule_for(&key).id(), expected);
        let explanation = rules.explain(&key);
        prop_assert_eq!(&**explanation.winner.id(), expected);
        prop_assert_eq!(explanation.beaten.len(), matching.count().saturating_sub(1));
    }
}
