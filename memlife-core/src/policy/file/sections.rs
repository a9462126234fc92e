use super::fields::{Field, Fields};
use super::node::Node;
use super::rules::{ALGORITHMS, default_level, level};
use crate::policy::origin::{Origin, Origins, Setting};
use crate::record::{Codec, Compression};
use crate::{Error, ErrorKind, Result};
use std::fmt;

/// When the daemon sweeps: the section `cleanup_schedule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupSchedule {
    /// Whether it sweeps unless told by flags.
    pub enabled: bool,
    /// Hours from one sweep to the next.
    pub interval_hours: u32,
    /// Local time of the first sweep; `None` is at once.
    pub time_of_day: Option<TimeOfDay>,
    /// A cron expression that takes the place of the two above. Whoever runs the schedule checks it.
    pub cron: Option<String>,
}

impl Default for CleanupSchedule {
    /// Every 24 hours, at 02:00.
    fn default() -> Self {
        let time_of_day = Some(TimeOfDay { hour: 2, minute: 0 });
        CleanupSchedule { enabled: true, interval_hours: 24, time_of_day, cron: None }
    }
}

/// A local wall-clock time, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }

    /// 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }
}

impl std::str::FromStr for TimeOfDay {
    type Err = Error;

    /// Reads `HH:MM`.
    fn from_str(text: &str) -> Result<Self> {
        let two_digits = |digits: &str, below: u8| {
            let valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|&number| valid && number < below)
        };
        let parts = text.split_once(':').and_then(|(hour, minute)| {
            Some(TimeOfDay { hour: two_digits(hour, 24)?, minute: two_digits(minute, 60)? })
        });
        parts.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "a time of day is HH:MM, from \"00:00\" to \"23:59\"")
        })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// What is logged: the section `logging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The least severe message that is logged.
    pub level: LogLevel,
    /// Whether each sweep logs what it did.
    pub log_cleanup_operations: bool,
    /// Whether each sweep logs how well values compress.
    pub log_compression_stats: bool,
}

impl Default for Logging {
    fn default() -> Self {
        Logging { level: LogLevel::Info, log_cleanup_operations: true, log_compression_stats: false }
    }
}

/// How severe a message is, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may fail soon.
    Warn,
    /// What was done.
    Info,
    /// How it was done.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The name as log filters write it.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Python's names too: `WARNING` and `CRITICAL`.
const LOG_LEVELS: [(&str, LogLevel); 8] = [
    ("TRACE", LogLevel::Trace),
    ("DEBUG", LogLevel::Debug),
    ("INFO", LogLevel::Info),
    ("WARN", LogLevel::Warn),
    ("WARNING", LogLevel::Warn),
    ("ERROR", LogLevel::Error),
    ("CRITICAL", LogLevel::Error),
    ("OFF", LogLevel::Off),
];
const MAX_INTERVAL_HOURS: u32 = 366 * 24;
const MAX_CRON_BYTES: usize = 256;

pub(super) fn schedule(source: &str, node: &Node) -> Result<CleanupSchedule> {
    let known = ["enabled", "interval_hours", "time_of_day", "cron"];
    let fields = Fields::new(source, "the section `cleanup_schedule`", node, &known)?;
    let mut schedule = CleanupSchedule::default();
    if let Some(field) = fields.get("enabled") {
        schedule.enabled = field.bool()?;
    }
    let (interval, time) = (fields.get("interval_hours"), fields.get("time_of_day"));
    if let Some(field) = fields.get("cron") {
        if let Some(other) = interval.or(time) {
            let message = format!("takes the place of the key on line {}: keep one of them", other.line);
            return Err(field.problem(message));
        }
        schedule.cron = Some(cron(&field)?);
        schedule.time_of_day = None;
        return Ok(schedule);
    }
    if let Some(field) = &interval {
        schedule.interval_hours = field.whole(1..=MAX_INTERVAL_HOURS)?;
        schedule.time_of_day = None;
    }
    if let Some(field) = &time {
        let parsed = field.text()?.parse();
        schedule.time_of_day =
            Some(parsed.map_err(|error: Error| field.problem(format!("is wrong: {}", error.message())))?);
    }
    Ok(schedule)
}

fn cron(field: &Field<'_>) -> Result<String> {
    let text = field.text()?.trim();
    let parts = text.split_whitespace().count();
    let fits = text.len() <= MAX_CRON_BYTES && ((5..=7).contains(&parts) || text.starts_with('@'));
    if !fits {
        return Err(field.problem("is not a cron expression: write five fields, such as \"0 2 * * *\""));
    }
    Ok(text.to_owned())
}

pub(super) fn logging(source: &str, node: &Node) -> Result<Logging> {
    let known = ["level", "log_cleanup_operations", "log_compression_stats"];
    let fields = Fields::new(source, "the section `logging`", node, &known)?;
    let mut logging = Logging::default();
    if let Some(field) = fields.get("level") {
        logging.level = field.one_of(&LOG_LEVELS)?;
    }
    if let Some(field) = fields.get("log_cleanup_operations") {
        logging.log_cleanup_operations = field.bool()?;
    }
    if let Some(field) = fields.get("log_compression_stats") {
        logging.log_compression_stats = field.bool()?;
    }
    Ok(logging)
}

/// The section `compression`: what holds for rules that do not say.
#[derive(Clone, Debug)]
pub(super) struct CompressionDefaults {
    codec: Codec,
    level: u8,
    pub(super) threshold_bytes: u32,
    origins: Origins,
}

impl Default for CompressionDefaults {
    fn default() -> Self {
        let Compression { codec, level, threshold_bytes, .. } = Compression::DEFAULT;
        CompressionDefaults { codec, level, threshold_bytes, origins: Origins::default() }
    }
}

impl CompressionDefaults {
    /// What holds for a rule that says nothing about compression.
    pub(super) fn alone(&self) -> (Compression, Origins) {
        let CompressionDefaults { codec, level, threshold_bytes, origins } = *self;
        let compression = match codec {
            Codec::None => Compression::NONE,
            _ => Compression { codec, level, threshold_bytes, dictionary: 0 },
        };
        (compression, origins)
    }
}

pub(super) fn compression(source: &str, node: &Node) -> Result<CompressionDefaults> {
    let known = ["default_threshold_bytes", "algorithm", "level"];
    let fields = Fields::new(source, "the section `compression`", node, &known)?;
    let mut defaults = CompressionDefaults::default();
    let mut note = |setting, line| defaults.origins.set(setting, Origin::CompressionSection(line));
    if let Some(field) = fields.get("default_threshold_bytes") {
        note(Setting::CompressionThreshold, field.line);
        defaults.threshold_bytes = field.whole(0..=u32::MAX)?;
    }
    if let Some(field) = fields.get("algorithm") {
        defaults.codec = field.one_of(&ALGORITHMS)?;
        defaults.level = default_level(defaults.codec);
        note(Setting::CompressionAlgorithm, field.line);
    }
    if let Some(field) = fields.get("level") {
        note(Setting::CompressionLevel, field.line);
        defaults.level = level(&field, defaults.codec)?;
    }
    Ok(defaults)
}
