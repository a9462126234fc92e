//! How far a store has read another, in system keys of the one that reads.

use super::refused::Refused;
use crate::engine::Memory;
use crate::policy::Pattern;
use crate::store::{Cursor, Guard};
use crate::{GRACE_MS, Key, ReplicaId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How far another store was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    cursor: Option<String>,
    /// When it was last read to its end, by its own clock.
    pub(super) complete_at: Option<Timestamp>,
    /// What the rules of both sides kept back meanwhile; `None` where that is not known.
    #[serde(default)]
    pub(super) kept_back: Option<u64>,
    /// What was read and could not be joined.
    #[serde(default)]
    pub(super) refused: Refused,
}

impl Peer {
    /// Read up to `cursor`; from the beginning again where more was refused than can be told apart.
    pub(super) fn new(cursor: &Cursor, complete_at: Timestamp, kept_back: u64, refused: Refused) -> Self {
        let cursor = (!refused.is_cut()).then(|| cursor.to_string());
        Peer { cursor, complete_at: Some(complete_at), kept_back: Some(kept_back), refused }
    }

    /// Whether it says more than `known` and the time.
    pub(super) fn is_news_to(&self, known: &Peer) -> bool {
        (&self.cursor, self.kept_back, &self.refused) != (&known.cursor, known.kept_back, &known.refused)
    }

    /// Where to go on; `None` where that cannot be read any more, as if nothing had been.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor.as_ref()?.parse().ok()
    }
}

/// Changes when the rules of one side keep back other keys; not otherwise, as far as that can be told.
pub(super) fn kept_back(from: &Memory, to: &Memory) -> u64 {
    let mut hasher = Xxh3::new();
    for memory in [from, to] {
        let rules = memory.inner.policy.rules();
        // Where nothing is kept back, rules may change.
        let keeps_back = rules.iter().any(|rule| !rule.replicates);
        for rule in rules.iter().filter(|_| keeps_back) {
            hasher.update(&(rule.id().len() as u64).to_le_bytes());
            hasher.update(rule.id().as_bytes());
            hasher.update(&[u8::from(rule.replicates)]);
        }
        hasher.update(&u64::MAX.to_le_bytes());
    }
    hasher.digest()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_too_much_was_refused_everything_is_read_anew() {
        let key = |n: usize| Key::new(&format!("a/{n}")).unwrap();
        let mut refused = Refused::default();
        (0..1_000).for_each(|n| refused.insert(&key(n)));
        let peer =
            |refused: &Refused| Peer::new(&Cursor::default(), Timestamp::from_ms(7), 0, refused.clone());
        assert_eq!(peer(&refused).cursor(), Some(Cursor::default()));
        refused.insert(&key(1_000));
        assert_eq!(peer(&refused).cursor(), None);
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let peer: Peer = serde_json::from_str(r#"{"cursor":"a-1.b-2","complete_at":7}"#).unwrap();
        assert_eq!(peer.cursor().unwrap().parts.len(), 2);
        assert_eq!((peer.complete_at, peer.kept_back), (Some(Timestamp::from_ms(7)), None));
        let json = serde_json::to_string(&peer).unwrap();
        assert_eq!(serde_json::from_str::<Peer>(&json).unwrap(), peer);
    }
}
