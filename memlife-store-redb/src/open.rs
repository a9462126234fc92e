use crate::config::RedbConfig;
use crate::database::{self, Handle, contained};
use crate::error::{Fault, Trouble, from_redb, locked};
use crate::schema::{CHANGES, DUE, ENTRY, FORMAT, IDENTITY, Identity, LEDGER, OWN, REMOVED, State, USAGE};
use crate::{place, reserve, transaction};
use memlife_core::{Error, ErrorKind, Result};
use memlife_store_local::error::{at_path, corrupt, emptied};
use memlife_store_local::reserve::path_of;
use memlife_store_local::{identity, now};
use redb::{Database, ReadTransaction};
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// What a file of redb begins with.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// How often a store that another process has is asked for.
const POLL: Duration = Duration::from_millis(10);

/// The bit of the byte behind [`MAGIC`] that redb sets while it has the file open for writing.
const IS_OPEN: u8 = 2;

/// A store's file, opened and known to be ours.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) handle: Handle,
    pub(crate) identity: Identity,
    /// Whether the process that had it open did not close it.
    pub(crate) was_left: bool,
}

/// Opens the file, creating it where needed.
pub(crate) fn open(config: &RedbConfig) -> Result<Opened> {
    let deadline = now().checked_add(config.busy_timeout);
    loop {
        match attempt(config) {
            Err(error) if error.kind() == ErrorKind::Locked && deadline.is_some_and(|end| now() < end) => {
                // Another process closes the store at a real time, and tells nobody.
                std::thread::sleep(POLL);
            }
            opened => return opened,
        }
    }
}

fn attempt(config: &RedbConfig) -> Result<Opened> {
    let path = &config.path;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("{} is a folder: give the path of a file in it", path.display());
            Err(Error::new(ErrorKind::Invalid, message))
        }
        Ok(metadata) if metadata.len() == 0 => replace_empty(config),
        Ok(_) => open_existing(config),
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.create => {
            create(config, place::rename_new)
        }
        Err(error) => Err(at_path(path, "there is no store to open at", error)),
    }
}

/// An empty file is made a store, unless it was one.
fn replace_empty(config: &RedbConfig) -> Result<Opened> {
    let path = &config.path;
    let unreadable = |error| at_path(path, "cannot look at", error);
    let empty = File::open(path).map_err(unreadable)?;
    // Only its holder replaces an empty file, and redb takes the same lock before it fills one.
    match empty.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(path)),
        Err(TryLockError::Error(error)) => return Err(at_path(path, "cannot lock", error)),
    }
    if !place::is_at(&empty, path).map_err(unreadable)? || empty.metadata().map_err(unreadable)?.len() > 0 {
        return open_existing(config);
    }
    if path_of(path).exists() {
        return Err(emptied(path));
    }
    if !config.create {
        return Err(corrupt(&format!("{} is empty and no store: restore a backup", path.display())));
    }
    create(config, |draft, path| std::fs::rename(draft, path))
}

/// Makes the store beside its place and moves it there by `rename` once it is whole: redb refuses a file that a crash
/// left half-made.
fn create(config: &RedbConfig, rename: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<Opened> {
    let path = &config.path;
    let draft = place::draft(path)?;
    let made =
        contained(|| found(&draft, config.cache_bytes)).and_then(|made| made.map_err(Trouble::into_error));
    let placed = made.and_then(|made| {
        rename(&draft, path).map_err(|error| at_path(path, "cannot create", error))?;
        Ok(made)
    });
    match placed {
        Ok((handle, identity)) => {
            place::sync_folder(path).map_err(|error| at_path(path, "cannot create", error))?;
            clear_reserve(path);
            place::clear_drafts(path);
            Ok(Opened { handle, identity, was_left: false })
        }
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            // Another process was faster, and has it open.
            let is_there = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
            if is_there { open_existing(config) } else { Err(error) }
        }
    }
}

/// A reserve that was there before the store is a leftover. Nobody else has one here: the store is open.
fn clear_reserve(path: &Path) {
    match std::fs::remove_file(path_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the leftover reserve beside a new store stays");
        }
        _ => {}
    }
}

fn found(draft: &Path, cache_bytes: usize) -> Result<(Handle, Identity), Trouble> {
    let database = database::open_or_fill(draft, cache_bytes)?;
    let identity = Identity::random(identity::fingerprint(draft)?)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRY)?;
    transaction.open_table(DUE)?;
    transaction.open_table(CHANGES)?;
    transaction.open_table(REMOVED)?;
    transaction.open_table(USAGE)?;
    let mut own = transaction.open_table(OWN)?;
    own.insert(LEDGER, State::default().encode().as_slice())?;
    own.insert(IDENTITY, identity.encode().as_slice())?;
    drop(own);
    transaction.commit()?;
    Ok((Handle::Writing(Box::new(database)), identity))
}

/// Whether the process that had the file open left it without closing it, or has it open still.
fn was_left(path: &Path) -> Result<bool> {
    let unreadable = |error| at_path(path, "cannot read", error);
    let mut first = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAGIC.len() as u64 + 1).read_to_end(&mut first).map_err(unreadable)?;
    match first.strip_prefix(MAGIC) {
        Some(rest) => Ok(rest.first().is_some_and(|flags| flags & IS_OPEN != 0)),
        None => {
            let message = format!(
                "{} is no memlife store, or its beginning is damaged: check the path, or restore a backup",
                path.display()
            );
            Err(corrupt(&message))
        }
    }
}

fn open_existing(config: &RedbConfig) -> Result<Opened> {
    let path = &config.path;
    let was_left = was_left(path)?;
    let told = |trouble| tell(trouble, path);
    // First without changing anything, for the file may be another program's. One that a crash left has to be
    // recovered before it can be looked into, which is what its own program would do.
    match contained(|| look(config))? {
        Err(Trouble::All(redb::Error::RepairAborted)) => {}
        looked => drop(looked.map_err(told)?),
    }
    let opened = contained(|| open_for_writing(config))?.map_err(told)?;
    if was_left && matches!(opened.handle, Handle::Writing(_)) {
        place::clear_drafts(path);
    }
    Ok(Opened { was_left, ..opened })
}

fn look(config: &RedbConfig) -> Result<Opened, Trouble> {
    let handle = database::open_read_only(&config.path, config.cache_bytes)?;
    let identity = identity_in(&handle.begin_read()?, &config.path)?;
    Ok(Opened { handle, identity, was_left: false })
}

fn open_for_writing(config: &RedbConfig) -> Result<Opened, Trouble> {
    let path = &config.path;
    let opened = match database::open(path, config.cache_bytes) {
        Err(Trouble::All(error)) if Fault::of(&error) == Fault::ReadOnly => return look(config),
        // The recovery after a crash takes some pages, and the reserve is there to give them.
        Err(Trouble::All(error)) if Fault::of(&error) == Fault::Full => {
            if !reserve::release(&path_of(path)) {
                return Err(Trouble::All(error));
            }
            database::open(path, config.cache_bytes)
        }
        opened => opened,
    };
    let handle = opened?;
    let identity = identity_in(&handle.begin_read()?, path)?;
    let fingerprint = identity::fingerprint(path)?;
    match &handle {
        Handle::Writing(database) if identity.fingerprint != fingerprint => {
            let identity = new_identity(database, fingerprint)?;
            Ok(Opened { handle, identity, was_left: false })
        }
        _ => Ok(Opened { handle, identity, was_left: false }),
    }
}

fn identity_in(transaction: &ReadTransaction, path: &Path) -> Result<Identity, Trouble> {
    let own = match transaction.open_table(OWN) {
        Err(redb::TableError::TableDoesNotExist(_) | redb::TableError::TableTypeMismatch { .. }) => {
            let message = format!(
                "{} is a redb database of another program: give the path of a memlife store, or of a new file",
                path.display()
            );
            return Err(Trouble::One(Error::new(ErrorKind::Invalid, message)));
        }
        own => own?,
    };
    match own.get(IDENTITY)?.and_then(|row| Identity::decode(row.value())) {
        Some((_, Some(identity))) => Ok(identity),
        Some((format, None)) => Err(Trouble::One(newer(format, path))),
        None => {
            let message = format!("{} has lost its identity: restore a backup", path.display());
            Err(Trouble::One(corrupt(&message)))
        }
    }
}

fn newer(format: u64, path: &Path) -> Error {
    let message = format!(
        "{} has format {format} and this build reads up to {FORMAT}: upgrade memlife to open it",
        path.display()
    );
    Error::new(ErrorKind::Unsupported, message)
}

/// Makes a copied or restored file somebody new, whose versions the original will never give out.
fn new_identity(database: &Database, fingerprint: u64) -> Result<Identity, Trouble> {
    let identity = Identity::random(fingerprint)?;
    let transaction = database.begin_write()?;
    let mut own = transaction.open_table(OWN)?;
    own.insert(IDENTITY, identity.encode().as_slice())?;
    // Where the state cannot be read nothing is written until a repair leaps.
    if let Ok(mut state) = transaction::state(&own) {
        state.ledger.leap();
        own.insert(LEDGER, state.encode().as_slice())?;
    }
    drop(own);
    transaction.commit()?;
    Ok(identity)
}

/// What kept the file from being opened, with its name.
fn tell(trouble: Trouble, path: &Path) -> Error {
    let error = match trouble {
        Trouble::One(error) => return error,
        Trouble::All(error) => error,
    };
    let path_text = path.display();
    match Fault::of(&error) {
        Fault::Locked => locked(path),
        Fault::Corrupt => corrupt(&format!("{path_text} is cut off or damaged: restore a backup"))
            .because(error.to_string()),
        _ => {
            let error = from_redb(error);
            Error::new(error.kind(), format!("{path_text}: {}", error.message())).because(error)
        }
    }
}
