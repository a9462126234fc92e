//! Records in key order, page by page.

use crate::draft::{delete, erase, put, put_bytes};
use crate::{Session, Subject};
use memlife_core::Key;
use memlife_core::store::{Cause, Scan, Want};

async fn filled(subject: &dyn Subject, keys: &[&str]) -> Session {
    let s = Session::open(subject).await;
    s.batch(keys.iter().map(|key| put(key, "1").build()).collect()).await;
    s
}

/// Keys come in the order of their bytes, however they were written.
pub async fn keys_come_in_byte_order(subject: &dyn Subject) {
    let mut keys = vec!["b", "a/b", "a", "B", "a/b/c", "a-b", "é", "z", "a b", "~", "10", "9", "日本", "a/é"];
    let s = filled(subject, &keys).await;
    keys.sort_unstable();
    assert_eq!(s.keys("").await, keys);
}

/// A prefix covers itself and what is below it, whole segments only.
pub async fn a_prefix_covers_whole_segments(subject: &dyn Subject) {
    let keys =
        ["a", "a/b", "a/b-x", "a/b/c", "a/b/c/d", "a/b0", "a/bc", "a/b c", "a/b.", "a/b~", "ab", "b/a/b"];
    let s = filled(subject, &keys).await;
    assert_eq!(s.keys("a/b").await, ["a/b", "a/b/c", "a/b/c/d"]);
    assert_eq!(s.keys("a/b/c").await, ["a/b/c", "a/b/c/d"]);
    assert_eq!(s.keys("a/bc").await, ["a/bc"]);
    assert_eq!(s.keys("a").await.len(), 10);
    assert_eq!(s.keys("a/x").await, Vec::<String>::new());
}

/// A prefix need not be a key itself.
pub async fn a_prefix_need_not_exist(subject: &dyn Subject) {
    let s = filled(subject, &["p/q/r", "p/q/s", "p/qq"]).await;
    assert_eq!(s.keys("p/q").await, ["p/q/r", "p/q/s"]);
}

/// `_ % * ? [ :` and their like mean nothing in a prefix.
pub async fn special_characters_are_literal(subject: &dyn Subject) {
    for odd in
        ["a_b", "a%b", "a*b", "a?b", "a[b]", "a:b", "a\\b", "a'b", "a\"b", "a{b}", "a^b", "a;b", "a--b"]
    {
        let s = Session::open(subject).await;
        let below = format!("{odd}/x");
        s.batch(vec![put(odd, "1").build(), put(&below, "1").build(), put("axb/x", "1").build()]).await;
        assert_eq!(s.keys(odd).await, [odd, below.as_str()], "{odd:?}");
        for key in [odd, below.as_str(), "axb/x"] {
            s.apply(erase(key, Cause::Purged)).await;
        }
    }
}

/// Pages neither skip nor repeat, whatever their size.
pub async fn pages_neither_skip_nor_repeat(subject: &dyn Subject) {
    let names: Vec<String> = (0..57).map(|i| format!("p/{:02}/x", i)).collect();
    let mut keys: Vec<&str> = names.iter().map(String::as_str).collect();
    keys.extend(["p", "p-", "p0", "o/1", "q"]);
    let s = filled(subject, &keys).await;
    let mut expected: Vec<&str> =
        keys.iter().copied().filter(|key| *key == "p" || key.starts_with("p/")).collect();
    expected.sort_unstable();
    for limit in [1, 2, 3, 57, 58, 59, 1_000] {
        let query = Scan { within: Some("p".into()), limit, want: Want::Head, ..Scan::default() };
        let records = s.scan(query).await;
        let found: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
        assert_eq!(found, expected, "pages of {limit}");
    }
}

/// A scan starts strictly behind `after`, which need not exist nor lie within the prefix.
pub async fn after_need_not_exist(subject: &dyn Subject) {
    let s = filled(subject, &["p", "p/a", "p/c", "p/e", "q"]).await;
    for (after, expected) in [
        ("p", vec!["p/a", "p/c", "p/e"]),
        ("p/a", vec!["p/c", "p/e"]),
        ("p/b", vec!["p/c", "p/e"]),
        ("p/e", vec![]),
        ("p/z", vec![]),
        ("p-", vec!["p/a", "p/c", "p/e"]),
        ("q", vec![]),
        ("zzz", vec![]),
        ("a", vec!["p", "p/a", "p/c", "p/e"]),
    ] {
        let after_key = Some(Key::new(after).unwrap());
        let query = Scan { within: Some("p".into()), after: after_key, limit: 10, ..Scan::default() };
        let records = s.scan(query).await;
        let found: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
        assert_eq!(found, expected, "after {after}");
    }
}

/// A page that ends exactly at the last record does not lose or repeat one.
pub async fn an_exact_page_ends_well(subject: &dyn Subject) {
    let s = filled(subject, &["a", "b", "c"]).await;
    let query = Scan { limit: 3, ..Scan::default() };
    let page = s.store().scan(&query).await.unwrap();
    assert_eq!(page.records.len(), 3);
    assert_eq!(s.scan(query).await.len(), 3);
    let nothing =
        s.store().scan(&Scan { within: Some("x".into()), limit: 3, ..Scan::default() }).await.unwrap();
    assert!(nothing.records.is_empty() && nothing.next.is_none());
}

/// memlife's own keys are hidden unless asked for, and then come alone.
pub async fn system_keys_are_apart(subject: &dyn Subject) {
    let s = filled(subject, &["a", "memlife/a"]).await;
    s.apply(put("x", "1").to_system_key("sweeps/1")).await;
    s.apply(put("x", "1").to_system_key("sweeps/2")).await;
    s.apply(put("x", "1").to_system_key("peers")).await;
    assert_eq!(s.keys("").await, ["a", "memlife/a"]);
    let all = s.scan(Scan { system: true, ..Scan::default() }).await;
    let keys: Vec<Key> = all.into_iter().map(|record| record.key).collect();
    let own = |path: &str| Key::system(path).unwrap();
    assert_eq!(keys, [own("peers"), own("sweeps/1"), own("sweeps/2")]);
    let within = Some(own("sweeps").as_str().into());
    assert_eq!(s.scan(Scan { within, system: true, ..Scan::default() }).await.len(), 2);
    assert_eq!(crate::session::held(&s.fetch(&own("peers"), Want::Whole).await.unwrap()), ["1"]);
}

/// Heads come without bodies, and whole records with them.
pub async fn a_scan_gives_what_is_wanted(subject: &dyn Subject) {
    let s = filled(subject, &["a", "b"]).await;
    let heads = s.scan(Scan { want: Want::Head, ..Scan::default() }).await;
    assert!(heads.iter().all(|record| record.body.is_none()));
    let whole = s.scan(Scan { want: Want::Whole, ..Scan::default() }).await;
    assert_eq!(heads, whole.iter().map(|record| record.without_body()).collect::<Vec<_>>());
    for record in whole {
        assert_eq!(Some(&record), s.record(record.key.as_str()).await.as_ref());
    }
}

/// Tombstones and expired entries are given as stored; erased ones are gone.
pub async fn the_dead_are_given_as_stored(subject: &dyn Subject) {
    let s = filled(subject, &["deleted", "erased", "living"]).await;
    s.apply(put("expired", "1").ttl_ms(1)).await;
    s.pass(1);
    s.apply(delete("deleted")).await;
    s.apply(erase("erased", Cause::Purged)).await;
    let records = s.scan(Scan::default()).await;
    let seen: Vec<(&str, bool)> =
        records.iter().map(|record| (record.key.as_str(), record.head.is_visible(s.now()))).collect();
    assert_eq!(seen, [("deleted", false), ("expired", false), ("living", true)]);
}

/// What is erased between two pages, the cursor's own key too, does not disturb the rest.
pub async fn erasures_between_pages_disturb_nothing(subject: &dyn Subject) {
    let s = filled(subject, &["a", "b", "c", "d"]).await;
    let first = s.store().scan(&Scan { limit: 2, ..Scan::default() }).await.unwrap();
    for key in ["a", "b", "c"] {
        s.apply(erase(key, Cause::Purged)).await;
    }
    let rest = s.scan(Scan { after: first.next, ..Scan::default() }).await;
    let found: Vec<&str> = rest.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(found, ["d"]);
}

/// A page tells the store's clock.
pub async fn a_page_tells_the_clock(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let stamp = s.apply(put("a", "1")).await.stamp;
    s.step_back(1_000_000);
    let page = s.store().scan(&Scan { limit: 1, ..Scan::default() }).await.unwrap();
    assert_eq!(page.clock, stamp.at());
}

/// A page ends once its bodies pass the bytes asked for; it has at least one record, and none is lost.
pub async fn a_page_ends_at_its_bytes(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..10 {
        s.apply(put_bytes(&format!("k/{i}"), &[7; 1_000])).await;
    }
    let page = |bytes| Scan { limit: 100, bytes, ..Scan::default() };
    assert_eq!(s.store().scan(&page(1)).await.unwrap().records.len(), 1);
    let some = s.store().scan(&page(3_500)).await.unwrap().records.len();
    assert!((3..=4).contains(&some), "{some} records of 1,000 bytes in a page of 3,500");
    assert_eq!(s.store().scan(&page(0)).await.unwrap().records.len(), 10);
    for bytes in [1, 2_500, 1_000_000] {
        assert_eq!(s.scan(page(bytes)).await.len(), 10, "pages of {bytes} bytes");
    }
}
