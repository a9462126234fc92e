//! A full disk. Needs the right to mount a file system of 8 MiB.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_core::ErrorKind;
use memlife_core::store::Repair;
use memlife_testkit::draft::{delete, put};
use std::path::Path;
use std::process::Command;
use support::{open, problems};

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[tokio::test]
#[ignore = "mounts a file system, which takes root"]
async fn deletes_and_reads_go_on_and_writing_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"];
    assert!(Command::new("mount").args(mount).arg(folder.path()).status().unwrap().success());
    let _mounted = Mounted(folder.path());
    let session = open(folder.path());
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
        let _ = std::fs::write(folder.path().join("ballast"), vec![1; 8 << 20]);
        assert_eq!(session.try_write(put("one/more", "1")).await.unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(session.values("fill/0").await.len(), 1);
        assert_eq!(support::own_files(folder.path(), "tmp").len(), 0, "nothing unfinished is left");
        for i in 0..written {
            session.apply(delete(&format!("fill/{i}"))).await;
        }
        std::fs::remove_file(folder.path().join("ballast")).unwrap();
        session.apply(put("again", "1")).await;
        assert_eq!(problems(&session, Repair::No).await, [""; 0]);
    }
}
