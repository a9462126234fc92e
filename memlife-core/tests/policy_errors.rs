//! Each way a policy file can be wrong: what is said, and on which line.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_core::ErrorKind;
use memlife_core::policy::PolicyFile;
use proptest::prelude::*;

const ORIGINAL: &str = include_str!("data/memory-retention-policies.yaml");

/// The message about `text`, which is no policy file.
fn refused(text: &str) -> String {
    let error = PolicyFile::parse(text, "p.yaml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    error.message().to_owned()
}

fn assert_refused(cases: &[(&str, &str, &[&str])]) {
    for (text, place, hints) in cases {
        let message = refused(text);
        assert!(message.starts_with(&format!("{place}: ")), "{text}\n{message}");
        hints.iter().for_each(|hint| assert!(message.contains(hint), "{text}\n{message}\nlacks {hint}"));
    }
}

/// A rule with `setting` on line 3.
fn with_setting(setting: &str) -> String {
    format!("namespaces:\n  - namespace: a\n    {setting}\n")
}

#[test]
fn unknown_keys_with_a_suggestion() {
    assert_refused(&[
        ("namespace:\n", "p.yaml:1", &["`namespace`", "did you mean `namespaces`"]),
        ("namespaces: []\nretention: 1\n", "p.yaml:2", &["`retention`", "the keys are namespaces, default"]),
        (&with_setting("ttl_second: 5"), "p.yaml:3", &["did you mean `ttl_seconds`"]),
        (&with_setting("TTL: 5"), "p.yaml:3", &["did you mean `ttl`"]),
        (&with_setting("ttl-seconds: 5"), "p.yaml:3", &["did you mean `ttl_seconds`"]),
        (&with_setting("clenup_stratgy: lazy"), "p.yaml:3", &["did you mean `cleanup_strategy`"]),
        (&with_setting("algorithm: gzip"), "p.yaml:3", &["did you mean `compression_algorithm`"]),
        (&with_setting("quota: 5"), "p.yaml:3", &["a rule has no key `quota`", "the keys are namespace,"]),
        ("default:\n  namespace: a\n", "p.yaml:2", &["the default section has no key `namespace`"]),
        ("cleanup_schedule:\n  time: x\n", "p.yaml:2", &["did you mean `time_of_day`"]),
        ("compression:\n  algorithmus: x\n", "p.yaml:2", &["did you mean `algorithm`"]),
        ("logging:\n  levle: x\n", "p.yaml:2", &["did you mean `level`"]),
    ]);
}

#[test]
fn wrong_types() {
    assert_refused(&[
        ("- a\n", "p.yaml:1", &["a policy file is a mapping", "found a list"]),
        ("namespaces: {a: 1}\n", "p.yaml:1", &["takes a list of rules", "found a mapping"]),
        ("namespaces:\n  - coordination/*\n", "p.yaml:2", &["a rule is a mapping", "\"coordination/*\""]),
        ("namespaces:\n  - ttl: 5m\n", "p.yaml:2", &["has no `namespace`"]),
        ("namespaces:\n  - namespace: 5\n", "p.yaml:2", &["a text: put it in quotes", "the number 5"]),
        ("namespaces:\n  - namespace: [a]\n", "p.yaml:2", &["takes a text", "a list"]),
        ("namespaces:\n  - namespace:\n", "p.yaml:2", &["put it in quotes", "nothing"]),
        (&with_setting("ttl_seconds: \"5\""), "p.yaml:3", &["whole number of seconds", "the text \"5\""]),
        (&with_setting("ttl_seconds: -5"), "p.yaml:3", &["whole number of seconds", "-5"]),
        (&with_setting("ttl_seconds: 1.5"), "p.yaml:3", &["whole number of seconds", "1.5"]),
        (&with_setting("ttl_seconds:"), "p.yaml:3", &["whole number of seconds", "nothing"]),
        (&with_setting("ttl: 1.5"), "p.yaml:3", &["a duration such as", "1.5"]),
        (&with_setting("compression_enabled: maybe"), "p.yaml:3", &["true or false", "\"maybe\""]),
        (&with_setting("compression_enabled: 1"), "p.yaml:3", &["true or false"]),
        (&with_setting("compression_threshold_bytes: -1"), "p.yaml:3", &["whole number from 0"]),
        (&with_setting("max_siblings: 0"), "p.yaml:3", &["whole number from 1 to 1000"]),
        (&with_setting("max_siblings: 1001"), "p.yaml:3", &["whole number from 1 to 1000"]),
        (&with_setting("jitter: 101"), "p.yaml:3", &["percent from 0 to 100"]),
        (&with_setting("jitter: ten"), "p.yaml:3", &["percent from 0 to 100"]),
        ("default: 5\n", "p.yaml:1", &["the default section is a mapping"]),
        ("logging:\n  log_cleanup_operations: 3\n", "p.yaml:2", &["true or false"]),
        ("cleanup_schedule:\n  enabled: 3\n", "p.yaml:2", &["true or false"]),
        ("cleanup_schedule:\n  interval_hours: 0\n", "p.yaml:2", &["whole number from 1 to 8784"]),
    ]);
}

#[test]
fn wrong_values() {
    assert_refused(&[
        ("namespaces:\n  - namespace: a//b\n", "p.yaml:2", &["is not a pattern", "empty segment"]),
        (&with_setting("ttl: ten minutes"), "p.yaml:3", &["not a duration", "10m"]),
        (&with_setting("ttl: 0"), "p.yaml:3", &["`permanent`"]),
        (&with_setting("ttl: -5m"), "p.yaml:3", &["not a duration"]),
        (&with_setting("ttl_seconds: 18446744073709551615"), "p.yaml:3", &["1,000 years"]),
        (&with_setting("min_ttl: permanent"), "p.yaml:3", &["`min_ttl` is not usable", "not a duration"]),
        (
            &with_setting("cleanup_strategy: eager"),
            "p.yaml:3",
            &["one of lazy, scheduled, manual", "\"eager\""],
        ),
        (&with_setting("refresh: always"), "p.yaml:3", &["one of never, on_write, on_read"]),
        (
            &with_setting("conflict_strategy: last"),
            "p.yaml:3",
            &["one of lww, multi_value, counter", "\"last\""],
        ),
        (&with_setting("compression_algorithm: lz4"), "p.yaml:3", &["one of zstd, gzip, none"]),
        (&with_setting("compression_level: 20"), "p.yaml:3", &["from 1 to 19", "the algorithm is zstd"]),
        (&with_setting("compression_level: 0"), "p.yaml:3", &["from 1 to 19", "the algorithm is zstd"]),
        (
            "compression:\n  algorithm: gzip\n  level: 10\n",
            "p.yaml:3",
            &["from 0 to 9", "the algorithm is gzip"],
        ),
        ("compression:\n  algorithm: brotli\n", "p.yaml:2", &["one of zstd, gzip, none"]),
        ("logging:\n  level: LOUD\n", "p.yaml:2", &["one of TRACE, DEBUG, INFO"]),
        ("cleanup_schedule:\n  cron: daily\n", "p.yaml:2", &["five fields"]),
        (&with_setting("ttl_seconds: .nan"), "p.yaml:3", &["not a number"]),
        (&with_setting("ttl_seconds: 1e999"), "p.yaml:3", &["not a number"]),
    ]);
    for time in ["24:00", "02:60", "2:00", "0200", "02:00:00", "-1:00", "aa:bb", "+2:00"] {
        let message = refused(&format!("cleanup_schedule:\n  time_of_day: \"{time}\"\n"));
        assert!(
            message.starts_with("p.yaml:2: `time_of_day` is wrong") && message.contains("HH:MM"),
            "{message}"
        );
    }
}

#[test]
fn settings_that_contradict_each_other() {
    let two = |one: &str, other: &str| with_setting(&format!("{one}\n    {other}"));
    assert_refused(&[
        (&two("ttl: 5m", "ttl_seconds: 300"), "p.yaml:4", &["`ttl` on line 3", "keep one"]),
        (&two("min_ttl: 2h", "max_ttl: 1h"), "p.yaml:2", &["`min_ttl` 2h", "`max_ttl` 1h", "swap"]),
        (&two("min_ttl: 2h", "ttl: 1h"), "p.yaml:4", &["`ttl` is 1h, shorter than `min_ttl` 2h"]),
        (
            &two("max_ttl: 1h", "ttl_seconds: 7200"),
            "p.yaml:4",
            &["`ttl_seconds` is 2h, longer than `max_ttl` 1h"],
        ),
        (&two("max_ttl: 1h", "ttl_seconds: 0"), "p.yaml:4", &["is permanent, longer than `max_ttl` 1h"]),
        (&with_setting("max_ttl: 1h"), "p.yaml:2", &["the TTL is permanent", "at most 1h"]),
        (
            &two("compression_algorithm: none", "compression_enabled: true"),
            "p.yaml:4",
            &["`compression_algorithm` on line 3"],
        ),
        ("cleanup_schedule:\n  interval_hours: 3\n  cron: 0 2 * * *\n", "p.yaml:3", &["key on line 2"]),
        ("cleanup_schedule:\n  cron: 0 2 * * *\n  time_of_day: 02:00\n", "p.yaml:2", &["key on line 3"]),
    ]);
}

#[test]
fn what_stands_twice() {
    assert_refused(&[
        (
            "namespaces:\n- namespace: a/*\n- namespace: b\n- namespace: a/*\n",
            "p.yaml:4",
            &["`a/*` on line 2"],
        ),
        ("namespaces:\n- namespace: a/**\n- namespace: a/*\n", "p.yaml:3", &["`a/*`", "`a/**` on line 2"]),
        (
            "namespaces:\n- namespace: ab\n- namespace: 'a\\b'\n",
            "p.yaml:3",
            &["the same keys as `ab` on line 2"],
        ),
        (
            "namespaces: []\nlogging:\nnamespaces: []\n",
            "p.yaml:3",
            &["`namespaces` stands here and on line 1"],
        ),
        (&with_setting("namespace: b"), "p.yaml:3", &["`namespace` stands here and on line 2"]),
    ]);
}

#[test]
fn yaml_that_is_not_for_policies() {
    let quotes = "put a pattern that begins with `*` in quotes";
    assert_refused(&[
        ("namespaces:\n  - namespace: *foo\n", "p.yaml:2", &["aliases", quotes]),
        ("namespaces:\n  - namespace: *\n", "p.yaml:2", &["aliases", quotes]),
        ("namespaces:\n  - {namespace: */status, ttl: 1h}\n", "p.yaml:2", &["aliases", quotes]),
        ("namespaces:\n  - &rule {namespace: a}\n  - *rule\n", "p.yaml:2", &["anchors"]),
        ("default: &x\n  ttl: 1h\n", "p.yaml:2", &["anchors"]),
        (&with_setting("<<: {ttl: 1h}"), "p.yaml:3", &["merge keys"]),
        (&with_setting("ttl: !env TTL"), "p.yaml:3", &["tag"]),
        ("namespaces: []\n---\nnamespaces: []\n", "p.yaml:2", &["more than one YAML document"]),
        ("namespaces:\n\t- a\n", "p.yaml:2", &["not valid YAML", "tabs"]),
        ("namespaces:\n  - namespace: a\n   ttl: 1h\n", "p.yaml:3", &["not valid YAML"]),
        ("? [a]\n: 1\n", "p.yaml:1", &["not valid YAML"]),
        ("~: 1\n", "p.yaml:1", &["a key is empty"]),
    ]);
}

#[test]
fn bombs_are_refused() {
    let laughs = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        format!("{text}a{level}: &a{level} [*a{0}, *a{0}, *a{0}]\n", level - 1)
    });
    assert!(refused(&laughs).contains("anchors"));
    assert!(refused(&format!("namespaces: {}", "[".repeat(5_000))).starts_with("p.yaml:1: "));
    assert!(refused(&"- ".repeat(5_000)).starts_with("p.yaml"));
    assert!(refused(&"? ".repeat(5_000)).starts_with("p.yaml"));
    assert!(refused(&"{a: ".repeat(5_000)).starts_with("p.yaml"));
    let many = format!("namespaces:\n{}", "- {namespace: a}\n".repeat(1_001));
    assert!(refused(&many).contains("has 1001 rules; at most 1000"));
}

#[test]
fn the_size_is_limited() {
    let padded = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert!(PolicyFile::parse(&padded(64 << 10), "p.yaml").is_ok());
    let message = refused(&padded((64 << 10) + 1));
    assert_eq!(message, "p.yaml: a policy file has at most 65536 bytes; this one has 65537");
}

#[test]
fn messages_do_not_repeat_long_texts() {
    let message = refused(&with_setting(&format!("ttl: {}", "x".repeat(10_000))));
    assert!(message.len() < 300, "{message}");
    let message = refused(&format!("{}: 1\n", "k".repeat(1_000)));
    assert!(message.len() < 300, "{message}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c:{}\\[\\]\\- \n\"'*&!|>#?,\t0-9é]{0,120}") {
        let _ = PolicyFile::parse(&text, "p.yaml");
    }

    #[test]
    fn the_originals_file_with_a_part_lost_never_makes_it_panic(from in 0..2_000_usize, length in 0..40_usize) {
        let text: String =
            ORIGINAL.chars().enumerate().filter(|(at, _)| !(from..from + length).contains(at)).map(|(_, c)| c).collect();
        if let Err(error) = PolicyFile::parse(&text, "p.yaml") {
            prop_assert_eq!(error.kind(), ErrorKind::Invalid);
            prop_assert!(error.message().starts_with("p.yaml"));
        }
    }
}
