//! Plain values: the last write wins.

use crate::draft::{Draft, add, assign, delete, json_body, put, put_at, put_bytes};
use crate::{Session, Subject};
use memlife_core::record::{Body, Codec, Compression, Kind, ReclaimClass};
use memlife_core::store::{Cause, Change, Op, Reply};
use memlife_core::{Encoding, ErrorKind, KEEP_MS, MAX_DRIFT_MS, Value};

/// A put replaces what was there, and so does an assignment.
pub async fn a_put_replaces(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for (write, shown) in [(put("a", "1"), "1"), (put("a", "[2]"), "[2]"), (assign("a", "3"), "3")] {
        s.apply(write).await;
        assert_eq!(s.values("a").await, [shown]);
    }
}

/// JSON text and plain bytes come back byte for byte, with their encoding.
pub async fn values_come_back_as_given(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let json = "{\"b\": 1.0,\"a\":[null,true,\"\\u00e9 é 🦀\"], \"a\":2}";
    s.apply(put("json", json)).await;
    let bytes: Vec<u8> = (0..=255).collect();
    s.apply(put_bytes("bytes", &bytes)).await;
    s.apply(put_bytes("empty", b"")).await;
    let value = |key: &'static str| {
        let s = &s;
        async move { s.record(key).await.unwrap().body().unwrap().value(1 << 20).unwrap() }
    };
    assert_eq!(value("json").await, Value { encoding: Encoding::Json, bytes: json.into() });
    assert_eq!(value("bytes").await, Value { encoding: Encoding::Bytes, bytes: bytes.into() });
    assert_eq!(value("empty").await, Value { encoding: Encoding::Bytes, bytes: Vec::new().into() });
}

/// A value of 1 MiB comes back.
pub async fn one_mebibyte_comes_back(subject: &dyn Subject) {
    comes_back(subject, 1 << 20).await;
}

/// A value of 16 MiB comes back.
pub async fn sixteen_mebibytes_come_back(subject: &dyn Subject) {
    comes_back(subject, 16 << 20).await;
}

async fn comes_back(subject: &dyn Subject, len: usize) {
    let s = Session::open(subject).await;
    let bytes: Vec<u8> = (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    s.apply(put_bytes("large", &bytes)).await;
    let record = s.record("large").await.unwrap();
    assert_eq!(record.head.raw_len as usize, len);
    let value = record.body().unwrap().value(len).unwrap();
    assert!(value.bytes == bytes, "{len} bytes did not come back");
}

/// Compressed values come back, and their head tells both sizes.
pub async fn compressed_values_come_back(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let text = format!("\"{}\"", "memory ".repeat(1_000));
    for codec in [Codec::Gzip, Codec::Zstd] {
        let how = Compression { codec, level: 3, threshold_bytes: 64, dictionary: 0 };
        let body = Body::of_value(&Value::json_text(text.clone()).unwrap(), how).unwrap();
        s.apply(Draft::new("a", Change::Op(Op::Put(body.clone())))).await;
        let record = s.record("a").await.unwrap();
        assert_eq!(record.head.codec, codec);
        assert_eq!(record.head.raw_len as usize, text.len());
        assert_eq!(record.head.stored_len as usize, body.as_bytes().len());
        assert!(record.head.stored_len < record.head.raw_len);
        assert_eq!(s.values("a").await, [text.as_str()]);
    }
}

/// The head names the writer, the rule and the class of the last write.
pub async fn the_head_tells_who_wrote_and_under_what(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").writer("agent-1").rule("a/*").class(ReclaimClass::Lazy)).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!(head.writer.as_deref(), Some("agent-1"));
    assert_eq!((&*head.rule, head.class, &head.kind), ("a/*", ReclaimClass::Lazy, &Kind::Lww));
    assert_eq!((head.siblings, head.alive), (1, true));
    s.apply(put("a", "2").rule("").class(ReclaimClass::Manual)).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!((head.writer, &*head.rule, head.class), (None, "", ReclaimClass::Manual));
}

/// A deletion leaves a tombstone: hidden, without a value, kept for the feed, then due.
pub async fn a_deletion_leaves_a_tombstone(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(delete("a")).await;
    assert_eq!(s.value("a").await, None);
    let record = s.record("a").await.unwrap();
    assert_eq!((record.head.alive, record.head.siblings, record.body), (false, 0, None));
    assert_eq!(record.head.class, ReclaimClass::Tombstone);
    assert!(record.head.keep_until >= s.now().plus_ms(KEEP_MS));
    assert_eq!(s.removed(Cause::Deleted).await, 1);
}

/// Deleting nothing, or what is dead, changes nothing and counts nothing.
pub async fn deleting_nothing_changes_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.unchanged(delete("nothing")).await;
    s.apply(put("deleted", "1")).await;
    s.apply(delete("deleted")).await;
    s.unchanged(delete("deleted")).await;
    s.apply(put("expired", "1").ttl_ms(1)).await;
    s.pass(1);
    s.unchanged(delete("expired")).await;
    assert_eq!(s.removed(Cause::Deleted).await, 1);
    assert_eq!(s.record("nothing").await, None);
}

/// A plain value cannot be added to.
pub async fn adding_is_a_type_mismatch(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    assert_eq!(s.fails(add("a", 1)).await, ErrorKind::TypeMismatch);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// A put with a time older than what is there is superseded.
pub async fn a_put_of_an_older_time_is_superseded(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "\"new\"")).await;
    let current = s.unchanged(put_at("a", "\"old\"", s.now().minus_ms(1)).reply(Reply::Whole)).await;
    assert_eq!(crate::session::held(&current.unwrap()), ["\"new\""]);
    s.unchanged(put_at("a", "\"same time\"", s.now())).await;
    assert_eq!(s.value("a").await.as_deref(), Some("\"new\""));
}

/// A put with an older time does not undo a deletion.
pub async fn a_put_of_an_older_time_stays_deleted(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.pass(10);
    s.apply(delete("a")).await;
    s.unchanged(put_at("a", "2", s.now().minus_ms(5))).await;
    assert_eq!(s.value("a").await, None);
}

/// A put with a time newer than what is there has that time as its stamp.
pub async fn a_put_of_a_newer_time_has_that_stamp(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let long_ago = s.now().minus_ms(1_000_000);
    assert_eq!(s.apply(put_at("a", "1", long_ago)).await.stamp.at(), long_ago);
    let later = long_ago.plus_ms(5);
    assert_eq!(s.apply(put_at("a", "2", later)).await.stamp.at(), later);
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
    let next = s.apply(put("a", "3")).await;
    assert_eq!(next.stamp.at(), s.now());
}

/// A put with a time too far in the future is invalid and moves no clock.
pub async fn a_put_of_a_far_future_is_invalid(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let clock = s.clock().await;
    let future = s.now().plus_ms(MAX_DRIFT_MS + 1);
    assert_eq!(s.fails(put_at("a", "2", future)).await, ErrorKind::Invalid);
    assert_eq!(s.clock().await, clock);
    let allowed = s.now().plus_ms(MAX_DRIFT_MS);
    assert_eq!(s.apply(put_at("a", "3", allowed)).await.stamp.at(), allowed);
}

/// A local put is never superseded, though something from a slightly fast clock is there.
pub async fn a_plain_put_is_never_superseded(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let ahead = s.apply(put_at("a", "1", s.now().plus_ms(5_000))).await;
    let local = s.apply(put("a", "2")).await;
    assert!(local.stamp > ahead.stamp);
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// A value of more than 64 KiB is decided by the store all the same: a register needs no merge.
pub async fn a_large_value_is_native(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let text = format!("\"{}\"", "x".repeat(100_000));
    s.apply(Draft::new("a", Change::Op(Op::Put(json_body(&text))))).await;
    s.apply(put("a", "1")).await;
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}
