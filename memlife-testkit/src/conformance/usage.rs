//! Entries and bytes per rule and namespace, kept up to date by every write.

use crate::draft::{Draft, add, delete, erase, put, restamp};
use crate::{Session, Subject};
use memlife_core::record::{Body, Codec, Compression};
use memlife_core::store::{Cause, Change, Group, Op, Tally, UsageQuery};
use memlife_core::{ReplicaId, Value};

fn group(rule: &str, namespace: &str) -> Group {
    Group { rule: rule.into(), namespace: namespace.into() }
}

async fn entries(s: &Session) -> Vec<(String, u64)> {
    let (groups, _) = s.usage().await;
    let name = |group: &Group| format!("{} {}", group.rule, group.namespace);
    groups.iter().map(|(group, tally)| (name(group), tally.entries)).collect()
}

/// Checks that the totals are the sum of the groups and both are what the records say.
async fn agrees(s: &Session) {
    let (groups, totals) = s.usage().await;
    let mut sum = Tally::default();
    for (_, tally) in &groups {
        sum.entries += tally.entries;
        sum.stored_bytes += tally.stored_bytes;
        sum.raw_bytes += tally.raw_bytes;
        sum.compressed += tally.compressed;
    }
    assert_eq!(sum, totals.tally, "the totals are the sum of the groups");
    let mut stored = Tally::default();
    for record in s.scan(memlife_core::store::Scan::default()).await {
        if record.head.alive {
            stored.entries += 1;
            stored.stored_bytes += u64::from(record.head.stored_len);
            stored.raw_bytes += u64::from(record.head.raw_len);
            stored.compressed += u64::from(record.head.codec != Codec::None);
        }
    }
    assert_eq!(stored, totals.tally, "the totals are what is stored");
}

/// Entries are counted per rule and namespace, in order.
pub async fn groups_are_rule_and_namespace(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for (key, rule) in
        [("a/b/1", "r1"), ("a/b/2", "r1"), ("a/b", "r2"), ("a/c/1", "r1"), ("x", "r1"), ("x/y/z/w", "")]
    {
        s.apply(put(key, "1").rule(rule)).await;
    }
    let expected = [(" x/y", 1), ("r1 a/b", 2), ("r1 a/c", 1), ("r1 x", 1), ("r2 a/b", 1)];
    assert_eq!(entries(&s).await, expected.map(|(name, n)| (name.to_owned(), n)));
    agrees(&s).await;
}

/// Overwriting replaces the old bytes in the count.
pub async fn overwriting_replaces_the_bytes(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", &format!("\"{}\"", "x".repeat(1_000)))).await;
    s.apply(put("a", "1")).await;
    let tally = s.totals().await.tally;
    assert_eq!((tally.entries, tally.raw_bytes), (1, 1));
    agrees(&s).await;
}

/// Every sort of change keeps the counts right.
pub async fn every_change_keeps_the_counts(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let packed = Compression { codec: Codec::Zstd, level: 3, threshold_bytes: 16, dictionary: 0 };
    let text = Value::json_text(format!("\"{}\"", "x".repeat(500))).unwrap();
    let body = Body::of_value(&text, packed).unwrap();
    s.apply(Draft::new("packed", Change::Op(Op::Put(body)))).await;
    s.apply(add("n", 1)).await;
    s.apply(add("n", 1_000_000)).await;
    s.apply(put("m", "1").multi_value()).await;
    s.apply(put("m", "2").multi_value()).await;
    s.apply(put("e", "1").ttl_ms(10)).await;
    agrees(&s).await;
    assert_eq!(s.totals().await.tally.compressed, 1);
    s.apply(delete("m")).await;
    s.apply(put("packed", "1")).await;
    agrees(&s).await;
    s.pass(10);
    s.apply(erase("e", Cause::Expired).if_due()).await;
    s.apply(erase("m", Cause::Deleted)).await;
    s.apply(erase("n", Cause::Purged)).await;
    agrees(&s).await;
    assert_eq!(s.totals().await.tally.entries, 1);
}

/// Tombstones do not count; expired entries do until they are erased.
pub async fn the_expired_count_and_the_deleted_do_not(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("expired", "1").ttl_ms(10)).await;
    s.apply(put("deleted", "1")).await;
    s.apply(delete("deleted")).await;
    s.pass(10);
    assert_eq!(s.totals().await.tally.entries, 1);
    s.apply(erase("expired", Cause::Expired).if_due()).await;
    assert_eq!(s.totals().await.tally, Tally::default());
}

/// A group vanishes with its last entry.
pub async fn groups_vanish_at_zero(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a/b/1", "1").rule("r")).await;
    s.apply(put("a/b/2", "1").rule("r")).await;
    s.apply(delete("a/b/1")).await;
    s.apply(erase("a/b/2", Cause::Purged)).await;
    assert_eq!(s.usage().await.0, Vec::new());
}

/// A group that comes and goes within one batch leaves nothing, nor does one that an earlier batch began.
pub async fn groups_vanish_within_a_batch(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("old/a/1", "1").rule("r")).await;
    let writes = vec![
        put("new/a/1", "1").rule("r").build(),
        delete("new/a/1").build(),
        put("old/a/1", "2").rule("other").build(),
        put("old/a/1", "3").rule("r").build(),
        delete("old/a/1").build(),
    ];
    s.batch(writes).await;
    assert_eq!(s.usage().await.0, Vec::new());
    assert_eq!(s.totals().await.tally, Tally::default());
}

/// Applying a rule moves an entry from group to group, and so does writing under another rule.
pub async fn entries_move_between_groups(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a/b/1", "1").rule("old")).await;
    s.apply(put("a/b/2", "1").rule("old")).await;
    s.apply(restamp("a/b/1").rule("new")).await;
    s.apply(put("a/b/2", "2").rule("new")).await;
    let (groups, _) = s.usage().await;
    assert_eq!(groups.len(), 1);
    assert_eq!((&groups[0].0, groups[0].1.entries), (&group("new", "a/b"), 2));
    agrees(&s).await;
}

/// memlife's own keys are not counted, neither what is there nor what was removed.
pub async fn system_keys_are_not_counted(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let before = s.totals().await;
    s.apply(put("x", "1").to_system_key("peers")).await;
    s.apply(put("x", "1").to_system_key("reports")).await;
    s.apply(delete("x").to_system_key("peers")).await;
    s.apply(erase("x", Cause::Purged).to_system_key("reports")).await;
    assert_eq!(s.totals().await, before);
    assert_eq!(s.usage().await.0, Vec::new());
}

/// Groups are paged in order; a page of none gives the totals alone.
pub async fn groups_are_paged(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..25 {
        s.apply(put(&format!("ns/{i:02}/k"), "1").rule(&format!("r{}", i % 3))).await;
    }
    let (groups, totals) = s.usage().await;
    assert_eq!(groups.len(), 25);
    assert!(groups.is_sorted_by(|(earlier, _), (later, _)| earlier < later));
    let none = s.store().usage(&UsageQuery { after: None, limit: 0 }).await.unwrap();
    assert_eq!((none.groups.len(), none.next, none.totals), (0, None, totals));
    let all = s.store().usage(&UsageQuery { after: None, limit: 25 }).await.unwrap();
    assert_eq!(all.groups, groups);
}

/// What replicas bring is counted here under this store's rule.
pub async fn joined_records_are_counted(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let store = memlife_core::InMemoryStore::with_replica(ReplicaId(0xb0b));
    let there = Session::on(std::sync::Arc::new(store));
    there.apply(put("a/b/c", "1").rule("theirs")).await;
    s.apply(crate::draft::join(&there.record("a/b/c").await.unwrap()).rule("ours")).await;
    assert_eq!(entries(&s).await, [("ours a/b".to_owned(), 1)]);
    agrees(&s).await;
}
