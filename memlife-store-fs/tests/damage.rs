//! Entry files that lost bits, bytes or their end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::store::{Repair, Scan};
use memlife_testkit::draft::put;
use support::{names, open, own_files, problems, read};

#[tokio::test]
async fn every_flipped_bit_is_corrupt_and_stays_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "{\"n\": 1}")).await;
    session.apply(put("b", "2")).await;
    let path = folder.path().join("a.json");
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        let error = read(&session, "a").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "bit {bit}: {error}");
        assert_eq!(error.key().unwrap().as_str(), "a");
        assert_eq!(session.values("b").await, ["2"]);
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(session.values("a").await, ["{\"n\": 1}"]);
}

#[tokio::test]
async fn a_cut_file_is_named_by_verify_and_set_aside_by_repair() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    session.apply(put("a", "1")).await;
    session.apply(put("b", "2")).await;
    let path = folder.path().join("a.json");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();

    let found = problems(&session, Repair::No).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("a|a.json|"), "{found:?}");
    let page = session.store().scan(&Scan { limit: 10, ..Scan::default() }).await.unwrap();
    assert_eq!(page.records.len(), 2);
    assert_eq!(page.records[0].as_ref().unwrap_err().kind(), ErrorKind::Corrupt);

    let report = session.store().verify(Repair::Yes).await.unwrap();
    assert_eq!((report.problems, report.unrepaired()), (1, 0), "{report:?}");
    assert_eq!(names(folder.path()), ["b.json"]);
    let aside = own_files(folder.path(), "lost+found");
    assert_eq!(std::fs::read(&aside[0]).unwrap(), &good[..good.len() / 2]);
    assert_eq!(problems(&session, Repair::No).await, [""; 0]);
    assert_eq!(session.keys("").await, ["b"]);
    assert_eq!(session.totals().await.tally.entries, 1);
    session.apply(put("a", "3")).await;
    assert_eq!(session.values("a").await, ["3"]);
}

#[tokio::test]
async fn an_empty_file_is_what_a_power_cut_leaves_and_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path());
    for round in 0..3 {
        session.apply(put("a", "1")).await;
        std::fs::write(folder.path().join("a.json"), "").unwrap();
        assert_eq!(session.store().verify(Repair::Yes).await.unwrap().unrepaired(), 0);
        assert_eq!(own_files(folder.path(), "lost+found").len(), round + 1);
    }
}

#[tokio::test]
async fn damaged_files_of_the_original_are_set_aside_too() {
    let folder = support::original();
    let session = open(folder.path());
    let path = folder.path().join("swarm_shared_decisions.json");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 20]).unwrap();
    assert_eq!(read(&session, "swarm/shared/decisions").await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(session.values("metrics/task/count").await, ["8"]);
    assert_eq!(session.store().verify(Repair::Yes).await.unwrap().unrepaired(), 0);
    assert!(!path.exists());
    assert_eq!(session.keys("").await.len(), 3);
    assert_eq!(problems(&session, Repair::No).await, [""; 0]);
}
