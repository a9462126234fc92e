use memlife_core::record::Record;
use memlife_core::store::{Durability, Want};
use memlife_core::{Key, Result, Timestamp};
use std::fmt;

/// Where the records of users' entries live when they are not in the rows of the [`Index`](crate::Index).
///
/// What lives outside is the truth and the row indexes it. The index calls these methods inside its write
/// transaction, one at a time, and reads rows through [`Bodies::load`] from many threads at once. System keys
/// always live in rows and never come here.
///
/// A crash, or a commit that fails after [`Bodies::put`] or [`Bodies::erase`] succeeded, leaves a truth that is
/// ahead of its row. Nothing undoes it: the next write to the key, or [`Index::reindex`](crate::Index::reindex),
/// meets it through `load` and corrects row, usage and change number from it.
pub trait Bodies: fmt::Debug + Send + Sync + 'static {
    /// The record that is really there, given what its row says; `None` when there is none.
    ///
    /// `row` has its body when the row holds it ([`Home::Row`]) and `want` is [`Want::Whole`]. The answer has its
    /// body whenever `want` is `Whole` and the entry has one. Handing `row` back says that it is true. An answer
    /// whose head differs from the row's replaces it; one with `seq` 0 (a file without a number of its own) is
    /// given the row's numbers, or new ones where there is no row.
    ///
    /// # Errors
    /// `Corrupt` when what is there cannot be read; the write that met it fails.
    fn load(&self, key: &Key, row: Option<Record>, want: Want) -> Result<Option<Record>>;

    /// Does what [`Bodies::load`] does, inside a write transaction, where it may also clear away what a crash left
    /// beside the truth.
    ///
    /// # Errors
    /// As [`Bodies::load`].
    fn meet(&self, key: &Key, row: Option<Record>, want: Want) -> Result<Option<Record>> {
        self.load(key, row, want)
    }

    /// Puts `record` in place of what is there, with the durability asked for; called before the commit.
    ///
    /// # Errors
    /// `Full` and others fail this write alone, and must leave what was there.
    fn put(&self, record: &Record, durability: Durability) -> Result<Home>;

    /// Removes what is there; nothing there is no error.
    ///
    /// # Errors
    /// They fail this write alone.
    fn erase(&self, key: &Key, durability: Durability) -> Result<()>;

    /// Called before each commit with the store's clock as it will be, for reads that do not look into the index.
    fn committing(&self, _clock: Timestamp) {}

    /// Called once per transaction that put or erased something, after the last of them and before the commit:
    /// the place to make folders durable once instead of once per file.
    ///
    /// # Errors
    /// They make the outcome of the whole transaction unknown.
    fn settle(&self, _durability: Durability) -> Result<()> {
        Ok(())
    }
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Outside: the row keeps the head alone.
    Outside,
    /// In the row, as system keys always are. What an implementation answers for tombstones, for example.
    Row,
}
