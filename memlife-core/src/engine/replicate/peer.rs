//! How far a store has read another, in system keys of the one that reads.

use crate::engine::Memory;
use crate::policy::Pattern;
use crate::store::{Cursor, Guard};
use crate::{GRACE_MS, Key, ReplicaId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How far another store was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    cursor: String,
    /// When it was last read to its end, by its own clock.
    pub(super) complete_at: Option<Timestamp>,
}

impl Peer {
    pub(super) fn new(cursor: &Cursor, complete_at: Option<Timestamp>) -> Self {
        Peer { cursor: cursor.to_string(), complete_at }
    }

    /// Where to go on; `None` where that cannot be read any more, as if nothing had been.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor.parse().ok()
    }
}

/// Where it is kept how far a replica was read. What a pattern selects is read for itself.
pub(super) fn place(replica: ReplicaId, pattern: Option<&Pattern>) -> Result<Key> {
    let of_pattern = pattern.map(|pattern| format!("-{:016x}", xxh3_64(pattern.text().as_bytes())));
    Key::system(&format!("peers/{:016x}{}", replica.0, of_pattern.unwrap_or_default()))
}

impl Memory {
    pub(super) async fn peer(&self, place: &Key) -> Result<Option<Peer>> {
        Ok(self.system_get(place).await?.map(|(peer, _)| peer))
    }

    pub(super) async fn set_peer(&self, place: &Key, peer: &Peer) -> Result<()> {
        self.system_put(place, peer, Guard::Any).await.map(drop)
    }

    /// From now on the dead wait for replicas.
    pub(super) async fn grant_grace(&self) -> Result<()> {
        self.system_change(&Key::system("grace")?, crate::store::Change::Grace(GRACE_MS), Guard::Any)
            .await
            .map(drop)
    }
}
