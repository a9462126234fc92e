//! Goes over all files: to index them the first time, and to check them.

use crate::directory::Directory;
use crate::document::{self, Author};
use crate::error::corrupt;
use crate::files::{Files, belongs};
use crate::name;
use memlife_core::store::{Finding, Repair, Verification, Warning};
use memlife_core::{Clock, Error, ErrorKind, Key, Result, SystemClock};
use memlife_store_sqlite::Index;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Keys of one transaction of the index.
const CHUNK: usize = 500;
/// Files between two lines of the log.
const TOLD_EVERY: u64 = 10_000;
/// The most names that a warning lists.
const MAX_LISTED: usize = 5;
/// Set while files under the original's names may be there.
const ORIGINALS: &str = "originals";
/// Begins the marker of an index that was built to its end; the index's incarnation follows.
const BUILT: &str = "built-";

/// One look at every file.
pub(crate) struct Scrub<'a> {
    files: &'a Files,
    index: &'a Index,
}

/// What a file turned out to be.
enum Judged {
    /// Gone since it was listed.
    Gone,
    /// The entry of this key, in the place where it is looked for.
    Sound(Key, Author),
    /// Nothing that can be served.
    Unusable(Unusable),
}

/// A file that cannot be served.
struct Unusable {
    name: String,
    /// Whose it was, as far as it tells.
    key: Option<Key>,
    error: Error,
    /// Whether it was an entry once; everything else is not memlife's to move.
    was_entry: bool,
}

/// What was met on the way.
#[derive(Default)]
struct Tally {
    files: u64,
    /// Entries under the original's name alone.
    originals: u64,
    unusable: u64,
    /// Why some of the others could not be indexed.
    failure: Option<Error>,
    first_unusable: Vec<String>,
}

impl Tally {
    fn note(&mut self, indexed: Result<()>) {
        if let Err(error) = indexed {
            self.failure.get_or_insert(error);
        }
    }
}

impl<'a> Scrub<'a> {
    pub(crate) fn new(files: &'a Files, index: &'a Index) -> Self {
        Scrub { files, index }
    }

    fn directory(&self) -> &Directory {
        &self.files.directory
    }

    /// Makes an opened store ready: clears what dead writers left, and indexes the files if that was never done
    /// to the end. What could not be indexed comes back as a warning.
    pub(crate) fn prepare(&self) -> Result<Option<Warning>> {
        self.clear_staging();
        let built = format!("{BUILT}{:016x}", self.index.info().incarnation);
        if self.directory().has_marker(&built)? {
            let originals = self.directory().has_marker(ORIGINALS)?;
            self.files.originals.store(originals, Ordering::Release);
            return Ok(None);
        }
        wait(self.build(&built))?
    }

    async fn build(&self, built: &str) -> Result<Option<Warning>> {
        // Before the first file is indexed, so that nobody who finds the index built misses an old name.
        self.set_originals(true)?;
        let mut tally = self.each_file(|_| Ok(None)).await?;
        if let Some(error) = tally.failure.take() {
            return Err(error);
        }
        if tally.originals == 0 {
            self.set_originals(false)?;
        }
        self.directory().replace_marker(BUILT, built)?;
        Ok(warning(&tally))
    }

    /// Checks every file against its row and every row against its file.
    ///
    /// A row that merely lags behind its file is what a crash leaves, and is put right without being a problem.
    pub(crate) async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.clear_staging();
        let mut report = Verification::default();
        let tally = self.each_file(|unusable| self.report(unusable, repair, &mut report)).await?;
        if tally.originals == 0 && self.files.originals.load(Ordering::Acquire) {
            self.set_originals(false)?;
        }
        if let Some(error) = &tally.failure {
            let problem = format!("it cannot be brought up to date: {error}");
            report.add(Finding { key: None, place: "index".into(), problem, repaired: false });
        }
        let index = self.index.verify(repair).await?;
        report.checked = tally.files.max(index.checked);
        // The row of a damaged file meets the damage once more.
        let told: BTreeSet<Key> = report.findings.iter().filter_map(|finding| finding.key.clone()).collect();
        let is_news = |finding: &Finding| finding.key.as_ref().is_none_or(|key| !told.contains(key));
        index.findings.into_iter().filter(is_news).for_each(|finding| report.add(finding));
        Ok(report)
    }

    /// Judges every file whose name could be an entry's, and has the index look at those that are.
    ///
    /// `report` is told of the others, and names the key that the index has to forget.
    async fn each_file(
        &self,
        mut report: impl FnMut(Unusable) -> Result<Option<Key>> + Send,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut chunk = Vec::with_capacity(CHUNK);
        for name in self.directory().names()? {
            let name = name?;
            if name.starts_with('.') || !name.ends_with(name::SUFFIX) {
                continue;
            }
            tally.files += 1;
            if tally.files.is_multiple_of(TOLD_EVERY) {
                tracing::info!(files = tally.files, "indexing");
            }
            match self.judge(&name) {
                Judged::Gone => {}
                Judged::Sound(key, author) => {
                    tally.originals += u64::from(author == Author::Original && name::of(&key) != name);
                    chunk.push(key);
                }
                Judged::Unusable(unusable) => {
                    tracing::warn!(name, error = %unusable.error, "a file is no entry that can be served");
                    tally.unusable += 1;
                    if tally.first_unusable.len() < MAX_LISTED {
                        tally.first_unusable.push(name);
                    }
                    chunk.extend(report(unusable)?);
                }
            }
            if chunk.len() == CHUNK {
                tally.note(self.reindex(&chunk).await);
                chunk.clear();
            }
        }
        tally.note(self.reindex(&chunk).await);
        Ok(tally)
    }

    fn judge(&self, name: &str) -> Judged {
        let limit = document::max_bytes(self.files.body_bytes);
        let text = match self.directory().read(name, limit) {
            Ok(Some(text)) => text,
            Ok(None) => return Judged::Gone,
            Err(error) => {
                let key = name::key(name);
                return Judged::Unusable(Unusable { name: name.to_owned(), key, error, was_entry: false });
            }
        };
        let error = match document::read(&text, self.files.body_bytes) {
            Ok(document) if belongs(name, &document) => {
                return Judged::Sound(document.record.key, document.author);
            }
            Ok(document) => {
                let other = document.record.key;
                corrupt(format!("the file {name} holds the entry of {:?}", other.as_str()))
            }
            Err(error) => error,
        };
        let mentioned = document::mentioned_key(&text)
            .filter(|key| name::of(key) == name || name::original(key).is_some_and(|old| old == name));
        let was_entry = mentioned.is_some() || document::has_remains(&text);
        let key = mentioned.or_else(|| name::key(name));
        Judged::Unusable(Unusable { name: name.to_owned(), key, error, was_entry })
    }

    fn report(&self, unusable: Unusable, repair: Repair, report: &mut Verification) -> Result<Option<Key>> {
        let Unusable { name, key, error, was_entry } = unusable;
        // What is too large or of a newer format is whole, and what never was an entry is somebody else's.
        let repaired = repair == Repair::Yes && was_entry && error.kind() == ErrorKind::Corrupt;
        let mut problem = error.message().to_owned();
        if repaired {
            let place = self.directory().set_aside(&name)?;
            problem = format!("{problem}; moved to {place}");
        }
        report.add(Finding { key: key.clone(), place: name, problem, repaired });
        Ok(key.filter(|_| repaired))
    }

    /// Has the index look at the files of `keys`.
    async fn reindex(&self, keys: &[Key]) -> Result<()> {
        if self.index.info().read_only {
            return Ok(());
        }
        let now = SystemClock.now();
        if self.index.reindex(now, keys).await.is_ok() {
            return Ok(());
        }
        // One by one, to tell a file that was damaged meanwhile, for the next check to find, from what hits all.
        for key in keys {
            match self.index.reindex(now, std::slice::from_ref(key)).await {
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) => {
                    tracing::warn!(%error, "an entry cannot be indexed");
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn clear_staging(&self) {
        match self.directory().staging.clear_dead() {
            Ok(0) => {}
            Ok(files) => tracing::debug!(files, "cleared unfinished files of writers that died"),
            Err(error) => tracing::warn!(%error, "unfinished files stay"),
        }
    }

    fn set_originals(&self, may_be: bool) -> Result<()> {
        self.directory().set_marker(ORIGINALS, may_be)?;
        self.files.originals.store(may_be, Ordering::Release);
        Ok(())
    }
}

/// Waits for `work` on a thread of its own, so that it may be done inside a runtime too.
fn wait<T: Send>(work: impl Future<Output = T> + Send) -> Result<T> {
    let failed = |error| {
        Error::new(ErrorKind::Unavailable, "no thread could be started to index the files").because(error)
    };
    let builder = std::thread::Builder::new().name("memlife-index".to_owned());
    std::thread::scope(|scope| {
        let run = || Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(work));
        let ended = || Error::new(ErrorKind::Internal, "indexing ended by a bug in memlife: report it");
        builder.spawn_scoped(scope, run).map_err(failed)?.join().map_err(|_| ended())?.map_err(failed)
    })
}

fn warning(tally: &Tally) -> Option<Warning> {
    if tally.unusable == 0 {
        return None;
    }
    let more = if tally.unusable > tally.first_unusable.len() as u64 { ", \u{2026}" } else { "" };
    Some(Warning(format!(
        "{} files are no entries and were left as they are ({}{more}): `memlife verify` names them all",
        tally.unusable,
        tally.first_unusable.join(", ")
    )))
}
