use anyhow::{Context, Result};
use memlife::blocking::{Memory, open_with};
use memlife::policy::PolicyFile;
use memlife::{ManualClock, OpenOptions, Timestamp, parse_duration};
use std::sync::Arc;
use tempfile::TempDir;

/// The rules of the demonstration: those that are built in, and counters.
const POLICY: &str = r#"
namespaces:
  - {namespace: "coordination/*", ttl: 1h, cleanup_strategy: lazy, conflict_strategy: lww}
  - {namespace: "session/*", ttl: 1h, cleanup_strategy: lazy, conflict_strategy: lww}
  - {namespace: "swarm/shared/*", ttl: 24h, cleanup_strategy: scheduled, conflict_strategy: multi_value}
  - {namespace: "knowledge/*", ttl_seconds: 0, cleanup_strategy: manual, conflict_strategy: multi_value}
  - {namespace: "metrics/*", ttl: 7d, cleanup_strategy: scheduled, conflict_strategy: counter}
"#;
/// 2025-01-01T00:00:00Z: the same in every run.
const START: Timestamp = Timestamp::from_ms(1_735_689_600_000);

/// Where the demonstration happens: a folder that goes with it, and a clock that moves when told.
pub struct Stage {
    folder: TempDir,
    clock: Arc<ManualClock>,
    policy: PolicyFile,
}

impl Stage {
    /// An empty stage.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn new() -> Result<Self> {
        Ok(Stage {
            folder: tempfile::tempdir().context("no temporary folder could be made")?,
            clock: Arc::new(ManualClock::new(START)),
            policy: PolicyFile::parse(POLICY, "the demonstration's rules")?,
        })
    }

    /// The kind of store that this build offers.
    pub const fn backend(&self) -> &'static str {
        if cfg!(feature = "sqlite") {
            "sqlite"
        } else if cfg!(feature = "fs") {
            "fs"
        } else if cfg!(feature = "redb") {
            "redb"
        } else {
            "memory"
        }
    }

    /// Whether a store is still there after it was closed.
    pub fn keeps(&self) -> bool {
        self.backend() != "memory"
    }

    /// Opens the store of the walk-through `name`, which is created at the first opening.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, name: &str) -> Result<Memory> {
        let place = self.folder.path().join(name);
        let url = match self.backend() {
            "sqlite" => format!("sqlite:{}.db", place.display()),
            "fs" => format!("fs:{}", place.display()),
            "redb" => format!("redb:{}.redb", place.display()),
            _ => "memory:".to_owned(),
        };
        let options = OpenOptions::new().policy_file(&self.policy).clock(self.clock.clone());
        Ok(open_with(&url, options)?)
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        use memlife::Clock as _;
        self.clock.now()
    }

    /// Lets this much time pass, at once.
    ///
    /// # Errors
    /// When `duration` is none.
    pub fn pass(&self, duration: &str) -> Result<()> {
        self.clock.advance(parse_duration(duration)?);
        Ok(())
    }
}
