//! The contract between the engine and what keeps the records.

mod batch;
mod feed;
mod info;
mod query;
mod removals;
mod verify;

pub use batch::{
    Anchor, Batch, Change, Expiry, FieldOp, Guard, Locator, Op, Outcome, Placement, Reply, Retouch, Token,
    Write,
};
pub use feed::{Cause, Changes, Cursor, CursorPart, Feed, FeedItem, FeedPage, FeedState, Removal};
pub use info::{Durability, Limits, StoreInfo, Warning};
pub use query::{
    Due, DueEntry, DuePage, Fetched, Group, Page, Room, Scan, Tally, Totals, UsagePage, UsageQuery, Want,
};
pub use removals::{Pruning, RemovalRun, Removals};
pub use verify::{Finding, Repair, Verification, Verify};

use crate::{Key, Result};
use async_trait::async_trait;

/// A place that keeps records, keeps them apart, and keeps its indexes true.
///
/// A store knows no rules, no resolvers and no users. Every write is decided by [`decide`](crate::decide())
/// inside the store's atomic section; the store loads what `decide` needs, carries out what it decided, and
/// keeps in the same transaction: ordered keys, a due index per reclaim class, the change sequence, removals
/// and usage.
///
/// Reads take no locks and hand out records as stored, dead and expired ones too: judging is the engine's.
/// Entries with system keys are kept like others and left out of `scan`, `changes` and `usage` unless asked for.
#[async_trait]
pub trait Store: Verify + Send + Sync {
    /// One slot per key, in order, and the store's clock.
    ///
    /// # Errors
    /// `Corrupt` names the first damaged key; ask for the others apart from it.
    async fn get(&self, keys: &[Key], want: Want) -> Result<Fetched>;

    /// Decides and applies each write in order; later writes see earlier ones.
    ///
    /// Atomic per write: a crash may keep any subset of a batch, and one failing write never fails its
    /// neighbours. A change that changes nothing commits nothing and takes no `seq`.
    ///
    /// # Errors
    /// The outer error says that nothing of the batch is known to be done; an inner one concerns one write.
    async fn apply(&self, batch: &Batch) -> Result<Vec<Result<Outcome>>>;

    /// One bounded page in key order, at or below a prefix, after a key. No snapshot spans pages.
    async fn scan(&self, query: &Scan) -> Result<Page>;

    /// Entries of one reclaim class whose bytes may go at an instant, oldest first.
    async fn due(&self, query: &Due) -> Result<DuePage>;

    /// The latest change of each key and every removal, after a cursor; waits for one where asked to.
    async fn changes(&self, query: &Feed) -> Result<Changes>;

    /// Entries and bytes per (rule, namespace), and their totals, as `apply` keeps them; paged.
    async fn usage(&self, query: &UsageQuery) -> Result<UsagePage>;

    /// The place in a [`Cursor`] of the part that tells of `key`.
    fn part_of(&self, key: &Key) -> usize {
        let _ = key;
        0
    }

    /// Who the store is and what it can do.
    fn info(&self) -> &StoreInfo;
}
