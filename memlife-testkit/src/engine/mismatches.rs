//! What a kind does not take is refused, by every handle and every put, with an error that says what the key holds.

use super::kinds::memory_of_kinds;
use crate::Subject;
use memlife_core::{Error, ErrorKind, MapHandle, Memory, PutOptions, Result, Value};
use serde_json::{Value as Json, json};

/// Each built-in kind, a value that it takes, what its errors call it, and values that it refuses.
pub(super) const TAKEN: [(&str, &str, &str, &[&str]); 11] = [
    ("lww", "\"text\"", "a plain value", &[]),
    ("multi_value", "\"text\"", "values side by side", &[]),
    ("counter", "5", "a counter,", &["1.5", "\"5\"", "9223372036854775808"]),
    ("g_counter", "5", "a counter that only goes up", &["-1", "1.5", "true", "9223372036854775808"]),
    ("or_set", "[1,2]", "a set,", &["1", "{}", "null"]),
    ("rw_set", "[1,2]", "a set in which removals win", &["1", "{}", "null"]),
    ("max", "5", "the greatest number", &["\"5\"", "[5]", "null", "18446744073709551615"]),
    ("min", "5", "the least number", &["\"5\"", "[5]", "null", "18446744073709551615"]),
    ("flag_ew", "true", "a flag,", &["1", "\"true\"", "null"]),
    ("flag_dw", "true", "a flag that is off when anybody says so", &["1", "\"true\"", "null"]),
    ("map", "{\"f\":1}", "a map", &["1", "[1]", "null"]),
];

async fn put_text(memory: &Memory, key: &str, text: &'static str) -> Result<()> {
    memory.put_value(key, Value::json_text(text)?, PutOptions::new()).await.map(drop)
}

/// `error` is of the right sort, names the key and says what it holds.
pub(super) fn assert_told(error: &Error, key: &str, holds: &str) {
    assert_eq!((error.kind(), error.key().unwrap().as_str()), (ErrorKind::TypeMismatch, key), "{error}");
    assert!(error.message().contains(holds), "{error}: not {holds:?}");
}

#[derive(Clone, Copy, Debug)]
enum Handle {
    Counter,
    Set,
    Flag,
    Map,
}

impl Handle {
    const ALL: [Handle; 4] = [Handle::Counter, Handle::Set, Handle::Flag, Handle::Map];

    fn is_for(self, kind: &str) -> bool {
        let kinds: &[&str] = match self {
            Handle::Counter => &["counter", "g_counter"],
            Handle::Set => &["or_set", "rw_set"],
            Handle::Flag => &["flag_ew", "flag_dw"],
            Handle::Map => &["map"],
        };
        kinds.contains(&kind)
    }

    /// What every writing verb answers.
    async fn writes(self, memory: &Memory, key: &str) -> Vec<Result<()>> {
        match self {
            Handle::Counter => vec![memory.counter(key).unwrap().add(1).await.map(drop)],
            Handle::Set => {
                let set = memory.set(key).unwrap();
                vec![set.insert(&1).await.map(drop), set.remove(&1).await.map(drop)]
            }
            Handle::Flag => vec![memory.flag(key).unwrap().set(true).await.map(drop)],
            Handle::Map => {
                let field = memory.map(key).unwrap().field("f");
                vec![
                    field.put(&1).await.map(drop),
                    field.add(1).await.map(drop),
                    field.insert(&1).await.map(drop),
                    field.take(&1).await.map(drop),
                    field.switch(true).await.map(drop),
                    field.remove().await.map(drop),
                ]
            }
        }
    }

    /// What every reading verb answers.
    async fn reads(self, memory: &Memory, key: &str) -> Vec<Result<()>> {
        match self {
            Handle::Counter => vec![memory.counter(key).unwrap().get().await.map(drop)],
            Handle::Set => {
                let set = memory.set(key).unwrap();
                vec![set.members::<Json>().await.map(drop), set.contains(&1).await.map(drop)]
            }
            Handle::Flag => vec![memory.flag(key).unwrap().get().await.map(drop)],
            Handle::Map => {
                let map = memory.map(key).unwrap();
                vec![map.fields::<Json>().await.map(drop), map.field("f").get::<Json>().await.map(drop)]
            }
        }
    }
}

/// A handle for another kind changes nothing and reads nothing, and its error says what the key holds.
pub async fn a_handle_of_another_kind_is_told_what_the_key_holds(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for (kind, value, about, _) in TAKEN {
        let key = format!("{kind}/k");
        put_text(&memory, &key, value).await.unwrap();
        let before = memory.entry(&key).await.unwrap();
        for handle in Handle::ALL.into_iter().filter(|handle| !handle.is_for(kind)) {
            for answer in handle.writes(&memory, &key).await {
                assert_told(&answer.unwrap_err(), &key, about);
            }
            // A counter reads a plain integer, which is what the original wrote; a text it does not.
            let holds = if kind == "lww" && handle.is_for("counter") { "not an integer" } else { kind };
            for answer in handle.reads(&memory, &key).await {
                assert_told(&answer.unwrap_err(), &key, holds);
            }
        }
        assert_eq!(memory.entry(&key).await.unwrap(), before, "{kind}");
    }
}

/// Where nothing is stored yet, the rule says what the key would hold, and nothing is created.
pub async fn a_handle_of_another_kind_than_the_rule_creates_nothing(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for (kind, _, about, _) in TAKEN {
        let key = format!("{kind}/none");
        for handle in Handle::ALL.into_iter().filter(|handle| !handle.is_for(kind)) {
            for answer in handle.writes(&memory, &key).await {
                assert_told(&answer.unwrap_err(), &key, about);
            }
        }
        assert_eq!(memory.entry(&key).await.unwrap(), None, "{kind}");
    }
}

/// A put of what the kind does not take says what the key holds, and changes nothing.
pub async fn a_put_of_another_type_is_told_what_the_key_holds(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for (kind, value, about, refused) in TAKEN {
        let key = format!("{kind}/k");
        put_text(&memory, &key, value).await.unwrap();
        let before = memory.entry(&key).await.unwrap();
        for wrong in refused {
            assert_told(&put_text(&memory, &key, wrong).await.unwrap_err(), &key, about);
        }
        if !refused.is_empty() {
            let bytes = memory.put_value(&key, Value::bytes(vec![1]), PutOptions::new()).await;
            assert_told(&bytes.unwrap_err(), &key, about);
        }
        assert_eq!(memory.entry(&key).await.unwrap(), before, "{kind}");
    }
}

async fn write_field(map: &MapHandle, name: &str, kind: &str) -> Result<()> {
    let field = map.field(name);
    let written = match kind {
        "plain" => field.put(&1).await,
        "counter" => field.add(1).await,
        "set" => field.insert(&1).await,
        _ => field.switch(true).await,
    };
    written.map(drop)
}

/// The error says what the field holds, and of a put of several fields none is written.
pub async fn a_write_to_a_field_of_another_kind_is_told_what_it_holds(subject: &dyn Subject) {
    const KINDS: [&str; 4] = ["plain", "counter", "set", "flag"];
    let memory = memory_of_kinds(subject).await;
    let map = memory.map("map/m").unwrap();
    for kind in KINDS {
        write_field(&map, kind, kind).await.unwrap();
    }
    let before = memory.entry("map/m").await.unwrap();
    for (held, kind) in KINDS.iter().flat_map(|held| KINDS.map(|kind| (*held, kind))) {
        if held != kind {
            let error = write_field(&map, held, kind).await.unwrap_err();
            assert_told(&error, "map/m", &format!("the field \"{held}\" holds a {held}"));
        }
    }
    let put = memory.put("map/m", &json!({"another": 1, "set": [1]})).await;
    assert_told(&put.unwrap_err(), "map/m", "the field \"set\" holds a set");
    assert_eq!(map.field("").put(&1).await.unwrap_err().kind(), ErrorKind::Invalid, "it has no name");
    assert_eq!(memory.entry("map/m").await.unwrap(), before);
}
