//! What two concurrent changes come to: one behaviour for each pair of changes, run for each family of kinds.
//!
//! The store beside another one in memory; both hold what was written before, neither sees the other's change, and
//! then each imports what the other exports with its state. Later writes bring lesser numbers where that tells the
//! newest from the greatest.

mod family;
mod single;
mod two;

pub use family::Family;
pub use single::*;

use crate::Subject;
use two::{Shown, Two};

const NOTHING: Shown = (Vec::new(), None);

/// The newer, both, their sum, their union, or each in its field.
pub async fn write_and_write(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.write(&two.here, 3).await;
    two.write(&two.there, 2).await;
    assert_eq!(two.outcome().await.0, family.shown(&[3, 2], &[1, 3, 2]));
}

/// The write alone: of what it had seen, nothing is left.
pub async fn write_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.delete(&two.here).await;
    two.write(&two.there, 2).await;
    assert_eq!(two.outcome().await.0, family.shown(&[2], &[2]));
}

/// Nothing of a register, whose newest change wins; the write alone of all others.
pub async fn write_and_newer_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.write(&two.there, 4).await;
    two.pass("1s");
    two.delete(&two.here).await;
    let (shown, _) = two.outcome().await;
    match family {
        Family::Register => assert_eq!(shown, NOTHING.0),
        _ => assert_eq!(shown, family.shown(&[4], &[4])),
    }
}

/// What was there goes once, and does not count against what is written then.
pub async fn delete_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.delete(&two.here).await;
    two.delete(&two.there).await;
    assert_eq!(two.outcome().await, NOTHING);
    two.write(&two.there, 4).await;
    assert_eq!(two.outcome().await.0, family.shown(&[4], &[4]));
}

/// The write counts: expiry is no change, and a life that goes on takes along what was there.
pub async fn write_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.write(&two.there, 2).await;
    two.pass("31m");
    two.sweep(&two.here).await;
    assert_eq!(two.outcome().await, (family.shown(&[2], &[1, 2]), Some(90)));
}

/// The refresh: whoever asked for it saw the entry alive.
pub async fn refresh_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.refresh(&two.there).await;
    two.pass("11m");
    two.sweep(&two.here).await;
    assert_eq!(two.outcome().await, (family.shown(&[1], &[1]), Some(110)));
}

/// The longer.
pub async fn refresh_and_refresh(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.refresh(&two.here).await;
    two.pass("20m");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await, (family.shown(&[1], &[1]), Some(110)));
}

/// The longer of both where a write renews; the life of the write where it starts one.
pub async fn refresh_and_write(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.write(&two.here, 2).await;
    two.pass("20m");
    two.refresh(&two.there).await;
    let end = if family.accumulates() { 110 } else { 90 };
    assert_eq!(two.outcome().await, (family.shown(&[2], &[1, 2]), Some(end)));
}

/// As two writes, with the life of the later.
pub async fn creation_and_creation(subject: &dyn Subject, family: Family) {
    let two = Two::empty(subject, family).await;
    two.write(&two.here, 3).await;
    two.pass("10m");
    two.write(&two.there, 2).await;
    assert_eq!(two.outcome().await, (family.shown(&[3, 2], &[3, 2]), Some(70)));
}

/// The delete, or none would stick.
pub async fn refresh_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.delete(&two.here).await;
    two.pass("1s");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await, NOTHING);
}

/// What was written anew: what was there before is gone, though it was refreshed elsewhere.
pub async fn refresh_and_rewriting_after_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.refresh(&two.there).await;
    two.pass("11m");
    two.write(&two.here, 0).await;
    assert_eq!(two.outcome().await, (family.shown(&[0], &[0]), Some(121)));
}

/// As two writes: what was there before is gone, and what the rewriter had not seen is not.
pub async fn write_and_rewriting_after_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.write(&two.there, 8).await;
    two.pass("11m");
    two.write(&two.here, 5).await;
    assert_eq!(two.outcome().await, (family.shown(&[8, 5], &[8, 5]), Some(121)));
}

/// The TTL that was named: who names one means it.
pub async fn set_ttl_and_refresh(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.touch(&two.here, "70m").await;
    two.pass("50m");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await, (family.shown(&[1], &[1]), Some(70)));
}

/// The newer.
pub async fn set_ttl_and_set_ttl(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.touch(&two.here, "3h").await;
    two.touch(&two.there, "2h").await;
    assert_eq!(two.outcome().await, (family.shown(&[1], &[1]), Some(120)));
}

/// Nothing, either way.
pub async fn delete_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.delete(&two.here).await;
    two.pass("31m");
    two.sweep(&two.there).await;
    assert_eq!(two.outcome().await, NOTHING);
}
