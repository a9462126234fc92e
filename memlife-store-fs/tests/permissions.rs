//! Who may read what the store creates. Alone in its process, since the mask is the whole process's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use memlife_testkit::draft::put;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::open;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_may_read_whatever_the_mask() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("new/store");
    let session = open(&folder);
    session.apply(put("a", "1")).await;
    assert_eq!(session.store().info().warnings, []);
    for (path, expected) in [
        (base.path().join("new"), 0o700),
        (folder.clone(), 0o700),
        (folder.join("a.json"), 0o600),
        (folder.join(".memlife"), 0o700),
        (folder.join(".memlife/index.db"), 0o600),
        (folder.join(".memlife/tmp"), 0o700),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }

    let wide = base.path().join("wide");
    std::fs::create_dir(&wide).unwrap();
    std::fs::set_permissions(&wide, PermissionsExt::from_mode(0o755)).unwrap();
    let session = open(&wide);
    session.apply(put("a", "1")).await;
    assert_eq!(mode(&wide.join("a.json")), 0o600);
    let warnings = &session.store().info().warnings;
    assert!(warnings.len() == 1 && warnings[0].0.contains("755"), "{warnings:?}");
}
