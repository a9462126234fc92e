//! From arguments, environment and project to settings: the only place that reads the environment.

use crate::args::GlobalArgs;
use crate::locate::{ConfigFile, Mark, Project, read_bounded, read_found};
use anyhow::{Context, Result, bail};
use memlife::Durability;
use memlife::policy::{MAX_POLICY_FILE_BYTES, PolicyFile};
use std::path::{Path, PathBuf};

/// Everything that is settled before a command runs.
#[derive(Debug)]
pub struct Settings {
    /// The store and why it is that one.
    pub store: StoreChoice,
    /// The policy file and why it is that one.
    pub policies: PolicyChoice,
    /// Who writes, where somebody said so.
    pub writer: Option<String>,
    /// What acknowledged writes survive, where somebody said so.
    pub durability: Option<Durability>,
    /// The most bytes of one value.
    pub max_value_bytes: usize,
}

/// Which store, and why.
#[derive(Debug)]
pub struct StoreChoice {
    /// Its URL.
    pub url: String,
    /// The URL as it may be shown: without a password.
    pub shown: String,
    /// Why it is this one.
    pub why: String,
}

/// Which policy file, and why.
#[derive(Debug)]
pub struct PolicyChoice {
    /// Its path; `None` is the built-in rules.
    pub path: Option<PathBuf>,
    /// Why it is this one.
    pub why: String,
    /// Whether the user named it, so that it may be a pipe.
    is_named: bool,
}

impl Settings {
    /// Resolves what `args` leave open, looking upwards from `start`, or from the working directory.
    ///
    /// # Errors
    /// When a setting is not what it should be, or there is no working directory to begin in.
    pub fn resolve(args: &GlobalArgs, start: Option<&Path>) -> Result<Self> {
        let store = args.store.clone().map(|url| StoreChoice::new(url, "--store".into()));
        let policies = args.policies.clone().map(|path| PolicyChoice::named(path, "--policies"));
        let store = match store {
            Some(store) => Some(store),
            None => variable("MEMLIFE_STORE")?
                .map(|url| StoreChoice::new(url, "the environment variable MEMLIFE_STORE".into())),
        };
        let policies = match policies {
            Some(policies) => Some(policies),
            None => variable("MEMLIFE_POLICIES")?
                .map(|path| PolicyChoice::named(path.into(), "the environment variable MEMLIFE_POLICIES")),
        };
        let (store, policies) = match (store, policies) {
            (Some(store), Some(policies)) => (store, policies),
            (store, policies) => {
                let project = Project::find(&directory(start)?)?;
                let policies = policies.unwrap_or_else(|| PolicyChoice::of(&project));
                (store.map_or_else(|| StoreChoice::of(&project), Ok)?, policies)
            }
        };
        Ok(Settings {
            store,
            policies,
            writer: args.writer.clone().map_or_else(|| variable("MEMLIFE_WRITER"), |name| Ok(Some(name)))?,
            durability: args.durability.map(Into::into),
            max_value_bytes: args.max_value_bytes,
        })
    }

    /// The policy file in force.
    ///
    /// # Errors
    /// When it cannot be read or is no policy.
    pub fn read_policy(&self) -> Result<PolicyFile> {
        let Some(path) = &self.policies.path else { return Ok(PolicyFile::built_in()) };
        let read = if self.policies.is_named { read_bounded } else { read_found };
        let text = read(path, MAX_POLICY_FILE_BYTES)
            .with_context(|| format!("the policy file {} could not be read", path.display()))?;
        Ok(PolicyFile::parse(&text, &path.display().to_string())?)
    }
}

impl StoreChoice {
    fn new(url: String, why: String) -> Self {
        StoreChoice { shown: without_password(&url), url, why }
    }

    fn of(project: &Project) -> Result<Self> {
        if let Some((directory, ConfigFile { store: Some(url), .. })) = &project.config {
            let why = format!("{}", directory.join(".memlife/config.toml").display());
            return Ok(StoreChoice::new(relative_to(url, directory)?, why));
        }
        let (directory, why) = match &project.marked {
            Some((directory, Mark::Original)) => {
                let path = directory.join(Mark::Original.path());
                let why = format!("the nearest directory with {}", Mark::Original.path());
                return Ok(StoreChoice::new(format!("fs:{}", text_of(&path)?), why));
            }
            Some((directory, mark)) => (directory, format!("the nearest directory with {}", mark.path())),
            None => (&project.start, "no project was found: the working directory".into()),
        };
        let path = directory.join(Mark::Store.path());
        Ok(StoreChoice::new(format!("sqlite:{}", text_of(&path)?), why))
    }
}

impl PolicyChoice {
    fn named(path: PathBuf, why: &str) -> Self {
        PolicyChoice { path: Some(path), why: why.into(), is_named: true }
    }

    fn of(project: &Project) -> Self {
        if let Some((directory, ConfigFile { policies: Some(path), .. })) = &project.config {
            let why = format!("{}", directory.join(".memlife/config.toml").display());
            return PolicyChoice { path: Some(directory.join(path)), why, is_named: false };
        }
        for name in [".memlife/policies.yaml", ".claude/memory-retention-policies.yaml"] {
            let path = project.directory().join(name);
            if path.exists() {
                let why = "found in the project".into();
                return PolicyChoice { path: Some(path), why, is_named: false };
            }
        }
        let why = format!("no policy file is in {}", project.directory().display());
        PolicyChoice { path: None, why, is_named: false }
    }
}

/// The environment variable `name`, where it is set and not empty.
fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var_os(name).map(|value| value.into_string()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => bail!("the environment variable {name} is not valid UTF-8: set it anew or unset it"),
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the command line's config")]
fn directory(start: Option<&Path>) -> Result<PathBuf> {
    match start {
        Some(start) => Ok(start.to_path_buf()),
        None => std::env::current_dir()
            .context("there is no working directory to look for a store from: name one with --store"),
    }
}

/// `url` with its path made relative to `directory` where it is relative.
fn relative_to(url: &str, directory: &Path) -> Result<String> {
    match url.split_once(':') {
        Some((scheme @ ("sqlite" | "fs" | "redb"), path)) => {
            Ok(format!("{scheme}:{}", text_of(&directory.join(path))?))
        }
        _ => Ok(url.to_owned()),
    }
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("the path {} is not valid UTF-8: name a store with --store", path.display()))
}

/// `url` without what stands before the last `@` of its authority.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("redis://user:p@ss@host:6379/0", "redis://***@host:6379/0"),
            ("redis://host/0", "redis://host/0"),
            ("sqlite:a@b/store.db", "sqlite:a@b/store.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn paths_of_a_configuration_are_relative_to_its_project() {
        let project = Path::new("/project");
        for (url, resolved) in [
            ("sqlite:data/store.db", "sqlite:/project/data/store.db"),
            ("fs:/elsewhere", "fs:/elsewhere"),
            ("memory:", "memory:"),
        ] {
            assert_eq!(relative_to(url, project).unwrap(), resolved);
        }
    }
}
