mod lines;

use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::Args;
use lines::{Line, Lines};
use memlife::{ImportReport, Memory};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

/// Imports JSON Lines, as `export` writes them
///
/// A line needs `key` and `value` only. Lines that are refused are told with their numbers; the others are stored.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ImportArgs {
    /// The file; `-` or nothing for standard input
    file: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Exit status: 2 when lines were refused.

Example:
  memlife import knowledge.jsonl";

/// Room around the value of a line, for the key and the rest.
const LINE_ROOM_BYTES: usize = 64 << 10;
/// Lines between two moves of the progress bar.
const STRIDE: u64 = 256;

#[derive(Serialize)]
struct ImportView<'a> {
    lines: u64,
    imported: u64,
    unchanged: u64,
    expired: u64,
    quarantined: u64,
    rejected: u64,
    rejections: Vec<RejectionView<'a>>,
}

#[derive(Serialize)]
struct RejectionView<'a> {
    line: u64,
    reason: &'a str,
}

pub fn run(session: &Session, args: &ImportArgs) -> Result<Exit> {
    let source: Box<dyn BufRead> = match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(path).with_context(|| format!("{} could not be opened", path.display()))?;
            Box::new(BufReader::new(file))
        }
        _ => Box::new(io::stdin().lock()),
    };
    let memory = session.open()?;
    let bar = Bar::new(&session.output, "importing", None);
    let report = read_all(session, &memory, source, &bar);
    bar.finish();
    conclude(session, &report?)
}

fn read_all(session: &Session, memory: &Memory, source: impl BufRead, bar: &Bar) -> Result<ImportReport> {
    // JSON escapes and siblings make a line longer than its value.
    let limit = session.settings.max_value_bytes.saturating_mul(4).saturating_add(LINE_ROOM_BYTES);
    let mut lines = Lines::new(source, limit);
    let mut importer = memory.import();
    let mut refused = Vec::new();
    let mut number: u64 = 0;
    while let Some(line) = lines.next().with_context(|| format!("line {} could not be read", number + 1))? {
        number += 1;
        // A refused line still counts, so that the importer's numbers stay those of the file.
        let text = match line {
            Line::Text(text) => text,
            Line::TooLong => {
                refused.push((number, format!("it is longer than {limit} bytes: raise --max-value-bytes")));
                ""
            }
            Line::NotText => {
                refused.push((number, "it is not valid UTF-8".to_owned()));
                ""
            }
        };
        session
            .wait(importer.line(text))
            .with_context(|| format!("the import stopped near line {number}"))?;
        if refused.len() >= MAX_REFUSED {
            anyhow::bail!("line {number} is the {MAX_REFUSED}th that is no text: this is no export");
        }
        if number.is_multiple_of(STRIDE) {
            bar.set(number);
        }
    }
    let mut report = session.wait(importer.finish()).context("the import stopped at its end")?;
    add_refused(&mut report, refused);
    Ok(report)
}

/// Unreadable lines after which an import gives up.
const MAX_REFUSED: usize = 100;

fn add_refused(report: &mut ImportReport, refused: Vec<(u64, String)>) {
    report.lines += refused.len() as u64;
    report.rejections += refused.len() as u64;
    report.rejected.extend(refused.into_iter().map(|(line, reason)| memlife::Rejected { line, reason }));
    report.rejected.sort_by_key(|rejected| rejected.line);
}

fn conclude(session: &Session, report: &ImportReport) -> Result<Exit> {
    for rejected in &report.rejected {
        session.output.problem(&format!("line {} was refused: {}", rejected.line, rejected.reason));
    }
    let untold = report.rejections.saturating_sub(report.rejected.len() as u64);
    if untold > 0 {
        session.output.problem(&format!("{untold} more lines were refused"));
    }
    let ImportReport { lines, imported, unchanged, expired, quarantined, rejections, .. } = report;
    if session.output.is_json() {
        let told = report.rejected.iter();
        session.output.json(&ImportView {
            lines: *lines,
            imported: *imported,
            unchanged: *unchanged,
            expired: *expired,
            quarantined: *quarantined,
            rejected: *rejections,
            rejections: told.map(|told| RejectionView { line: told.line, reason: &told.reason }).collect(),
        })?;
    } else {
        session.output.line(&format!(
            "imported {imported} of {lines} lines ({unchanged} were there already, {expired} had expired, \
             {rejections} were refused)"
        ))?;
        if *quarantined > 0 {
            session.output.note(&format!(
                "{quarantined} wait because their stamps lie in the future: see `memlife conflicts lost`"
            ));
        }
    }
    Ok(if *rejections > 0 { Exit::Failed } else { Exit::Done })
}
