//! A record as one string: a fixed part that both Rust and the script read at known places, the names, a check, the
//! body.

use bytes::Bytes;
use memlife_core::record::{Body, Codec, ExpiryOrigin, Head, Kind, ReclaimClass, Record};
use memlife_core::store::Want;
use memlife_core::{Error, ErrorKind, Hlc, Key, ReplicaId, Result, Stamp, Timestamp, Ttl};
use memlife_crdt::Life;
use sha1_smol::Sha1;

const FORMAT: u8 = 1;
/// The fixed part, without the lengths and the locator behind it.
const FIXED_BYTES: usize = 109;
const CHECK_BYTES: usize = 8;
/// What is read of a record where its head is wanted: nearly every head is shorter.
pub(crate) const PEEK_BYTES: usize = 1024;

/// A head that does not fit into what was read of it.
pub(crate) enum Decoded {
    Record(Box<Record>),
    /// More has to be read: the record's head is longer.
    Longer,
}

/// The string of `record`. The script gives it its locator.
///
/// # Errors
/// `TooLarge` for a rule or writer of more than 65,535 bytes; `Unsupported` past 2^53 changes.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>> {
    let head = &record.head;
    let kind_name = if let Kind::Custom(name) = &head.kind { name.as_ref() } else { "" };
    let writer = head.writer.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(FIXED_BYTES + 64 + head.stored_len as usize);
    let flags = u8::from(head.alive)
        | u8::from(head.life.expires_at.is_some()) << 1
        | u8::from(head.rule_ttl.is_some()) << 2
        | u8::from(head.writer.is_some()) << 3
        | u8::from(record.body.is_some()) << 4;
    out.extend_from_slice(&[FORMAT, kind_code(&head.kind)?, flags, origin_code(head.origin)]);
    out.extend_from_slice(&[head.class.code(), codec_code(head.codec)]);
    for seq in [head.seq, head.version] {
        put(&mut out, exact(seq)?, 7);
    }
    for stamp in [head.stamp, head.life.epoch] {
        put_hlc(&mut out, stamp.time);
        out.extend_from_slice(&stamp.replica.0.to_le_bytes());
    }
    let instants = [head.life.expires_at.unwrap_or_default(), head.created_at, head.keep_until];
    instants.iter().for_each(|at| put(&mut out, at.ms(), 6));
    put(&mut out, head.rule_ttl.map_or(0, Ttl::ms), 6);
    put_hlc(&mut out, head.kind_epoch);
    for size in [head.siblings, head.raw_len, head.stored_len] {
        put(&mut out, size.into(), 4);
    }
    let names = [kind_name, head.rule.as_ref(), writer];
    for name in names {
        put(&mut out, name_len(name, &record.key)?, 2);
    }
    put(&mut out, 0, 7);
    names.iter().for_each(|name| out.extend_from_slice(name.as_bytes()));
    let check = check(&record.key, &out);
    out.extend_from_slice(&check);
    out.extend_from_slice(record.body.as_ref().map_or(&[], |body| body.as_bytes()));
    Ok(out)
}

/// The record of `key` that `bytes` hold, or begin with where only the head is wanted.
///
/// # Errors
/// `Corrupt` when any byte is not as it was written, or was written for another key.
pub(crate) fn decode(key: &Key, bytes: &Bytes, want: Want) -> Result<Decoded> {
    let corrupt = |message| Error::new(ErrorKind::Corrupt, message).on(key);
    let cut = || corrupt("the stored record is cut short");
    let fixed = bytes.get(..FIXED_BYTES).ok_or_else(cut)?;
    if fixed[0] != FORMAT {
        return Err(corrupt("the stored record is of an unknown format"));
    }
    let mut fields = Fields(&fixed[1..]);
    let parts = fields.parts().ok_or_else(|| corrupt("the stored metadata does not decode"))?;
    let lens = parts.lens;
    let check_at = FIXED_BYTES + lens.iter().sum::<usize>();
    if want == Want::Head && bytes.len() == PEEK_BYTES && check_at + CHECK_BYTES > PEEK_BYTES {
        return Ok(Decoded::Longer);
    }
    let stored_check = bytes.get(check_at..check_at + CHECK_BYTES).ok_or_else(cut)?;
    if stored_check != check(key, &bytes[..check_at]) {
        return Err(corrupt("the stored metadata does not match its checksum"));
    }
    let mut at = FIXED_BYTES;
    let [kind_name, rule, writer] = lens.map(|len| {
        at += len;
        std::str::from_utf8(&bytes[at - len..at]).ok()
    });
    let head =
        parts.head(kind_name, rule, writer).ok_or_else(|| corrupt("the stored metadata does not decode"))?;
    let has_body = want == Want::Whole && parts.has_body;
    let body =
        has_body.then(|| Body::from_stored(bytes.slice(check_at + CHECK_BYTES..)).map_err(|e| e.on(key)));
    let record = Record { key: key.clone(), head, body: body.transpose()? };
    if record.body.as_ref().is_some_and(|body| body.as_bytes().len() != record.head.stored_len as usize) {
        return Err(corrupt("the stored value has another length than its metadata says"));
    }
    Ok(Decoded::Record(Box::new(record)))
}

/// The whole record in `bytes`.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_whole(key: &Key, bytes: &Bytes, want: Want) -> Result<Record> {
    match decode(key, bytes, want)? {
        Decoded::Record(record) => Ok(*record),
        Decoded::Longer => Err(Error::new(ErrorKind::Corrupt, "the stored record is cut short").on(key)),
    }
}

/// The number by which the due index knows the record that `bytes` begin with.
pub(crate) fn locator_of(bytes: &[u8]) -> u64 {
    bytes.get(FIXED_BYTES - 7..FIXED_BYTES).map_or(0, crate::layout::number)
}

/// The first eight digits of a SHA-1, which a script has at hand.
fn check(key: &Key, head: &[u8]) -> [u8; CHECK_BYTES] {
    let mut sum = Sha1::new();
    sum.update(key.as_str().as_bytes());
    sum.update(&[0]);
    sum.update(head);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&sum.digest().to_string().as_bytes()[..CHECK_BYTES]);
    check
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

    fn parts(&mut self) -> Option<Parts> {
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
        let (seq, version) = (self.number(7)?, self.number(7)?);
        let (stamp, epoch) = (self.stamp()?, self.stamp()?);
        let (expires_at, created_at, keep_until) = (self.instant()?, self.instant()?, self.instant()?);
        let rule_ttl = self.number(6)?;
        let head = Head {
            kind: Kind::Lww,
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
            rule: "".into(),
            writer: None,
            siblings: self.number(4)? as u32,
            raw_len: self.number(4)? as u32,
            stored_len: self.number(4)? as u32,
            codec,
        };
        let lens = [self.number(2)?, self.number(2)?, self.number(2)?].map(|len| len as usize);
        Some(Parts { kind, has_writer: flags & 8 != 0, has_body: flags & 16 != 0, head, lens })
    }
}

/// What the fixed part says.
struct Parts {
    kind: u8,
    has_writer: bool,
    has_body: bool,
    /// All but kind, rule and writer.
    head: Head,
    lens: [usize; 3],
}

impl Parts {
    fn head(&self, kind_name: Option<&str>, rule: Option<&str>, writer: Option<&str>) -> Option<Head> {
        Some(Head {
            kind: kind_of(self.kind, kind_name?)?,
            rule: rule?.into(),
            writer: if self.has_writer { Some(writer?.into()) } else { None },
            ..self.head.clone()
        })
    }
}
