//! What users hold: verbs on keys, over a store, a policy and a clock.

mod apply_policy;
mod claim;
mod contention;
mod counter;
mod entry;
mod feed;
mod flag;
mod list;
mod map;
mod memory;
mod options;
mod placement;
mod read;
mod receipt;
mod reclaim;
mod replicate;
mod seed;
mod set;
mod set_aside;
mod shelf;
mod state_line;
mod stats;
mod sweep;
mod system;
mod train;
mod transfer;
mod typed;
mod update;
mod watch;
mod write;

pub use apply_policy::ApplyReport;
pub use claim::{Claimed, Lease};
pub use counter::CounterHandle;
pub use entry::Entry;
pub use feed::{Event, Events};
pub use flag::FlagHandle;
pub use list::Listing;
pub use map::{FieldHandle, MapHandle};
pub use memory::{Builder, EngineLimits, Memory};
pub use options::{
    Effort, ListContent, ListOptions, Progress, PutOptions, Reach, ReadOptions, Renewal, Show, SweepOptions,
};
pub use receipt::{Receipt, Written};
pub use replicate::{HORIZON_MS, ReplicateOptions, ReplicationReport, SyncReport};
pub use set::SetHandle;
pub use set_aside::{SetAside, WhySetAside};
pub use state_line::StateLine;
pub use stats::{Count, Expiring, Stats};
pub use sweep::{Stop, SweepReport};
pub use train::{TrainOptions, Trained, Training};
pub use transfer::{Export, ExportLine, ImportReport, Importer, Rejected, SiblingLine};
pub use watch::{Watch, WatchOptions, Watched};
pub use write::{TouchMode, Touched};

use crate::Result;
use crate::store::{Repair, Verification};

impl Memory {
    /// Reads everything stored and checks it against its checksums and indexes; mends what can be mended when asked to.
    ///
    /// # Errors
    /// The store's, when it cannot be read at all. Damage is a finding, not an error.
    pub async fn verify(&self, repair: Repair) -> Result<Verification> {
        self.inner.store.verify(repair).await.map_err(|error| error.during("verify"))
    }
}
