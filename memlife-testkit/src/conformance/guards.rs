//! Preconditions are checked against what is visible in the atomic section.

use crate::draft::{delete, erase, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::store::{Cause, Expiry, Reply, Retouch};

/// `Any` holds over nothing and over something.
pub async fn any_creates_and_replaces(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(put("a", "2")).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// `Absent` holds where there is nothing.
pub async fn absent_holds_over_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").if_absent()).await;
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// `Absent` is refused while something is visible, and the refusal shows it.
pub async fn absent_is_refused_over_a_living_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    let current = s.refused(put("a", "2").if_absent().reply(Reply::Whole)).await.unwrap();
    assert_eq!(current.head.version, first.version);
    assert_eq!(Some(*current), s.record("a").await);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// `Absent` holds over an expired entry that nobody swept.
pub async fn absent_holds_over_an_expired_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1").ttl_ms(100)).await;
    s.pass(100);
    let second = s.apply(put("a", "2").if_absent()).await;
    assert!(second.version > first.version);
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// `Absent` holds over a tombstone.
pub async fn absent_holds_over_a_tombstone(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(delete("a")).await;
    s.apply(put("a", "2").if_absent()).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// Of two claims in a row the first wins; once it has expired, the next one does.
pub async fn a_claim_is_taken_once_until_it_expires(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let claim = |who: &str| put("lock", who).if_absent().ttl_ms(1_000);
    let first = s.apply(claim("\"one\"")).await;
    s.refused(claim("\"two\"")).await;
    s.pass(1_000);
    let second = s.apply(claim("\"two\"")).await;
    assert!(second.version > first.version, "a fencing token never goes back");
    s.refused(touch("lock", Retouch::Set(Expiry::After(ttl(1_000)))).if_version(first.version)).await;
}

/// `Visible` holds over a living entry.
pub async fn visible_holds_over_a_living_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(put("a", "2").if_visible()).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// `Visible` is refused where there is nothing.
pub async fn visible_is_refused_over_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    assert_eq!(s.refused(put("a", "1").if_visible().reply(Reply::Whole)).await, None);
    assert_eq!(s.record("a").await, None);
}

/// `Visible` is refused over what has expired and over what was deleted.
pub async fn visible_is_refused_over_dead_entries(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("expired", "1").ttl_ms(10)).await;
    s.apply(put("deleted", "1")).await;
    s.apply(delete("deleted")).await;
    s.pass(10);
    s.refused(put("expired", "2").if_visible()).await;
    s.refused(put("deleted", "2").if_visible()).await;
    assert_eq!(s.value("expired").await, None);
    assert_eq!(s.value("deleted").await, None);
}

/// `Version` holds for the version that was read.
pub async fn version_holds_for_the_present_content(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    let second = s.apply(put("a", "2").if_version(first.version)).await;
    s.apply(delete("a").if_version(second.version)).await;
    assert_eq!(s.value("a").await, None);
}

/// `Version` is refused once somebody else wrote, and shows what is there.
pub async fn version_is_refused_after_another_write(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    let second = s.apply(put("a", "2")).await;
    let current = s.refused(put("a", "3").if_version(first.version).reply(Reply::Head)).await.unwrap();
    assert_eq!((current.head.version, current.body), (second.version, None));
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// `Version` is refused over an entry that has expired, was deleted or erased, though the number is right.
pub async fn version_is_refused_over_dead_entries(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let expired = s.apply(put("expired", "1").ttl_ms(10)).await;
    let erased = s.apply(put("erased", "1")).await;
    s.apply(erase("erased", Cause::Purged)).await;
    s.apply(put("deleted", "1")).await;
    let deleted = s.apply(delete("deleted")).await;
    s.pass(10);
    s.refused(put("expired", "2").if_version(expired.version)).await;
    s.refused(put("erased", "2").if_version(erased.version)).await;
    s.refused(put("deleted", "2").if_version(deleted.version)).await;
}

/// `Version` is refused for a version that never was.
pub async fn version_is_refused_for_a_number_never_given_out(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    for version in [0, u64::MAX] {
        s.refused(put("a", "2").if_version(version)).await;
    }
}

/// `Due` is refused while the entry lives and where there is nothing, and holds from the instant on.
pub async fn due_holds_from_the_instant_on(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(100)).await;
    s.apply(put("permanent", "1")).await;
    s.pass(99);
    for key in ["a", "permanent", "nothing"] {
        s.refused(erase(key, Cause::Expired).if_due()).await;
    }
    s.pass(1);
    s.apply(erase("a", Cause::Expired).if_due()).await;
    assert_eq!(s.record("a").await, None);
}

/// A refused write leaves no trace: no record, no change, no count.
pub async fn a_refusal_changes_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let (cursor, totals, record) = (s.head_cursor().await, s.totals().await, s.record("a").await);
    s.refused(put("a", "2").if_absent()).await;
    s.refused(delete("a").if_version(u64::MAX)).await;
    s.refused(erase("a", Cause::Purged).if_due()).await;
    s.refused(put("b", "2").if_visible()).await;
    assert_eq!((s.head_cursor().await, s.totals().await, s.record("a").await), (cursor, totals, record));
}

/// The reply of a write decides how much of the record comes back.
pub async fn a_reply_shows_as_much_as_was_asked_for(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    assert_eq!(s.apply(put("a", "1")).await.record, None);
    let head = s.apply(put("a", "2").reply(Reply::Head)).await.record.unwrap();
    assert_eq!((head.head.raw_len, &head.body), (1, &None));
    let whole = s.apply(put("a", "3").reply(Reply::Whole)).await.record.unwrap();
    assert_eq!(Some(*whole), s.record("a").await);
    assert_eq!(s.refused(put("a", "4").if_absent()).await, None);
    let erased = s.apply(erase("a", Cause::Purged).reply(Reply::Whole)).await.record.unwrap();
    assert_eq!(crate::session::held(&erased), ["3"]);
}
