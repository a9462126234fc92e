//! Pairs of changes that only some kinds know.

use super::two::Two;
use super::{Family, NOTHING};
use crate::engine::{import, states};
use crate::{START, Subject};
use memlife_core::Memory;
use memlife_core::policy::PolicyFile;
use std::sync::Arc;

/// The members after an element that both sides have is removed here and inserted there.
async fn insertion_and_removal(subject: &dyn Subject, family: Family) -> Vec<i64> {
    let two = Two::sharing(subject, family).await;
    let (here, there) = (two.here.set(family.key()).unwrap(), two.there.set(family.key()).unwrap());
    here.remove(&1).await.unwrap();
    there.insert(&1).await.unwrap();
    two.exchange().await;
    let members: Vec<i64> = here.members().await.unwrap().unwrap_or_default();
    assert_eq!(there.members::<i64>().await.unwrap().unwrap_or_default(), members);
    members
}

/// The insertion wins.
pub async fn insertion_and_removal_of_one_element(subject: &dyn Subject) {
    assert_eq!(insertion_and_removal(subject, Family::Set).await, [1]);
}

/// The removal wins.
pub async fn insertion_and_removal_where_removals_win(subject: &dyn Subject) {
    assert_eq!(insertion_and_removal(subject, Family::Denials).await, [0; 0]);
}

async fn enabling_and_disabling(subject: &dyn Subject, family: Family) -> Option<bool> {
    let two = Two::sharing(subject, family).await;
    let (here, there) = (two.here.flag(family.key()).unwrap(), two.there.flag(family.key()).unwrap());
    here.set(false).await.unwrap();
    there.set(true).await.unwrap();
    two.exchange().await;
    assert_eq!(here.get().await.unwrap(), there.get().await.unwrap());
    here.get().await.unwrap()
}

/// On.
pub async fn enabling_and_disabling_where_enabling_wins(subject: &dyn Subject) {
    assert_eq!(enabling_and_disabling(subject, Family::Enabling).await, Some(true));
}

/// Off.
pub async fn enabling_and_disabling_where_disabling_wins(subject: &dyn Subject) {
    assert_eq!(enabling_and_disabling(subject, Family::Disabling).await, Some(false));
}

/// Of the field, just what the removal had not seen.
pub async fn removal_of_a_field_and_addition_to_it(subject: &dyn Subject) {
    let two = Two::sharing(subject, Family::FieldSum).await;
    two.here.map("map/k").unwrap().field("f").remove().await.unwrap();
    two.write(&two.there, 4).await;
    assert_eq!(two.outcome().await.0, Family::FieldSum.shown(&[4], &[4]));
}

/// One order of kinds decides, not which is newer: a counter shows, a plain value does not; once the counter is
/// removed, both are.
pub async fn two_kinds_of_one_field(subject: &dyn Subject) {
    let two = Two::empty(subject, Family::FieldSum).await;
    let field = |memory: &Memory| memory.map("map/k").unwrap().field("f");
    two.write(&two.here, 4).await;
    two.pass("1s");
    field(&two.there).put("text").await.unwrap();
    assert_eq!(two.outcome().await.0, Family::FieldSum.shown(&[4], &[4]));
    field(&two.here).remove().await.unwrap();
    assert_eq!(two.outcome().await, NOTHING);
}

/// Applies a policy to the records of `memory` that makes the register of the other kind `strategy`.
async fn change_kind(two: &Two, memory: &Memory, strategy: &str) {
    let policy = format!("namespaces: [{{namespace: 'lww/*', conflict_strategy: {strategy}}}]");
    let rules = Arc::new(PolicyFile::parse(&policy, "test").unwrap().rules);
    let builder = Memory::builder(memory.store().clone()).clock(two.clock.clone());
    builder.policy(rules).build().unwrap().apply_policy(None).await.unwrap();
}

async fn assert_kind(two: &Two, kind: &str, value: &str) {
    for memory in [&two.here, &two.there] {
        let entry = memory.entry("lww/k").await.unwrap().unwrap();
        let text = String::from_utf8(entry.values[0].value.bytes.to_vec()).unwrap();
        assert_eq!((entry.kind.name(), text.as_str()), (kind, value));
    }
}

/// The later decision about the kind wins, with the whole entry.
pub async fn change_of_kind_and_write(subject: &dyn Subject) {
    let two = Two::sharing(subject, Family::Register).await;
    change_kind(&two, &two.here, "counter").await;
    two.write(&two.there, 7).await;
    two.exchange().await;
    assert_kind(&two, "counter", "1").await;
}

/// The later decision wins, though of two made at once it would be the other.
pub async fn change_of_kind_and_change_of_kind(subject: &dyn Subject) {
    let two = Two::sharing(subject, Family::Register).await;
    change_kind(&two, &two.here, "max").await;
    two.pass("1s");
    change_kind(&two, &two.there, "counter").await;
    two.exchange().await;
    assert_kind(&two, "counter", "1").await;
}

/// What comes from too far ahead waits, and nothing is clamped.
pub async fn a_write_from_the_future(subject: &dyn Subject) {
    let two = Two::sharing(subject, Family::Register).await;
    two.pass("2m");
    two.write(&two.there, 2).await;
    let lines = states(&two.there).await;
    two.clock.step_to(START);
    assert_eq!(import(&two.here, &lines).await.quarantined, 1);
    assert_eq!(two.here.get::<i64>("lww/k").await.unwrap(), Some(1));
    two.pass("2m");
    assert_eq!(two.outcome().await.0, Family::Register.shown(&[2], &[2]), "once its time has come");
}
