//! The engine of memlife: keys, rules, the [`Store`] contract, and everything that is decided above it.

pub mod policy;
pub mod record;
pub mod resolver;
pub mod store;

mod clock;
mod decide;
mod error;
mod key;
mod ttl;
mod value;

pub use clock::{Clock, ManualClock, SystemClock};
pub use decide::{Context, Decision, Effect, KEEP_MS, Ledger, MAX_DRIFT_MS, decide, is_visible, needs_body};
pub use error::{Error, ErrorKind, Result};
pub use key::{Key, MAX_KEY_BYTES, MAX_KEY_SEGMENTS};
pub use memlife_crdt::{Hlc, ReplicaId, Stamp, Timestamp};
pub use policy::Policy;
pub use resolver::Resolver;
pub use store::Store;
pub use ttl::{Ttl, parse_duration};
pub use value::{Encoding, Value};
