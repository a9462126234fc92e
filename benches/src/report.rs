use crate::machine::Machine;
use anyhow::{Context, Result};
use std::fmt;

/// Where results are kept.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
}

impl Verdict {
    /// As tables say it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Met => "yes",
            Verdict::Missed => "NO",
        }
    }
}

/// One table and what has to be known about it.
#[derive(Debug)]
pub struct Section {
    title: String,
    about: Vec<String>,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    verdicts: Vec<(String, Verdict)>,
}

impl Section {
    /// A table without rows; each line of `about` is a paragraph above it.
    pub fn new(title: &str, about: &[&str], columns: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Section {
            title: title.to_owned(),
            about: owned(about),
            columns: owned(columns),
            rows: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Adds a row: one cell per column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Notes how a target of this section came out.
    pub fn judge(&mut self, what: &str, verdict: Option<Verdict>) {
        self.verdicts.extend(verdict.map(|verdict| (format!("{}: {what}", self.title), verdict)));
    }

    fn widths(&self) -> Vec<usize> {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).chain(self.columns.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(width).collect()
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        for paragraph in &self.about {
            writeln!(f, "{paragraph}\n")?;
        }
        let widths = self.widths();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        for row in [&self.columns, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

/// Everything one run found.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    command: String,
    sections: Vec<Section>,
}

impl Report {
    /// Nothing yet.
    pub fn new(machine: Machine, command: String) -> Self {
        Report { machine, command, sections: Vec::new() }
    }

    /// Adds a section at the end.
    pub fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// The machine and the command.
    pub fn preface(&self) -> String {
        format!("{}- command: `{}`\n", self.machine, self.command)
    }

    /// How the targets came out.
    pub fn verdict(&self) -> String {
        let verdicts: Vec<_> = self.sections.iter().flat_map(|section| &section.verdicts).collect();
        let missed: Vec<_> = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Missed).collect();
        let mut text = format!("{} of {} targets met.\n", verdicts.len() - missed.len(), verdicts.len());
        for (what, _) in missed {
            text.push_str(&format!("- missed: {what}\n"));
        }
        text
    }

    /// Writes the results beside this program's source.
    pub fn write(&self) -> Result<()> {
        let mut text = format!("# Results\n\n{INTRODUCTION}\n{}\n{}", self.preface(), self.verdict());
        for section in &self.sections {
            text.push_str(&format!("\n{section}"));
        }
        std::fs::write(RESULTS, text).with_context(|| format!("cannot write {RESULTS}"))
    }
}

const INTRODUCTION: &str = "\
One run of `benches` on one machine. Where two things are compared, both were measured in the same run, in
turn, at the same durability; the ratio is the middle one of all rounds, with the least and the most behind it.
Rows that cannot be compared at equal durability are not here.
";
