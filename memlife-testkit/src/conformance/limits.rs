//! What a store refuses to hold.

use crate::draft::{join, put, put_bytes};
use crate::{Session, Subject};
use memlife_core::record::FRAME_BYTES;
use memlife_core::store::Limits;
use memlife_core::{ErrorKind, InMemoryStore, ReplicaId};
use std::sync::Arc;

const LIMITS: Limits = Limits { body_bytes: 1_000, batch_writes: 10 };

async fn limited(subject: &dyn Subject) -> Session {
    let store = subject.open_limited(LIMITS).await.expect("a subject that says it is limitable");
    assert_eq!(store.info().limits, LIMITS);
    Session::on(store)
}

/// A body at the limit is taken; one byte more is too large and leaves its neighbours alone.
pub async fn a_body_past_the_limit_is_too_large(subject: &dyn Subject) {
    let s = limited(subject).await;
    let fits = vec![1; LIMITS.body_bytes - FRAME_BYTES];
    let too_large = vec![1; LIMITS.body_bytes - FRAME_BYTES + 1];
    s.apply(put_bytes("fits", &fits)).await;
    let writes = vec![put("a", "1").build(), put_bytes("large", &too_large).build(), put("b", "1").build()];
    let outcomes = s.batch(writes).await;
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(s.keys("").await, ["a", "b", "fits"]);
}

/// Siblings count together.
pub async fn a_state_past_the_limit_is_too_large(subject: &dyn Subject) {
    let s = limited(subject).await;
    let side = || put_bytes("m", &[1; 300]).multi_value();
    for _ in 0..2 {
        s.apply(side()).await;
    }
    assert_eq!(s.fails(side()).await, ErrorKind::TooLarge);
    assert_eq!(s.values("m").await.len(), 2);
}

/// What a replica sends is held to the same limit.
pub async fn a_record_past_the_limit_is_too_large(subject: &dyn Subject) {
    let s = limited(subject).await;
    let there = Session::on(Arc::new(InMemoryStore::with_replica(ReplicaId(0xca5e))));
    there.apply(put_bytes("a", &[1; 2_000])).await;
    assert_eq!(s.fails(join(&there.record("a").await.unwrap())).await, ErrorKind::TooLarge);
    assert_eq!(s.record("a").await, None);
}

/// A batch past the limit is refused as a whole.
pub async fn a_batch_past_the_limit_is_too_large(subject: &dyn Subject) {
    let s = limited(subject).await;
    let batch = |n: usize| (0..n).map(|i| put(&format!("k/{i}"), "1").build()).collect::<Vec<_>>();
    let error = s.try_batch(batch(LIMITS.batch_writes + 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(s.keys("").await.is_empty());
    s.batch(batch(LIMITS.batch_writes)).await;
}
