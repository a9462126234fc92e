//! What the indexes and the usage of a shard have of a record, where Rust has decided what becomes of it.

use crate::frame::{exact, put};
use memlife_core::Result;
use memlife_core::record::{Codec, Head, ReclaimClass, Record};
use std::collections::HashMap;
use std::sync::Arc;

/// Stands for no class, and for no ending.
const NONE: u8 = u8::MAX;

/// What changes around a record that is put.
pub(crate) struct Filing {
    seq: u64,
    pub(crate) locator: u64,
    is_new: bool,
    /// The due index that has it.
    was_due: Option<ReclaimClass>,
    class: ReclaimClass,
    /// When its bytes may go, in milliseconds.
    due_ms: Option<u64>,
    ended: Option<u8>,
    /// What each rule has more, or less.
    tallies: Vec<(Arc<str>, Difference)>,
}

/// Entries, bytes stored, bytes before compression, compressed entries.
type Difference = [i64; 4];

/// What rules and namespaces have more, or less, after all that a call carries out.
#[derive(Default)]
pub(crate) struct Tallies(HashMap<Arc<str>, HashMap<String, Difference>>);

impl Tallies {
    /// Adds what changes with a record of this namespace.
    pub(crate) fn add(&mut self, filing: &Filing, namespace: &str) {
        for (rule, difference) in &filing.tallies {
            let namespaces = self.0.entry(rule.clone()).or_default();
            match namespaces.get_mut(namespace) {
                Some(sum) => sum.iter_mut().zip(difference).for_each(|(sum, number)| *sum += number),
                None => drop(namespaces.insert(namespace.to_owned(), *difference)),
            }
        }
    }

    /// As the script reads them, by `TALLY`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (rule, namespaces) in &self.0 {
            for (namespace, difference) in namespaces {
                difference.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()[1..]));
                [rule, &namespace[..]].iter().for_each(|name| put(&mut out, name.len() as u64, 2));
                out.extend_from_slice(rule.as_bytes());
                out.extend_from_slice(namespace.as_bytes());
            }
        }
        out
    }
}

impl Filing {
    /// Of `record`, which replaces what `old` was the head of, under its locator.
    pub(crate) fn new(old: Option<(&Head, u64)>, record: &Record, ended: Option<u8>) -> Self {
        let head = &record.head;
        let mut tallies: Vec<(Arc<str>, Difference)> = Vec::new();
        if !record.key.is_system() {
            let counted = [(old.map(|(head, _)| head), -1), (Some(head), 1)];
            for (head, sign) in counted.iter().filter_map(|(head, sign)| Some(((*head)?, *sign))) {
                if head.alive {
                    add(&mut tallies, head, sign);
                }
            }
        }
        tallies.retain(|(_, difference)| *difference != [0; 4]);
        Filing {
            seq: head.seq,
            locator: old.map_or(head.seq, |(_, locator)| locator),
            is_new: old.is_none(),
            was_due: old.and_then(|(head, _)| head.reclaim_at().map(|_| head.class)),
            class: head.class,
            due_ms: head.reclaim_at().map(|at| at.ms()),
            ended,
            tallies,
        }
    }

    /// As the script reads it, by `FILING`.
    ///
    /// # Errors
    /// `Unsupported` past 2^53 changes.
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        put(out, exact(self.seq)?, 7);
        put(out, exact(self.locator)?, 7);
        let was_due = self.was_due.map_or(NONE, ReclaimClass::code);
        out.extend_from_slice(&[
            self.is_new.into(),
            was_due,
            self.class.code(),
            self.due_ms.is_some().into(),
        ]);
        put(out, self.due_ms.unwrap_or_default(), 6);
        out.push(self.ended.unwrap_or(NONE));
        Ok(())
    }
}

fn add(tallies: &mut Vec<(Arc<str>, Difference)>, head: &Head, sign: i64) {
    let counted = [1, head.stored_len.into(), head.raw_len.into(), i64::from(head.codec != Codec::None)];
    match tallies.iter_mut().find(|(rule, _)| *rule == head.rule) {
        Some((_, sum)) => sum.iter_mut().zip(counted).for_each(|(sum, number)| *sum += sign * number),
        None => tallies.push((head.rule.clone(), counted.map(|number| sign * number))),
    }
}
