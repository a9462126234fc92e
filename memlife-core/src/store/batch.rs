use super::Durability;
use crate::record::{Body, Compression, ExpiryOrigin, Kind, ReclaimClass, Record};
use crate::{Key, Stamp, Timestamp, Ttl};
use bytes::Bytes;
use std::sync::Arc;

use super::Cause;

/// Writes that are submitted together and commit together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The wall clock of whoever submits.
    pub now: Timestamp,
    /// What the writes survive once acknowledged.
    pub durability: Durability,
    /// Lets a store that can know answer a repeated batch instead of executing it twice.
    pub token: Option<Token>,
    /// The writes, in order.
    pub writes: Vec<Write>,
}

/// Names one batch of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Drawn at random per session.
    pub session: u64,
    /// Counts the session's batches.
    pub number: u64,
}

/// One write to one key.
#[derive(Clone, Debug)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// What must hold for the write to happen.
    pub guard: Guard,
    /// What to do.
    pub change: Change,
    /// What the rule of the key says, for changes that create or restart an entry.
    pub placement: Arc<Placement>,
    /// Who writes, where known.
    pub writer: Option<Arc<str>>,
    /// How much of the record to hand back.
    pub reply: Reply,
}

impl Write {
    /// A write of nobody in particular that answers with its outcome alone.
    pub fn new(key: Key, guard: Guard, change: Change, placement: Arc<Placement>) -> Self {
        Write { key, guard, change, placement, writer: None, reply: Reply::Outcome }
    }

    /// The bytes that it brings along for the body of the entry: about as many as that grows by.
    pub fn body_bytes(&self) -> usize {
        match &self.change {
            Change::Op(Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body)) => body.as_bytes().len(),
            Change::Op(Op::Insert(elements) | Op::Remove(elements)) => elements.iter().map(Bytes::len).sum(),
            Change::Op(Op::Field { op, .. }) => op.bytes(),
            Change::Join(record) | Change::Merged { record, .. } => {
                record.body.as_ref().map_or(0, |body| body.as_bytes().len())
            }
            Change::Replace { body, .. } => body.as_ref().map_or(0, |body| body.as_bytes().len()),
            Change::Op(_) | Change::Touch(_) | Change::Restamp | Change::Erase(_) | Change::Grace(_) => 0,
        }
    }
}

/// A precondition, checked in the atomic section against what is visible there and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Always holds.
    #[default]
    Any,
    /// Nothing is visible: absent, deleted or expired.
    Absent,
    /// Something is visible.
    Visible,
    /// Something is visible and its content has this version.
    Version(u64),
    /// The bytes may be reclaimed now; the locator says where the store found the entry.
    Due(Locator),
}

/// Where a store said an entry was; 0 when it has no such thing. A hint, never trusted alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locator(pub u64);

/// What a write does.
#[derive(Clone, Debug)]
pub enum Change {
    /// A user's operation on the value.
    Op(Op),
    /// Merges a record from elsewhere: replication, or a write with a timestamp of its own.
    Join(Box<Record>),
    /// The same where the states are too large to be merged in the atomic section: `record` has the state that the
    /// engine merged from the record whose `seq` is `over`. Refused when another is there by now.
    Merged {
        /// The record from elsewhere, with the merged state.
        record: Box<Record>,
        /// The `seq` of the record that went into it.
        over: u64,
    },
    /// Puts a state that the engine computed from the version the guard names.
    Replace {
        /// The kind of the state.
        kind: Kind,
        /// The state; `None` leaves a tombstone.
        body: Option<Body>,
        /// How many values it holds.
        siblings: u32,
        /// The stamp of the content; `None` mints one. A state that only changed its form keeps its stamp.
        stamp: Option<Stamp>,
    },
    /// Sets or extends the expiry of a visible entry; the version stays.
    Touch(Retouch),
    /// Gives a stored entry what its present rule says, from its own stamp; the version stays.
    Restamp,
    /// Removes the bytes and leaves a removal record.
    Erase(Cause),
    /// Lengthens the store's grace to so many milliseconds, and leaves an entry that says so: dead entries wait so
    /// long for replicas.
    Grace(u64),
}

/// A user's operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// What a plain put means under the kind of the entry.
    Put(Body),
    /// The same with a time of its own: under `lww` it loses against anything newer, as a join would.
    PutAt(Body, Timestamp),
    /// Replaces all that is there.
    Assign(Body),
    /// Adds to a counter.
    Add(i64),
    /// Inserts elements into a set; each is one JSON text in canonical form.
    Insert(Vec<Bytes>),
    /// Removes elements from a set.
    Remove(Vec<Bytes>),
    /// Sets a flag.
    Switch(bool),
    /// Changes one field of a map.
    Field {
        /// The field.
        name: Arc<str>,
        /// What is done to it.
        op: FieldOp,
    },
    /// Deletes what is visible.
    Delete,
}

/// A user's operation on one field of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldOp {
    /// Puts a JSON text as the field's plain value.
    Put(Bytes),
    /// Adds to a counter in the field.
    Add(i64),
    /// Inserts elements into a set in the field, in which insertions win.
    Insert(Vec<Bytes>),
    /// Removes elements from it.
    Remove(Vec<Bytes>),
    /// Sets a flag in the field, which is on when any concurrent write says so.
    Switch(bool),
    /// Removes the field, whatever it holds.
    Clear,
}

impl FieldOp {
    fn bytes(&self) -> usize {
        match self {
            FieldOp::Put(value) => value.len(),
            FieldOp::Insert(elements) | FieldOp::Remove(elements) => elements.iter().map(Bytes::len).sum(),
            FieldOp::Add(_) | FieldOp::Switch(_) | FieldOp::Clear => 0,
        }
    }
}

/// How a touch changes the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retouch {
    /// Exactly this, by the caller's wish.
    Set(Expiry),
    /// This, if it is later.
    Extend(Expiry),
    /// This, if it is earlier.
    Shorten(Expiry),
    /// A renewal by use: the rule's TTL from now, written only if it adds at least 1/8 of the TTL.
    Refresh(Ttl),
}

/// When an entry expires, relative to the stamp the store mints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// This long after the stamp.
    After(Ttl),
    /// At this instant, even one that is past.
    At(Timestamp),
    /// When the visible entry there expires; with none there, what the rule says.
    Keep,
}

/// What the rule of a key says about storing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The rule's pattern.
    pub rule: Arc<str>,
    /// The kind of a new entry.
    pub kind: Kind,
    /// How dead bytes are reclaimed.
    pub class: ReclaimClass,
    /// When the entry expires by this write.
    pub expiry: Expiry,
    /// Who decided that.
    pub origin: ExpiryOrigin,
    /// The rule's own TTL, for entries that no rule judged yet and for [`Expiry::Keep`]; `None` is permanent.
    pub rule_ttl: Option<Ttl>,
    /// What the rule counts its TTL from when it is applied to stored entries.
    pub anchor: Anchor,
    /// How states are compressed.
    pub compression: Compression,
    /// The most values a put leaves beside each other.
    pub max_siblings: u32,
}

impl Placement {
    /// What a rule says that keeps entries of this kind for ever, as they are: uncompressed, one value each.
    pub fn permanent(rule: &str, kind: Kind) -> Self {
        Placement {
            rule: rule.into(),
            kind,
            class: ReclaimClass::Scheduled,
            expiry: Expiry::Never,
            origin: ExpiryOrigin::Rule,
            rule_ttl: None,
            anchor: Anchor::default(),
            compression: Compression::NONE,
            max_siblings: 1,
        }
    }
}

/// The instant from which a rule counts its TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// The last write of content.
    #[default]
    Write,
    /// The creation of the entry.
    Creation,
}

/// How much of the record a write hands back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing but the outcome.
    #[default]
    Outcome,
    /// The head.
    Head,
    /// The head and the body.
    Whole,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done. After an erasure nothing is left that these could be of: version 0, the first stamp, no expiry.
    Applied {
        /// The version of the content now.
        version: u64,
        /// The stamp of the content now.
        stamp: Stamp,
        /// When it expires; `None` is never.
        expires_at: Option<Timestamp>,
        /// The siblings that the cap dropped.
        dropped: u32,
        /// The record, as the reply asks.
        record: Option<Box<Record>>,
    },
    /// There was nothing to do: nothing to delete or touch, a refresh too small, a join that brought nothing.
    Unchanged {
        /// What is there, as the reply asks.
        current: Option<Box<Record>>,
    },
    /// The guard did not hold.
    Refused {
        /// What is there, as the reply asks.
        current: Option<Box<Record>>,
    },
    /// The store cannot decide this kind or size; the engine does, and comes back with a `Replace`.
    NotNative {
        /// What is there, whole.
        current: Option<Box<Record>>,
    },
}

impl Outcome {
    /// What an erasure answers; `record` is what was there, as the reply asks.
    pub fn erased(record: Option<Box<Record>>) -> Self {
        Outcome::Applied { version: 0, stamp: Stamp::default(), expires_at: None, dropped: 0, record }
    }
}
