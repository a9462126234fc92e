use crate::output::Output;
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};

/// What a walk-through found, printed as it is found.
pub struct Report<'a> {
    output: &'a Output,
    /// Every value it found, by name.
    pub results: Map<String, Value>,
    /// What was not as it should be.
    pub wrong: Vec<String>,
}

impl<'a> Report<'a> {
    /// A report under `title`.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn start(output: &'a Output, title: &str) -> Result<Self> {
        let report = Report { output, results: Map::new(), wrong: Vec::new() };
        report.print(&format!("\n{title}"))?;
        Ok(report)
    }

    /// Tells what is about to happen.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn say(&self, text: &str) -> Result<()> {
        self.print(&format!("  {text}"))
    }

    /// Tells a value that was found.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn found<T: Serialize>(&mut self, name: &str, value: T) -> Result<()> {
        let value = serde_json::to_value(value)?;
        self.print(&format!("    {}: {value}", name.replace('_', " ")))?;
        self.results.insert(name.to_owned(), value);
        Ok(())
    }

    /// Tells a value that was found, and notes when it is not the one expected.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn check<T: Serialize, E: Serialize>(&mut self, name: &str, found: T, expected: E) -> Result<()> {
        let (found, expected) = (serde_json::to_value(found)?, serde_json::to_value(expected)?);
        let differs = found != expected;
        let difference = format!("{} is {found} and should be {expected}", name.replace('_', " "));
        self.found(name, found)?;
        if differs { self.fail(&difference) } else { Ok(()) }
    }

    /// Notes what went wrong.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn fail(&mut self, what: &str) -> Result<()> {
        self.print(&format!("    WRONG: {what}"))?;
        self.wrong.push(what.to_owned());
        Ok(())
    }

    fn print(&self, text: &str) -> Result<()> {
        if !self.output.is_json() {
            self.output.line(text)?;
        }
        Ok(())
    }
}
