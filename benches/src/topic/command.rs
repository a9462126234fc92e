use crate::args::Args;
use crate::comparison::{Comparisons, Target};
use crate::figure::Figure;
use crate::measure::Stopwatch;
use crate::report::Section;
use crate::stage::{self, Stage};
use crate::workload;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const ABOUT: [&str; 1] = ["\
     The binary `memlife` of the release profile, as a whole process from start to exit, on a `sqlite` store of 10,000 \
     entries. Ours of it is what it takes beyond the command `true`, which is started in the same way, in turn: loading a \
     larger program is part of that."];

/// The memlife command as a process.
pub async fn measure(stage: &Stage, args: &Args) -> Result<Vec<Section>> {
    let program = program(args)?;
    let Ok(binary) = std::fs::metadata(&program) else {
        eprintln!(
            "left out: the command; build it with cargo build --release -p memlife-cli, or use --memlife"
        );
        return Ok(Vec::new());
    };
    let folder = stage.folder()?;
    let url = stage::url(&folder.path().join("store.db"));
    let memory = stage::open(&url).await?;
    let items = workload::small(stage.scale.entries);
    let lines = items.iter().map(|item| (item.key.clone(), item.value.clone(), crate::fill::Life::ByRule));
    crate::fill::import(&memory, lines).await?;
    stage::close(memory).await?;

    let mut table = Comparisons::new("The command", &ABOUT);
    let picked = items.iter().step_by(items.len() / stage.scale.runs);
    let [mut gets, mut ours] = [const { Vec::new() }; 2];
    for item in picked.clone() {
        let (nothing, _) = timed(Path::new("true"), &[])?;
        let (seconds, told) = timed(&program, &["--store", &url, "get", &item.key])?;
        let value: serde_json::Value = serde_json::from_str(&told)?;
        ensure!(value == item.value, "the command told another value of {}", item.key);
        gets.push(seconds);
        ours.push(seconds - nothing);
    }
    table.alone("get", Figure::time(&gets)?, Some(Target::AtMost(6.0)));
    table.alone("get, ours of it", Figure::time(&ours)?, Some(Target::AtMost(3.0)));
    let mut puts = Vec::new();
    for item in picked {
        puts.push(timed(&program, &["--store", &url, "put", &item.key, &item.value.to_string()])?.0);
    }
    table.alone("put", Figure::time(&puts)?, None);
    table.alone("size of the binary", Figure::bytes(binary.len() as f64)?, Some(Target::AtMost(15.0)));
    Ok(vec![table.finish()])
}

fn program(args: &Args) -> Result<PathBuf> {
    if let Some(program) = &args.memlife {
        return Ok(program.clone());
    }
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(own.with_file_name("memlife"))
}

/// Runs the command and returns the seconds it took and what it told.
fn timed(program: &Path, arguments: &[&str]) -> Result<(f64, String)> {
    let mut command = Command::new(program);
    for name in ["MEMLIFE_STORE", "MEMLIFE_POLICIES", "MEMLIFE_WRITER"] {
        command.env_remove(name);
    }
    let watch = Stopwatch::start();
    let output = command.args(arguments).output()?;
    let seconds = watch.seconds();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {} failed: {complaint}", program.display(), arguments.join(" "));
    Ok((seconds, String::from_utf8_lossy(&output.stdout).into_owned()))
}
