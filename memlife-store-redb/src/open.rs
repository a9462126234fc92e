use crate::config::RedbConfig;
use crate::database::{self, Handle, contained};
use crate::error::{Fault, Trouble, at_path, corrupt, from_redb, locked};
use crate::schema::{CHANGES, DUE, ENTRY, FORMAT, IDENTITY, Identity, LEDGER, OWN, REMOVED, State, USAGE};
use crate::waiters::now;
use crate::{identity, place, reserve};
use memlife_core::{Error, ErrorKind, ReplicaId, Result};
use redb::{Builder, Database, ReadTransaction};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// What a file of redb begins with.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// How often a store that another process has is asked for.
const POLL: Duration = Duration::from_millis(10);

/// A store's file, opened and known to be ours.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) handle: Handle,
    pub(crate) identity: Identity,
}

/// Opens the file, creating it where needed.
pub(crate) fn open(config: &RedbConfig) -> Result<Opened> {
    let path = &config.path;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("{} is a folder: give the path of a file in it", path.display());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(metadata) if metadata.len() == 0 => clear_empty(config)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.create => clear_reserve(path)?,
        Err(error) => return Err(at_path(path, "there is no store to open at", error)),
    }
    if !path.exists() {
        return create(config);
    }
    check_magic(path)?;
    let deadline = now().checked_add(config.busy_timeout);
    loop {
        match open_existing(config) {
            Err(error) if error.kind() == ErrorKind::Locked && deadline.is_some_and(|end| now() < end) => {
                std::thread::sleep(POLL);
            }
            opened => return opened,
        }
    }
}

/// A reserve beside a missing file is a leftover.
fn clear_reserve(path: &Path) -> Result<()> {
    match std::fs::remove_file(reserve::path_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(at_path(path, "cannot remove the leftover reserve beside", error))
        }
        _ => Ok(()),
    }
}

/// An empty file is made a store, unless it was one.
fn clear_empty(config: &RedbConfig) -> Result<()> {
    let path = &config.path;
    if reserve::path_of(path).exists() {
        let message = format!(
            "{} is empty, though the reserve beside it says that it held a store: restore a backup, or remove both",
            path.display()
        );
        return Err(corrupt(&message));
    }
    if !config.create {
        return Err(corrupt(&format!("{} is empty and no store: restore a backup", path.display())));
    }
    std::fs::remove_file(path).map_err(|error| at_path(path, "cannot replace the empty file", error))
}

/// Makes the store beside its place and moves it there once it is whole: redb refuses a file that a crash left
/// half-made.
fn create(config: &RedbConfig) -> Result<Opened> {
    let path = &config.path;
    let draft = place::beside(path, &format!("-new-{:016x}", identity::random()?));
    place::create(&draft)?;
    let made =
        contained(|| found(&draft, config.cache_bytes)).and_then(|made| made.map_err(Trouble::into_error));
    let placed = made.and_then(|made| {
        let folder = place::folder_of(path);
        place::rename_new(&draft, path)
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| at_path(path, "cannot create", error))?;
        Ok(made)
    });
    match placed {
        Ok((handle, identity)) => Ok(Opened { handle, identity }),
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            // Another process was faster, and has it open.
            if path.exists() { open_existing(config) } else { Err(error) }
        }
    }
}

fn found(draft: &Path, cache_bytes: usize) -> Result<(Handle, Identity), Trouble> {
    let database = Builder::new().set_cache_size(cache_bytes).create(draft)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRY)?;
    transaction.open_table(DUE)?;
    transaction.open_table(CHANGES)?;
    transaction.open_table(REMOVED)?;
    transaction.open_table(USAGE)?;
    transaction.open_table(OWN)?.insert(LEDGER, State::default().encode().as_slice())?;
    transaction.commit()?;
    let identity = new_identity(&database, identity::fingerprint(draft)?)?;
    Ok((Handle::Writing(Box::new(database)), identity))
}

fn check_magic(path: &Path) -> Result<()> {
    let unreadable = |error| at_path(path, "cannot read", error);
    let mut first = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut first).map_err(unreadable)?;
    if first != MAGIC {
        let message = format!(
            "{} is no memlife store, or its beginning is damaged: check the path, or restore a backup",
            path.display()
        );
        return Err(corrupt(&message));
    }
    Ok(())
}

fn open_existing(config: &RedbConfig) -> Result<Opened> {
    let told = |trouble| tell(trouble, &config.path);
    // First without changing anything, for the file may be another program's. One that a crash left has to be
    // recovered before it can be looked into, which is what its own program would do.
    match contained(|| look(config))? {
        Err(Trouble::All(redb::Error::RepairAborted)) => {}
        looked => drop(looked.map_err(told)?),
    }
    contained(|| open_for_writing(config))?.map_err(told)
}

fn look(config: &RedbConfig) -> Result<Opened, Trouble> {
    let handle = database::open_read_only(&config.path, config.cache_bytes)?;
    let identity = identity_in(&handle.begin_read()?, &config.path)?;
    Ok(Opened { handle, identity })
}

fn open_for_writing(config: &RedbConfig) -> Result<Opened, Trouble> {
    let path = &config.path;
    let opened = match database::open(path, config.cache_bytes) {
        Err(Trouble::All(error)) if Fault::of(&error) == Fault::ReadOnly => return look(config),
        // The recovery after a crash takes some pages, and the reserve is there to give them.
        Err(Trouble::All(error)) if Fault::of(&error) == Fault::Full => {
            if !reserve::release(&reserve::path_of(path)) {
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
        // A copied or restored file becomes somebody new.
        Handle::Writing(database) if identity.fingerprint != fingerprint => {
            let identity = new_identity(database, fingerprint)?;
            Ok(Opened { handle, identity })
        }
        _ => Ok(Opened { handle, identity }),
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

fn new_identity(database: &Database, fingerprint: u64) -> Result<Identity, Trouble> {
    let identity =
        Identity { replica: ReplicaId(identity::random()?), incarnation: identity::random()?, fingerprint };
    let transaction = database.begin_write()?;
    transaction.open_table(OWN)?.insert(IDENTITY, identity.encode().as_slice())?;
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
