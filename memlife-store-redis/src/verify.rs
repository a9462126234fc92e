//! The store's own check.

use crate::error::unexpected;
use crate::feed::scored;
use crate::frame;
use crate::layout::{DueMember, Shard};
use crate::server::{self, Server, State};
use crate::usage::{field_of, pairs, tally_bytes};
use bytes::Bytes;
use memlife_core::record::{ReclaimClass, Record};
use memlife_core::store::{Finding, Group, Repair, Tally, Verification, Want};
use memlife_core::{Error, ErrorKind, Key, Result};
use redis::{Value, pipe};
use std::collections::{BTreeMap, HashMap};

/// Records that are read at once.
const PAGE: usize = 500;
/// How often a shard is read again because somebody wrote to it meanwhile.
const ROUNDS: u32 = 20;
/// Members of an index that are written by one command.
const CHUNK: usize = 1_000;

/// Everything that follows from the records of a shard, as the server holds it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Indexes {
    ordered: Vec<Bytes>,
    changes: BTreeMap<Bytes, u64>,
    due: BTreeMap<(u8, Bytes), u64>,
    usage: BTreeMap<Bytes, Bytes>,
}

/// A shard as it was at one change number.
struct Reading {
    seq: u64,
    names: Vec<Bytes>,
    damaged: Vec<(Bytes, Error)>,
    expected: Indexes,
    stored: Indexes,
}

impl Server {
    pub(crate) async fn verify(&self, repair: Repair) -> Result<Verification> {
        let mut verification = Verification::default();
        let mut found = self.found().await?;
        for shard in self.layout.shards() {
            let found = found.remove(&shard).unwrap_or_default();
            self.verify_shard(shard, found, repair, &mut verification).await?;
        }
        Ok(verification)
    }

    async fn verify_shard(
        &self,
        shard: Shard,
        found: Vec<Bytes>,
        repair: Repair,
        told: &mut Verification,
    ) -> Result<()> {
        // While a shard is rebuilt nobody of this process writes to it; other processes are found out by its `seq`.
        let _lane = match repair {
            Repair::Yes => Some(self.lane(shard).calls.lock().await),
            Repair::No => None,
        };
        let reading = self.reading(shard, &found).await?;
        told.checked += (reading.names.len()) as u64;
        let is_mended = repair == Repair::Yes;
        if is_mended && !(reading.damaged.is_empty() && reading.expected == reading.stored) {
            self.rebuild(shard, &reading).await?;
        }
        for (name, error) in &reading.damaged {
            told.add(Finding {
                key: server::key(name).ok(),
                place: self.layout.record_prefix(shard),
                problem: error.message().to_owned(),
                repaired: is_mended,
            });
        }
        if reading.expected == reading.stored {
            return Ok(());
        }
        told.add(Finding {
            key: None,
            place: format!("indexes of shard {shard}"),
            problem: "the indexes do not agree with the records".to_owned(),
            repaired: is_mended,
        });
        Ok(())
    }

    /// Reads all of a shard, again where somebody wrote to it meanwhile.
    async fn reading(&self, shard: Shard, found: &[Bytes]) -> Result<Reading> {
        for _ in 0..ROUNDS {
            let before = self.seq(shard).await?;
            let names = self.names(shard, found).await?;
            let (expected, damaged) = self.expected(shard, &names).await?;
            let stored = self.stored(shard).await?;
            if self.seq(shard).await? == before {
                return Ok(Reading { seq: before, names, damaged, expected, stored });
            }
        }
        let message = "the store is written to too often to be compared: check it while it is quieter";
        Err(Error::new(ErrorKind::Contended, message))
    }

    async fn seq(&self, shard: Shard) -> Result<u64> {
        let mut pipeline = pipe();
        State::ask(&mut pipeline, &self.layout.ledger(shard));
        let mut values = self.read(shard, &pipeline).await?;
        Ok(State::parse(values.pop().unwrap_or_default())?.ledger.seq)
    }

    /// The keys of all records, whether an index knows them or not.
    async fn names(&self, shard: Shard, found: &[Bytes]) -> Result<Vec<Bytes>> {
        let ordered = self.members(&self.layout.ordered(shard), shard).await?;
        let mut names: Vec<Bytes> = ordered.into_iter().map(|(name, _)| name).collect();
        names.extend_from_slice(found);
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The keys of the records on the server, by shard. A cluster tells only of one node, so there the index of names is
    /// all that is known.
    async fn found(&self) -> Result<HashMap<Shard, Vec<Bytes>>> {
        let mut found: HashMap<Shard, Vec<Bytes>> = HashMap::new();
        if self.is_cluster {
            return Ok(found);
        }
        let mut cursor = Bytes::from_static(b"0");
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor[..]).arg("MATCH").arg(self.layout.every_record()).arg("COUNT").arg(PAGE);
            let mut parts = server::array(self.read_one(0, &command).await?, "SCAN")?.into_iter();
            let next = server::bytes(parts.next().unwrap_or_default(), "SCAN")?;
            cursor = next.ok_or_else(|| unexpected("SCAN"))?;
            for name in server::array(parts.next().unwrap_or_default(), "SCAN")? {
                let name = server::bytes(name, "SCAN")?.ok_or_else(|| unexpected("SCAN"))?;
                if let Some((shard, prefix_len)) = self.layout.shard_of_record(&name) {
                    found.entry(shard).or_default().push(name.slice(prefix_len..));
                }
            }
            if &cursor[..] == b"0" {
                return Ok(found);
            }
        }
    }

    async fn members(&self, name: &str, shard: Shard) -> Result<Vec<(Bytes, u64)>> {
        let mut members: Vec<(Bytes, u64)> = Vec::new();
        loop {
            let mut command = redis::cmd("ZRANGE");
            let (from, to) = (members.len(), members.len() + CHUNK - 1);
            command.arg(name).arg(from).arg(to).arg("WITHSCORES");
            let page = scored(self.read_one(shard, &command).await?)?;
            if page.is_empty() {
                return Ok(members);
            }
            members.extend(page);
        }
    }

    /// What the records say, and which of them cannot be read.
    async fn expected(&self, shard: Shard, names: &[Bytes]) -> Result<(Indexes, Vec<(Bytes, Error)>)> {
        let mut expected = Indexes::default();
        let mut damaged = Vec::new();
        let mut usage: BTreeMap<Group, Tally> = BTreeMap::new();
        for page in names.chunks(PAGE) {
            let mut pipeline = pipe();
            for name in page {
                let prefix = self.layout.record_prefix(shard);
                pipeline.cmd("GET").arg([prefix.as_bytes(), name].concat());
            }
            for (name, value) in page.iter().zip(self.read(shard, &pipeline).await?) {
                let Some(bytes) = server::bytes(value, "GET")? else { continue };
                let record = server::key(name).and_then(|key| frame::decode_whole(&key, &bytes, Want::Whole));
                match record {
                    Ok(record) => expected.add(&record, frame::locator_of(&bytes), &mut usage),
                    Err(error) => damaged.push((name.clone(), error)),
                }
            }
        }
        let tallies = usage.iter().map(|(group, tally)| (field_of(group).into(), tally_bytes(*tally).into()));
        expected.usage = tallies.collect();
        Ok((expected, damaged))
    }

    async fn stored(&self, shard: Shard) -> Result<Indexes> {
        let ordered = self.members(&self.layout.ordered(shard), shard).await?;
        let changes = self.members(&self.layout.changes(shard), shard).await?;
        let mut stored = Indexes {
            ordered: ordered.into_iter().map(|(name, _)| name).collect(),
            changes: changes.into_iter().collect(),
            ..Indexes::default()
        };
        stored.ordered.sort_unstable();
        for class in ReclaimClass::ALL {
            for (member, at) in self.members(&self.layout.due(shard, class), shard).await? {
                stored.due.insert((class.code(), member), at);
            }
        }
        let mut command = redis::cmd("HGETALL");
        command.arg(self.layout.usage(shard));
        stored.usage = pairs(self.read_one(shard, &command).await?)?.into_iter().collect();
        Ok(stored)
    }

    /// Moves damaged records out of service, under names of their own, and puts the indexes that the others ask for in the
    /// place of those that are there, unless the shard has changed.
    async fn rebuild(&self, shard: Shard, reading: &Reading) -> Result<()> {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.scripts.rebuild.text).arg(4 + ReclaimClass::ALL.len() + 2 * reading.damaged.len());
        command
            .arg(self.layout.ledger(shard))
            .arg(self.layout.ordered(shard))
            .arg(self.layout.changes(shard));
        command.arg(self.layout.usage(shard));
        for class in ReclaimClass::ALL {
            command.arg(self.layout.due(shard, class));
        }
        let prefix = self.layout.record_prefix(shard);
        for (name, _) in &reading.damaged {
            command.arg([prefix.as_bytes(), name].concat());
            command.arg(self.layout.set_aside(shard, &String::from_utf8_lossy(name)));
        }
        command.arg(reading.seq);
        let Indexes { ordered, changes, due, usage } = &reading.expected;
        for name in ordered {
            command.arg(2).arg("0").arg(&name[..]);
        }
        for (name, seq) in changes {
            command.arg(3).arg(*seq).arg(&name[..]);
        }
        for ((class, member), at) in due {
            command.arg(5 + usize::from(*class)).arg(*at).arg(&member[..]);
        }
        for (group, tally) in usage {
            command.arg(4).arg(&group[..]).arg(&tally[..]);
        }
        match self.read_one(shard, &command).await? {
            Value::Int(1) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Contended,
                "the store was written to while it was mended: try again",
            )),
        }
    }
}

impl Indexes {
    fn add(&mut self, record: &Record, number: u64, usage: &mut BTreeMap<Group, Tally>) {
        let Record { key, head, .. } = record;
        let name = Bytes::copy_from_slice(key.as_str().as_bytes());
        if let Some(at) = head.reclaim_at() {
            let member = DueMember { number, key: Key::clone(key) }.bytes();
            self.due.insert((head.class.code(), member.into()), at.ms());
        }
        self.ordered.push(name.clone());
        if key.is_system() {
            return;
        }
        self.changes.insert(name, head.seq);
        if head.alive {
            let group = Group { rule: head.rule.clone(), namespace: key.namespace().into() };
            usage.entry(group).or_default().add(Tally::of(head));
        }
    }
}
