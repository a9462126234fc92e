//! Writes that are submitted together.

use crate::draft::{add, delete, erase, put, touch, ttl};
use crate::model::word;
use crate::{Session, Subject};
use memlife_core::ErrorKind;
use memlife_core::store::{Batch, Cause, Durability, Expiry, Outcome, Retouch};

/// There is one outcome per write, in order.
pub async fn outcomes_come_in_order(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("there", "1")).await;
    let writes = vec![
        put("new", "1").build(),
        put("there", "2").if_absent().build(),
        delete("nothing").build(),
        add("there", 1).build(),
        put("custom", "1").kind(memlife_core::record::Kind::Custom("own".into())).build(),
        delete("there").build(),
    ];
    let words: Vec<_> = s.batch(writes).await.iter().map(word).collect();
    assert_eq!(words, ["applied", "refused", "unchanged", "TypeMismatch", "not native", "applied"]);
}

/// Later writes see earlier ones of the same batch.
pub async fn later_writes_see_earlier_ones(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let writes = vec![
        put("a", "1").if_absent().build(),
        put("a", "2").if_absent().build(),
        put("a", "3").if_visible().build(),
        touch("a", Retouch::Set(Expiry::After(ttl(1_000)))).build(),
        delete("a").build(),
        put("a", "4").if_absent().build(),
        erase("a", Cause::Purged).build(),
        put("a", "5").if_visible().build(),
    ];
    let words: Vec<_> = s.batch(writes).await.iter().map(word).collect();
    let expected = ["applied", "refused", "applied", "applied", "applied", "applied", "applied", "refused"];
    assert_eq!(words, expected);
    assert_eq!(s.record("a").await, None);
}

/// Additions to one counter in one batch add up.
pub async fn additions_in_one_batch_add_up(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.batch((1..=100).map(|n| add("n", n).build()).collect()).await;
    assert_eq!(s.values("n").await, ["5050"]);
}

/// A write that fails fails alone, wherever it stands.
pub async fn a_failing_write_fails_alone(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for place in 0..4 {
        let mut writes: Vec<_> = (0..3).map(|i| put(&format!("p{place}/{i}"), "1").build()).collect();
        s.apply(put("text", "\"text\"")).await;
        writes.insert(place, add("text", 1).build());
        let outcomes = s.batch(writes).await;
        for (i, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Err(error) => assert_eq!((i, error.kind()), (place, ErrorKind::TypeMismatch)),
                Ok(outcome) => assert!(matches!(outcome, Outcome::Applied { .. }) && i != place),
            }
        }
        assert_eq!(s.keys(&format!("p{place}")).await.len(), 3);
    }
}

/// An error names the key it concerns.
pub async fn an_error_names_its_key(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("text", "\"text\"")).await;
    let error = s.try_write(add("text", 1)).await.unwrap_err();
    assert_eq!(error.key().map(|key| key.as_str()), Some("text"));
}

/// An empty batch is fine and does nothing.
pub async fn an_empty_batch_does_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let cursor = s.head_cursor().await;
    assert!(s.batch(Vec::new()).await.is_empty());
    assert_eq!(s.head_cursor().await, cursor);
}

/// The `seq`s of a batch are dense: what failed or changed nothing took none.
pub async fn a_batch_leaves_no_holes(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("text", "\"text\"")).await;
    let writes = vec![
        put("a", "1").build(),
        add("text", 1).build(),
        delete("nothing").build(),
        put("a", "2").if_absent().build(),
        put("b", "1").build(),
    ];
    let outcomes = s.batch(writes).await;
    let version = |outcome: &memlife_core::Result<Outcome>| match outcome {
        Ok(Outcome::Applied { version, .. }) => *version,
        other => panic!("{other:?}"),
    };
    assert_eq!(version(&outcomes[4]), version(&outcomes[0]) + 1);
}

/// A thousand writes in one batch.
pub async fn a_thousand_writes(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let outcomes = s.batch((0..1_000).map(|i| put(&format!("k/{i:03}"), "1").build()).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Applied { .. }))));
    assert_eq!(s.keys("k").await.len(), 1_000);
}

/// A level of durability that the store cannot give is refused, and nothing is done.
pub async fn too_high_a_durability_is_refused(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let durability = Durability::Replicated(u8::MAX);
    if s.store().info().max_durability >= durability {
        return;
    }
    let batch = Batch { now: s.now(), durability, token: None, writes: vec![put("a", "1").build()] };
    assert_eq!(s.store().apply(&batch).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(s.record("a").await, None);
}

/// The highest level that the store offers is given.
pub async fn the_highest_durability_is_given(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let durability = s.store().info().max_durability;
    let batch = Batch { now: s.now(), durability, token: None, writes: vec![put("a", "1").build()] };
    assert_eq!(word(&s.store().apply(&batch).await.unwrap()[0]), "applied");
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// Many tasks that submit at once are all served, each with its own outcomes.
pub async fn concurrent_batches_keep_their_outcomes(subject: &dyn Subject) {
    let session = std::sync::Arc::new(Session::open(subject).await);
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let session = session.clone();
            tokio::spawn(async move {
                let key = format!("t/{task:02}");
                let writes = vec![
                    put(&key, "1").if_absent().build(),
                    put(&key, "2").if_absent().build(),
                    put("claim", "1").if_absent().build(),
                ];
                let words: Vec<_> = session.batch(writes).await.iter().map(word).collect();
                assert_eq!(words[..2], ["applied", "refused"]);
                words[2] == "applied"
            })
        })
        .collect();
    let mut claims = 0;
    for task in tasks {
        claims += usize::from(task.await.unwrap());
    }
    assert_eq!(claims, 1, "one of 32 takes the claim");
    assert_eq!(session.keys("t").await.len(), 32);
}
