//! The engine of memlife: keys, rules, the [`Store`] contract, and everything that is decided above it.

pub mod blocking;
pub mod policy;
pub mod record;
pub mod resolver;
pub mod store;

mod clock;
mod decide;
mod engine;
mod error;
mod group_commit;
mod in_memory;
mod key;
mod ttl;
mod value;

pub use clock::{Clock, ManualClock, SystemClock};
pub use decide::{
    Context, Decision, Effect, GRACE_MS, KEEP_MS, Ledger, MAX_DRIFT_MS, decide, effective_expiry, is_visible,
    needs_body,
};
pub use engine::*;
pub use error::{Error, ErrorKind, Result};
pub use group_commit::{Answer, Busy, Commit, GroupCommit, Patience};
pub use in_memory::InMemoryStore;
pub use key::{IntoKey, Key, MAX_KEY_BYTES, MAX_KEY_SEGMENTS};
pub use memlife_crdt::{Hlc, ReplicaId, Stamp, Timestamp};
pub use policy::Policy;
pub use resolver::Resolver;
pub use store::Store;
pub use ttl::{Ttl, parse_duration};
pub use value::{Encoding, Value};
