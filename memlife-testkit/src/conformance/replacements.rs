//! States that the engine computed from the version it read.

use crate::draft::{Draft, delete, json_body, put, replace};
use crate::{Session, Subject};
use memlife_core::record::{Kind, ReclaimClass};
use memlife_core::store::{Cause, Change, Guard};

fn custom() -> Kind {
    Kind::Custom("median".into())
}

/// A replacement under the version that was read puts the state and takes a new version.
pub async fn a_replacement_puts_the_state(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    let body = json_body("[1,2]");
    let second = s.apply(replace("a", custom(), Some(body.clone())).if_version(first.version)).await;
    assert!(second.version > first.version);
    let record = s.record("a").await.unwrap();
    assert_eq!((record.head.kind, record.body), (custom(), Some(body)));
}

/// A replacement is refused once somebody else wrote.
pub async fn a_replacement_is_refused_after_another_write(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    s.apply(put("a", "2")).await;
    s.refused(replace("a", Kind::Lww, Some(json_body("3"))).if_version(first.version)).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// A replacement by nothing deletes.
pub async fn a_replacement_by_nothing_deletes(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    s.apply(replace("a", Kind::Lww, None).if_version(first.version)).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!((head.alive, head.class), (false, ReclaimClass::Tombstone));
    assert_eq!(s.removed(Cause::Deleted).await, 1);
}

/// A replacement by nothing where nothing is visible leaves a tombstone that will go.
pub async fn a_tombstone_without_an_entry_will_go(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(replace("a", Kind::Lww, None).guard(Guard::Absent)).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!(head.class, ReclaimClass::Tombstone);
    assert_eq!(s.due_keys(ReclaimClass::Tombstone, head.keep_until).await, ["a"]);
    assert_eq!(s.removed(Cause::Deleted).await, 0);
}

/// An operation on a kind that the store does not know is left to the engine, with what is there.
pub async fn a_programs_own_kind_is_left_to_the_engine(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    assert_eq!(s.not_native(put("a", "1").kind(custom())).await, None);
    assert_eq!(s.record("a").await, None);
    s.apply(replace("a", custom(), Some(json_body("1"))).if_absent()).await;
    let current = s.not_native(put("a", "2").kind(custom())).await.unwrap();
    assert_eq!(Some(*current), s.record("a").await);
    s.not_native(delete("a")).await;
}

/// A replacement that brings a stamp keeps it; one without mints its own.
pub async fn a_replacement_may_keep_the_stamp(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    s.pass(1_000);
    let kept = Change::Replace {
        kind: Kind::Lww,
        body: Some(json_body("1")),
        siblings: 1,
        stamp: Some(first.stamp),
    };
    let second = s.apply(Draft::new("a", kept).if_version(first.version)).await;
    assert_eq!(second.stamp, first.stamp);
    assert!(second.version > first.version);
    let third = s.apply(replace("a", Kind::Lww, Some(json_body("1")))).await;
    assert_eq!(third.stamp.at(), s.now());
}
