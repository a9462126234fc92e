//! When an entry expires, and changing that without changing its content.

use super::{Case, Context, Decision, effective_expiry};
use crate::record::{ExpiryOrigin, Head, Kind, ReclaimClass};
use crate::store::{Anchor, Expiry, Op, Retouch};
use crate::{Stamp, Timestamp};
use memlife_crdt::{Changed, Lattice, Life};

/// A refresh is written only if it adds at least this fraction of the TTL.
const REFRESH_FRACTION: u64 = 8;

impl Case<'_> {
    /// The life that a write of content gives an entry, and who decided it.
    pub(super) fn life_of_write(&self, stamp: Stamp, kind: &Kind, op: Option<&Op>) -> (Life, ExpiryOrigin) {
        let placement = &self.write.placement;
        let there = self.visible.map(|record| &record.head);
        let by_rule = placement.rule_ttl.map(|ttl| stamp.at().plus_ms(ttl.ms()));
        let expires_at = match placement.expiry {
            Expiry::Never => None,
            Expiry::After(ttl) => Some(stamp.at().plus_ms(ttl.ms())),
            Expiry::At(at) => Some(at),
            Expiry::Keep => match there {
                // Keeping mints no epoch, so that a concurrent refresh elsewhere still counts.
                Some(head) if head.origin != ExpiryOrigin::Unjudged => return (head.life, head.origin),
                Some(head) => effective_expiry(head, placement),
                None => by_rule,
            },
        };
        let written = Life::new(stamp, expires_at);
        match there.filter(|head| head.origin != ExpiryOrigin::Unjudged) {
            // Adding to what lives renews it: the longer of both lives holds.
            Some(head) if kind.accumulates() && self.is_addition(op) => {
                longer(head, Life { epoch: head.life.epoch, ..written }, placement.origin)
            }
            // A write with a time of its own is a join, for the life, too.
            Some(head) if matches!(op, Some(Op::PutAt(..))) => longer(head, written, placement.origin),
            _ => (written, placement.origin),
        }
    }

    fn is_addition(&self, op: Option<&Op>) -> bool {
        let adds = !matches!(op, None | Some(Op::Assign(_) | Op::Delete));
        adds && self.write.placement.origin == ExpiryOrigin::Rule
    }

    pub(super) fn touch(&self, retouch: Retouch, context: &mut Context<'_>) -> Decision {
        let Some(record) = self.visible else { return self.unchanged() };
        let before = effective_expiry(&record.head, &self.write.placement);
        let Some(after) = retouched(retouch, before, self.now) else { return self.unchanged() };
        let is_refresh = matches!(retouch, Retouch::Refresh(_));
        let judged = record.head.origin != ExpiryOrigin::Unjudged;
        if judged && after == before && (is_refresh || record.head.origin == ExpiryOrigin::Caller) {
            return self.unchanged();
        }
        let mut record = record.clone();
        // A refresh keeps its epoch, so that a concurrent write or delete beats it; a wish starts a new one.
        if is_refresh {
            record.head.origin = ExpiryOrigin::Rule;
        } else {
            record.head.life.epoch = context.mint_stamp();
            record.head.origin = ExpiryOrigin::Caller;
        }
        record.head.life.expires_at = after;
        if record.head.class == ReclaimClass::Unjudged {
            self.adopt_rule(&mut record.head);
        }
        record.head.seq = context.mint_seq();
        self.put(record, 0, None)
    }

    /// What the present rule says, from the entry's own times. A life that the rule did not change stays as it is:
    /// renewals, jitter and concurrent touches elsewhere are not undone.
    pub(super) fn restamp(&self, context: &mut Context<'_>) -> Decision {
        let Some(record) = self.current.filter(|record| record.head.alive) else { return self.unchanged() };
        let placement = &self.write.placement;
        let mut restamped = record.clone();
        let head = &mut restamped.head;
        let by_rule = head.origin == ExpiryOrigin::Unjudged
            || (head.origin == ExpiryOrigin::Rule && head.rule_ttl != placement.rule_ttl);
        self.adopt_rule(head);
        // An entry that has expired already takes the way its bytes go, never a new life.
        if by_rule && self.visible.is_some() {
            let from = match placement.anchor {
                Anchor::Write => head.stamp.at(),
                Anchor::Creation => head.created_at,
            };
            head.origin = ExpiryOrigin::Rule;
            head.life.expires_at = placement.rule_ttl.map(|ttl| from.plus_ms(ttl.ms()));
        } else if self.visible.is_none() && head.origin == ExpiryOrigin::Unjudged {
            return self.unchanged();
        }
        if restamped == *record {
            return self.unchanged();
        }
        if restamped.head.life.expires_at != record.head.life.expires_at {
            restamped.head.life.epoch = context.mint_stamp();
        }
        restamped.head.seq = context.mint_seq();
        self.put(restamped, 0, None)
    }

    fn adopt_rule(&self, head: &mut Head) {
        let placement = &self.write.placement;
        head.rule = placement.rule.clone();
        head.class = placement.class;
        head.rule_ttl = placement.rule_ttl;
    }
}

/// The greater of both lives, and who decided it.
fn longer(head: &Head, written: Life, origin: ExpiryOrigin) -> (Life, ExpiryOrigin) {
    let mut life = head.life;
    match life.join(&written) {
        Changed::Yes => (life, origin),
        Changed::No => (life, head.origin),
    }
}

/// The expiry after a touch; `None` when the touch asks for nothing.
fn retouched(retouch: Retouch, before: Option<Timestamp>, now: Timestamp) -> Option<Option<Timestamp>> {
    let rank = |expires_at: Option<Timestamp>| expires_at.map_or(u64::MAX, Timestamp::ms);
    let instant = |expiry: Expiry| match expiry {
        Expiry::Never => None,
        Expiry::After(ttl) => Some(now.plus_ms(ttl.ms())),
        Expiry::At(at) => Some(at),
        Expiry::Keep => before,
    };
    let (after, wanted) = match retouch {
        Retouch::Set(expiry) => (instant(expiry), true),
        Retouch::Extend(expiry) => (instant(expiry), rank(instant(expiry)) > rank(before)),
        Retouch::Shorten(expiry) => (instant(expiry), rank(instant(expiry)) < rank(before)),
        Retouch::Refresh(ttl) => {
            let after = now.plus_ms(ttl.ms());
            let gain = after.ms().saturating_sub(rank(before));
            (Some(after), gain >= (ttl.ms() / REFRESH_FRACTION).max(1))
        }
    };
    wanted.then_some(after)
}
