//! A record as one string: a fixed part that both Rust and the script read at known places, the names, a check, the
//! body.

use bytes::Bytes;
use memlife_core::record::{Body, Codec, ExpiryOrigin, Head, Kind, ReclaimClass, Record};
use memlife_core::store::Want;
use memlife_core::{Error, ErrorKind, Hlc, Key, ReplicaId, Result, Stamp, Timestamp, Ttl};
use memlife_crdt::Life;
use xxhash_rust::xxh3::Xxh3Default;

const FORMAT: u8 = 1;
/// All numbers of a head and their sum.
const FIXED_BYTES: usize = 119;
const SUM_BYTES: usize = 6;
const LOCATOR_BYTES: usize = 7;
/// Where the lengths of the names stand.
const LENS_AT: usize = 24;
/// The widths of the numbers that are summed, in bytes and in order.
const WIDTHS: [usize; 30] =
    [1, 1, 1, 1, 1, 1, 6, 4, 4, 4, 2, 2, 2, 4, 7, 7, 6, 2, 4, 4, 6, 2, 4, 4, 6, 6, 6, 6, 2, LOCATOR_BYTES];
/// A prime below 2^32, so that the script, whose numbers are doubles, sums without loss.
const PRIME: u64 = 4_294_967_291;
/// What is read of a record where its head is wanted: nearly every head is shorter.
pub(crate) const PEEK_BYTES: usize = 1024;

/// What was read of a record.
#[allow(clippy::large_enum_variant, reason = "nearly all are records, and none is kept as this")]
pub(crate) enum Decoded {
    Record(Record),
    /// More has to be read: the record's head is longer.
    Longer,
}

/// The string of `record`, which the due index knows by `locator`; 0 where the script gives it one.
///
/// # Errors
/// `TooLarge` for a rule or writer of more than 65,535 bytes; `Unsupported` past 2^53 changes.
pub(crate) fn encode(record: &Record, locator: u64) -> Result<Vec<u8>> {
    let head = &record.head;
    let front = Front {
        kind: kind_code(&head.kind)?,
        names: [custom_name(&head.kind), &head.rule, head.writer.as_deref().unwrap_or_default()],
        is_alive: head.alive,
        has_expiry: head.life.expires_at.is_some(),
        has_writer: head.writer.is_some(),
        has_body: record.body.is_some(),
        rule_ttl: head.rule_ttl,
        origin: head.origin,
        class: head.class,
        codec: head.codec,
        sizes: [head.siblings, head.raw_len, head.stored_len],
    };
    let mut out = Vec::with_capacity(FIXED_BYTES + 64 + head.stored_len as usize);
    front.append(&mut out, &record.key)?;
    for seq in [head.seq, head.version] {
        put(&mut out, exact(seq)?, 7);
    }
    for stamp in [head.stamp, head.life.epoch] {
        put_hlc(&mut out, stamp.time);
        out.extend_from_slice(&stamp.replica.0.to_le_bytes());
    }
    let instants = [head.life.expires_at.unwrap_or_default(), head.created_at, head.keep_until];
    instants.iter().for_each(|at| put(&mut out, at.ms(), 6));
    put_hlc(&mut out, head.kind_epoch);
    put(&mut out, exact(locator)?, LOCATOR_BYTES);
    let sum = sum(&out);
    put(&mut out, sum, SUM_BYTES);
    front.names.iter().for_each(|name| out.extend_from_slice(name.as_bytes()));
    out.extend_from_slice(record.body.as_ref().map_or(&[], |body| body.as_bytes()));
    Ok(out)
}

/// The first part of a head.
pub(crate) struct Front<'a> {
    pub(crate) kind: u8,
    /// Of the kind, the rule and the writer.
    pub(crate) names: [&'a str; 3],
    pub(crate) is_alive: bool,
    pub(crate) has_expiry: bool,
    pub(crate) has_writer: bool,
    pub(crate) has_body: bool,
    pub(crate) rule_ttl: Option<Ttl>,
    pub(crate) origin: ExpiryOrigin,
    pub(crate) class: ReclaimClass,
    pub(crate) codec: Codec,
    /// Siblings, bytes of the value, bytes stored.
    pub(crate) sizes: [u32; 3],
}

impl Front<'_> {
    /// # Errors
    /// `TooLarge` for a name of more than 65,535 bytes.
    pub(crate) fn append(&self, out: &mut Vec<u8>, key: &Key) -> Result<()> {
        let flags = u8::from(self.is_alive)
            | u8::from(self.has_expiry) << 1
            | u8::from(self.rule_ttl.is_some()) << 2
            | u8::from(self.has_writer) << 3
            | u8::from(self.has_body) << 4;
        out.extend_from_slice(&[FORMAT, self.kind, flags, origin_code(self.origin)]);
        out.extend_from_slice(&[self.class.code(), codec_code(self.codec)]);
        put(out, self.rule_ttl.map_or(0, Ttl::ms), 6);
        for size in self.sizes {
            put(out, size.into(), 4);
        }
        for name in self.names {
            put(out, name_len(name, key)?, 2);
        }
        put(out, names_sum(key, self.names).into(), 4);
        Ok(())
    }
}

/// The record of `key` that `bytes` hold, or begin with where only the head is wanted.
///
/// # Errors
/// `Corrupt` when any byte is not as it was written, or was written for another key.
pub(crate) fn decode(key: &Key, bytes: &Bytes, want: Want) -> Result<Decoded> {
    let corrupt = |message| Error::new(ErrorKind::Corrupt, message).on(key);
    let cut = || corrupt("the stored record is cut short");
    let undecoded = || corrupt("the stored metadata does not decode");
    let unlike = || corrupt("the stored metadata does not match its checksum");
    let fixed = bytes.get(..FIXED_BYTES).ok_or_else(cut)?;
    if fixed[0] != FORMAT {
        return Err(corrupt("the stored record is of an unknown format"));
    }
    let (numbers, stored_sum) = fixed.split_at(FIXED_BYTES - SUM_BYTES);
    if crate::layout::number(stored_sum) != sum(numbers) {
        return Err(unlike());
    }
    let lens = lens_of(fixed).ok_or_else(undecoded)?;
    let body_at = FIXED_BYTES + lens.iter().sum::<usize>();
    if want == Want::Head && bytes.len() == PEEK_BYTES && body_at > PEEK_BYTES {
        return Ok(Decoded::Longer);
    }
    if bytes.len() < body_at {
        return Err(cut());
    }
    let mut at = FIXED_BYTES;
    let names = lens.map(|len| {
        at += len;
        std::str::from_utf8(&bytes[at - len..at]).ok()
    });
    let [Some(kind_name), Some(rule), Some(writer)] = names else { return Err(undecoded()) };
    let names = [kind_name, rule, writer];
    let parts = Fields(&fixed[1..]).parts(names).ok_or_else(undecoded)?;
    if parts.names_sum != names_sum(key, names) {
        return Err(unlike());
    }
    let head = parts.head;
    let has_body = want == Want::Whole && parts.has_body;
    let body = has_body.then(|| Body::from_stored(bytes.slice(body_at..)).map_err(|e| e.on(key)));
    let record = Record { key: key.clone(), head, body: body.transpose()? };
    if record.body.as_ref().is_some_and(|body| body.as_bytes().len() != record.head.stored_len as usize) {
        return Err(corrupt("the stored value has another length than its metadata says"));
    }
    Ok(Decoded::Record(record))
}

/// The whole record in `bytes`.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_whole(key: &Key, bytes: &Bytes, want: Want) -> Result<Record> {
    match decode(key, bytes, want)? {
        Decoded::Record(record) => Ok(record),
        Decoded::Longer => Err(Error::new(ErrorKind::Corrupt, "the stored record is cut short").on(key)),
    }
}

/// How long the names of kind, rule and writer are.
fn lens_of(fixed: &[u8]) -> Option<[usize; 3]> {
    let mut fields = Fields(fixed.get(LENS_AT..)?);
    Some([fields.number(2)?, fields.number(2)?, fields.number(2)?].map(|len| len as usize))
}

/// The number by which the due index knows the record that `bytes` begin with.
pub(crate) fn locator_of(bytes: &[u8]) -> u64 {
    let end = FIXED_BYTES - SUM_BYTES;
    bytes.get(end - LOCATOR_BYTES..end).map_or(0, crate::layout::number)
}

/// The check of the numbers that a head begins with: each of them, those of more than 32 bits below a prime, times an odd
/// weight of its own.
pub(crate) fn sum(mut numbers: &[u8]) -> u64 {
    let mut sum = 0;
    for (width, weight) in WIDTHS.iter().zip((3..).step_by(2)) {
        let Some((bytes, rest)) = numbers.split_at_checked(*width) else { break };
        let number = crate::layout::number(bytes);
        sum += if *width > 4 { number % PRIME } else { number } * weight;
        numbers = rest;
    }
    sum
}

/// The check of the names of a head, and of the key that they belong to.
pub(crate) fn names_sum(key: &Key, names: [&str; 3]) -> u32 {
    let mut sum = Xxh3Default::new();
    sum.update(key.as_str().as_bytes());
    sum.update(&[0]);
    names.iter().for_each(|name| sum.update(name.as_bytes()));
    sum.digest() as u32
}

/// A number that a script can hold without loss.
pub(crate) fn exact(number: u64) -> Result<u64> {
    if number >= 1 << 53 {
        return Err(Error::new(ErrorKind::Unsupported, "a Redis store counts to 2^53"));
    }
    Ok(number)
}

pub(crate) fn put(out: &mut Vec<u8>, number: u64, bytes: usize) {
    out.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
}

pub(crate) fn put_hlc(out: &mut Vec<u8>, time: Hlc) {
    put(out, time.at.ms(), 6);
    put(out, time.counter.into(), 2);
}

fn name_len(name: &str, key: &Key) -> Result<u64> {
    if name.len() > usize::from(u16::MAX) {
        let message = "a rule's pattern and a writer's name have at most 65,535 bytes";
        return Err(Error::new(ErrorKind::TooLarge, message).on(key));
    }
    Ok(name.len() as u64)
}

fn custom_name(kind: &Kind) -> &str {
    if let Kind::Custom(name) = kind { name } else { "" }
}

/// What the script knows kinds by.
///
/// # Errors
/// `Unsupported` for a kind that is newer than this format.
pub(crate) fn kind_code(kind: &Kind) -> Result<u8> {
    Ok(match kind {
        Kind::Lww => 0,
        Kind::MultiValue => 1,
        Kind::Counter => 2,
        Kind::Custom(_) => 3,
        Kind::GCounter => 4,
        Kind::OrSet => 5,
        Kind::RwSet => 6,
        Kind::Max => 7,
        Kind::Min => 8,
        Kind::FlagEw => 9,
        Kind::FlagDw => 10,
        Kind::Map => 11,
        _ => {
            let message = format!("a Redis store does not know the kind {kind}: use a newer memlife");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    })
}

fn kind_of(code: u8, name: &str) -> Option<Kind> {
    Some(match code {
        0 => Kind::Lww,
        1 => Kind::MultiValue,
        2 => Kind::Counter,
        3 => Kind::Custom(name.into()),
        4 => Kind::GCounter,
        5 => Kind::OrSet,
        6 => Kind::RwSet,
        7 => Kind::Max,
        8 => Kind::Min,
        9 => Kind::FlagEw,
        10 => Kind::FlagDw,
        11 => Kind::Map,
        _ => return None,
    })
}

pub(crate) fn origin_code(origin: ExpiryOrigin) -> u8 {
    match origin {
        ExpiryOrigin::Rule => 0,
        ExpiryOrigin::Caller => 1,
        ExpiryOrigin::Unjudged => 2,
    }
}

fn codec_code(codec: Codec) -> u8 {
    match codec {
        Codec::None => 0,
        Codec::Gzip => 1,
        Codec::Zstd => 2,
    }
}

/// Reads numbers one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn number(&mut self, bytes: usize) -> Option<u64> {
        let (front, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(crate::layout::number(front))
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.number(1).map(|byte| byte as u8)
    }

    pub(crate) fn instant(&mut self) -> Option<Timestamp> {
        self.number(6).map(Timestamp::from_ms)
    }

    pub(crate) fn hlc(&mut self) -> Option<Hlc> {
        Some(Hlc { at: self.instant()?, counter: self.number(2)? as u16 })
    }

    pub(crate) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp::new(self.hlc()?, ReplicaId(self.number(8)?.swap_bytes())))
    }

    fn size(&mut self) -> Option<u32> {
        self.number(4).map(|size| size as u32)
    }

    /// All behind the format; the names are those of the kind, the rule and the writer.
    fn parts(&mut self, [kind_name, rule, writer]: [&str; 3]) -> Option<Parts> {
        let (kind, flags) = (self.byte()?, self.byte()?);
        let origin = match self.byte()? {
            0 => ExpiryOrigin::Rule,
            1 => ExpiryOrigin::Caller,
            2 => ExpiryOrigin::Unjudged,
            _ => return None,
        };
        let class = ReclaimClass::from_code(self.byte()?)?;
        let codec = match self.byte()? {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Zstd,
            _ => return None,
        };
        let rule_ttl = self.number(6)?;
        let (siblings, raw_len, stored_len) = (self.size()?, self.size()?, self.size()?);
        self.number(6)?;
        let names_sum = self.size()?;
        let (seq, version) = (self.number(7)?, self.number(7)?);
        let (stamp, epoch) = (self.stamp()?, self.stamp()?);
        let (expires_at, created_at, keep_until) = (self.instant()?, self.instant()?, self.instant()?);
        let head = Head {
            kind: kind_of(kind, kind_name)?,
            kind_epoch: self.hlc()?,
            alive: flags & 1 != 0,
            seq,
            version,
            stamp,
            created_at,
            life: Life::new(epoch, (flags & 2 != 0).then_some(expires_at)),
            origin,
            rule_ttl: if flags & 4 != 0 { Some(Ttl::from_ms(rule_ttl).ok()?) } else { None },
            keep_until,
            class,
            rule: rule.into(),
            writer: (flags & 8 != 0).then(|| writer.into()),
            siblings,
            raw_len,
            stored_len,
            codec,
        };
        Some(Parts { has_body: flags & 16 != 0, names_sum, head })
    }
}

/// What the fixed part and the names say.
struct Parts {
    has_body: bool,
    names_sum: u32,
    head: Head,
}
