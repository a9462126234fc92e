//! Writes, put together in a line.
//!
//! A draft begins as a plain put would under a permanent `lww` rule `test/**`, reclaimed at sweeps and stored
//! uncompressed; its methods change one thing each.

use memlife_core::record::{Body, Compression, ExpiryOrigin, Kind, ReclaimClass, Record};
use memlife_core::store::{
    Anchor, Cause, Change, Expiry, Guard, Locator, Op, Placement, Reply, Retouch, Write,
};
use memlife_core::{Key, Timestamp, Ttl, Value};
use std::sync::Arc;

/// A write that is being put together.
#[derive(Clone, Debug)]
pub struct Draft {
    key: Key,
    guard: Guard,
    change: Change,
    placement: Placement,
    writer: Option<Arc<str>>,
    reply: Reply,
}

/// A put of a JSON text.
pub fn put(key: &str, json: &str) -> Draft {
    op(key, Op::Put(json_body(json)))
}

/// A put of plain bytes.
pub fn put_bytes(key: &str, bytes: &[u8]) -> Draft {
    let value = Value::bytes(bytes.to_vec());
    op(key, Op::Put(Body::of_value(&value, Compression::NONE).unwrap()))
}

/// A put with a time of its own.
pub fn put_at(key: &str, json: &str, at: Timestamp) -> Draft {
    op(key, Op::PutAt(json_body(json), at))
}

/// Replaces all that is there.
pub fn assign(key: &str, json: &str) -> Draft {
    op(key, Op::Assign(json_body(json)))
}

/// Adds to a counter.
pub fn add(key: &str, amount: i64) -> Draft {
    op(key, Op::Add(amount)).counter()
}

/// Deletes.
pub fn delete(key: &str) -> Draft {
    op(key, Op::Delete)
}

/// Changes the expiry.
pub fn touch(key: &str, retouch: Retouch) -> Draft {
    Draft::new(key, Change::Touch(retouch))
}

/// Applies the present rule.
pub fn restamp(key: &str) -> Draft {
    Draft::new(key, Change::Restamp)
}

/// Puts a state that was computed elsewhere; `None` leaves a tombstone.
pub fn replace(key: &str, kind: Kind, body: Option<Body>) -> Draft {
    let siblings = u32::from(body.is_some());
    Draft::new(key, Change::Replace { kind, body, siblings, stamp: None })
}

/// Merges a record from elsewhere.
pub fn join(record: &Record) -> Draft {
    Draft::on(record.key.clone(), Change::Join(Box::new(record.clone())))
}

/// Removes the bytes.
pub fn erase(key: &str, cause: Cause) -> Draft {
    Draft::new(key, Change::Erase(cause))
}

fn op(key: &str, op: Op) -> Draft {
    Draft::new(key, Change::Op(op))
}

/// A JSON text as an uncompressed body.
pub fn json_body(json: &str) -> Body {
    let value = Value::json_text(json.to_owned()).unwrap();
    Body::of_value(&value, Compression::NONE).unwrap()
}

/// A TTL of so many milliseconds.
pub fn ttl(ms: u64) -> Ttl {
    Ttl::from_ms(ms).unwrap()
}

impl Draft {
    /// A write of `change` to the user's key `key`.
    pub fn new(key: &str, change: Change) -> Self {
        Draft::on(Key::new(key).unwrap(), change)
    }

    /// A write of `change` to any key.
    pub fn on(key: Key, change: Change) -> Self {
        let placement = Placement { max_siblings: 32, ..Placement::permanent("test/**", Kind::Lww) };
        Draft { key, guard: Guard::Any, change, placement, writer: None, reply: Reply::Outcome }
    }

    /// Sends the write to one of memlife's own keys instead.
    pub fn to_system_key(mut self, path: &str) -> Self {
        self.key = Key::system(path).unwrap();
        self
    }

    /// Under this guard.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// If nothing is visible.
    pub fn if_absent(self) -> Self {
        self.guard(Guard::Absent)
    }

    /// If something is visible.
    pub fn if_visible(self) -> Self {
        self.guard(Guard::Visible)
    }

    /// If the content has this version.
    pub fn if_version(self, version: u64) -> Self {
        self.guard(Guard::Version(version))
    }

    /// If the bytes may be reclaimed, with no hint where they are.
    pub fn if_due(self) -> Self {
        self.guard(Guard::Due(Locator(0)))
    }

    /// Of this kind where the entry is new.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.placement.kind = kind;
        self
    }

    /// A counter where the entry is new.
    pub fn counter(self) -> Self {
        self.kind(Kind::Counter)
    }

    /// A multi-value register where the entry is new.
    pub fn multi_value(self) -> Self {
        self.kind(Kind::MultiValue)
    }

    /// By the caller's wish: for so long.
    pub fn ttl_ms(self, ms: u64) -> Self {
        self.expiry(Expiry::After(ttl(ms)))
    }

    /// By the caller's wish: until this instant.
    pub fn until(self, at: Timestamp) -> Self {
        self.expiry(Expiry::At(at))
    }

    /// By the caller's wish.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.placement.expiry = expiry;
        self.placement.origin = ExpiryOrigin::Caller;
        self
    }

    /// By the rule: for so long.
    pub fn rule_ttl_ms(mut self, ms: u64) -> Self {
        self.placement.rule_ttl = Some(ttl(ms));
        self.placement.expiry = Expiry::After(ttl(ms));
        self.placement.origin = ExpiryOrigin::Rule;
        self
    }

    /// By a rule that counts its TTL from here.
    pub fn anchor(mut self, anchor: Anchor) -> Self {
        self.placement.anchor = anchor;
        self
    }

    /// With the expiry that the entry has; where there is none, the rule's.
    pub fn keep_ttl(mut self) -> Self {
        self.placement.expiry = Expiry::Keep;
        self
    }

    /// Reclaimed in this class.
    pub fn class(mut self, class: ReclaimClass) -> Self {
        self.placement.class = class;
        self
    }

    /// Under this rule.
    pub fn rule(mut self, rule: &str) -> Self {
        self.placement.rule = rule.into();
        self
    }

    /// States are compressed this way.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.placement.compression = compression;
        self
    }

    /// With at most so many values beside each other.
    pub fn max_siblings(mut self, most: u32) -> Self {
        self.placement.max_siblings = most;
        self
    }

    /// By this writer.
    pub fn writer(mut self, writer: &str) -> Self {
        self.writer = Some(writer.into());
        self
    }

    /// Answered with so much of the record.
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// The write.
    pub fn build(self) -> Write {
        Write {
            key: self.key,
            guard: self.guard,
            change: self.change,
            placement: Arc::new(self.placement),
            writer: self.writer,
            reply: self.reply,
        }
    }
}

impl From<Draft> for Write {
    fn from(draft: Draft) -> Self {
        draft.build()
    }
}
