//! export and import.
#![cfg(feature = "sqlite")]

mod support;

use serde_json::{Value, json};
use support::Place;

const COUNTERS: &str = "namespaces: [{namespace: 'count/*', conflict_strategy: counter}]";

#[test]
fn what_is_exported_can_be_imported() {
    let (from, to) = (Place::new(), Place::new());
    from.done(&["put", "a/json", "{\n\"x\": [1, 2]\n}"]);
    from.done(&["put", "a/until", "1", "--expires-at", "2100-01-01T00:00:00Z"]);
    from.run_with(&["put", "a/bytes", "-", "--bytes"], [255, 0]);
    from.done(&["--as", "ann", "put", "swarm/shared/d", "A"]);
    from.done(&["--as", "bob", "put", "swarm/shared/d", "B"]);
    let exported = from.done(&["export"]);
    assert_eq!(exported.lines().count(), 4);
    let ran = to.run_with(&["--output", "json", "import"], &exported);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.lines()[0]["imported"], 4);
    let parse =
        |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let permanent = |lines: Vec<Value>| {
        // The rule of `swarm/shared` counts from the import.
        lines.into_iter().filter(|line| line["key"] != "swarm/shared/d").collect::<Vec<_>>()
    };
    assert_eq!(permanent(parse(&to.done(&["export"]))), permanent(parse(&exported)));
    let siblings = to.run(&["--output", "json", "conflicts", "swarm/shared/d"]).lines();
    let writers: Vec<_> = siblings.iter().map(|one| one["writer"].clone()).collect();
    assert_eq!(writers, ["bob", "ann"]);
    assert_eq!(to.run_with(&["--output", "json", "import"], &exported).lines()[0]["unchanged"], 4);
}

#[test]
fn a_copy_brings_everything_to_another_store() {
    let place = Place::new();
    place.write(".memlife/policies.yaml", COUNTERS);
    place.done(&["put", "a/1", "1"]);
    place.done(&["counter", "add", "count/k", "3"]);
    place.done(&["put", "a/gone", "1"]);
    place.done(&["delete", "a/gone"]);
    let (from, to) = ("sqlite:.memlife/store.db", "fs:copied");
    for joined in [3, 0] {
        let report = place.run(&["--output", "json", "copy", from, to]).lines().remove(0);
        assert_eq!(
            (&report["sent"], &report["joined"], &report["refused"]),
            (&3.into(), &joined.into(), &0.into())
        );
    }
    assert_eq!(place.done(&["--store", to, "export"]), place.done(&["export"]));
    place.run(&["copy", from, from]).fails(2, "one store");
    place.run(&["copy", from, "nowhere:x"]).fails(2, "nowhere");
    place.run(&["copy", "sqlite:typo.db", "fs:other"]).fails(2, "no store at sqlite:typo.db");
    assert!(!place.path().join("typo.db").exists() && !place.path().join("other").exists());
}

#[test]
fn two_stores_that_sync_come_to_the_same() {
    let place = Place::new();
    let other = "fs:team";
    place.write(".memlife/policies.yaml", COUNTERS);
    place.done(&["counter", "add", "count/k", "3"]);
    place.done(&["--store", other, "put", "b/1", "1"]);
    let report = place.run(&["--output", "json", "sync", other]).lines().remove(0);
    assert_eq!((&report["received"]["joined"], &report["sent"]["joined"]), (&1.into(), &1.into()));
    place.done(&["counter", "add", "count/k", "4"]);
    place.done(&["--store", other, "counter", "add", "count/k", "5"]);
    place.done(&["delete", "b/1"]);
    place.done(&["sync", other]);
    for store in [&[][..], &["--store", other]] {
        let get = [store, &["get", "count/k"]].concat();
        assert_eq!(place.done(&get).trim(), "12");
        assert_eq!(place.run(&[store, &["get", "b/1"]].concat()).code, 1);
    }
    let quiet = place.run(&["--output", "json", "sync", other]).lines().remove(0);
    assert_eq!((&quiet["received"]["sent"], &quiet["sent"]["sent"]), (&0.into(), &0.into()));
}

#[test]
fn a_pattern_chooses() {
    let place = Place::new();
    place.done(&["put", "a/1", "1"]);
    place.done(&["put", "b/1", "1"]);
    assert_eq!(place.done(&["export", "a"]), "{\"key\":\"a/1\",\"value\":1}\n");
    assert_eq!(place.done(&["export", "nothing"]), "");
    place.run(&["export", "a//b"]).fails(2, "a//b");
}

#[test]
fn bad_lines_are_refused_by_number_and_the_others_stored() {
    let place = Place::new();
    let lines = [
        r#"{"key":"a","value":1}"#,
        "not json",
        "",
        r#"{"key":"a//b","value":1}"#,
        r#"{"key":"b"}"#,
        r#"{"key":"c","value":"?","encoding":"base64"}"#,
        r#"{"key":"d","value":1,"unknown":2}"#,
        r#"{"key":"e","value":1,"expires_at":"2001-01-01T00:00:00Z"}"#,
        r#"{"key":"z","value":2}"#,
    ];
    let file = place.write("lines.jsonl", lines.join("\n"));
    let ran = place.run(&["--output", "json", "import", file.to_str().unwrap()]);
    ran.fails(2, "line 2 was refused");
    let report = &ran.lines()[0];
    let numbers: Vec<_> =
        report["rejections"].as_array().unwrap().iter().map(|one| one["line"].clone()).collect();
    assert_eq!(numbers, [json!(2), json!(4), json!(5), json!(6), json!(7)]);
    assert_eq!(
        (&report["imported"], &report["expired"], &report["rejected"]),
        (&json!(2), &json!(1), &json!(5))
    );
    assert_eq!(place.done(&["list", "--keys"]), "a\nz\n");
}

#[test]
fn long_lines_and_what_is_no_text_are_refused() {
    let place = Place::new();
    let mut input = b"{\"key\":\"a\",\"value\":1}\n\"".to_vec();
    input.extend(vec![b'x'; 200 << 10]);
    input.extend(b"\"\n\xff\xfe\n{\"key\":\"b\",\"value\":1}\n");
    let ran = place.run_with(&["--max-value-bytes", "100", "import"], &input);
    ran.fails(2, "line 2 was refused: it is longer than");
    ran.fails(2, "line 3 was refused: it is not valid UTF-8");
    assert_eq!(place.done(&["list", "--keys"]), "a\nb\n");
    place.run(&["import", "no-such-file"]).fails(2, "no-such-file");
}

#[test]
fn what_is_no_export_at_all_is_given_up() {
    let place = Place::new();
    let ran = place.run_with(&["import"], b"\xff\n".repeat(10_000));
    ran.fails(2, "no export");
}

#[test]
fn a_deep_value_is_a_line_like_any_other() {
    let place = Place::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let line = format!("{{\"key\":\"a\",\"value\":{deep}}}\n{{\"key\":\"b\",\"value\":1}}\n");
    let ran = place.run_with(&["import"], &line);
    assert!(ran.code == 0 || ran.code == 2, "{ran:?}");
    assert!(place.done(&["list", "--keys"]).ends_with("b\n"));
}

#[test]
fn a_counter_is_not_counted_twice() {
    let place = Place::new();
    place.write(".memlife/policies.yaml", "namespaces:\n  - {namespace: c, conflict_strategy: counter}\n");
    place.done(&["counter", "add", "c", "5"]);
    let exported = place.done(&["export"]);
    place.run_with(&["import"], exported).fails(2, "counter");
    assert_eq!(place.done(&["counter", "get", "c"]), "5\n");
}

#[test]
fn exports_with_their_state_merge_in_any_order_with_the_same_result() {
    let policy = "namespaces:\n  - {namespace: c, conflict_strategy: counter}\n  - {namespace: s, conflict_strategy: or_set}\n  \
                  - {namespace: f, conflict_strategy: flag_dw}\n  - {namespace: m, conflict_strategy: multi_value}\n";
    let place = || {
        let place = Place::new();
        place.write(".memlife/policies.yaml", policy);
        place
    };
    let (one, two) = (place(), place());
    one.done(&["counter", "add", "c", "5"]);
    one.done(&["set", "add", "s", "ann", "bob"]);
    one.done(&["flag", "on", "f"]);
    // From here on both have seen this, and go on apart.
    assert_eq!(two.run_with(&["import"], one.done(&["export", "--state"])).code, 0);
    one.done(&["counter", "add", "c", "2"]);
    two.done(&["counter", "add", "c", "-4"]);
    one.done(&["set", "remove", "s", "bob"]);
    two.done(&["set", "add", "s", "bob", "cid"]);
    one.done(&["flag", "on", "f"]);
    two.done(&["flag", "off", "f"]);
    one.done(&["--as", "ann", "put", "m", "here"]);
    two.done(&["--as", "bob", "put", "m", "there"]);
    one.done(&["put", "plain", "older"]);
    two.done(&["put", "plain", "newer"]);
    let exports = [one.done(&["export", "--state"]), two.done(&["export", "--state"])];
    let merged = |order: &[usize]| {
        let place = place();
        for number in order {
            assert_eq!(place.run_with(&["import"], &exports[*number]).code, 0);
        }
        let shown = ["c", "s", "f", "m", "plain"].map(|key| place.json(&["get", key]));
        assert_eq!(
            shown,
            [json!(3), json!(["ann", "bob", "cid"]), json!(false), json!("there"), json!("newer")]
        );
        // The version is each store's own.
        let metas = ["c", "s", "f", "m", "plain"].map(|key| {
            let mut meta = place.json(&["get", key, "--meta"]);
            assert!(meta.as_object_mut().unwrap().remove("version").is_some(), "{meta}");
            meta
        });
        (place.done(&["export"]), metas)
    };
    let first = merged(&[0, 1]);
    for order in [&[1, 0][..], &[0, 1, 0, 1], &[1, 1, 0]] {
        assert_eq!(merged(order), first, "{order:?}");
    }
}

#[test]
fn what_loses_its_key_to_another_kind_is_shown_and_taken_back() {
    let (here, there) = (Place::new(), Place::new());
    here.write(".memlife/policies.yaml", "namespaces:\n  - {namespace: c, conflict_strategy: counter}\n");
    there.done(&["put", "c", "a plan"]);
    assert_eq!(there.run(&["conflicts", "lost"]).code, 1);
    // Deciding about a kind that was another makes the decision the later one.
    here.done(&["--policies", "/dev/null", "put", "c", "1"]);
    here.done(&["policy", "apply"]);
    assert_eq!(there.run_with(&["import"], here.done(&["export", "--state"])).code, 0);
    assert_eq!(there.done(&["counter", "get", "c"]), "1\n");
    let shown = there.done(&["conflicts", "lost"]);
    assert_eq!(shown, "c\tlww\tlost to another kind\ta plan\n");
    let lost = there.json(&["conflicts", "lost"]);
    assert_eq!((&lost["why"], &lost["entry"]["value"]), (&json!("type_conflict"), &json!("a plan")));
    let third = Place::new();
    assert_eq!(third.run_with(&["import"], lost["entry"].to_string()).code, 0);
    assert_eq!(third.done(&["get", "c"]), "a plan\n");
    there.done(&["conflicts", "lost", "--clear"]);
    assert_eq!(there.run(&["conflicts", "lost"]).code, 1);
}

#[test]
fn values_that_two_stores_pack_differently_are_no_difference() {
    let (here, there) = (Place::new(), Place::new());
    here.write(".memlife/policies.yaml", "namespaces: [{namespace: 'session/**', ttl: 24h}]");
    let import = |notes: &str, keys: std::ops::Range<u32>| {
        let line = |i: u32| {
            let value = json!({"task": i * 7_919, "status": "running", "notes": notes});
            json!({"key": format!("session/{i}"), "value": value}).to_string() + "\n"
        };
        assert_eq!(here.run_with(&["import"], keys.map(line).collect::<String>()).code, 0);
    };
    let train = || {
        let training = here.json(&["policy", "train", "--rule", "session/**"])[0].clone();
        assert_eq!(training["result"], "gain", "{training}");
    };
    let early = "waits for the merge of the other branch and then runs the whole suite again";
    import(early, 0..200);
    train();
    import(early, 200..300);
    import("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, bis es Nacht wird", 300..1_500);
    train();
    let own = "sqlite:.memlife/store.db";
    let other = format!("sqlite:{}", there.path().join("other.db").display());
    // Each a process of its own, which knows at first no dictionary, or the one in use alone: here it meets the other
    // when values are read, and on the way back where the store itself compares the two.
    for (from, to, joined) in [(own, &*other, 1_500), (&*other, own, 0), (own, &*other, 0), (&*other, own, 0)]
    {
        let report = here.json(&["copy", from, to]);
        assert_eq!((&report["joined"], &report["refused"]), (&joined.into(), &0.into()), "{report}");
    }
    let packing =
        |store: &str| here.json(&["--store", store, "get", "session/250", "--meta"])["compression"].clone();
    assert_eq!((packing(own), packing(&other)), (json!("zstd"), json!("none")));
}
