use crate::schema::DueKey;
use bytes::Bytes;
use memlife_core::record::{Body, Head, ReclaimClass, Record};
use memlife_core::store::{DueEntry, Locator, Want};
use memlife_core::{Key, Result, Timestamp};
use memlife_store_local::error::corrupt;

/// The row of a record: the length of the head, the head, the body where there is one. Both carry checksums, and
/// the head's is over the key as well.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>> {
    let head = record.head.encode(&record.key)?;
    let body: &[u8] = record.body.as_ref().map_or(&[], |body| body.as_bytes());
    let mut row = Vec::with_capacity(4 + head.len() + body.len());
    row.extend_from_slice(&(head.len() as u32).to_le_bytes());
    row.extend_from_slice(&head);
    row.extend_from_slice(body);
    Ok(row)
}

/// The head of the row, and what follows it.
pub(crate) fn head<'a>(key: &Key, row: &'a [u8]) -> Result<(Head, &'a [u8])> {
    let cut = || corrupt("the stored entry is cut short").on(key);
    let (len, rest) = row.split_first_chunk::<4>().ok_or_else(cut)?;
    let (head, body) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
    Ok((Head::decode(key, head)?, body))
}

/// The body that follows a head.
pub(crate) fn body(key: &Key, bytes: &[u8]) -> Result<Option<Body>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Body::from_stored(Bytes::copy_from_slice(bytes)).map(Some).map_err(|error| error.on(key))
}

/// The record of the row.
pub(crate) fn record(key: Key, row: &[u8], want: Want) -> Result<Record> {
    let (head, rest) = head(&key, row)?;
    let body = match want {
        Want::Head => None,
        Want::Whole => body(&key, rest)?,
    };
    Ok(Record { key, head, body })
}

/// The key of a row.
pub(crate) fn key(bytes: &[u8]) -> Result<Key> {
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("a stored key is not text"))?;
    Key::from_stored(text)
}

/// Where `class` has what is due at `at` with the number `seq`.
pub(crate) fn due_key(class: ReclaimClass, at: Timestamp, seq: u64) -> DueKey {
    let mut key = [0; size_of::<DueKey>()];
    key[0] = class.code();
    key[1..9].copy_from_slice(&at.ms().to_be_bytes());
    key[9..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The due row of an entry; `None` when its bytes never go by themselves.
///
/// An entry is located by its change number: it has a new one, and a new row, after every change, and nothing else
/// has to be kept for it.
pub(crate) fn due_row(key: &Key, head: &Head) -> Option<(DueKey, Vec<u8>)> {
    let at = head.reclaim_at()?;
    let mut row = Vec::with_capacity(4 + key.as_str().len());
    row.extend_from_slice(&head.stored_len.to_le_bytes());
    row.extend_from_slice(key.as_str().as_bytes());
    Some((due_key(head.class, at, head.seq), row))
}

/// What a sweep is told of a due row.
pub(crate) fn due_entry(place: &DueKey, row: &[u8]) -> Result<DueEntry> {
    let damaged = || corrupt("a row of the due index is cut short");
    let (len, text) = row.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (_, numbers) = place.split_first().ok_or_else(damaged)?;
    let (at, rest) = numbers.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (seq, _) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok(DueEntry {
        key: key(text)?,
        reclaim_at: Timestamp::from_ms(u64::from_be_bytes(*at)),
        locator: Locator(u64::from_be_bytes(*seq)),
        stored_len: u32::from_le_bytes(*len),
    })
}
