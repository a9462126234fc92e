//! A full disk. Needs the right to mount a file system of 8 MiB.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::store::Repair;
use memlife_testkit::SmallDisk;
use memlife_testkit::draft::{delete, put};
use support::{open, problems};

#[tokio::test]
async fn deletes_and_reads_go_on_and_writing_resumes() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let folder = disk.path();
    let session = open(folder);
    for round in 0..3 {
        let mut written = 0;
        let error = loop {
            match session
                .try_write(put(&format!("fill/{written}"), &format!("\"{}\"", "x".repeat(20_000))))
                .await
            {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
        assert!(written > 20, "{written} entries fitted in round {round}");
        // The rest of the space, too.
        let _ = std::fs::write(folder.join("ballast"), vec![1; 8 << 20]);
        assert_eq!(session.try_write(put("one/more", "1")).await.unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(session.values("fill/0").await.len(), 1);
        assert_eq!(support::own_files(folder, "tmp").len(), 0, "nothing unfinished is left");
        for i in 0..written {
            session.apply(delete(&format!("fill/{i}"))).await;
        }
        std::fs::remove_file(folder.join("ballast")).unwrap();
        session.apply(put("again", "1")).await;
        assert_eq!(problems(&session, Repair::No).await, [""; 0]);
    }
}
