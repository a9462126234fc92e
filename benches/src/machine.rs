use anyhow::{Context, Result};
use memlife::{Clock, SystemClock};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::process::Command;

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// When it was looked at.
    pub date: String,
    cores: usize,
    model: String,
    memory: String,
    kernel: String,
    file_system: String,
    #[serde(rename = "compiler")]
    rustc: String,
    load: String,
}

impl Machine {
    /// This machine, with the file system of `folder`.
    ///
    /// # Errors
    /// Where `folder` is in memory: nothing measured there would say anything about durability.
    pub fn here(folder: &Path) -> Result<Self> {
        let file_system = file_system_of(folder)?;
        if ["tmpfs", "ramfs"].contains(&file_system.as_str()) {
            anyhow::bail!("{} is on {file_system}: give a folder on a disk with --folder", folder.display());
        }
        Ok(Machine {
            date: today()?,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            model: field("/proc/cpuinfo", "model name"),
            memory: field("/proc/meminfo", "MemTotal"),
            kernel: line("/proc/sys/kernel/osrelease"),
            file_system,
            rustc: output(Command::new("rustc").arg("--version")),
            load: line("/proc/loadavg"),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- date: {}", self.date)?;
        writeln!(f, "- processor: {} cores, {}; memory: {}", self.cores, self.model, self.memory)?;
        writeln!(f, "- kernel: {}; file system: {}", self.kernel, self.file_system)?;
        writeln!(f, "- compiler: {}", self.rustc)?;
        writeln!(f, "- load when it started: {}", self.load)
    }
}

/// The type of the file system that holds `folder`: that of the longest mount point above it.
fn file_system_of(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    Ok(holding.max_by_key(|(length, _)| *length).map_or("unknown", |(_, kind)| kind).to_owned())
}

fn line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().map_or_else(|| "unknown".to_owned(), str::to_owned)
}

/// The value of the first line `name: value` of a file.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    values.next().unwrap_or_else(|| "unknown".to_owned())
}

fn today() -> Result<String> {
    let now = jiff::Timestamp::from_millisecond(SystemClock.now().ms().cast_signed())?;
    Ok(now.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn output(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
