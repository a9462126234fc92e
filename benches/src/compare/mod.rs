//! The same work in every store and every peer, in one run.

mod args;
mod driver;
mod findings;
mod load;
mod measuring;
mod operation;
mod output;
mod page;
mod peer;
mod place;
mod subject;
mod text;
mod who;

pub use args::CompareArgs;

use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use output::Output;
use place::Place;
use std::sync::Arc;
use who::Who;

/// Compares, prints the tables and writes the files that `args` name.
pub async fn run(args: &CompareArgs) -> Result<()> {
    if let Some(name) = &args.reside {
        return reside(args, name).await;
    }
    args.check()?;
    // What cannot be written is told now, not after an hour.
    let json = args.json.as_deref().map(Output::claim).transpose()?;
    let html = args.html.as_deref().map(Output::claim).transpose()?;
    let stage = Stage::build(args.places.folder.as_deref(), false)?;
    let findings = measuring::measure(args, stage.root()).await?;
    print!("{}", text::render(&findings));
    if let Some(json) = json {
        json.write(&findings.to_json()?)?;
    }
    if let Some(html) = html {
        html.write(&page::render(&findings))?;
    }
    let failed = findings.missing.iter().filter(|missing| findings.has_failed(missing.name)).count();
    ensure!(failed == 0, "{failed} could not be measured to the end: the report says why");
    Ok(())
}

/// Does what one process is to do alone, and prints what memory it took.
async fn reside(args: &CompareArgs, name: &str) -> Result<()> {
    let who = Who::named(name).with_context(|| format!("nobody is called {name:?}"))?;
    let stage = Stage::build(args.places.folder.as_deref(), true)?;
    let place = Place::new(stage.root(), who, who.level(args.durability))?;
    let load = Arc::new(measuring::load(args)?);
    let memory = peer::subject(who, place, &load, &args.places).reside().await?;
    println!("{}", serde_json::to_string(&memory)?);
    Ok(())
}
