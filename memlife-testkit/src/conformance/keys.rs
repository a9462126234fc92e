//! Every key is a key of its own, in every store.

use crate::draft::{erase, put};
use crate::{Session, Subject};
use memlife_core::store::Cause;
use memlife_core::{MAX_KEY_BYTES, MAX_KEY_SEGMENTS};

/// Writes each key with its own name as value, reads all back, erases all.
async fn stay_apart(subject: &dyn Subject, keys: &[&str]) {
    let s = Session::open(subject).await;
    let value = |key: &str| format!("{key:?}").replace("\\'", "'");
    s.batch(keys.iter().map(|key| put(key, &serde_json::to_string(key).unwrap()).build()).collect()).await;
    for key in keys {
        let shown = s.value(key).await;
        assert_eq!(shown, Some(serde_json::to_string(key).unwrap()), "{}", value(key));
    }
    let mut expected: Vec<&str> = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(s.keys("").await, expected);
    for (gone, key) in keys.iter().enumerate() {
        s.apply(erase(key, Cause::Purged)).await;
        assert_eq!(s.record(key).await, None, "{}", value(key));
        assert_eq!(s.totals().await.tally.entries as usize, keys.len() - gone - 1, "{}", value(key));
    }
}

/// The longest key works, as one segment and as many.
pub async fn the_longest_keys_work(subject: &dyn Subject) {
    let one = "k".repeat(MAX_KEY_BYTES);
    let wide = format!("{}é", "k".repeat(MAX_KEY_BYTES - 2));
    let many = vec!["s".repeat(31); MAX_KEY_SEGMENTS].join("/");
    let almost = "k".repeat(MAX_KEY_BYTES - 1);
    stay_apart(subject, &[&one, &wide, &many, &almost]).await;
}

/// Letters of every script, and what looks alike, stay apart.
pub async fn unicode_keys_stay_apart(subject: &dyn Subject) {
    stay_apart(
        subject,
        &["é", "e", "日本語/鍵", "ключ", "🦀/🦀", "ß", "ss", "İ", "i", "ı", "\u{a0}", "ﬁ", "fi"],
    )
    .await;
}

/// Keys that differ in case only stay apart.
pub async fn case_is_kept(subject: &dyn Subject) {
    stay_apart(subject, &["Key", "key", "KEY", "a/B", "a/b", "A/b", "É", "é"]).await;
}

/// Separators of other systems are plain characters.
pub async fn separators_stay_apart(subject: &dyn Subject) {
    let keys = [
        "a:b/c", "a/b:c", "a/b/c", "a_b/c", "a_b_c", "a/b_c", "a.b/c", "a\\b/c", "a|b", "a b", "a__b",
        "a%2Fb",
    ];
    stay_apart(subject, &keys).await;
}

/// What patterns and queries use is literal.
pub async fn pattern_characters_stay_apart(subject: &dyn Subject) {
    let keys = [
        "a*", "a?", "a%", "a_", "[a]", "{a}", "a'; --", "\"a\"", "a\\", "$a", "`a`", "a~", "a#b", "a&b",
        "a=b",
    ];
    stay_apart(subject, &keys).await;
}

/// Names that file systems treat specially are keys like others.
pub async fn names_of_file_systems_are_keys(subject: &dyn Subject) {
    let keys = [
        "con",
        "nul.json",
        "a.json",
        "a",
        "a/json",
        ".a",
        "a.",
        "...",
        "-rf",
        " a",
        "a ",
        ".memlife/x",
        "~",
        "index.db",
        "a.json.tmp",
        "aux/prn",
        "lost+found",
    ];
    stay_apart(subject, &keys).await;
}

/// A key and those below it are entries beside each other.
pub async fn a_key_may_be_a_prefix_of_others(subject: &dyn Subject) {
    stay_apart(subject, &["a", "a/a", "a/a/a", "aa", "a/aa", "aa/a"]).await;
}

/// Every printable ASCII character is fine in a key.
pub async fn every_printable_character_is_fine(subject: &dyn Subject) {
    let names: Vec<String> =
        (b' '..=b'~').map(char::from).filter(|c| *c != '/').map(|c| format!("k{c}x/{c}y")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    stay_apart(subject, &keys).await;
}
