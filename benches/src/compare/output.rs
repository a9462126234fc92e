use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// A file that is to be written in the end. One that was not there goes again if nothing comes.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    is_new: bool,
}

impl Output {
    /// Makes sure that `path` can be written; what is there stays for now.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn claim(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Output { path: path.to_owned(), is_new })
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where that has become impossible since.
    pub fn write(mut self, text: &str) -> Result<()> {
        fs::write(&self.path, text).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = Output::claim(&folder.path().join("no/such/folder/report.json")).unwrap_err();
        assert!(error.to_string().contains("report.json"), "{error}");
        assert!(Output::claim(folder.path()).is_err());
    }

    #[test]
    fn a_file_is_as_it_was_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "yesterday").unwrap();
        drop((Output::claim(&old).unwrap(), Output::claim(&new).unwrap()));
        assert_eq!(fs::read_to_string(&old).unwrap(), "yesterday");
        assert!(!new.exists());
        Output::claim(&old).unwrap().write("today").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "today");
    }
}
