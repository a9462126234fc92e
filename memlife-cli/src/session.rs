//! What every command gets: the settings, the policy, the output, and the way to the store.

use crate::args::GlobalArgs;
use crate::config::{Settings, without_password};
use crate::logging;
use crate::output::Output;
use anyhow::{Context, Result, ensure};
use memlife::policy::PolicyFile;
use memlife::{EngineLimits, Memory, OpenOptions, Stay, open_with};
use std::future::Future;
use std::path::Path;
use tokio::runtime::Runtime;

/// One run of the command line. Nothing is opened before a command asks for it.
pub struct Session {
    /// Where the store and the policies are, and who writes.
    pub settings: Settings,
    /// The policy file in force; the built-in rules where there is none.
    pub policy: PolicyFile,
    /// Where answers and messages go.
    pub output: Output,
    runtime: Runtime,
}

impl Session {
    /// Settles what `args` leave open, looking upwards from `start` or else the working directory; reads the policy
    /// file and begins to log.
    ///
    /// # Errors
    /// When a setting or the policy file is not what it should be.
    pub fn begin(args: &GlobalArgs, start: Option<&Path>) -> Result<Self> {
        let settings = Settings::resolve(args, start)?;
        let policy = settings.read_policy()?;
        let of_file = settings.policies.path.is_some().then_some(policy.logging.level);
        logging::start(logging::level(of_file, args.verbose, args.quiet), policy.logging);
        // One thread and timers only: a get as a whole process should take a few milliseconds.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("the asynchronous runtime could not be started")?;
        Ok(Session { settings, policy, output: Output::new(args.output, args.quiet), runtime })
    }

    /// The store's URL as it may be shown: without a password.
    pub fn store_url(&self) -> &str {
        &self.settings.store.shown
    }

    /// How this session opens stores: its policy, writer, durability and limits.
    pub fn open_options(&self, stay: Stay) -> OpenOptions {
        let limits = EngineLimits { value_bytes: self.settings.max_value_bytes, ..EngineLimits::default() };
        let mut options = OpenOptions::new().policy_file(&self.policy).limits(limits).stay(stay);
        if let Some(writer) = &self.settings.writer {
            options = options.writer(writer.as_str());
        }
        if let Some(durability) = self.settings.durability {
            options = options.durability(durability);
        }
        options
    }

    /// Opens the store for one command, and tells its warnings.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open(&self) -> Result<Memory> {
        self.open_for(Stay::Brief)
    }

    /// Opens the store and tells its warnings.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open_for(&self, stay: Stay) -> Result<Memory> {
        self.open_as(self.open_options(stay))
    }

    /// Opens the store as `options` say and tells its warnings.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open_as(&self, options: OpenOptions) -> Result<Memory> {
        self.open_at(&self.settings.store.url, self.store_url(), options)
    }

    /// Opens another store and tells its warnings.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open_url(&self, url: &str, stay: Stay) -> Result<Memory> {
        self.open_at(url, &without_password(url), self.open_options(stay))
    }

    fn open_at(&self, url: &str, shown: &str, options: OpenOptions) -> Result<Memory> {
        let memory = self
            .wait(open_with(url, options))
            .with_context(|| format!("the store {shown} could not be opened"))?;
        for warning in &memory.store().info().warnings {
            self.output.note(&warning.0);
        }
        Ok(memory)
    }

    /// Whether the store is there already; opening it would create it otherwise.
    pub fn store_is_there(&self) -> bool {
        is_there(&self.settings.store.url)
    }

    /// Opens another store that has to be there already, and tells its warnings.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open_existing(&self, url: &str, stay: Stay) -> Result<Memory> {
        ensure!(is_there(url), "there is no store at {}: check the path", without_password(url));
        self.open_url(url, stay)
    }

    /// Runs `future` to its end on this thread. A command that needs more threads starts a runtime of its own.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// Whether opening the store at `url` would not create it, as far as that can be told.
fn is_there(url: &str) -> bool {
    match url.split_once(':') {
        Some(("sqlite" | "fs" | "redb", path)) => Path::new(path).exists(),
        _ => true,
    }
}
