//! The TTL contract.

use super::{Bench, all, text, ttl};
use crate::Subject;
use memlife_core::store::{Cause, Expiry, Guard};
use memlife_core::{
    ErrorKind, Event, Events, Key, ListOptions, PutOptions, ReadOptions, Renewal, TouchMode, Touched, Ttl,
    Written,
};
use std::time::Duration;

const SLIDING: &str = "
namespaces:
  - {namespace: 'lease/*', ttl: 80s, refresh: on_read, conflict_strategy: lww, cleanup_strategy: lazy}
  - {namespace: 'fixed/*', ttl: 80s, refresh: never}
  - {namespace: 'bounded/*', ttl: 1h, min_ttl: 1m, max_ttl: 2h}
";

/// Expired and not swept: no read, list, count or feed shows it.
pub async fn every_expired_entry_is_hidden_from_every_read(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for key in ["coordination/a", "coordination/b/c", "swarm/shared/x", "swarm/agent/state/s"] {
        bench.memory.put_with(key, "old", PutOptions::new().ttl(ttl("10m"))).await.unwrap();
    }
    bench.memory.put("knowledge/k", "kept").await.unwrap();
    bench.pass("10m");
    for key in ["coordination/a", "swarm/shared/x", "swarm/agent/state/s"] {
        assert_eq!(text(&bench.memory, key).await, None, "{key}");
        assert!(bench.memory.entry(key).await.unwrap().is_none());
    }
    let keys = ["coordination/b/c", "knowledge/k"].map(|key| Key::new(key).unwrap());
    let batch = bench.memory.entries(&keys, ReadOptions::new()).await.unwrap();
    assert!(batch[0].is_none() && batch[1].is_some());
    assert_eq!(bench.keys(ListOptions::new()).await, ["knowledge/k"]);
    assert_eq!(bench.keys(ListOptions::new().pattern("coordination").unwrap()).await, [""; 0]);
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!(stats.entries, 1);
    assert_eq!(stats.namespaces.keys().collect::<Vec<_>>(), ["knowledge/k"]);
    assert!(matches!(
        bench
            .memory
            .put_with("coordination/b/c", "new", PutOptions::new().guard(Guard::Absent))
            .await
            .unwrap(),
        Written::Applied(_)
    ));
}

/// A deadline that is past is no error: the entry is expired from the start.
pub async fn a_past_deadline_is_accepted_invisible_and_told_as_expired(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let Events::Page(_, cursor) = bench.memory.changes(None, 10, Duration::ZERO).await.unwrap() else {
        panic!("a new cursor has no gap")
    };
    let past = crate::START.minus_ms(1);
    let written = bench.memory.put_with("notes/late", "x", PutOptions::new().expires_at(past)).await.unwrap();
    assert_eq!(written.receipt().unwrap().expires_at, Some(past));
    assert_eq!(text(&bench.memory, "notes/late").await, None);
    let Events::Page(events, _) = bench.memory.changes(Some(cursor), 10, Duration::ZERO).await.unwrap()
    else {
        panic!("nothing was lost")
    };
    let key = Key::new("notes/late").unwrap();
    assert!(events.contains(&Event::Removed { key, cause: Cause::Expired }), "{events:?}");
}

/// The newest value expired: nothing that it replaced or stood beside comes back.
pub async fn expiry_of_the_newest_value_brings_no_older_one_back(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for key in ["notes/a", "knowledge/siblings"] {
        bench.memory.put(key, "older, permanent").await.unwrap();
        bench.memory.put_with(key, "newest", PutOptions::new().ttl(ttl("1m"))).await.unwrap();
    }
    bench.pass("1m");
    for key in ["notes/a", "knowledge/siblings"] {
        assert_eq!(text(&bench.memory, key).await, None, "{key}");
        bench.memory.put(key, "fresh").await.unwrap();
        let entry = bench.memory.entry(key).await.unwrap().unwrap();
        assert_eq!((entry.siblings, entry.parse::<String>().unwrap().as_str()), (1, "fresh"), "{key}");
    }
}

/// A rule that renews on reading renews a living entry, and only when it is worth a write.
pub async fn a_renewing_read_renews_and_coalesces(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(SLIDING).await;
    memory.put("lease/a", "x").await.unwrap();
    let before = memory.entry("lease/a").await.unwrap().unwrap();
    bench.pass("9s");
    assert_eq!(
        memory.entry("lease/a").await.unwrap().unwrap().expires_at,
        before.expires_at,
        "9 s of 80 are too few"
    );
    bench.pass("1s");
    text(&memory, "lease/a").await.unwrap();
    let after = memory.entry("lease/a").await.unwrap().unwrap();
    assert_eq!(after.expires_at, before.expires_at.map(|at| at.plus_ms(10_000)));
    assert_eq!(after.version, before.version);
    bench.pass("79s");
    assert!(text(&memory, "lease/a").await.is_some());
    bench.pass("79s");
    assert!(text(&memory, "lease/a").await.is_some());
}

/// A read that comes too late renews nothing.
pub async fn reading_never_revives_an_expired_entry(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(SLIDING).await;
    memory.put("lease/a", "x").await.unwrap();
    bench.pass("80s");
    for _ in 0..3 {
        assert_eq!(text(&memory, "lease/a").await, None);
    }
    assert!(all(&memory, ListOptions::new()).await.is_empty());
}

/// A batch of reads that asks for no renewal gets none, for any of its keys.
pub async fn a_read_without_renewal_renews_nothing_even_in_a_batch(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(SLIDING).await;
    let keys = ["lease/a", "lease/b"].map(|key| Key::new(key).unwrap());
    for key in &keys {
        memory.put(key, "x").await.unwrap();
    }
    bench.pass("40s");
    let quiet = ReadOptions::new().renewal(Renewal::Off);
    let first = memory.entries(&keys, quiet).await.unwrap();
    let second = memory.entries(&keys, quiet).await.unwrap();
    assert_eq!(first, second);
    bench.pass("40s");
    assert_eq!(memory.entries(&keys, quiet).await.unwrap(), [None, None]);
}

/// A TTL of nothing or of ages is refused wherever one can be given.
pub async fn an_impossible_ttl_is_refused_on_every_path(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for ms in [0, u64::MAX, 1_000 * 366 * 86_400_000] {
        assert_eq!(Ttl::from_ms(ms).unwrap_err().kind(), ErrorKind::Invalid);
    }
    for words in ["0s", "-1s", "99999999999d", "soon"] {
        assert_eq!(words.parse::<Ttl>().unwrap_err().kind(), ErrorKind::Invalid, "{words}");
    }
    assert!(Ttl::try_from(Duration::from_nanos(1)).is_err());
    let longest = Ttl::from_ms(1_000 * 365 * 86_400_000).unwrap();
    let written = bench.memory.put_with("notes/a", "x", PutOptions::new().ttl(longest)).await.unwrap();
    let expires_at = written.receipt().unwrap().expires_at.unwrap();
    assert_eq!(expires_at.ms(), crate::START.ms() + longest.ms());
    assert_eq!(bench.memory.entry("notes/a").await.unwrap().unwrap().expires_at, Some(expires_at));
    let error = bench.memory.touch("notes/a", Expiry::Keep, TouchMode::Set).await.unwrap_err();
    assert_eq!(error.operation(), Some("touch"));
}

/// Writing again starts the TTL anew, keeps it or sets it: whichever was asked for.
pub async fn an_update_keeps_or_resets_the_ttl_as_asked(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let expiry =
        async |bench: &Bench<'_>| bench.memory.entry("coordination/a").await.unwrap().unwrap().expires_at;
    let hour = |start: u64| Some(crate::START.plus_ms(start + 3_600_000));
    bench.memory.put("coordination/a", &1).await.unwrap();
    assert_eq!(expiry(&bench).await, hour(0));
    bench.pass("10m");
    bench.memory.put_with("coordination/a", &2, PutOptions::new().keep_ttl()).await.unwrap();
    assert_eq!(expiry(&bench).await, hour(0));
    bench.memory.put("coordination/a", &3).await.unwrap();
    assert_eq!(expiry(&bench).await, hour(600_000));
    let bump = |n: Option<i32>| n.map(|n| n + 1);
    bench.memory.update_with("coordination/a", PutOptions::new().keep_ttl(), bump).await.unwrap();
    assert_eq!(expiry(&bench).await, hour(600_000));
    bench.memory.put_with("coordination/a", &4, PutOptions::new().permanent()).await.unwrap();
    assert_eq!(expiry(&bench).await, None);
    bench.memory.update("coordination/a", bump).await.unwrap();
    assert_eq!(expiry(&bench).await, hour(600_000), "a plain write follows the rule again");
}

/// What callers ask for stays within the rule's limits.
pub async fn limits_of_the_rule_clamp_and_the_receipt_says_so(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(SLIDING).await;
    let put = async |options: PutOptions| {
        let written = memory.put_with("bounded/a", "x", options).await.unwrap();
        let receipt = written.receipt().unwrap().clone();
        (receipt.expires_at.map(|at| at.since(crate::START)), receipt.clamped)
    };
    assert_eq!(put(PutOptions::new()).await, (Some(3_600_000), false));
    assert_eq!(put(PutOptions::new().ttl(ttl("1s"))).await, (Some(60_000), true));
    assert_eq!(put(PutOptions::new().ttl(ttl("3h"))).await, (Some(7_200_000), true));
    assert_eq!(put(PutOptions::new().permanent()).await, (Some(7_200_000), true));
    assert_eq!(put(PutOptions::new().ttl(ttl("90m"))).await, (Some(5_400_000), false));
    let touched = memory.touch("bounded/a", Expiry::After(ttl("9h")), TouchMode::Set).await.unwrap();
    let Touched::Applied(receipt) = touched else { panic!("{touched:?}") };
    assert!(receipt.clamped && receipt.expires_at == Some(crate::START.plus_ms(7_200_000)));
}

/// Touching sets the expiry exactly, unless it is told only to extend or only to shorten.
pub async fn touch_sets_extends_and_shortens_exactly(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("coordination/a", "x").await.unwrap();
    let touch = async |expiry: Expiry, mode: TouchMode| {
        let touched = bench.memory.touch("coordination/a", expiry, mode).await.unwrap();
        let entry = bench.memory.entry("coordination/a").await.unwrap().unwrap();
        (matches!(touched, Touched::Applied(_)), entry.expires_at.map(|at| at.since(crate::START)))
    };
    let minutes = |n: u64| Some(n * 60_000);
    assert_eq!(touch(Expiry::After(ttl("5m")), TouchMode::Set).await, (true, minutes(5)));
    assert_eq!(touch(Expiry::After(ttl("4m")), TouchMode::OnlyExtend).await, (false, minutes(5)));
    assert_eq!(touch(Expiry::After(ttl("6m")), TouchMode::OnlyExtend).await, (true, minutes(6)));
    assert_eq!(touch(Expiry::Never, TouchMode::OnlyShorten).await, (false, minutes(6)));
    assert_eq!(touch(Expiry::After(ttl("2m")), TouchMode::OnlyShorten).await, (true, minutes(2)));
    assert_eq!(touch(Expiry::Never, TouchMode::Set).await, (true, None));
}

/// Touching what expired, was deleted or never was says so.
pub async fn touching_never_revives(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("coordination/a", "x").await.unwrap();
    bench.memory.put("coordination/b", "x").await.unwrap();
    assert!(bench.memory.delete("coordination/b").await.unwrap());
    bench.pass("1h");
    for key in ["coordination/a", "coordination/b", "coordination/c"] {
        let touched = bench.memory.touch(key, Expiry::Never, TouchMode::Set).await.unwrap();
        assert_eq!(touched, Touched::Absent, "{key}");
        assert_eq!(text(&bench.memory, key).await, None);
    }
}

/// `refresh: never` counts from the creation.
pub async fn a_rule_that_counts_from_creation_is_not_renewed_by_writes(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let memory = bench.under(SLIDING).await;
    memory.put("fixed/a", &1).await.unwrap();
    bench.pass("50s");
    memory.put("fixed/a", &2).await.unwrap();
    bench.pass("30s");
    assert_eq!(memory.get::<i32>("fixed/a").await.unwrap(), None);
    memory.put("fixed/a", &3).await.unwrap();
    bench.pass("79s");
    assert_eq!(memory.get::<i32>("fixed/a").await.unwrap(), Some(3));
}
