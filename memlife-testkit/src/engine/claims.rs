//! Claims: one holder at a time.

use super::{Bench, ttl};
use crate::{FaultStore, Subject};
use memlife_core::store::Guard;
use memlife_core::{Claimed, EngineLimits, ErrorKind, Lease, Memory, PutOptions, Written};
use std::sync::Arc;
use std::time::Duration;

async fn won(memory: &Memory, owner: &str) -> Lease {
    match memory.claim("task/1", owner, ttl("1m")).await.unwrap() {
        Claimed::Won(lease) => lease,
        Claimed::Held(entry) => panic!("{:?} holds it", entry.writer),
    }
}

/// The first one holds it, and others are told who does and until when, also through other handles.
pub async fn one_of_many_holds_a_claim(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let other = bench.beside().await;
    let lease = won(&bench.memory, "ann").await;
    for memory in [&bench.memory, &other] {
        let Claimed::Held(entry) = memory.claim("task/1", "bob", ttl("1m")).await.unwrap() else {
            panic!("two hold it");
        };
        assert_eq!((entry.writer.as_deref(), entry.expires_at), (Some("ann"), lease.expires_at));
        assert_eq!(entry.parse::<String>().unwrap(), "ann");
    }
    assert!(!other.release("task/1", lease.token + 1).await.unwrap(), "with another token");
    assert!(other.release("task/1", lease.token).await.unwrap());
    assert!(!other.release("task/1", lease.token).await.unwrap(), "given up already");
    assert!(won(&other, "bob").await.token > lease.token);
}

/// Of many that ask at once, one gets it.
pub async fn of_many_at_once_one_gets_it(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let ask = |n: usize| {
        let memory = bench.memory.clone();
        tokio::spawn(async move { memory.claim("task/1", &format!("agent{n}"), ttl("1m")).await.unwrap() })
    };
    let asked: Vec<_> = (0..16).map(ask).collect();
    let mut winners = 0;
    for answer in asked {
        winners += u32::from(matches!(answer.await.unwrap(), Claimed::Won(_)));
    }
    assert_eq!(winners, 1);
}

/// A claim ends by itself unless it is renewed; what is over cannot be renewed.
pub async fn a_claim_lasts_as_long_as_it_is_renewed(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let lease = won(&bench.memory, "ann").await;
    for _ in 0..3 {
        bench.pass("50s");
        let renewed = bench.memory.renew("task/1", lease.token, ttl("1m")).await.unwrap().unwrap();
        assert_eq!(renewed.token, lease.token);
        assert!(matches!(bench.memory.claim("task/1", "bob", ttl("1m")).await.unwrap(), Claimed::Held(_)));
    }
    bench.pass("1m");
    let next = won(&bench.memory, "bob").await;
    assert!(next.token > lease.token);
    assert_eq!(bench.memory.renew("task/1", lease.token, ttl("1m")).await.unwrap(), None);
    assert!(!bench.memory.release("task/1", lease.token).await.unwrap());
    assert_eq!(bench.memory.get::<String>("task/1").await.unwrap().as_deref(), Some("bob"));
}

/// Whoever lost its claim without noticing is fenced off: what it still writes under its token is refused.
pub async fn late_writes_of_a_former_holder_are_fenced_off(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let lease = won(&bench.memory, "ann").await;
    bench.pass("2m");
    let next = won(&bench.memory, "bob").await;
    let late = PutOptions::new().guard(Guard::Version(lease.token));
    let written = bench.memory.put_with("task/1", "late", late).await.unwrap();
    assert!(matches!(written, Written::Refused(Some(entry)) if entry.version == next.token));
    let now = PutOptions::new().guard(Guard::Version(next.token));
    assert!(bench.memory.put_with("task/1", "done", now).await.unwrap().receipt().is_some());
}

/// Over a claim that has ended by the clock here and not by the store's, nobody asks for ever.
pub async fn a_claim_that_nobody_sees_is_not_asked_for_for_ever(subject: &dyn Subject) {
    let store = Arc::new(FaultStore::new(subject.open().await));
    let limits = EngineLimits { contention: Duration::from_millis(5), ..EngineLimits::default() };
    let memory = Memory::builder(store.clone()).limits(limits).build().unwrap();
    store.refuse_writes();
    let error = memory.claim("task/1", "ann", ttl("1m")).await.unwrap_err();
    assert_eq!((error.kind(), error.key().unwrap().as_str()), (ErrorKind::Contended, "task/1"));
    assert!(error.message().contains("clock"), "{error}");
}
