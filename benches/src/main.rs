//! Measures memlife in one run: beside the same work in plain SQL, beside the Python original, and its backends
//! beside each other. What is compared is compared at equal durability.

mod args;
mod child;
mod compare;
mod comparison;
mod drive;
mod figure;
mod fill;
mod footprint;
mod machine;
mod measure;
mod raw;
mod report;
mod script;
mod stage;
mod topic;
mod workload;

use args::{Args, Task};
use clap::Parser;
use machine::Machine;
use report::Report;
use stage::Stage;
use topic::Topic;

/// The worker threads of the runtime: the 64 tasks share them.
const WORKERS: usize = 2;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    match (&args.task, &args.child) {
        (Some(Task::Compare(args)), _) => runtime.block_on(compare::run(args)),
        (None, Some(errand)) => runtime.block_on(child::run(errand)),
        (None, None) => runtime.block_on(run(&args)),
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let stage = Stage::build(args.places.folder.as_deref(), args.quick)?;
    let mut report = Report::new(Machine::here(stage.root())?, args.command());
    print!("{}", report.preface());
    for topic in Topic::ALL {
        if !args.wants(topic) {
            continue;
        }
        eprintln!("measuring {}", topic.name());
        for section in topic.measure(&stage, args).await? {
            print!("\n{section}");
            report.add(section);
        }
    }
    print!("\n{}", report.verdict());
    if args.write {
        report.write()?;
    }
    Ok(())
}
