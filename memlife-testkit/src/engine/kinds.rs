//! The typed handles, and what a plain put means under each kind.

use super::Bench;
use super::mismatches::{TAKEN, assert_told};
use crate::Subject;
use memlife_core::{ErrorKind, Memory};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// `KIND/*` is of that kind, for an hour.
fn policy() -> String {
    let rules = TAKEN
        .map(|(kind, ..)| format!("  - {{namespace: '{kind}/*', ttl: 1h, conflict_strategy: {kind}}}\n"));
    format!("namespaces:\n{}", rules.concat())
}

/// A memory in which `KIND/*` is of that kind.
pub(super) async fn memory_of_kinds(subject: &dyn Subject) -> Memory {
    Bench::open(subject).await.under(&policy()).await
}

async fn shown(memory: &Memory, key: &str) -> Option<Json> {
    memory.get(key).await.unwrap()
}

/// Only a delete or an update lowers it.
pub async fn a_growing_counter_refuses_to_go_down(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    let counter = memory.counter("g_counter/n").unwrap();
    assert_eq!(counter.get().await.unwrap(), None);
    assert_eq!(counter.add(5).await.unwrap(), 5);
    memory.put("g_counter/n", &3).await.unwrap();
    assert_told(&counter.add(-1).await.unwrap_err(), "g_counter/n", "a counter that only goes up");
    assert_eq!(counter.get().await.unwrap(), Some(8));
    memory.update("g_counter/n", |there: Option<i64>| there.map(|n| n - 6)).await.unwrap();
    assert_eq!(counter.add(0).await.unwrap(), 2);
    assert!(memory.delete("g_counter/n").await.unwrap());
    assert_eq!(counter.get().await.unwrap(), None);
    assert_eq!(counter.add(1).await.unwrap(), 1);
}

/// A put adds its elements, an update replaces all, and a set without elements is none, unless it remembers removals.
pub async fn a_set_holds_each_element_once(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for (key, emptied) in [("or_set/s", None), ("rw_set/s", Some(vec![]))] {
        let set = memory.set(key).unwrap();
        let members = async || set.members::<Json>().await.unwrap();
        assert_eq!(members().await, None);
        set.insert("b").await.unwrap();
        set.insert_all(["a", "b", "c"]).await.unwrap();
        set.insert_all([json!(1.0), json!({"y": 1, "x": [2]})]).await.unwrap();
        memory.put(key, &json!([1.0, {"x": [2], "y": 1}, "d"])).await.unwrap();
        let all = [json!("a"), json!("b"), json!("c"), json!("d"), json!(1), json!({"x": [2], "y": 1})];
        assert_eq!(members().await.unwrap(), all, "{key}");
        assert!(set.contains(&1).await.unwrap() && !set.contains("e").await.unwrap());
        set.remove("d").await.unwrap();
        set.remove("never there").await.unwrap();
        set.remove_all(["a", "b"]).await.unwrap();
        assert_eq!(members().await.unwrap(), all[2..3].iter().chain(&all[4..]).cloned().collect::<Vec<_>>());
        memory.update(key, |_: Option<Vec<Json>>| Some(vec![json!(7)])).await.unwrap();
        assert_eq!(members().await.unwrap(), [json!(7)]);
        set.remove(&7).await.unwrap();
        assert_eq!(members().await, emptied, "{key}");
        memory.put(key, &[8]).await.unwrap();
        assert!(memory.delete(key).await.unwrap());
        assert_eq!(members().await, None, "{key}");
    }
}

/// Off is a position, and none is another; a put says one as a write through the handle does.
pub async fn a_flag_is_on_off_or_never_set(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for key in ["flag_ew/f", "flag_dw/f"] {
        let flag = memory.flag(key).unwrap();
        assert_eq!(flag.get().await.unwrap(), None);
        for is_on in [false, true, true, false] {
            flag.set(is_on).await.unwrap();
            assert_eq!(flag.get().await.unwrap(), Some(is_on), "{key}");
        }
        memory.put(key, &true).await.unwrap();
        assert_eq!(flag.get().await.unwrap(), Some(true), "{key}");
        memory.update(key, |there: Option<bool>| there.map(|is_on| !is_on)).await.unwrap();
        assert_eq!(shown(&memory, key).await, Some(json!(false)), "{key}");
        assert!(memory.delete(key).await.unwrap());
        assert_eq!(flag.get().await.unwrap(), None, "{key}");
    }
}

/// A put that does not beat what is there changes nothing; an update sets, and a delete starts anew.
pub async fn extremes_keep_the_best_number(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    for (key, sign) in [("max/n", 1.0), ("min/n", -1.0)] {
        for (offer, best) in [(5.0, 5.0), (4.5, 5.0), (-7.0, 5.0), (5.5, 5.5), (1e19, 1e19), (6.0, 1e19)] {
            memory.put(key, &(sign * offer)).await.unwrap();
            assert_eq!(memory.get::<f64>(key).await.unwrap(), Some(sign * best), "{key}");
        }
        memory.update(key, |_: Option<f64>| Some(sign * 2.0)).await.unwrap();
        assert_eq!(
            memory.get::<i64>(key).await.unwrap(),
            Some(sign as i64 * 2),
            "a whole number is an integer"
        );
        assert!(memory.delete(key).await.unwrap());
        assert_eq!(shown(&memory, key).await, None);
        memory.put(key, &(sign as i64 * -9)).await.unwrap();
        assert_eq!(memory.get::<i64>(key).await.unwrap(), Some(sign as i64 * -9), "{key}");
    }
}

/// The first write of a field decides what it holds, until it is removed.
pub async fn a_map_holds_fields_of_several_kinds(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    let map = memory.map("map/m").unwrap();
    let fields = async || map.fields::<Json>().await.unwrap().map(|fields| json!(fields));
    assert_eq!(fields().await, None);
    map.field("owner").put("ann").await.unwrap();
    map.field("tries").add(2).await.unwrap();
    map.field("tries").add(-5).await.unwrap();
    map.field("tags").insert("a").await.unwrap();
    map.field("tags").insert("b").await.unwrap();
    map.field("tags").take("a").await.unwrap();
    map.field("open").switch(true).await.unwrap();
    map.field("open").switch(false).await.unwrap();
    assert_eq!(fields().await.unwrap(), json!({"open": false, "owner": "ann", "tags": ["b"], "tries": -3}));
    assert_eq!(map.field("tries").get::<i64>().await.unwrap(), Some(-3));
    assert_eq!(map.field("none").get::<i64>().await.unwrap(), None);

    map.field("tries").remove().await.unwrap();
    map.field("tries").put("many").await.unwrap();
    map.field("tags").remove().await.unwrap();
    assert_eq!(fields().await.unwrap(), json!({"open": false, "owner": "ann", "tries": "many"}));
    for name in ["open", "owner", "tries"] {
        map.field(name).remove().await.unwrap();
    }
    assert_eq!(fields().await, None, "a map without fields is none");
}

/// A put adds and replaces plain fields, an update replaces all, and a delete takes all.
pub async fn a_put_to_a_map_merges_its_fields(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    memory.put("map/m", &json!({"a": 1, "b": {"deep": [1.0]}})).await.unwrap();
    memory.put("map/m", &json!({"b": null, "c": 3})).await.unwrap();
    assert_eq!(shown(&memory, "map/m").await, Some(json!({"a": 1, "b": null, "c": 3})));
    memory
        .update("map/m", |_: Option<BTreeMap<String, Json>>| Some([("d".into(), json!(4))].into()))
        .await
        .unwrap();
    assert_eq!(shown(&memory, "map/m").await, Some(json!({"d": 4})));
    assert!(memory.delete("map/m").await.unwrap());
    assert_eq!(shown(&memory, "map/m").await, None);
}

/// Fields that an update leaves as they are keep their kinds, and what it changes is plain.
pub async fn an_update_of_a_map_keeps_the_fields_it_keeps(subject: &dyn Subject) {
    let memory = memory_of_kinds(subject).await;
    let map = memory.map("map/m").unwrap();
    map.field("tries").add(2).await.unwrap();
    map.field("tags").insert("a").await.unwrap();
    map.field("sum").add(1).await.unwrap();
    map.field("gone").put(&1).await.unwrap();
    let change = |fields: Option<BTreeMap<String, Json>>| {
        let mut fields = fields.unwrap();
        fields.insert("sum".into(), json!("none"));
        fields.remove("gone");
        Some(fields)
    };
    memory.update("map/m", change).await.unwrap();
    let expected = json!({"sum": "none", "tags": ["a"], "tries": 2});
    assert_eq!(shown(&memory, "map/m").await, Some(expected));
    map.field("tries").add(3).await.unwrap();
    map.field("tags").insert("b").await.unwrap();
    assert_eq!(map.field("sum").add(1).await.unwrap_err().kind(), ErrorKind::TypeMismatch);
    let expected = json!({"sum": "none", "tags": ["a", "b"], "tries": 5});
    assert_eq!(shown(&memory, "map/m").await, Some(expected));
}

/// Many tasks on two memories: every element and every field is there.
pub async fn concurrent_insertions_and_fields_all_stay(subject: &dyn Subject) {
    let memories = [memory_of_kinds(subject).await, memory_of_kinds(subject).await];
    let tasks: Vec<_> = (0..16_u32)
        .map(|task| {
            let memory = memories[task as usize % 2].clone();
            tokio::spawn(async move {
                for n in 0..10_u32 {
                    memory.set("or_set/s").unwrap().insert(&(task * 10 + n)).await.unwrap();
                    memory.map("map/m").unwrap().field("sum").add(1).await.unwrap();
                }
                memory.map("map/m").unwrap().field(format!("of {task}")).put(&task).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let members: Vec<u32> = memories[0].set("or_set/s").unwrap().members().await.unwrap().unwrap();
    assert_eq!(members.len(), 160);
    let fields: BTreeMap<String, u32> = memories[0].map("map/m").unwrap().fields().await.unwrap().unwrap();
    assert_eq!((fields.len(), fields["sum"], fields["of 7"]), (17, 160, 7));
}
