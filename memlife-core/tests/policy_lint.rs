//! What a policy says in vain.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_core::policy::{Lint, PolicyFile, Severity};

fn lint(text: &str) -> Vec<Lint> {
    PolicyFile::parse(text, "p.yaml").unwrap().lint()
}

/// The only finding about `text`.
fn only(text: &str) -> Lint {
    let lints = lint(text);
    assert_eq!(lints.len(), 1, "{lints:?}");
    lints.into_iter().next().unwrap()
}

/// A rule with `settings` from line 3 on.
fn with_settings(settings: &str) -> String {
    format!("namespaces:\n  - namespace: a\n    {}\n", settings.replace("; ", "\n    "))
}

#[test]
fn rules_that_never_win() {
    for (loser, winner) in [("a/*", "a"), ("x/*/*/c", "x/**/c"), ("a/**/**", "a/*"), ("a/*/b", "a/**/b")] {
        let found = only(&format!("namespaces:\n- namespace: '{loser}'\n- namespace: '{winner}'\n"));
        assert_eq!((found.line, found.pattern.as_str()), (Some(2), loser));
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.message.contains(&format!("never wins: `{winner}` on line 3")), "{found:?}");
    }
}

#[test]
fn rules_that_win_somewhere() {
    for (one, other) in [("a/*", "a/b"), ("*", "a"), ("a/**/b", "a/*/b"), ("a/*", "*/b"), ("a/b*", "a/*")] {
        let text = format!("namespaces:\n- namespace: '{one}'\n- namespace: '{other}'\n");
        assert_eq!(lint(&text), [], "{one} {other}");
    }
}

#[test]
fn a_default_section_that_never_holds() {
    let found = only("default:\n  cleanup_strategy: lazy\nnamespaces:\n- namespace: '*'\n");
    assert_eq!((found.line, found.pattern.as_str()), (Some(2), ""));
    assert!(found.message.contains("the rule `*` on line 4 takes every key"), "{found:?}");
}

#[test]
fn settings_without_effect() {
    for (settings, line, hint) in [
        (
            "compression_enabled: false; compression_threshold_bytes: 5",
            4,
            "`compression_threshold_bytes` has no",
        ),
        ("compression_enabled: false; compression_level: 5", 4, "`compression_level` has no effect"),
        (
            "compression_enabled: false; compression_algorithm: gzip",
            4,
            "`compression_algorithm` has no effect",
        ),
        ("compression_algorithm: none; compression_level: 5", 4, "`compression_level` has no effect"),
        ("max_siblings: 3", 3, "lww keeps one value"),
        ("conflict_strategy: counter; max_siblings: 3", 4, "counter keeps one value"),
        ("jitter: 5", 3, "no TTL to lengthen"),
    ] {
        let found = only(&with_settings(settings));
        assert_eq!((found.line, found.severity), (Some(line), Severity::Warning), "{settings}");
        assert!(found.message.contains(hint), "{found:?}");
    }
    let section =
        "compression: {algorithm: none}\nnamespaces:\n- namespace: a\n  compression_threshold_bytes: 5\n";
    assert_eq!(only(section).line, Some(4));
    assert_eq!(only("default:\n  max_siblings: 3\nnamespaces: [{namespace: a}]\n").line, Some(2));
}

#[test]
fn settings_with_effect() {
    for settings in [
        "compression_level: 5; compression_threshold_bytes: 5",
        "compression_enabled: false",
        "compression_algorithm: none",
        "conflict_strategy: multi_value; max_siblings: 3",
        "ttl: 1h; jitter: 5",
        "jitter: 0",
        "cleanup_strategy: manual",
    ] {
        assert_eq!(lint(&with_settings(settings)), [], "{settings}");
    }
}

#[test]
fn manual_cleanup_with_a_ttl_is_worth_a_note() {
    let found = only(&with_settings("ttl: 1h; cleanup_strategy: manual"));
    assert_eq!((found.line, found.severity), (Some(4), Severity::Note));
    assert!(found.message.contains("forced sweep"), "{found:?}");
}

#[test]
fn a_file_without_rules_is_worth_a_note() {
    let found = only("logging: {level: INFO}\n");
    assert_eq!((found.line, found.severity), (None, Severity::Note));
    assert!(found.message.contains("every key falls under the default"), "{found:?}");
}

#[test]
fn a_rule_that_does_not_inherit_the_defaults_ttl_is_worth_a_note() {
    let text = "default: {ttl: 1h}\nnamespaces:\n- {namespace: a}\n- {namespace: b, ttl: permanent}\n";
    let found = only(text);
    assert_eq!((found.line, found.pattern.as_str(), found.severity), (Some(3), "a", Severity::Note));
    assert!(found.message.contains("write `ttl: 1h` or `ttl: permanent`"), "{found:?}");
}

#[test]
fn findings_come_in_the_order_of_the_lines() {
    let text = "namespaces:\n- {namespace: a/*, jitter: 3}\n- {namespace: a, max_siblings: 3}\n";
    let lines: Vec<_> = lint(text).iter().map(|found| found.line).collect();
    assert_eq!(lines, [Some(2), Some(2), Some(3)]);
}
