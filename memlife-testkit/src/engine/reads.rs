//! What was put comes back.

use super::{Bench, all, text};
use crate::Subject;
use memlife_core::record::Codec;
use memlife_core::{EngineLimits, ErrorKind, Key, ListOptions, Memory, PutOptions, SweepOptions, Value};
use std::collections::BTreeMap;

/// Plain bytes stay bytes; JSON text stays as it was, to the byte.
pub async fn bytes_and_json_come_back_as_they_were_put(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let raw = Value::bytes(vec![0, 159, 146, 150, 255]);
    bench.memory.put_value("notes/raw", raw.clone(), PutOptions::new()).await.unwrap();
    assert_eq!(bench.memory.get_value("notes/raw").await.unwrap(), Some(raw));
    for text in ["{\"b\": 1,  \"a\":\n[1.0, 1e2]}", "\"\\u00e9\"", "null", "12345678901234567890123", "\"\""]
    {
        let value = Value::json_text(text).unwrap();
        bench.memory.put_value("notes/text", value.clone(), PutOptions::new()).await.unwrap();
        assert_eq!(bench.memory.get_value("notes/text").await.unwrap(), Some(value));
    }
    let map = BTreeMap::from([("x".to_owned(), 1.5), ("y".to_owned(), -2.0)]);
    bench.memory.put("notes/map", &map).await.unwrap();
    assert_eq!(bench.memory.get("notes/map").await.unwrap(), Some(map));
}

/// From the rule's threshold on, what gets smaller is stored smaller.
pub async fn large_values_are_compressed_and_come_back(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let long = "agent ".repeat(2_000);
    bench.memory.put("session/large", &long).await.unwrap();
    bench.memory.put("session/small", "agent").await.unwrap();
    assert_eq!(text(&bench.memory, "session/large").await, Some(long.clone()));
    let large = bench.memory.entry("session/large").await.unwrap().unwrap();
    assert_ne!(large.codec, Codec::None);
    assert!(large.stored_len < large.raw_len / 10, "{} of {}", large.stored_len, large.raw_len);
    assert_eq!(bench.memory.entry("session/small").await.unwrap().unwrap().codec, Codec::None);
    let gzip = bench
        .under("compression: {algorithm: gzip, level: 6, default_threshold_bytes: 100}\nnamespaces: []")
        .await;
    gzip.put("plain/large", &long).await.unwrap();
    assert_eq!(gzip.entry("plain/large").await.unwrap().unwrap().codec, Codec::Gzip);
    assert_eq!(text(&bench.memory, "plain/large").await, Some(long));
    assert_eq!(bench.memory.stats().await.unwrap().stored.compressed, 2);
}

/// Reading as another type is told, and reads nothing wrong.
pub async fn a_value_of_another_type_is_a_type_mismatch(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("notes/a", "text").await.unwrap();
    let error = bench.memory.get::<u32>("notes/a").await.unwrap_err();
    assert_eq!((error.kind(), error.key().unwrap().as_str()), (ErrorKind::TypeMismatch, "notes/a"));
}

/// A value past the limit changes nothing, and the limit is the caller's to set.
pub async fn a_value_above_the_limit_is_refused_and_nothing_changes(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let limits = EngineLimits { value_bytes: 1_000, ..EngineLimits::default() };
    let memory =
        Memory::builder(subject.open().await).clock(bench.clock.clone()).limits(limits).build().unwrap();
    memory.put("notes/a", "small").await.unwrap();
    let error = memory.put("notes/a", &"x".repeat(999)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(text(&memory, "notes/a").await.as_deref(), Some("small"));
    memory.put("notes/a", &"x".repeat(998)).await.unwrap();
}

/// A write or delete by one handle is what the other reads next.
pub async fn another_handle_sees_writes_and_deletes_at_once(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let other = bench.beside().await;
    for round in 0..20 {
        bench.memory.put("notes/a", &round).await.unwrap();
        assert_eq!(other.get::<i32>("notes/a").await.unwrap(), Some(round));
        other.delete("notes/a").await.unwrap();
        assert_eq!(bench.memory.get::<i32>("notes/a").await.unwrap(), None);
    }
}

/// What memlife keeps about itself is in no list, count or export, and no user's key reaches it.
pub async fn system_keys_are_hidden(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("notes/a", "x").await.unwrap();
    bench.memory.sweep(SweepOptions::new()).await.unwrap();
    let listed = all(&bench.memory, ListOptions::new()).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(bench.memory.stats().await.unwrap().stored.entries, 1);
    assert!(Key::new("\u{1}memlife/policy").is_err());
    assert_eq!(bench.memory.delete_all().await.unwrap(), 1);
    assert_eq!(bench.memory.sweep_reports().await.unwrap().len(), 1);
}
