//! One file per kind of who is measured, behind one small trait; what they share is how the work is timed.

mod cached;
mod moka;
mod ours;
mod raw_files;
mod raw_redb;
mod raw_redis;
mod raw_sqlite;
mod scripts;

use super::driver::Driver;
use super::load::Load;
use super::operation::Operation;
use super::place::Place;
use super::subject::Subject;
use super::who::{Other, Store, Who};
use crate::args::Places;
use crate::drive::Pair;
use crate::script;
use anyhow::{Result, bail};
use bytes::Bytes;
use std::sync::Arc;

/// How long an entry is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// An hour from now.
    Hour,
    /// It has ended already: a sweep is to find it.
    Over,
}

/// A store, ours or another, seen from what is measured. Every task holds the same one.
pub trait Peer: Send + Sync + Sized + 'static {
    /// Whether it has nothing for an operation, whose methods are then never called. Only memlife compresses.
    fn lacks(operation: Operation) -> bool {
        matches!(operation, Operation::PutCompressed | Operation::GetCompressed)
    }

    /// Opens what is at `place`, and makes it where there is nothing.
    fn open(place: &Place) -> impl Future<Output = Result<Self>> + Send;

    /// Puts a value.
    fn put(&self, pair: &Pair, life: Life) -> impl Future<Output = Result<()>> + Send;

    /// The bytes of what lives under `key`.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Reads what is under the key and replaces it if nobody else has meanwhile; whether that was so.
    fn swap(&self, _pair: &Pair) -> impl Future<Output = Result<bool>> + Send {
        lacking("compare and swap")
    }

    /// Adds one to a counter.
    fn add(&self, _key: &str) -> impl Future<Output = Result<()>> + Send {
        lacking("counters")
    }

    /// Reads the keys of the next `limit` entries behind `after`; where to go on, `None` at the end.
    fn page(
        &self,
        _after: Option<String>,
        _limit: usize,
    ) -> impl Future<Output = Result<Option<String>>> + Send {
        lacking("pages")
    }

    /// Every living entry as a line.
    fn export(&self) -> impl Future<Output = Result<Vec<String>>> + Send {
        lacking("exports")
    }

    /// Puts what the lines say.
    fn import(&self, _lines: &[String]) -> impl Future<Output = Result<()>> + Send {
        lacking("imports")
    }

    /// Waits until a sweep can find what was put as over.
    fn ripen(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Removes what is over; how many went.
    fn sweep(&self) -> impl Future<Output = Result<u64>> + Send {
        lacking("sweeps")
    }

    /// Lets go of the files, so that they alone hold everything.
    fn close(self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

async fn lacking<T>(what: &str) -> Result<T> {
    bail!("it has no {what}")
}

/// Makes `who` ready for work at `place`.
pub fn subject(who: Who, place: Place, load: &Arc<Load>, places: &Places) -> Box<dyn Subject> {
    let load = Arc::clone(load);
    match who {
        Who::Store(Store::Memory | Store::Sqlite | Store::Fs | Store::Redb | Store::Redis) => {
            Box::new(Driver::<ours::Ours>::new(who, place, load))
        }
        Who::Peer(Other::Moka) => Box::new(Driver::<moka::Moka>::new(who, place, load)),
        Who::Peer(Other::RawSqlite) => Box::new(Driver::<raw_sqlite::RawSqlite>::new(who, place, load)),
        Who::Peer(Other::RawFiles) => Box::new(Driver::<raw_files::RawFiles>::new(who, place, load)),
        Who::Peer(Other::RawRedb) => Box::new(Driver::<raw_redb::RawRedb>::new(who, place, load)),
        Who::Peer(Other::RawRedis) => Box::new(Driver::<raw_redis::RawRedis>::new(who, place, load)),
        Who::Peer(Other::Cached) => Box::new(Driver::<cached::Cached>::new(who, place, load)),
        Who::Peer(Other::Python) => Box::new(scripts::Original::new(script::original(places), load)),
        Who::Peer(Other::Diskcache) => Box::new(scripts::Diskcache::new(script::diskcache(places), load)),
    }
}

/// Why `who` cannot be measured here; `None` if it can.
pub fn missing(who: Who, places: &Places) -> Option<String> {
    match who {
        Who::Peer(Other::Python) => script::original(places).missing(),
        Who::Peer(Other::Diskcache) => script::diskcache(places).missing(),
        who if who.has_server() && !Place::has_redis() => Some("redis-server is not installed".to_owned()),
        _ => None,
    }
}
