use crate::config::Settings;
use crate::exit::Exit;
use crate::output::Output;
use anyhow::Result;
use clap::Args;
use serde::Serialize;

/// Prints which store and policy file are used, and why
///
/// In this order: --store, MEMLIFE_STORE, the nearest .memlife/config.toml, the nearest directory with
/// .memlife/store.db, .claude-flow/memory or .git, the working directory. The policy file: --policies,
/// MEMLIFE_POLICIES, the configuration, .memlife/policies.yaml or .claude/memory-retention-policies.yaml there, the
/// built-in rules.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  memlife where --output json")]
pub struct WhereArgs {}

#[derive(Serialize)]
struct WhereView<'a> {
    store: &'a str,
    store_why: &'a str,
    policies: Option<String>,
    policies_why: &'a str,
    writer: Option<&'a str>,
}

pub fn run(settings: &Settings, output: &Output) -> Result<Exit> {
    let view = WhereView {
        store: &settings.store.shown,
        store_why: &settings.store.why,
        policies: settings.policies.path.as_ref().map(|path| path.display().to_string()),
        policies_why: &settings.policies.why,
        writer: settings.writer.as_deref(),
    };
    if output.is_json() {
        output.json(&view)?;
    } else {
        output.line(&format!("store     {} ({})", view.store, view.store_why))?;
        let policies = view.policies.as_deref().unwrap_or("the built-in rules");
        output.line(&format!("policies  {policies} ({})", view.policies_why))?;
        if let Some(writer) = view.writer {
            output.line(&format!("writer    {writer}"))?;
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}
