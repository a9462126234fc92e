//! Values that stand beside each other until somebody who has seen them resolves them.

use crate::draft::{Draft, add, assign, delete, put};
use crate::{Session, Subject};
use memlife_core::ErrorKind;
use memlife_core::record::Compression;
use memlife_core::store::Reply;

fn side(json: &str) -> Draft {
    put("m", json).multi_value()
}

/// Puts without a writer never replace each other; the newest comes first.
pub async fn unnamed_puts_stand_side_by_side(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for json in ["1", "2", "3"] {
        s.apply(side(json)).await;
        s.pass(1);
    }
    assert_eq!(s.values("m").await, ["3", "2", "1"]);
    assert_eq!(s.record("m").await.unwrap().head.siblings, 3);
}

/// The newest value comes first though all were written in one millisecond.
pub async fn the_newest_comes_first_within_one_millisecond(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for json in ["1", "3", "2"] {
        s.apply(side(json)).await;
    }
    assert_eq!(s.values("m").await, ["2", "3", "1"]);
}

/// A named writer replaces what it wrote itself, and nothing else.
pub async fn a_named_writer_replaces_its_own(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1").writer("ann")).await;
    s.apply(side("2").writer("bob")).await;
    s.apply(side("3")).await;
    s.apply(side("4").writer("ann")).await;
    assert_eq!(s.values("m").await, ["4", "3", "2"]);
}

/// An assignment replaces all that is there.
pub async fn an_assignment_replaces_all(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1")).await;
    s.apply(side("2")).await;
    s.apply(assign("m", "3").multi_value()).await;
    assert_eq!(s.values("m").await, ["3"]);
}

/// An assignment under the version that was read resolves what that version held; after another put it is
/// refused, so that no unseen value is lost.
pub async fn a_resolution_sees_all_it_replaces(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1")).await;
    let seen = s.apply(side("2")).await;
    s.apply(side("3")).await;
    let resolve = |version| assign("m", "\"both\"").multi_value().if_version(version).reply(Reply::Head);
    let current = s.refused(resolve(seen.version)).await.unwrap();
    assert_eq!(s.values("m").await, ["3", "2", "1"]);
    s.apply(resolve(current.head.version)).await;
    assert_eq!(s.values("m").await, ["\"both\""]);
}

/// Past the cap the oldest value goes, and the writer is told.
pub async fn the_cap_drops_the_oldest(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for json in ["1", "2", "3"] {
        assert_eq!(s.apply(side(json).max_siblings(3)).await.dropped, 0);
    }
    assert_eq!(s.apply(side("4").max_siblings(3)).await.dropped, 1);
    assert_eq!(s.values("m").await, ["4", "3", "2"]);
    assert_eq!(s.apply(side("5").max_siblings(1)).await.dropped, 3);
    assert_eq!(s.values("m").await, ["5"]);
}

/// A deletion removes every value; the next put stands alone.
pub async fn a_deletion_removes_every_value(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1")).await;
    s.apply(side("2")).await;
    s.apply(delete("m")).await;
    assert_eq!(s.value("m").await, None);
    assert_eq!(s.record("m").await.unwrap().head.siblings, 0);
    s.apply(side("3")).await;
    assert_eq!(s.values("m").await, ["3"]);
}

/// The expiry of the entry does not bring older values back.
pub async fn an_expiry_brings_nothing_back(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1")).await;
    s.apply(side("2").ttl_ms(10)).await;
    s.pass(10);
    assert_eq!(s.value("m").await, None);
    s.apply(side("3")).await;
    assert_eq!(s.values("m").await, ["3"]);
}

/// Values side by side cannot be added to.
pub async fn adding_is_a_type_mismatch(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(side("1")).await;
    assert_eq!(s.fails(add("m", 1)).await, ErrorKind::TypeMismatch);
    assert_eq!(s.values("m").await, ["1"]);
}

/// JSON and bytes may stand beside each other, and a compressed state comes back.
pub async fn compressed_states_come_back(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let how = Compression { threshold_bytes: 16, ..Compression::DEFAULT };
    let text = format!("\"{}\"", "sibling ".repeat(500));
    s.apply(side(&text).compression(how)).await;
    s.apply(side("2").compression(how)).await;
    assert_eq!(s.values("m").await, ["2", text.as_str()]);
    let head = s.record("m").await.unwrap().head;
    assert!(head.stored_len < head.raw_len);
}

/// An operation on a large state is decided by the store: only joins of large states are left to the engine.
pub async fn a_large_state_is_native(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let text = format!("\"{}\"", "x".repeat(100_000));
    s.apply(side("1")).await;
    s.apply(side(&text)).await;
    s.apply(side("2")).await;
    assert_eq!(s.values("m").await, ["2", text.as_str(), "1"]);
}
