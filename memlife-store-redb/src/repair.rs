use crate::config::RedbConfig;
use crate::database::{self, Gate, Handle, Shared, contained};
use crate::error::{Fault, Trouble};
use crate::frame::Writer;
use crate::removals::{self, Removed};
use crate::rows;
use crate::schema::{
    CHANGES, DUE, ENTRY, IDENTITY, Identity, LEDGER, LOST_FOUND, OWN, REMOVED, State, USAGE,
};
use crate::usage::encode;
use crate::verify::{Counted, Report, look, sound, walk};
use crate::{place, read};
use memlife_core::record::Record;
use memlife_core::store::{Cause, Finding, Removals, Repair, Verification};
use memlife_core::{GRACE_MS, Key, Ledger, Result};
use memlife_store_local::error::at_path;
use memlife_store_local::identity;
use redb::{ReadTransaction, ReadableTable, Table, TableError, WriteTransaction};
use std::io;
use std::path::Path;

/// Looks at everything, and mends where asked to.
pub(crate) fn verify(
    shared: &Shared,
    config: &RedbConfig,
    identity: Identity,
    repair: Repair,
) -> Result<Verification> {
    if repair == Repair::No {
        let report = shared.read(|transaction| Ok(look(transaction)))?;
        if report.is_over {
            shared.gate().reopen().map_err(Trouble::into_error)?;
        }
        return Ok(report.verification);
    }
    let gate = shared.gate();
    let mut report = examine(&gate)?;
    let mend = |report: &mut Report| rebuild(&gate, config, identity, report, place::sync_folder);
    match mend(&mut report) {
        // What a panic left behind may have failed the copy, too: once more with a handle that has not seen it.
        Err(_) if report.is_over => {
            gate.reopen().map_err(Trouble::into_error)?;
            report = examine(&gate)?;
            mend(&mut report)?;
        }
        rebuilt => rebuilt?,
    }
    if report.is_over {
        gate.reopen().map_err(Trouble::into_error)?;
    }
    Ok(report.verification)
}

/// Looks at every record and every page. The file stays as it is.
fn examine(gate: &Gate<'_>) -> Result<Report> {
    let mut report = gate.read(|transaction| Ok(look(transaction))).map_err(Trouble::into_error)?;
    let is_whole = !report.is_over
        && match contained(|| gate.is_whole()) {
            Ok(Ok(is_whole)) => is_whole,
            Ok(Err(Trouble::All(error))) if Fault::of(&error) != Fault::Corrupt => {
                gate.reopen().map_err(Trouble::into_error)?;
                return Err(Trouble::All(error).into_error());
            }
            Ok(Err(_)) | Err(_) => {
                report.is_over = true;
                false
            }
        };
    if !is_whole {
        report.add(None, "file", "some pages do not match their checksums");
    }
    Ok(report)
}

/// Copies what is sound into a new file, which takes the place of the old one: nothing of a damaged tree has to be
/// changed or freed for it.
fn rebuild(
    gate: &Gate<'_>,
    config: &RedbConfig,
    identity: Identity,
    report: &mut Report,
    sync_folder: impl Fn(&Path) -> io::Result<()>,
) -> Result<()> {
    // What cannot be reached must not be lost for good by leaving it behind.
    if report.verification.problems == 0 || !report.is_complete {
        return Ok(());
    }
    let draft = place::draft(&config.path)?;
    let copied = contained(|| {
        gate.read(|transaction| copy(transaction, &draft, config.cache_bytes, identity, &report.counted))
    });
    let placed = copied.and_then(|copied| copied.map_err(Trouble::into_error)).and_then(|handle| {
        std::fs::rename(&draft, &config.path)
            .map_err(|error| at_path(&config.path, "cannot replace", error))?;
        Ok(handle)
    });
    match placed {
        // Both files are open until here, so that no other process gets in between.
        Ok(handle) => gate.replace(handle),
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
    }
    report.is_over = false;
    // From the renaming on there is no way back to the old file, whatever follows.
    sync_folder(&config.path).map_err(|error| at_path(&config.path, "cannot replace", error))?;
    report.verification.findings.iter_mut().for_each(|finding: &mut Finding| finding.repaired = true);
    Ok(())
}

/// The new file, open.
fn copy(
    from: &ReadTransaction,
    draft: &Path,
    cache_bytes: usize,
    identity: Identity,
    counted: &Counted,
) -> Result<Handle, Trouble> {
    let database = database::open_or_fill(draft, cache_bytes)?;
    let transaction = database.begin_write()?;
    let mut state = match read::state(from) {
        Ok(state) => state,
        Err(_) => lost_state(from, counted)?,
    };
    state.ledger.seq = state.ledger.seq.max(counted.last_seq);
    state.totals.tally = counted.total;
    copy_removals(from, &transaction, &mut state)?;
    copy_entries(from, &transaction, &mut state)?;
    let mut usage = transaction.open_table(USAGE)?;
    for (tag, tally) in &counted.groups {
        usage.insert(tag.as_bytes(), encode(*tally).as_slice())?;
    }
    drop(usage);
    let identity = Identity { fingerprint: identity::fingerprint(draft)?, ..identity };
    let mut own = transaction.open_table(OWN)?;
    own.insert(LEDGER, state.encode().as_slice())?;
    own.insert(IDENTITY, identity.encode().as_slice())?;
    drop(own);
    transaction.commit()?;
    Ok(Handle::Writing(Box::new(database)))
}

/// Change number and clock behind everything that was ever given out, as far as it is still there. What a lost record
/// had been given is not known: numbers far beyond cannot have been.
fn lost_state(from: &ReadTransaction, counted: &Counted) -> Result<State, Trouble> {
    // The entry that was left with the grace still tells of it.
    let told = format!("{}grace", Key::system_prefix());
    let is_told = from.open_table(ENTRY)?.get(told.as_bytes())?.is_some();
    let grace_ms = if is_told { GRACE_MS } else { 0 };
    let mut ledger = Ledger { seq: counted.last_seq, clock: counted.last_time, grace_ms };
    ledger.leap();
    Ok(State { ledger, floor: ledger.seq, ..State::default() })
}

fn copy_removals(from: &ReadTransaction, to: &WriteTransaction, state: &mut State) -> Result<(), Trouble> {
    let mut removed = to.open_table(REMOVED)?;
    state.kept = 0;
    for row in from.open_table(REMOVED)?.iter()? {
        let Ok((seq, row)) = row else {
            // Consumers that have not read what cannot be read start over.
            state.floor = state.ledger.seq;
            break;
        };
        state.ledger.seq = state.ledger.seq.max(seq.value());
        match removals::decode(seq.value(), row.value()).filter(|run| run.removals(0).is_ok()) {
            Some(run) => {
                state.kept += run.count;
                removed.insert(seq.value(), row.value())?;
            }
            None => state.floor = state.floor.max(seq.value()),
        }
    }
    Ok(())
}

fn copy_entries(from: &ReadTransaction, to: &WriteTransaction, state: &mut State) -> Result<(), Trouble> {
    let mut entry = to.open_table(ENTRY)?;
    let mut due = to.open_table(DUE)?;
    let mut changes = to.open_table(CHANGES)?;
    let mut lost = Lost::open(from, to)?;
    walk(&from.open_table(ENTRY)?, |bytes, row| {
        // A row whose key cannot be read is set aside like one with a value that cannot; only nobody can be told whose.
        let key = rows::key(bytes).ok();
        let Some(Ok(Record { key, head, .. })) = key.clone().map(|key| sound(key, row)) else {
            return lost.set_aside(key, bytes, row, state);
        };
        entry.insert(bytes, row)?;
        if let Some((place, row)) = rows::due_row(&key, &head) {
            due.insert(&place, row.as_slice())?;
        }
        if !key.is_system() {
            changes.insert(head.seq, bytes)?;
        }
        Ok(())
    })?;
    lost.close(state)
}

/// Keeps the rows that earlier repairs set aside, where there were any.
fn copy_lost(from: &ReadTransaction, to: &mut Table<'_, u64, &'static [u8]>) -> Result<(), Trouble> {
    let earlier = match from.open_table(LOST_FOUND) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        earlier => earlier?,
    };
    for row in earlier.iter()? {
        let (number, row) = row?;
        to.insert(number.value(), row.value())?;
    }
    Ok(())
}

/// Rows that cannot be read, moved where no reader meets them.
struct Lost<'t> {
    table: Table<'t, u64, &'static [u8]>,
    removed: Removed<'t>,
    removals: Removals,
}

impl<'t> Lost<'t> {
    fn open(from: &ReadTransaction, to: &'t WriteTransaction) -> Result<Self, Trouble> {
        let mut table = to.open_table(LOST_FOUND)?;
        // What earlier repairs set aside was damaged then: more damage to it is told, and is no reason to mend nothing.
        match copy_lost(from, &mut table) {
            Err(Trouble::All(error)) if Fault::of(&error) == Fault::Corrupt => {
                tracing::warn!(%error, "some of what earlier repairs set aside cannot be read and is gone");
            }
            copied => copied?,
        }
        Ok(Lost { table, removed: to.open_table(REMOVED)?, removals: Removals::default() })
    }

    fn set_aside(
        &mut self,
        key: Option<Key>,
        bytes: &[u8],
        row: &[u8],
        state: &mut State,
    ) -> Result<(), Trouble> {
        state.ledger.seq += 1;
        let seq = state.ledger.seq;
        let kept = Writer::default().number(bytes.len() as u64).bytes(bytes).bytes(row).plain();
        self.table.insert(seq, kept.as_slice())?;
        match key.filter(|key| !key.is_system()) {
            Some(key) => {
                let run = self.removals.push(&key, seq, state.ledger.clock.at, Cause::Purged);
                removals::write(&mut self.removed, run)
            }
            None => Ok(()),
        }
    }

    fn close(mut self, state: &mut State) -> Result<(), Trouble> {
        removals::write(&mut self.removed, self.removals.finish())?;
        state.kept += self.removals.added();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open;

    fn write(gate: &Gate<'_>, seq: u64) {
        let transaction = gate.begin_write().unwrap();
        transaction.open_table(CHANGES).unwrap().insert(seq, &b"a"[..]).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn after_the_renaming_writes_go_to_the_new_file_whatever_follows() {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        let opened = open::open(&config).unwrap();
        let shared = Shared::new(&config.path, config.cache_bytes, opened.handle);
        let gate = shared.gate();
        write(&gate, 77);
        let mut report = examine(&gate).unwrap();
        assert!(report.verification.problems > 0);
        let fails = |_: &Path| Err(io::ErrorKind::Other.into());
        assert!(rebuild(&gate, &config, opened.identity, &mut report, fails).is_err());
        write(&gate, 99);
        drop(gate);
        drop(shared);
        let opened = open::open(&config).unwrap();
        let changes = opened.handle.begin_read().unwrap().open_table(CHANGES).unwrap();
        assert!(changes.get(77).unwrap().is_none(), "the file was mended");
        assert!(changes.get(99).unwrap().is_some(), "the write after it is there");
    }
}
