//! The comparison as a process, from its flags to its files.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn compare(folder: &Path, flags: &[&str]) -> std::io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_benches"));
    command.current_dir(folder).arg("compare").args(flags).output()
}

#[test]
fn a_small_comparison_has_every_row() {
    // Beside the program, as its own folders are: others may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let flags = "--stores memory,sqlite --peers moka,raw-sqlite --entries 200 --rounds 1 --json all.json --html page.html";
    let output = compare(folder.path(), &flags.split(' ').collect::<Vec<_>>()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));

    let json = std::fs::read_to_string(folder.path().join("all.json")).unwrap();
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    let all: Value = serde_json::from_str(&json).unwrap();
    let figures = all["figures"].as_array().unwrap();
    for who in ["memory", "sqlite", "moka", "raw-sqlite"] {
        let of: Vec<&Value> = figures.iter().filter(|figure| figure["of"] == who).collect();
        assert_eq!(of.len(), 23, "{who}");
        for figure in of {
            let is_told = figure["median"].as_f64().is_some_and(|median| median > 0.0);
            assert!(is_told || figure["absent"] == "there is no such operation", "{figure}");
            let title = figure["title"].as_str().unwrap();
            assert!(page.contains(title) && told.contains(title), "{title} is no row");
        }
    }
    // Everything that a store can do is measured: only files and opening are not for one in memory.
    let missing = |who: &str| {
        figures.iter().filter(|figure| figure["of"] == who && figure["absent"].is_string()).count()
    };
    assert_eq!((missing("sqlite"), missing("memory")), (0, 4));
    let ratio = |store: &str, peer: &str| {
        let ratios = all["ratios"].as_array().unwrap().iter();
        ratios.filter(|ratio| ratio["store"] == store && ratio["peer"] == peer).count()
    };
    assert!(ratio("sqlite", "raw-sqlite") > 20 && ratio("memory", "moka") > 10);
    assert_eq!(ratio("sqlite", "moka"), 0, "they do not survive the same");
}

#[test]
fn a_peer_that_cannot_run_is_named_with_the_reason() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let flags = "--stores memory --peers python --python gone.py --entries 64 --rounds 1 --json all.json";
    let output = compare(folder.path(), &flags.split(' ').collect::<Vec<_>>()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("missing: python: its script gone.py is not there"),
        "{told}"
    );
    let all = std::fs::read_to_string(folder.path().join("all.json")).unwrap();
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["missing"][0]["name"], "python");
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let output = compare(folder.path(), &["--json", "no/such/folder/all.json"]).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("cannot write no/such/folder/all.json"), "{told}");
    assert!(!told.contains("round 1"), "{told}");
}
