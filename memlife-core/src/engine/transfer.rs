use super::{Entry, ListContent, ListOptions, Listing, Memory, PutOptions, StateLine};
use crate::decide::latest_time;
use crate::record::{Kind, Record};
use crate::resolver::Held;
use crate::store::{Outcome, Want, Write};
use crate::{Encoding, Error, ErrorKind, Key, Result, Timestamp, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Lines that an import writes per commit, and the bytes after which it commits earlier.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// One entry of an export: a line of JSON. An import needs `key` and `value` only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportLine {
    /// The key.
    pub key: Key,
    /// The newest value: any JSON, or base64 where `encoding` says so.
    pub value: Box<RawValue>,
    /// `base64` for plain bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// When it expires, RFC 3339; left out for permanent entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<jiff::Timestamp>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// The other values of a multi-value entry, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<SiblingLine>,
    /// Whether the entry is deleted: only lines with a state tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// What a merge needs. An import joins a line that has it, whatever else the line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateLine>,
}

/// A further value of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiblingLine {
    /// The value, as in [`ExportLine`].
    pub value: Box<RawValue>,
    /// `base64` for plain bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
}

/// An export in progress: one line after the other, in key order.
pub struct Export {
    listing: Listing,
    memory: Memory,
    with_state: bool,
}

impl Memory {
    /// Exports what `options` list. Memory stays bounded; no snapshot spans the whole.
    ///
    /// With [`ListContent::State`] every line holds what a merge needs, and deleted entries are among them: imports of
    /// such exports come to the same in any order and any number of times.
    pub fn export(&self, options: ListOptions) -> Export {
        let with_state = options.content == ListContent::State;
        let content = if with_state { ListContent::State } else { ListContent::Values };
        Export { listing: self.list(options.content(content)), memory: self.clone(), with_state }
    }

    /// Starts an import.
    pub fn import(&self) -> Importer {
        Importer {
            memory: self.clone(),
            pending: Vec::new(),
            pending_bytes: 0,
            line: 0,
            report: ImportReport::default(),
        }
    }
}

impl Export {
    /// The next line; `None` at the end. A damaged entry is an error of its own, and the export goes on after it.
    ///
    /// # Errors
    /// `Corrupt` for one entry; the store's own.
    pub async fn next(&mut self) -> Result<Option<ExportLine>> {
        let record = self.listing.next_record().await.map_err(|error| error.during("export"))?;
        record.map(|record| self.line(record).map_err(|error| error.during("export"))).transpose()
    }

    fn line(&self, record: Record) -> Result<ExportLine> {
        let state = self.with_state.then(|| StateLine::of(&record)).transpose()?;
        if !record.head.alive {
            return Ok(ExportLine { state, ..ExportLine::deleted(record.key) });
        }
        let line = ExportLine::of(&self.memory.to_entry(record)?)?;
        Ok(ExportLine { state, ..line })
    }
}

impl ExportLine {
    /// The line of an entry that was read with its values.
    ///
    /// # Errors
    /// `Corrupt` when a stored value is not the JSON it should be.
    pub fn of(entry: &Entry) -> Result<Self> {
        let (value, encoding) = encode(entry.value()?).map_err(|error| error.on(&entry.key))?;
        let sibling = |held: &Held| {
            let (value, encoding) = encode(&held.value).map_err(|error| error.on(&entry.key))?;
            Ok(SiblingLine { value, encoding, writer: held.writer.as_deref().map(str::to_owned) })
        };
        let newest = entry.values.first();
        Ok(ExportLine {
            key: entry.key.clone(),
            value,
            encoding,
            expires_at: entry.expires_at.and_then(to_jiff),
            writer: newest.and_then(|held| held.writer.as_deref()).map(str::to_owned),
            siblings: entry.values.iter().skip(1).map(sibling).collect::<Result<_>>()?,
            deleted: false,
            state: None,
        })
    }

    fn deleted(key: Key) -> Self {
        ExportLine {
            key,
            value: RawValue::NULL.to_owned(),
            encoding: None,
            expires_at: None,
            writer: None,
            siblings: Vec::new(),
            deleted: true,
            state: None,
        }
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read.
    pub lines: u64,
    /// Lines whose values are stored now.
    pub imported: u64,
    /// Lines that held nothing new: their values are there already.
    pub unchanged: u64,
    /// Lines whose deadline is past: nothing is stored for them.
    pub expired: u64,
    /// Lines whose stamps lie too far in the future: they are merged by a sweep or an import once they do not.
    pub quarantined: u64,
    /// Lines that were refused, with the reason; the first 100 of them.
    pub rejected: Vec<Rejected>,
    /// All that were refused.
    pub rejections: u64,
}

/// A line that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The line, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

const MAX_REJECTED: usize = 100;

/// An import in progress. Made by [`Memory::import`].
pub struct Importer {
    memory: Memory,
    pending: Vec<(u64, ExportLine)>,
    pending_bytes: usize,
    line: u64,
    report: ImportReport,
}

impl Importer {
    /// Takes one line; an empty one is skipped. A line that is no entry is refused and told in the report.
    ///
    /// # Errors
    /// The store's. Lines before it may be stored.
    pub async fn line(&mut self, text: &str) -> Result<()> {
        self.line += 1;
        if text.trim().is_empty() {
            return Ok(());
        }
        self.report.lines += 1;
        match serde_json::from_str::<ExportLine>(text) {
            Ok(line) => {
                self.pending.push((self.line, line));
                self.pending_bytes += text.len();
            }
            Err(error) => self.reject(self.line, format!("not an entry: {error}")),
        }
        if self.pending.len() >= BATCH || self.pending_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// What was done up to now, pending lines not counted.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Stores what is pending and ends the import.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish(mut self) -> Result<ImportReport> {
        self.flush().await?;
        if !self.memory.inner.store.info().read_only {
            self.memory.release_quarantined().await.map_err(|error| error.during("import"))?;
        }
        Ok(self.report)
    }

    fn reject(&mut self, line: u64, reason: String) {
        self.report.rejections += 1;
        if self.report.rejected.len() < MAX_REJECTED {
            self.report.rejected.push(Rejected { line, reason });
        }
    }

    async fn flush(&mut self) -> Result<()> {
        self.memory.note_policy().await;
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let keys: Vec<Key> = pending.iter().map(|(_, line)| line.key.clone()).collect();
        let memory = self.memory.clone();
        let fetched =
            memory.inner.store.get(&keys, Want::Whole).await.map_err(|error| error.during("import"))?;
        let now = self.memory.inner.now(fetched.clock);
        let mut writes: Vec<Write> = Vec::new();
        let mut lines: Vec<(u64, usize)> = Vec::new();
        for ((number, line), slot) in pending.into_iter().zip(fetched.slots) {
            let visible = slot.filter(|record| self.memory.is_visible(&record.key, &record.head, now));
            let there = visible.map(|record| self.memory.to_entry(record)).transpose()?;
            let planned = match self.plan(line, there.as_ref(), now) {
                Ok(Plan::Later(record, due)) => {
                    self.memory.quarantine(&record, due).await.map_err(|error| error.during("import"))?;
                    self.report.quarantined += 1;
                    continue;
                }
                planned => planned,
            };
            match planned {
                Ok(Plan::Write(planned)) => {
                    lines.push((number, planned.len()));
                    writes.extend(planned);
                }
                Ok(Plan::Later(..) | Plan::Unchanged) => self.report.unchanged += 1,
                Ok(Plan::Expired) => self.report.expired += 1,
                Err(error) => self.reject(number, error.to_string()),
            }
        }
        self.write(writes, lines).await
    }

    async fn write(&mut self, writes: Vec<Write>, lines: Vec<(u64, usize)>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let outcomes = self.memory.submit_all(writes).await.map_err(|error| error.during("import"))?;
        let mut outcomes = outcomes.into_iter();
        for (number, count) in lines {
            let results: Vec<Result<Outcome>> = outcomes.by_ref().take(count).collect();
            let is_idle = results.iter().all(|result| matches!(result, Ok(Outcome::Unchanged { .. })));
            match results.into_iter().find_map(Result::err) {
                None if is_idle => self.report.unchanged += 1,
                None => self.report.imported += 1,
                Some(error) => match error.kind() {
                    ErrorKind::Invalid | ErrorKind::TypeMismatch | ErrorKind::TooLarge => {
                        self.reject(number, error.to_string());
                    }
                    _ => return Err(error.during("import")),
                },
            }
        }
        Ok(())
    }

    /// The writes of a line: the oldest sibling first, so that the newest ends up in front.
    fn plan(&self, line: ExportLine, there: Option<&Entry>, now: Timestamp) -> Result<Plan> {
        if let Some(state) = &line.state {
            return self.join(state.record(&line.key)?);
        }
        if line.deleted {
            let message = "the line tells of a deletion without its state: export with --state";
            return Err(Error::new(ErrorKind::Invalid, message).on(&line.key));
        }
        if there.is_some_and(|entry| matches!(entry.kind, Kind::Counter | Kind::GCounter)) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a counter is there already, and adding to it could count twice: delete it first, or export with --state",
            )
            .on(&line.key));
        }
        let expires_at = line.expires_at.map(from_jiff).transpose()?;
        if expires_at.is_some_and(|at| at <= now) {
            return Ok(Plan::Expired);
        }
        let newest = SiblingLine { value: line.value, encoding: line.encoding, writer: line.writer };
        let held = |value: &Value| {
            there.is_some_and(|entry| entry.values.iter().any(|held| says_the_same(&held.value, value)))
        };
        let mut writes = Vec::new();
        for sibling in line.siblings.into_iter().rev().chain([newest]) {
            let value = decode(&sibling)?;
            if held(&value) {
                continue;
            }
            let mut options = PutOptions::new();
            if let Some(at) = expires_at {
                options = options.expires_at(at);
            }
            options.writer = sibling.writer.map(Arc::from);
            writes.push(self.memory.put_write(&line.key, &value, &options)?.0);
        }
        Ok(if writes.is_empty() { Plan::Unchanged } else { Plan::Write(writes) })
    }
}

impl Importer {
    fn join(&self, record: Record) -> Result<Plan> {
        if record.key.is_system() {
            return Err(Error::new(ErrorKind::Invalid, "the key belongs to memlife itself").on(&record.key));
        }
        match self.memory.merged_from(latest_time(&record.head).at).map_err(|error| error.on(&record.key))? {
            Some(due) => Ok(Plan::Later(Box::new(record), due)),
            None => Ok(Plan::Write(vec![self.memory.joining(record)])),
        }
    }
}

enum Plan {
    Write(Vec<Write>),
    /// Its time has not come.
    Later(Box<Record>, Timestamp),
    Unchanged,
    Expired,
}

fn encode(value: &Value) -> Result<(Box<RawValue>, Option<String>)> {
    let corrupt = |error| Error::new(ErrorKind::Corrupt, "a stored JSON value is not JSON").because(error);
    match value.encoding {
        // A line has to stay one line.
        Encoding::Json => {
            let text = std::str::from_utf8(&value.bytes).map_err(|error| {
                Error::new(ErrorKind::Corrupt, "a stored JSON value is not UTF-8").because(error)
            })?;
            Ok((RawValue::from_string(minified(text)).map_err(corrupt)?, None))
        }
        Encoding::Bytes => {
            let text = serde_json::value::to_raw_value(&BASE64.encode(&value.bytes)).map_err(corrupt)?;
            Ok((text, Some("base64".to_owned())))
        }
    }
}

/// The JSON text without the white space between its tokens; numbers and strings stay to the byte.
fn minified(text: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    let keeps = |c: &char| {
        let is_token = in_string || !c.is_ascii_whitespace();
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        is_token
    };
    text.chars().filter(keeps).collect()
}

/// Whether two values say the same, white space aside.
fn says_the_same(one: &Value, other: &Value) -> bool {
    let text = |value: &Value| std::str::from_utf8(&value.bytes).map(minified);
    one == other
        || (one.encoding == Encoding::Json && other.encoding == Encoding::Json && text(one) == text(other))
}

fn decode(line: &SiblingLine) -> Result<Value> {
    let invalid = |message: &str| Error::new(ErrorKind::Invalid, message.to_owned());
    match line.encoding.as_deref() {
        None => Value::json_text(line.value.get().as_bytes().to_vec()),
        Some("base64") => {
            let text: String = serde_json::from_str(line.value.get())
                .map_err(|_| invalid("a value encoded as base64 is a JSON string"))?;
            let bytes = BASE64.decode(text).map_err(|error| invalid(&format!("not base64: {error}")))?;
            Ok(Value::bytes(bytes))
        }
        Some(other) => {
            Err(invalid(&format!("the encoding {other:?} is unknown: use base64 or leave it out")))
        }
    }
}

fn to_jiff(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.ms()).ok()?).ok()
}

fn from_jiff(at: jiff::Timestamp) -> Result<Timestamp> {
    let ms = u64::try_from(at.as_millisecond());
    ms.map(Timestamp::from_ms).map_err(|_| Error::new(ErrorKind::Invalid, "`expires_at` lies before 1970"))
}
