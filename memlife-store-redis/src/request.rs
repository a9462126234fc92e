//! Writes as the script reads them.

use crate::filing::{Filing, Tallies};
use crate::frame::{self, Front, exact, kind_code, origin_code, put};
use crate::reply::Answers;
use memlife_core::record::{Body, Codec, ExpiryOrigin, Kind};
use memlife_core::store::{Change, Expiry, Guard, Op, Placement, Reply, Retouch, Write};
use memlife_core::{Result, Timestamp};
use std::sync::Arc;

/// Up to this many stored bytes a value is looked at for a number.
const NUMBER_BYTES: usize = 48;

/// The ways of the script for plain puts of registers, and for records that Rust has decided to put; all of each call
/// concern keys of their own.
const PLAIN: u8 = 1;
const DECIDED: u8 = 2;

/// The records, placements and writes of one call.
#[derive(Default)]
pub(crate) struct Request {
    /// Each key once.
    pub(crate) keys: Vec<memlife_core::Key>,
    places: std::collections::HashMap<memlife_core::Key, u64>,
    placements: Vec<Arc<Placement>>,
    /// Two arguments for each write.
    pub(crate) writes: Vec<[Vec<u8>; 2]>,
    /// How many writes are puts of registers that ask for nothing more than that.
    plain: usize,
    /// How many of those that were decided in Rust only put a record, or do nothing.
    puts: usize,
    /// The answers to those that were decided in Rust, and what they change of the usage.
    pub(crate) answers: Answers,
    pub(crate) tallies: Tallies,
    /// Whether any write may take more than it frees.
    pub(crate) takes_memory: bool,
}

/// What the fixed part of a write says.
#[derive(Default)]
struct Fixed {
    op: u8,
    touch: u8,
    mode: u8,
    amount: Option<(bool, u64)>,
    cause: u8,
    ended: Option<u8>,
    names_sum: u32,
}

impl Request {
    /// Adds a write that the script decides.
    ///
    /// # Errors
    /// Those of a write that [`is_native`] refuses.
    pub(crate) fn decide(&mut self, write: &Write) -> Result<()> {
        let mut fixed = Fixed::default();
        let mut body: Option<&Body> = None;
        match &write.change {
            Change::Op(op) => {
                fixed.op = op_code(op);
                fixed.amount = amount_of(op);
                if let Op::Put(value) | Op::Assign(value) = op {
                    body = Some(value);
                }
            }
            Change::Touch(retouch) => {
                fixed.op = b'T';
                let (touch, expiry) = match retouch {
                    Retouch::Set(expiry) => (0, *expiry),
                    Retouch::Extend(expiry) => (1, *expiry),
                    Retouch::Shorten(expiry) => (2, *expiry),
                    Retouch::Refresh(ttl) => (3, Expiry::After(*ttl)),
                };
                let (mode, ms) = expiry_parts(expiry);
                (fixed.touch, fixed.mode, fixed.amount) = (touch, mode, Some((false, ms)));
            }
            Change::Erase(cause) => (fixed.op, fixed.cause) = (b'E', cause.code()),
            Change::Join(_)
            | Change::Merged { .. }
            | Change::Replace { .. }
            | Change::Restamp
            | Change::Grace(_) => {
                fixed.op = b'?';
            }
        }
        self.takes_memory |= !frees(write);
        let names = ["", &write.placement.rule, write.writer.as_deref().unwrap_or_default()];
        fixed.names_sum = frame::names_sum(&write.key, names);
        let place = self.placement(&write.placement);
        let mut numbers = self.numbers(write, fixed.op, place);
        if let Some(body) = body
            && write.placement.kind == Kind::Lww
        {
            append_put(&mut numbers, write, names, body)?;
            self.plain += usize::from(is_plain(write));
        }
        append_general(&mut numbers, write, &fixed, names.concat().len())?;
        let body = body.map_or(&[][..], |body| &body.as_bytes()[..]);
        self.writes.push([numbers, [names[1].as_bytes(), names[2].as_bytes(), body].concat()]);
        Ok(())
    }

    /// By which way the script goes through the writes: 0 is the one that they can all go.
    pub(crate) fn way(&self) -> u8 {
        let count = self.writes.len();
        match (self.keys.len() == count, self.plain == count, self.puts == count) {
            (true, true, _) => PLAIN,
            (true, _, true) => DECIDED,
            _ => 0,
        }
    }

    /// Adds what was decided in Rust: a record to put, an erasure, or nothing but the answer.
    pub(crate) fn carry_out(&mut self, write: &Write, effect: &Carried, answer: &[u8]) -> Result<()> {
        self.takes_memory |= !frees(write) && !matches!(effect, Carried::Nothing);
        let (fixed, record, filing) = match effect {
            Carried::Nothing => (Fixed { op: b'n', ..Fixed::default() }, &[][..], None),
            Carried::Put { record, filing, ended } => {
                (Fixed { op: b'p', ended: *ended, ..Fixed::default() }, &record[..], Some(filing))
            }
            Carried::Erase { cause, seq, ended } => {
                let amount = Some((false, *seq));
                let fixed = Fixed { op: b'e', cause: *cause, ended: *ended, amount, ..Fixed::default() };
                (fixed, &[][..], None)
            }
        };
        self.puts += usize::from(fixed.op != b'e');
        let mut numbers = self.numbers(write, fixed.op, 0);
        append_general(&mut numbers, write, &fixed, 0)?;
        if let Some(filing) = filing {
            filing.append(&mut numbers)?;
            self.tallies.add(filing, write.key.namespace());
        }
        self.answers.push(answer);
        self.writes.push([numbers, record.to_vec()]);
        Ok(())
    }

    /// What every write has.
    fn numbers(&mut self, write: &Write, op: u8, placement: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        let place = self.place(&write.key);
        put(&mut out, place, 2);
        out.extend_from_slice(&[op, guard_parts(write.guard).0, reply_code(write.reply)]);
        put(&mut out, placement, 2);
        out.push(write.key.is_system().into());
        put(&mut out, write.key.namespace().len() as u64, 2);
        out
    }

    /// The place of a key among the records, from 1 on.
    fn place(&mut self, key: &memlife_core::Key) -> u64 {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        self.keys.push(key.clone());
        let place = self.keys.len() as u64;
        self.places.insert(key.clone(), place);
        place
    }

    fn placement(&mut self, placement: &Arc<Placement>) -> u64 {
        // Writes of one batch mostly share their placement, and then follow each other.
        match self.placements.last() {
            Some(last) if Arc::ptr_eq(last, placement) || last == placement => {}
            _ => self.placements.push(placement.clone()),
        }
        self.placements.len() as u64
    }

    /// The placements as the script reads them.
    ///
    /// # Errors
    /// `Unsupported` for a kind that is newer than this format.
    pub(crate) fn placements(&self) -> Result<Vec<Vec<u8>>> {
        self.placements.iter().map(|placement| encoded(placement)).collect()
    }
}

/// What only the script's general part asks for; `before` the body come so many bytes.
fn append_general(out: &mut Vec<u8>, write: &Write, fixed: &Fixed, before: usize) -> Result<()> {
    let is_decided = matches!(fixed.op, b'n' | b'p' | b'e');
    let version = if is_decided { 0 } else { exact(guard_parts(write.guard).1)? };
    put(out, version, 7);
    let (is_negative, amount) = fixed.amount.unwrap_or_default();
    let has_writer = write.writer.is_some();
    out.extend_from_slice(&[has_writer.into(), fixed.touch, fixed.mode]);
    out.extend_from_slice(&[fixed.amount.is_some().into(), is_negative.into()]);
    put(out, exact(amount)?, 7);
    out.extend_from_slice(&[fixed.cause, fixed.ended.unwrap_or(u8::MAX)]);
    put(out, fixed.names_sum.into(), 4);
    put(out, before as u64, 4);
    Ok(())
}

/// What is known of the record of a put before the script decides: the first part of its head, and its sum.
fn append_put(out: &mut Vec<u8>, write: &Write, names: [&str; 3], body: &Body) -> Result<()> {
    let placement = &write.placement;
    let [raw_len, stored_len] = [body.raw_len(), body.as_bytes().len()].map(|len| len as u32);
    let front = Front {
        kind: kind_code(&Kind::Lww)?,
        names,
        is_alive: true,
        has_expiry: placement.expiry != Expiry::Never,
        has_writer: write.writer.is_some(),
        has_body: true,
        rule_ttl: placement.rule_ttl,
        origin: placement.origin,
        class: placement.class,
        codec: body.codec(),
        sizes: [1, raw_len, stored_len],
    };
    let at = out.len();
    front.append(out, &write.key)?;
    let sum = frame::sum(&out[at..]);
    put(out, sum, 6);
    out.push((body.codec() != Codec::None).into());
    put(out, raw_len.into(), 4);
    put(out, stored_len.into(), 4);
    Ok(())
}

/// Whether a put of a register can be decided by what is there and its placement alone, and whoever repeats it knows its
/// expiry by its number and its clock: a chance time is another each time.
fn is_plain(write: &Write) -> bool {
    let Placement { expiry, origin, rule_ttl, .. } = *write.placement;
    let is_by_chance = origin == ExpiryOrigin::Rule && rule_ttl.map(Expiry::After) != Some(expiry);
    let is_alike = match expiry {
        Expiry::Never | Expiry::At(_) => true,
        Expiry::After(_) => !is_by_chance,
        Expiry::Keep => false,
    };
    is_alike && write.reply == Reply::Outcome && matches!(write.guard, Guard::Any | Guard::Absent)
}

/// What the script carries out.
pub(crate) enum Carried {
    Nothing,
    Put { record: Vec<u8>, filing: Filing, ended: Option<u8> },
    Erase { cause: u8, seq: u64, ended: Option<u8> },
}

/// Whether a write frees more than it takes: a server at its limit has to let it in.
pub(crate) fn frees(write: &Write) -> bool {
    matches!(write.change, Change::Op(Op::Delete) | Change::Erase(_))
}

/// Whether it is worth asking the script: what it never decides goes the other way at once.
pub(crate) fn is_native(write: &Write, body_limit: usize) -> bool {
    let names = write.placement.rule.len().max(write.writer.as_deref().map_or(0, str::len));
    let is_exact = match write.guard {
        Guard::Version(version) => exact(version).is_ok(),
        _ => true,
    };
    let is_known = matches!(write.placement.kind, Kind::Lww | Kind::Counter);
    let fits = write.body_bytes() <= body_limit;
    names <= usize::from(u16::MAX)
        && is_exact
        && match &write.change {
            Change::Op(Op::Put(_)) => is_known && fits,
            Change::Op(Op::Assign(_)) => write.placement.kind == Kind::Lww && fits,
            Change::Op(Op::Add(amount)) => is_known && exact(amount.unsigned_abs()).is_ok(),
            Change::Op(Op::Delete) => is_known,
            Change::Touch(_) | Change::Erase(_) => kind_code(&write.placement.kind).is_ok(),
            _ => false,
        }
}

/// What the script knows a guard by, and the version that it asks for.
fn guard_parts(guard: Guard) -> (u8, u64) {
    match guard {
        Guard::Any => (0, 0),
        Guard::Absent => (1, 0),
        Guard::Visible => (2, 0),
        Guard::Version(version) => (3, version),
        Guard::Due(_) => (4, 0),
    }
}

fn op_code(op: &Op) -> u8 {
    match op {
        Op::Put(_) => b'P',
        Op::Assign(_) => b'A',
        Op::Add(_) => b'+',
        Op::Delete => b'D',
        _ => b'?',
    }
}

/// What a put or an addition adds to a counter.
fn amount_of(op: &Op) -> Option<(bool, u64)> {
    let amount = match op {
        Op::Add(amount) => *amount,
        Op::Put(body) => number_in(body)?,
        _ => return None,
    };
    let size = exact(amount.unsigned_abs()).ok()?;
    Some((amount < 0, size))
}

fn number_in(body: &Body) -> Option<i64> {
    if body.as_bytes().len() > NUMBER_BYTES || body.codec() != Codec::None {
        return None;
    }
    body.value(NUMBER_BYTES).ok()?.as_integer()
}

fn reply_code(reply: Reply) -> u8 {
    match reply {
        Reply::Outcome => 0,
        Reply::Head => 1,
        Reply::Whole => 2,
    }
}

fn expiry_parts(expiry: Expiry) -> (u8, u64) {
    match expiry {
        Expiry::Never => (0, 0),
        Expiry::After(ttl) => (1, ttl.ms()),
        Expiry::At(at) => (2, Timestamp::ms(at)),
        Expiry::Keep => (3, 0),
    }
}

fn encoded(placement: &Placement) -> Result<Vec<u8>> {
    let (mode, ms) = expiry_parts(placement.expiry);
    let mut out =
        vec![kind_code(&placement.kind)?, placement.class.code(), origin_code(placement.origin), mode];
    put(&mut out, ms, 6);
    out.push(placement.rule_ttl.is_some().into());
    put(&mut out, placement.rule_ttl.map_or(0, memlife_core::Ttl::ms), 6);
    let how = placement.compression;
    // A threshold of 0 tells the script that states stay as they are.
    let threshold = if how.codec == Codec::None { 0 } else { how.threshold_bytes.max(1) as u64 };
    put(&mut out, threshold.min(u32::MAX.into()), 4);
    out.extend_from_slice(placement.rule.as_bytes());
    Ok(out)
}
