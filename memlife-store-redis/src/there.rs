//! Deciding in Rust, upon what was read of a shard.

use crate::filing::Filing;
use crate::frame;
use crate::request::Carried;
use crate::server::Server;
use bytes::Bytes;
use memlife_core::record::Record;
use memlife_core::resolver::{Mint, native};
use memlife_core::store::{Cause, Outcome, Want, Write};
use memlife_core::{Decision, Effect, Key, Ledger, Result, Timestamp, decide, needs_body};
use std::collections::HashMap;

/// What was read of a shard, and what the writes decided so far make of it.
pub(crate) struct There {
    pub(crate) ledger: Ledger,
    /// What was last changed before this may have lost what this store gave out.
    pub(crate) jump: u64,
    pub(crate) wall: Timestamp,
    pub(crate) records: HashMap<Key, Option<Bytes>>,
    pub(crate) changed: HashMap<Key, Option<Record>>,
}

impl There {
    /// The outcome of a write and what is to be carried out.
    pub(crate) fn decide(&mut self, server: &Server, write: &Write) -> (Result<Outcome>, Carried) {
        let stored = self.records.get(&write.key).and_then(Option::as_ref);
        let mut old = None;
        let current = match self.changed.get(&write.key) {
            Some(changed) => Ok(changed.clone()),
            None => stored
                .map(|bytes| {
                    let record = frame::decode_whole(&write.key, bytes, Want::Whole)?;
                    old = Some((record.head.clone(), frame::locator_of(bytes)));
                    self.renewed(record, server, write)
                })
                .transpose(),
        };
        let current = match current {
            Ok(current) => current,
            Err(error) => return (Err(error), Carried::Nothing),
        };
        // `decide` is given what it asks for, so that it answers the same as on every store.
        let current = current
            .map(|record| if needs_body(&record.head, write) { record } else { record.without_body() });
        let mut ledger = self.ledger;
        let decided = decide(current.as_ref(), write, &mut server.context(self.wall, &mut ledger));
        let Decision { effect, ended, outcome } = match decided {
            Ok(decision) => decision,
            Err(error) => return (Err(error), Carried::Nothing),
        };
        let ended = ended.map(Cause::code);
        let (carried, record) = match effect {
            Effect::None => return (Ok(outcome), Carried::Nothing),
            Effect::Put(record) => {
                let old = old.as_ref().map(|(head, locator)| (head, *locator));
                let filing = Filing::new(old, &record, ended);
                match frame::encode(&record, filing.locator) {
                    Ok(bytes) => (Carried::Put { record: bytes, filing, ended }, Some(*record)),
                    Err(error) => return (Err(error), Carried::Nothing),
                }
            }
            Effect::Erase { cause, seq } => (Carried::Erase { cause: cause.code(), seq, ended }, None),
        };
        self.ledger = ledger;
        self.changed.insert(write.key.clone(), record);
        (Ok(outcome), carried)
    }
}

impl There {
    /// The record, with a new presence of this store's where its last ones may have been lost: what is added under
    /// their names would be taken for them elsewhere.
    fn renewed(&self, mut record: Record, server: &Server, write: &Write) -> Result<Record> {
        let (Some(body), Some(resolver)) = (&record.body, native(&record.head.kind)) else {
            return Ok(record);
        };
        if record.head.seq >= self.jump {
            return Ok(record);
        }
        let mint = Mint {
            seq: self.ledger.seq + 1,
            stamp: record.head.stamp,
            replica: server.info.replica,
            writer: None,
            compression: write.placement.compression,
            max_siblings: u32::MAX,
        };
        if let Some(body) = resolver.renew(body, &mint).map_err(|error| error.on(&record.key))? {
            record.head.measure(Some(&body));
            record.body = Some(body);
        }
        Ok(record)
    }
}
