//! Which keys a pattern covers, and which of two patterns is the more specific.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

use memlife_core::policy::Pattern;
use memlife_core::{ErrorKind, Key};
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn matches(text: &str, key: &str) -> bool {
    pattern(text).matches(&Key::new(key).unwrap())
}

#[test]
fn a_star_is_one_segment_and_at_the_end_one_or_more() {
    for (text, covered, not_covered) in [
        ("task/*/status", vec!["task/7/status"], vec!["task/status", "task/7/8/status", "task/7/status/x"]),
        ("a/*", vec!["a/b", "a/b/c"], vec!["a", "ab", "b/a"]),
        ("*/x", vec!["a/x"], vec!["x", "a/b/x", "a/x/y"]),
        ("*/*", vec!["a/b", "a/b/c"], vec!["a"]),
        ("a/*/*", vec!["a/b/c", "a/b/c/d"], vec!["a/b"]),
    ] {
        covered.iter().for_each(|key| assert!(matches(text, key), "{text} covers {key}"));
        not_covered.iter().for_each(|key| assert!(!matches(text, key), "{text} does not cover {key}"));
    }
}

#[test]
fn two_stars_are_one_or_more_segments() {
    for (text, covered, not_covered) in [
        ("a/**/z", vec!["a/b/z", "a/b/c/z", "a/z/z"], vec!["a/z", "a/b/z/c"]),
        ("**/z", vec!["a/z", "a/b/z", "z/z"], vec!["z", "a/z/b"]),
        ("a/**", vec!["a/b", "a/b/c"], vec!["a"]),
        ("**/*", vec!["a/b", "a/b/c"], vec!["a"]),
        ("a/**/m/**/z", vec!["a/1/m/2/z", "a/m/m/m/z", "a/1/m/m/2/z"], vec!["a/m/z", "a/1/m/z"]),
    ] {
        covered.iter().for_each(|key| assert!(matches(text, key), "{text} covers {key}"));
        not_covered.iter().for_each(|key| assert!(!matches(text, key), "{text} does not cover {key}"));
    }
}

#[test]
fn a_star_is_part_of_a_segment() {
    for (text, covered, not_covered) in [
        ("agent*", vec!["agent", "agent1"], vec!["agent/1", "an"]),
        ("*-done", vec!["-done", "x-done"], vec!["done", "a/x-done"]),
        ("a*b*c/x", vec!["abc/x", "a1b2c/x", "abbcc/x"], vec!["acb/x", "abc/y"]),
        ("ab*ba", vec!["abba"], vec!["aba"]),
        ("a/b*", vec!["a/b", "a/bc"], vec!["a/b/c", "a/c"]),
    ] {
        covered.iter().for_each(|key| assert!(matches(text, key), "{text} covers {key}"));
        not_covered.iter().for_each(|key| assert!(!matches(text, key), "{text} does not cover {key}"));
    }
}

#[test]
fn without_wildcards_it_covers_the_key_and_all_below() {
    assert!(matches("a/b", "a/b") && matches("a/b", "a/b/c/d"));
    assert!(!matches("a/b", "a/bc") && !matches("a/b", "a") && !matches("a/b", "x/a/b"));
}

#[test]
fn a_star_alone_covers_everything_but_the_systems_keys() {
    for text in ["*", "**"] {
        assert!(matches(text, "a") && matches(text, "a/b/c"));
        assert!(!pattern(text).matches(&Key::system("peers/1").unwrap()));
    }
    assert_eq!(Pattern::everything(), pattern("*"));
}

#[test]
fn other_special_characters_are_literal() {
    for odd in ["a_b", "100%", "what?", "[x]", "a:b", "{a,b}", "a.b", "^a$", "(a|b)", "a+"] {
        assert!(matches(odd, odd), "{odd}");
        assert!(matches(&format!("n/{odd}/*"), &format!("n/{odd}/x")), "{odd}");
    }
    for (text, other) in [("a_b", "axb"), ("100%", "1000"), ("what?", "whats"), ("[x]", "x"), ("a.b", "axb")]
    {
        assert!(!matches(text, other), "{text} {other}");
    }
}

#[test]
fn a_backslash_makes_literal() {
    assert!(matches("a\\*", "a*") && matches("a\\*", "a*/below"));
    assert!(!matches("a\\*", "ab"));
    assert!(matches("\\*", "*") && !matches("\\*", "a"));
    assert!(matches("a\\\\b", "a\\b") && matches("\\a\\b", "ab"));
    assert!(matches("x\\**", "x*y") && !matches("x\\**", "xy"));
}

#[test]
fn what_is_no_pattern_is_refused_with_what_to_do() {
    let too_many = "*a".repeat(17);
    let too_long = "x".repeat(257);
    let too_deep = vec!["s"; 33].join("/");
    for (text, hint) in [
        ("", "write `*`"),
        ("/", "extra `/`"),
        ("a/", "extra `/`"),
        ("/a", "extra `/`"),
        ("a//b", "extra `/`"),
        ("a**", "a single `*`"),
        ("a/b**c", "a single `*`"),
        ("***", "a single `*`"),
        ("a\\", "ends in a backslash"),
        ("a\\/b", "leave out the backslash"),
        ("a/../b", "no key has one"),
        ("./b", "no key has one"),
        ("a\u{1}", "U+0001"),
        ("e\u{301}", "normal form C"),
        (&too_many, "at most 16"),
        (&too_long, "at most 256"),
        (&too_deep, "at most 32"),
    ] {
        let error = Pattern::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(error.message().contains(hint), "{text}: {error}");
    }
    assert!(Pattern::parse(&"x".repeat(256)).is_ok());
    assert!(Pattern::parse(&"*a".repeat(16)).is_ok());
    assert!(Pattern::parse(&vec!["s"; 32].join("/")).is_ok());
}

#[test]
fn the_more_specific_is_the_greater() {
    for (more, less) in [
        ("task/*/status", "task/*"),
        ("swarm/shared/decisions", "swarm/shared/*"),
        ("a/b/*", "a/longer-name*/*"),
        ("a/b*", "a/*"),
        ("a/bc*", "a/b*"),
        ("a/*", "a/*/*"),
        ("a", "a/*"),
        ("*/x", "*"),
        ("a/**/z", "a/*/*/z"),
    ] {
        assert!(pattern(more).specificity() > pattern(less).specificity(), "{more} over {less}");
    }
    for (one, other) in [("a/*", "a/**"), ("a/*/b", "a/**/b"), ("x\\*", "xy")] {
        assert_eq!(pattern(one).specificity(), pattern(other).specificity(), "{one} as {other}");
    }
}

#[test]
fn the_literal_prefix_is_whole_segments() {
    for (text, prefix) in [
        ("a/b", Some("a/b")),
        ("a/b/*", Some("a/b")),
        ("a/b*", Some("a")),
        ("a/**/b", Some("a")),
        ("a\\*/x", Some("a*/x")),
        ("a*", None),
        ("*", None),
        ("*/a", None),
    ] {
        assert_eq!(pattern(text).literal_prefix(), prefix, "{text}");
    }
}

#[test]
fn covers_what_it_must() {
    for (wide, narrow) in [
        ("*", "a/b"),
        ("*", "**"),
        ("a", "a/*"),
        ("a/*", "a/**"),
        ("a/**", "a/*"),
        ("a/**/b", "a/*/b"),
        ("a/*", "a/*/*"),
        ("**/*", "*/**"),
        ("a*", "ab*c"),
        ("*a*", "bab*"),
        ("task/*/status", "task/x*/status"),
    ] {
        assert!(pattern(wide).covers(&pattern(narrow)), "{wide} covers {narrow}");
    }
    for (wide, narrow) in [("a/*", "a"), ("a/*/b", "a/**/b"), ("ab*", "a*"), ("a*", "a*/x"), ("*/b", "a/b")] {
        assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} does not cover {narrow}");
    }
}

#[test]
fn hostile_patterns_do_not_take_long() {
    let key = Key::new(&vec!["a".repeat(31); 32].join("/")).unwrap();
    let deep = format!("{}/b", ["**"; 8].join("/"));
    let partial = format!("{}b", "a*".repeat(16));
    let both = format!("**/{}b", "a*".repeat(14));
    for pattern in [deep, partial, both].map(|text| pattern(&text)) {
        for _ in 0..1_000 {
            assert!(!pattern.matches(&key));
        }
    }
}

/// The rules of matching, written down as directly as possible.
mod oracle {
    pub fn matches(pattern: &str, key: &str) -> bool {
        let parts: Vec<&str> = pattern.split('/').collect();
        let segments: Vec<&str> = key.split('/').collect();
        if !pattern.contains('*') {
            return segments.len() >= parts.len() && segments[..parts.len()] == parts[..];
        }
        all(&parts, &segments)
    }

    fn all(parts: &[&str], segments: &[&str]) -> bool {
        match parts {
            [] => segments.is_empty(),
            ["*"] => !segments.is_empty(),
            ["**", rest @ ..] => (1..=segments.len()).any(|taken| all(rest, &segments[taken..])),
            [part, rest @ ..] => {
                !segments.is_empty()
                    && one(part.as_bytes(), segments[0].as_bytes())
                    && all(rest, &segments[1..])
            }
        }
    }

    fn one(part: &[u8], segment: &[u8]) -> bool {
        match part {
            [] => segment.is_empty(),
            [b'*', rest @ ..] => (0..=segment.len()).any(|taken| one(rest, &segment[taken..])),
            [byte, rest @ ..] => segment.first() == Some(byte) && one(rest, &segment[1..]),
        }
    }
}

fn patterns() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => "[ab]{1,2}",
        2 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        2 => "(\\*?[ab]{1,2}){1,3}\\*?",
    ];
    prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/"))
}

fn keys() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,4}", 1..6).prop_map(|segments| segments.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_matcher(text in patterns(), key in keys()) {
        prop_assert_eq!(matches(&text, &key), oracle::matches(&text, &key), "{} {}", text, key);
    }

    #[test]
    fn every_match_lies_within_the_literal_prefix(text in patterns(), key in keys()) {
        let key = Key::new(&key).unwrap();
        let pattern = pattern(&text);
        if let (true, Some(prefix)) = (pattern.matches(&key), pattern.literal_prefix()) {
            prop_assert!(key.is_within(prefix));
        }
    }

    #[test]
    fn covering_is_never_claimed_wrongly(wide in patterns(), narrow in patterns(), key in keys()) {
        let (wide, narrow, key) = (pattern(&wide), pattern(&narrow), Key::new(&key).unwrap());
        if wide.covers(&narrow) && narrow.matches(&key) {
            prop_assert!(wide.matches(&key), "{} {} {}", wide, narrow, key);
        }
        prop_assert!(wide.covers(&wide) && Pattern::everything().covers(&wide));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a*/\\\\.é\u{1}]{0,40}", key in keys()) {
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.matches(&Key::new(&key).unwrap());
            prop_assert_eq!(&**pattern.text(), text);
        }
    }
}
