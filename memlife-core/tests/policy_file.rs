//! What a policy file may say, and what each key does.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_core::policy::{
    CleanupStrategy, LogLevel, ParseOptions, PolicyFile, Refresh, Rule, RuleSet, TimeOfDay,
};
use memlife_core::record::{Codec, Compression, Kind};
use memlife_core::{Key, Policy, Ttl};

const ORIGINAL: &str = include_str!("data/memory-retention-policies.yaml");
const DAY: u64 = 86_400;

fn parse(text: &str) -> PolicyFile {
    PolicyFile::parse(text, "policies.yaml").unwrap()
}

fn rule(file: &PolicyFile, key: &str) -> Rule {
    file.rules.rule_for(&Key::new(key).unwrap()).clone()
}

/// The only rule of a file that has one, with `settings` added to it.
fn only_rule(settings: &str) -> Rule {
    rule(&parse(&format!("namespaces:\n  - {{namespace: a, {settings}}}\n")), "a")
}

fn seconds(seconds: u64) -> Option<Ttl> {
    Some(Ttl::from_secs(seconds).unwrap())
}

#[test]
fn the_originals_file_is_honoured_key_by_key() {
    let file = parse(ORIGINAL);
    let gzip = |threshold_bytes| Compression { codec: Codec::Gzip, level: 6, threshold_bytes, dictionary: 0 };
    use CleanupStrategy::{Lazy, Manual, Scheduled};
    for (pattern, ttl, cleanup, conflict, compression) in [
        ("coordination/*", seconds(3_600), Lazy, Kind::Lww, gzip(1024)),
        ("session/*", seconds(3_600), Lazy, Kind::Lww, gzip(1024)),
        ("swarm/shared/*", seconds(DAY), Scheduled, Kind::MultiValue, gzip(1024)),
        ("task/*/status", seconds(DAY), Scheduled, Kind::Lww, Compression::NONE),
        ("agent/*/progress", seconds(DAY), Scheduled, Kind::Lww, Compression::NONE),
        ("swarm/agent/state/*", seconds(7 * DAY), Scheduled, Kind::Lww, gzip(1024)),
        ("swarm/shared/decisions", seconds(7 * DAY), Scheduled, Kind::MultiValue, gzip(512)),
        ("metrics/*/count", seconds(7 * DAY), Scheduled, Kind::Counter, Compression::NONE),
        ("knowledge/*", None, Manual, Kind::MultiValue, gzip(512)),
    ] {
        let rules = file.rules.rules();
        let rule = rules.iter().find(|rule| &**rule.id() == pattern).unwrap();
        assert_eq!((rule.ttl, rule.cleanup, &rule.conflict), (ttl, cleanup, &conflict), "{pattern}");
        assert_eq!(rule.compression, compression, "{pattern}");
    }
    assert_eq!(file.rules.rules().len(), 10);
    assert_eq!(file.rules.rules().last().unwrap().compression, gzip(1024));
    assert!(file.schedule.enabled && file.schedule.cron.is_none());
    assert_eq!(file.schedule.interval_hours, 24);
    assert_eq!(file.schedule.time_of_day.unwrap().to_string(), "02:00");
    assert_eq!(file.logging.level, LogLevel::Info);
    assert!(file.logging.log_cleanup_operations && file.logging.log_compression_stats);
    assert_eq!(file.lint(), []);
}

#[test]
fn the_originals_rules_take_the_keys_they_are_for() {
    let file = parse(ORIGINAL);
    for (key, id) in [
        ("task/7/status", "task/*/status"),
        ("swarm/shared/decisions", "swarm/shared/decisions"),
        ("swarm/shared/decisions/1", "swarm/shared/decisions"),
        ("swarm/shared/other", "swarm/shared/*"),
        ("swarm/agent/state/1", "swarm/agent/state/*"),
        ("coordination/agent1/status", "coordination/*"),
        ("coordination", ""),
        ("task/7", ""),
        ("coordinations/x", ""),
    ] {
        assert_eq!(&**rule(&file, key).id(), id, "{key}");
    }
}

#[test]
fn a_rule_that_says_nothing_is_the_built_in_default() {
    let rule = only_rule("ttl: permanent");
    assert_eq!(Rule { pattern: Rule::fallback().pattern, ..rule }, Rule::fallback());
}

#[test]
fn ttls_are_read_in_seconds_and_as_durations() {
    for (setting, ttl) in [
        ("ttl_seconds: 90", seconds(90)),
        ("ttl_seconds: 0", None),
        ("ttl: 10m", seconds(600)),
        ("ttl: \"1h30m\"", seconds(5_400)),
        ("ttl: 45", seconds(45)),
        ("ttl: PT1H", seconds(3_600)),
        ("ttl: permanent", None),
        ("ttl: 7d, min_ttl: 7d, max_ttl: 7d", seconds(7 * DAY)),
        ("min_ttl: 1h", None),
    ] {
        assert_eq!(only_rule(setting).ttl, ttl, "{setting}");
    }
    let limits = only_rule("ttl: 1h, min_ttl: 1m, max_ttl: 30d");
    assert_eq!((limits.min_ttl, limits.max_ttl), (seconds(60), seconds(30 * DAY)));
}

#[test]
fn the_other_settings_of_a_rule() {
    assert_eq!(only_rule("ttl: 1h, jitter: 10").jitter_percent, 10);
    assert_eq!(only_rule("ttl: 1h, jitter: 100%").jitter_percent, 100);
    for (name, refresh) in
        [("never", Refresh::Never), ("on_write", Refresh::OnWrite), ("on_read", Refresh::OnRead)]
    {
        assert_eq!(only_rule(&format!("refresh: {name}")).refresh, refresh);
    }
    for cleanup in [CleanupStrategy::Lazy, CleanupStrategy::Scheduled, CleanupStrategy::Manual] {
        assert_eq!(only_rule(&format!("cleanup_strategy: {}", cleanup.name())).cleanup, cleanup);
    }
    assert_eq!(only_rule("conflict_strategy: counter").conflict, Kind::Counter);
    assert_eq!(only_rule("conflict_strategy: multi_value, max_siblings: 4").max_siblings, 4);
}

#[test]
fn a_strategy_of_the_program_is_known_when_it_is_registered() {
    let text = "namespaces:\n  - {namespace: a, conflict_strategy: longest}\n";
    let options = ParseOptions { custom_strategies: vec!["longest".into()] };
    let file = PolicyFile::parse_with(text, "policies.yaml", &options).unwrap();
    assert_eq!(rule(&file, "a").conflict, Kind::Custom("longest".into()));
    assert!(PolicyFile::parse(text, "policies.yaml").is_err());
}

#[test]
fn compression_of_a_rule_goes_over_the_section_over_the_default() {
    let file = parse(
        "compression: {algorithm: gzip, level: 9, default_threshold_bytes: 100}\n\
         namespaces:\n\
         - {namespace: as-section}\n\
         - {namespace: other-level, compression_level: 0}\n\
         - {namespace: other-codec, compression_algorithm: zstd}\n\
         - {namespace: same-codec, compression_algorithm: gzip, compression_threshold_bytes: 0}\n\
         - {namespace: none, compression_algorithm: none}\n\
         - {namespace: disabled, compression_enabled: false}\n",
    );
    let compression = |key| rule(&file, key).compression;
    let gzip = Compression { codec: Codec::Gzip, level: 9, threshold_bytes: 100, dictionary: 0 };
    assert_eq!(compression("as-section"), gzip);
    assert_eq!(compression("unmatched"), gzip);
    assert_eq!(compression("other-level"), Compression { level: 0, ..gzip });
    assert_eq!(
        compression("other-codec"),
        Compression { codec: Codec::Zstd, level: 1, threshold_bytes: 100, dictionary: 0 }
    );
    assert_eq!(compression("same-codec"), Compression { threshold_bytes: 0, ..gzip });
    assert_eq!(compression("none"), Compression::NONE);
    assert_eq!(compression("disabled"), Compression::NONE);
}

#[test]
fn a_section_that_turns_compression_off_decides_unless_a_rule_names_an_algorithm() {
    let file = parse(
        "compression: {algorithm: none, default_threshold_bytes: 9}\n\
         namespaces:\n\
         - {namespace: a, compression_enabled: true}\n\
         - {namespace: b, compression_algorithm: gzip}\n",
    );
    assert_eq!(rule(&file, "a").compression, Compression::NONE);
    assert_eq!(rule(&file, "unmatched").compression, Compression::NONE);
    let gzip = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 9, dictionary: 0 };
    assert_eq!(rule(&file, "b").compression, gzip);
}

#[test]
fn the_default_section_is_for_keys_that_no_rule_matches() {
    let file = parse("default: {ttl: 1d, refresh: on_read}\nnamespaces:\n- {namespace: a}\n");
    let default = rule(&file, "b");
    assert!(default.is_default());
    assert_eq!((default.ttl, default.refresh), (seconds(DAY), Refresh::OnRead));
    assert_eq!((rule(&file, "a").ttl, rule(&file, "a").refresh), (None, Refresh::OnWrite));
    assert!(file.rules.refreshes_on_read());
}

#[test]
fn a_file_replaces_the_built_in_rules_even_when_it_has_none() {
    for text in ["", "# nothing\n", "---\n", "namespaces:\n", "namespaces: []\n", "logging: {level: DEBUG}\n"]
    {
        let file = parse(text);
        assert_eq!(file.rules.rules(), [&Rule::fallback()], "{text:?}");
        assert_eq!(rule(&file, "coordination/x"), Rule::fallback());
    }
    assert_eq!(&**rule(&PolicyFile::built_in(), "coordination/x").id(), "coordination/*");
    assert_eq!(PolicyFile::built_in().rules.fingerprint(), RuleSet::built_in().fingerprint());
}

#[test]
fn schedules() {
    let schedule = |settings: &str| parse(&format!("cleanup_schedule: {{{settings}}}\n")).schedule;
    let two = Some("02:00".parse::<TimeOfDay>().unwrap());
    let default = schedule("");
    assert_eq!((default.enabled, default.interval_hours, default.time_of_day), (true, 24, two));
    assert!(!schedule("enabled: false").enabled);
    assert_eq!(schedule("interval_hours: 6").time_of_day, None);
    let evening = schedule("time_of_day: \"23:59\"").time_of_day.unwrap();
    assert_eq!((evening.hour(), evening.minute()), (23, 59));
    let cron = schedule("cron: \"*/5 * * * *\"");
    assert_eq!((cron.cron.as_deref(), cron.time_of_day), (Some("*/5 * * * *"), None));
}

#[test]
fn log_levels_in_pythons_names_and_ours() {
    for (name, level) in [
        ("WARNING", LogLevel::Warn),
        ("CRITICAL", LogLevel::Error),
        ("debug", LogLevel::Debug),
        ("Trace", LogLevel::Trace),
        ("\"OFF\"", LogLevel::Off),
    ] {
        assert_eq!(parse(&format!("logging: {{level: {name}}}\n")).logging.level, level, "{name}");
    }
}

#[test]
fn python_reads_yes_and_no_as_booleans_and_so_do_we() {
    assert_eq!(only_rule("compression_enabled: no").compression, Compression::NONE);
    assert_eq!(only_rule("compression_enabled: yes").compression, Compression::DEFAULT);
}

#[test]
fn lines_may_end_as_on_windows_and_the_file_may_begin_with_a_mark() {
    let text = format!("\u{feff}{}", ORIGINAL.replace('\n', "\r\n"));
    assert_eq!(parse(&text).rules.fingerprint(), parse(ORIGINAL).rules.fingerprint());
}

#[test]
fn the_example_of_the_documentation_holds() {
    let text = include_str!("../../docs/policies.md");
    let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = parse(example);
    assert_eq!(file.rules.rules().len(), 6);
    assert_eq!(file.lint(), []);
    assert_eq!(rule(&file, "task/7/status").jitter_percent, 10);
    let wrong =
        PolicyFile::parse("namespaces:\n- namespace: a\n  ttl_second: 5\n", "policies.yaml").unwrap_err();
    assert!(text.contains(wrong.message()), "{wrong}");
}
