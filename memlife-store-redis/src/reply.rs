//! Answers to writes, as the script gives them and keeps them for whoever asks again.

use crate::error::unexpected;
use crate::frame::{self, Fields, put, put_hlc};
use crate::server;
use bytes::Bytes;
use memlife_core::record::Record;
use memlife_core::store::{Expiry, Outcome, Reply, Want, Write};
use memlife_core::{Error, ErrorKind, Hlc, ReplicaId, Result, Stamp, Timestamp};
use redis::Value;

/// The errors that deciding a write gives; the place of each is its code.
const KINDS: [ErrorKind; 7] = [
    ErrorKind::Internal,
    ErrorKind::Invalid,
    ErrorKind::TypeMismatch,
    ErrorKind::TooLarge,
    ErrorKind::Corrupt,
    ErrorKind::Unsupported,
    ErrorKind::QuotaExceeded,
];

/// What the script answered to one write.
pub(crate) enum Answer {
    /// It tells all of the outcome.
    Text(Bytes),
    /// A register was put; the write itself tells the rest.
    Put { version: u64, time: Hlc },
}

/// The answers to the writes of a call, in order; those to puts that follow each other may come in one text.
///
/// # Errors
/// `Corrupt` for an answer of no known form.
pub(crate) fn answers(value: Value) -> Result<Vec<Answer>> {
    let malformed = || unexpected("EVALSHA");
    let texts = match value {
        Value::BulkString(text) => vec![Value::BulkString(text)],
        list => server::array(list, "EVALSHA")?,
    };
    let mut out = Vec::with_capacity(texts.len());
    for text in texts {
        let text = server::bytes(text, "EVALSHA")?.ok_or_else(malformed)?;
        match text.first() {
            Some(&RUN) => out.extend(run(&text[1..]).ok_or_else(malformed)?),
            Some(&LIST) => out.extend(listed(&text).ok_or_else(malformed)?),
            _ => out.push(Answer::Text(text)),
        }
    }
    Ok(out)
}

/// What the answer to puts that follow each other begins with, and what a list of answers that were decided in Rust does.
const RUN: u8 = b'P';
const LIST: u8 = b'L';

/// The answers to all that a call carries out, in one text.
#[derive(Default)]
pub(crate) struct Answers(Vec<u8>);

impl Answers {
    pub(crate) fn push(&mut self, answer: &[u8]) {
        if self.0.is_empty() {
            self.0.push(LIST);
        }
        put(&mut self.0, answer.len() as u64, 4);
        self.0.extend_from_slice(answer);
    }

    /// Nothing where there are none.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn listed(text: &Bytes) -> Option<Vec<Answer>> {
    let (mut out, mut fields) = (Vec::new(), Fields(&text[1..]));
    while !fields.0.is_empty() {
        let len = usize::try_from(fields.number(4)?).ok()?;
        let (answer, rest) = fields.0.split_at_checked(len)?;
        out.push(Answer::Text(text.slice_ref(answer)));
        fields.0 = rest;
    }
    Some(out)
}

fn run(text: &[u8]) -> Option<impl Iterator<Item = Answer> + use<>> {
    let mut fields = Fields(text);
    let (count, version, first) = (fields.number(2)?, fields.number(7)?, fields.hlc()?);
    let last = u16::try_from(count.checked_sub(1)?).ok()?;
    first.counter.checked_add(last)?;
    Some((0..=last).map(move |at| Answer::Put {
        version: version + u64::from(at),
        time: Hlc { at: first.at, counter: first.counter + at },
    }))
}

/// What the script answered to `write` of the store `replica`; `None` when it left it to Rust.
///
/// # Errors
/// The error that the write was answered with; `Corrupt` for an answer of no known form.
pub(crate) fn outcome(write: &Write, answer: &Answer, replica: ReplicaId) -> Result<Option<Outcome>> {
    let malformed = || unexpected("a write").on(&write.key);
    let text = match answer {
        Answer::Put { version, time } => {
            return Ok(Some(put_at(write, *version, Stamp::new(*time, replica))));
        }
        Answer::Text(text) => text,
    };
    let (&code, _) = text.split_first().ok_or_else(malformed)?;
    let rest = text.slice(1..);
    Ok(Some(match code {
        b'N' => return Ok(None),
        b'A' => applied(write, &rest)?.ok_or_else(malformed)?,
        b'E' => Outcome::erased(record(write, &rest)?),
        b'U' => Outcome::Unchanged { current: record(write, &rest)? },
        b'R' => Outcome::Refused { current: record(write, &rest)? },
        b'?' => Outcome::NotNative { current: shown(write, &rest, Want::Whole)? },
        b'X' => return Err(error(write, &rest)),
        _ => return Err(malformed()),
    }))
}

/// A put of a register that lives as its placement says.
fn put_at(write: &Write, version: u64, stamp: Stamp) -> Outcome {
    let expires_at = match write.placement.expiry {
        Expiry::After(ttl) => Some(stamp.at().plus_ms(ttl.ms())),
        Expiry::At(at) => Some(at),
        Expiry::Never | Expiry::Keep => None,
    };
    Outcome::Applied { version, stamp, expires_at, dropped: 0, record: None }
}

fn applied(write: &Write, bytes: &Bytes) -> Result<Option<Outcome>> {
    let mut fields = Fields(bytes);
    let Some((version, stamp, expires_at, dropped)) = numbers(&mut fields) else { return Ok(None) };
    let rest = bytes.slice(bytes.len() - fields.0.len()..);
    Ok(Some(Outcome::Applied { version, stamp, expires_at, dropped, record: record(write, &rest)? }))
}

fn numbers(fields: &mut Fields<'_>) -> Option<(u64, Stamp, Option<Timestamp>, u32)> {
    let (version, stamp) = (fields.number(7)?, fields.stamp()?);
    let (has_expiry, at) = (fields.byte()?, fields.instant()?);
    let dropped = u32::try_from(fields.number(4)?).ok()?;
    Some((version, stamp, (has_expiry == 1).then_some(at), dropped))
}

fn record(write: &Write, bytes: &Bytes) -> Result<Option<Box<Record>>> {
    let want = if write.reply == Reply::Whole { Want::Whole } else { Want::Head };
    shown(write, bytes, want)
}

fn shown(write: &Write, bytes: &Bytes, want: Want) -> Result<Option<Box<Record>>> {
    match bytes.split_first() {
        Some((1, _)) => Ok(Some(Box::new(frame::decode_whole(&write.key, &bytes.slice(1..), want)?))),
        _ => Ok(None),
    }
}

fn error(write: &Write, bytes: &[u8]) -> Error {
    let kind = bytes.first().and_then(|code| KINDS.get(usize::from(*code))).copied();
    let message = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()).into_owned();
    Error::new(kind.unwrap_or(ErrorKind::Internal), message).on(&write.key)
}

/// The answer that gives `outcome` back.
///
/// # Errors
/// Those of a record that cannot be stored.
pub(crate) fn encode(outcome: &Result<Outcome>) -> Result<Vec<u8>> {
    let with = |code: u8, record: &Option<Box<Record>>| {
        let mut out = vec![code];
        append(&mut out, record)?;
        Ok(out)
    };
    match outcome {
        Ok(Outcome::Applied { version, stamp, expires_at, dropped, record }) => {
            let mut out = vec![b'A'];
            put(&mut out, *version, 7);
            put_hlc(&mut out, stamp.time);
            out.extend_from_slice(&stamp.replica.0.to_le_bytes());
            out.push(expires_at.is_some().into());
            put(&mut out, expires_at.unwrap_or_default().ms(), 6);
            put(&mut out, (*dropped).into(), 4);
            append(&mut out, record)?;
            Ok(out)
        }
        Ok(Outcome::Unchanged { current }) => with(b'U', current),
        Ok(Outcome::Refused { current }) => with(b'R', current),
        Ok(Outcome::NotNative { current }) => with(b'?', current),
        Err(error) => {
            let code = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or_default();
            Ok([&[b'X', code as u8], error.message().as_bytes()].concat())
        }
    }
}

fn append(out: &mut Vec<u8>, record: &Option<Box<Record>>) -> Result<()> {
    match record {
        Some(record) => {
            out.push(1);
            out.extend(frame::encode(record, 0)?);
        }
        None => out.push(0),
    }
    Ok(())
}
