//! Answers to writes, as the script gives them and keeps them for whoever asks again.

use crate::error::unexpected;
use crate::frame::{self, Fields, put, put_hlc};
use crate::server;
use bytes::Bytes;
use memlife_core::record::Record;
use memlife_core::store::{Outcome, Reply, Want, Write};
use memlife_core::{Error, ErrorKind, Result, Stamp, Timestamp};
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

/// Bytes of an answer to a plain put.
const PLAIN_BYTES: usize = 36;

/// The answers to the writes of a call, in order: a list, or one text where all are of one length.
///
/// # Errors
/// `Corrupt` for an answer of no known form.
pub(crate) fn answers(value: Value) -> Result<Vec<Bytes>> {
    let malformed = || unexpected("EVALSHA");
    if let Value::BulkString(text) = value {
        let text = Bytes::from(text);
        let starts = (0..text.len()).step_by(PLAIN_BYTES);
        return Ok(starts.map(|at| text.slice(at..text.len().min(at + PLAIN_BYTES))).collect());
    }
    let each = |value| server::bytes(value, "EVALSHA")?.ok_or_else(malformed);
    server::array(value, "EVALSHA")?.into_iter().map(each).collect()
}

/// What the script answered to `write`; `None` when it left it to Rust.
///
/// # Errors
/// The error that the write was answered with; `Corrupt` for an answer of no known form.
pub(crate) fn outcome(write: &Write, answer: &Bytes) -> Result<Option<Outcome>> {
    let malformed = || unexpected("a write").on(&write.key);
    let (&code, _) = answer.split_first().ok_or_else(malformed)?;
    let rest = answer.slice(1..);
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
