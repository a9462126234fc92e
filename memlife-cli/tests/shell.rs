//! What a shell sees: help, completions, closed pipes, and where the store is.

mod support;

use std::process::Stdio;
use support::{Place, command_in, run};

const COMMANDS: [&str; 25] = [
    "put",
    "get",
    "delete",
    "list",
    "touch",
    "counter",
    "cleanup",
    "stats",
    "conflicts",
    "policy",
    "export",
    "import",
    "hook",
    "verify",
    "where",
    "completions",
    "man",
    "flag",
    "claim",
    "renew",
    "release",
    "watch",
    "copy",
    "sync",
    "torture",
];

#[test]
fn every_help_has_an_example() {
    let place = Place::new();
    for command in COMMANDS.into_iter().chain(["demo"]) {
        let help = place.done(&[command, "--help"]);
        assert!(
            help.contains("Example") && help.contains(&format!("memlife {command}"))
                || help.contains("memlife --policies"),
            "{help}"
        );
    }
    for command in [
        ["counter", "add"],
        ["counter", "get"],
        ["policy", "show"],
        ["policy", "explain"],
        ["policy", "lint"],
        ["policy", "apply"],
    ] {
        assert!(place.done(&[command[0], command[1], "--help"]).contains("Example"), "{command:?}");
    }
}

#[test]
fn every_command_of_the_help_is_known_and_no_other() {
    let place = Place::new();
    let help = place.done(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    for missing in ["top", "doctor"] {
        assert_eq!(place.run(&[missing]).code, 2, "{missing}");
    }
    assert!(place.done(&["--version"]).starts_with("memlife "));
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.done(&["completions", shell]).contains("session-id"), "{shell}");
    }
    assert!(place.done(&["man"]).contains(".TH memlife"));
    assert!(place.done(&["man", "put"]).contains("memlife\\-put"));
    place.run(&["man", "nonsense"]).fails(2, "nonsense");
}

#[test]
fn the_order_of_places_is_the_documented_one() {
    let place = Place::new();
    let inner = place.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let found = |args: &[&str], variable: Option<&str>| {
        let mut command = command_in(&inner);
        command.args(["--output", "json"]).args(args).arg("where");
        if let Some(url) = variable {
            command.env("MEMLIFE_STORE", url);
        }
        let ran = run(&mut command, b"");
        assert_eq!(ran.code, 0, "{ran:?}");
        let view = ran.lines().remove(0);
        (view["store"].as_str().unwrap().to_owned(), view["store_why"].as_str().unwrap().to_owned())
    };
    let below = |name: &str| place.path().join(name).display().to_string();
    assert_eq!(found(&[], None).0, format!("sqlite:{}", below(".memlife/store.db")));
    std::fs::create_dir_all(place.path().join("a/.claude-flow/memory")).unwrap();
    assert_eq!(found(&[], None).0, format!("fs:{}", below("a/.claude-flow/memory")));
    place.write("a/.memlife/store.db", "");
    assert_eq!(found(&[], None).0, format!("sqlite:{}", below("a/.memlife/store.db")));
    place.write(".memlife/config.toml", "store = \"sqlite:data/s.db\"\npolicies = \"p.yaml\"\n");
    let (store, why) = found(&[], None);
    assert_eq!(store, format!("sqlite:{}", below("data/s.db")));
    assert!(why.contains("config.toml"), "{why}");
    assert_eq!(found(&[], Some("memory:")).0, "memory:");
    assert_eq!(found(&[], Some("")).0, store);
    let (store, why) = found(&["--store", "redis://me:secret@host/0"], Some("memory:"));
    assert_eq!((store.as_str(), why.as_str()), ("redis://***@host/0", "--store"));
}

#[test]
fn the_policy_file_is_found_in_the_same_order() {
    let place = Place::new();
    let found = |args: &[&str]| place.json(&[args, &["where"]].concat())["policies"].clone();
    let below = |name: &str| place.path().join(name).display().to_string();
    assert!(found(&[]).is_null());
    place.write(".claude/memory-retention-policies.yaml", "");
    assert_eq!(found(&[]), below(".claude/memory-retention-policies.yaml"));
    place.write(".memlife/policies.yaml", "");
    assert_eq!(found(&[]), below(".memlife/policies.yaml"));
    place.write(".memlife/config.toml", "policies = \"mine.yaml\"\n");
    assert_eq!(found(&[]), below("mine.yaml"));
    assert_eq!(found(&["--policies", "given.yaml"]), "given.yaml");
    let mut command = place.command();
    let ran = run(command.args(["--output", "json", "where"]).env("MEMLIFE_POLICIES", "of-env.yaml"), b"");
    assert_eq!(ran.lines()[0]["policies"], "of-env.yaml");
}

#[test]
fn a_broken_configuration_is_told() {
    let place = Place::new();
    place.write(".memlife/config.toml", "store = 5\n");
    place.run(&["where"]).fails(2, "config.toml");
    place.write(".memlife/config.toml", "x".repeat(70 << 10));
    place.run(&["where"]).fails(2, "longer than");
    // What is named needs no search.
    assert_eq!(place.run(&["--store", "memory:", "--policies", "p.yaml", "where"]).code, 0);
}

#[test]
fn a_pipe_in_the_place_of_a_configuration_is_not_waited_for() {
    let place = Place::new();
    std::fs::create_dir(place.path().join(".memlife")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path().join(".memlife/config.toml")).status();
    assert!(made.unwrap().success());
    place.run(&["where"]).fails(2, "regular file");
}

#[test]
fn a_closed_pipe_is_success() {
    let place = Place::new();
    for args in [&["man"][..], &["completions", "zsh"], &["where"], &["policy", "show"]] {
        let mut child =
            place.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*told), (Some(0), ""), "{args:?}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_reader_that_has_seen_enough_ends_an_export() {
    use std::io::Read;
    let place = Place::new();
    let lines: String =
        (0..2_000).map(|n| format!("{{\"key\":\"k/{n}\",\"value\":\"{}\"}}\n", "x".repeat(200))).collect();
    assert_eq!(place.run_with(&["import"], lines).code, 0);
    let mut child =
        place.command().arg("export").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_password_is_never_told() {
    let place = Place::new();
    // Nobody listens there.
    let url = "redis://me:canary@127.0.0.1:1/0?patience_ms=100";
    for args in [&["where"][..], &["get", "k"], &["-vv", "stats"], &["hook", "pre-task", "--session-id", "s"]]
    {
        for format in ["text", "json"] {
            let ran = place.run(&[&["--output", format, "--store", url], args].concat());
            assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{ran:?}");
        }
    }
}
