//! What two concurrent changes come to: one behaviour for each pair of changes and each family of kinds.
//!
//! The store beside another one in memory; both hold what was written before, neither sees the other's change, and
//! then each imports what the other exports with its state.

use super::ttl;
use crate::{START, Subject};
use memlife_core::policy::{PolicyFile, RuleSet};
use memlife_core::store::{Expiry, Guard};
use memlife_core::{
    InMemoryStore, ListContent, ListOptions, ManualClock, Memory, PutOptions, SweepOptions, Timestamp,
    TouchMode,
};
use std::sync::Arc;

/// An hour for every kind, from the last write or read.
const POLICY: &str = "
namespaces:
  - {namespace: 'lww/*', ttl: 1h, refresh: on_read, conflict_strategy: lww}
  - {namespace: 'mv/*', ttl: 1h, refresh: on_read, conflict_strategy: multi_value}
  - {namespace: 'counter/*', ttl: 1h, refresh: on_read, conflict_strategy: counter}
  - {namespace: 'set/*', ttl: 1h, refresh: on_read, conflict_strategy: or_set}
  - {namespace: 'denied/*', ttl: 1h, conflict_strategy: rw_set}
  - {namespace: 'ew/*', ttl: 1h, conflict_strategy: flag_ew}
  - {namespace: 'dw/*', ttl: 1h, conflict_strategy: flag_dw}
";

/// A family of kinds, by the key that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Register,
    Values,
    Counter,
    Set,
}

use Family::{Counter, Register, Set, Values};

impl Family {
    fn key(self) -> &'static str {
        match self {
            Register => "lww/k",
            Values => "mv/k",
            Counter => "counter/k",
            Set => "set/k",
        }
    }

    /// Whether a write to what lives renews it and does not start a new life.
    fn accumulates(self) -> bool {
        matches!(self, Counter | Set)
    }
}

/// Two stores under one policy and one clock.
struct Two {
    here: Memory,
    there: Memory,
    clock: Arc<ManualClock>,
    family: Family,
}

impl Two {
    async fn empty(subject: &dyn Subject, family: Family) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let rules: Arc<RuleSet> = Arc::new(PolicyFile::parse(POLICY, "test").unwrap().rules);
        let memory =
            |store| Memory::builder(store).clock(clock.clone()).policy(rules.clone()).build().unwrap();
        let (here, there) = (memory(subject.open().await), memory(Arc::new(InMemoryStore::new().unwrap())));
        Two { here, there, clock, family }
    }

    /// Both hold what a write of 1 left at the start.
    async fn sharing(subject: &dyn Subject, family: Family) -> Self {
        let two = Two::empty(subject, family).await;
        two.write(&two.here, 1).await;
        two.exchange().await;
        two
    }

    fn pass(&self, time: &str) {
        self.clock.advance(ttl(time).duration());
    }

    /// A write that has seen what is there, and takes a moment.
    async fn write(&self, memory: &Memory, number: i64) {
        self.clock.advance(std::time::Duration::from_millis(1));
        let key = self.family.key();
        match self.family {
            Counter => drop(memory.counter(key).unwrap().add(number).await.unwrap()),
            Set => drop(memory.set(key).unwrap().insert(&number).await.unwrap()),
            Register | Values => {
                let version = memory.entry(key).await.unwrap().map(|entry| entry.version);
                let guard = version.map_or(Guard::Any, Guard::Version);
                memory.put_with(key, &number, PutOptions::new().guard(guard)).await.unwrap();
            }
        }
    }

    async fn delete(&self, memory: &Memory) {
        self.clock.advance(std::time::Duration::from_millis(1));
        assert!(memory.delete(self.family.key()).await.unwrap());
    }

    /// Reading renews.
    async fn refresh(&self, memory: &Memory) {
        assert!(memory.get_value(self.family.key()).await.unwrap().is_some());
    }

    async fn touch(&self, memory: &Memory, to_live: &str) {
        self.clock.advance(std::time::Duration::from_millis(1));
        let expiry = Expiry::After(ttl(to_live));
        memory.touch(self.family.key(), expiry, TouchMode::Set).await.unwrap();
    }

    async fn sweep(&self, memory: &Memory) {
        memory.sweep(SweepOptions::new()).await.unwrap();
    }

    /// Each gets what the other has, in both orders and twice, and then both show the same.
    async fn exchange(&self) {
        let (here, there) = (state_of(&self.here).await, state_of(&self.there).await);
        for _ in 0..2 {
            import(&self.here, &there).await;
            import(&self.there, &here).await;
        }
        assert_eq!(self.shown_by(&self.here).await, self.shown_by(&self.there).await);
    }

    /// What both show after an exchange: the values, and the minutes from the start after which they expire.
    async fn outcome(&self) -> (Vec<String>, Option<u64>) {
        self.exchange().await;
        self.shown_by(&self.here).await
    }

    async fn shown_by(&self, memory: &Memory) -> (Vec<String>, Option<u64>) {
        let options = ListOptions::new().content(ListContent::Values);
        let entries = super::all(memory, options).await;
        let Some(entry) = entries.into_iter().find(|entry| entry.key.as_str() == self.family.key()) else {
            return (Vec::new(), None);
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let values = entry.values.iter().map(|held| text(&held.value.bytes)).collect();
        (values, entry.expires_at.map(minutes))
    }
}

fn minutes(at: Timestamp) -> u64 {
    (at.since(START) + 30_000) / 60_000
}

async fn state_of(memory: &Memory) -> Vec<String> {
    let mut export = memory.export(ListOptions::new().content(ListContent::State));
    let mut lines = Vec::new();
    while let Some(line) = export.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

async fn import(memory: &Memory, lines: &[String]) {
    let mut import = memory.import();
    for line in lines {
        import.line(line).await.unwrap();
    }
    assert_eq!(import.finish().await.unwrap().rejected, []);
}

fn values<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).to_vec()
}

/// What `family` shows of the four.
fn of(family: Family, register: &str, side_by_side: &[&str], counter: &str, set: &str) -> Vec<String> {
    match family {
        Register => values([register]),
        Values => side_by_side.iter().map(|value| (*value).to_owned()).collect(),
        Counter => values([counter]),
        Set => values([set]),
    }
}

async fn write_and_write(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.write(&two.here, 2).await;
    two.write(&two.there, 3).await;
    assert_eq!(two.outcome().await.0, of(family, "3", &["3", "2"], "6", "[1,2,3]"));
}

async fn write_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.delete(&two.here).await;
    two.write(&two.there, 2).await;
    // Of a register the newer, of all others the write alone.
    assert_eq!(two.outcome().await.0, of(family, "2", &["2"], "2", "[2]"));

    let two = Two::sharing(subject, family).await;
    two.write(&two.there, 4).await;
    two.pass("1s");
    two.delete(&two.here).await;
    let (shown, _) = two.outcome().await;
    match family {
        Register => assert_eq!(shown, values([])),
        _ => assert_eq!(shown, of(family, "", &["4"], "4", "[4]")),
    }
}

async fn delete_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.delete(&two.here).await;
    two.delete(&two.there).await;
    assert_eq!(two.outcome().await, (values([]), None));
    two.write(&two.there, 4).await;
    assert_eq!(two.outcome().await.0, of(family, "4", &["4"], "4", "[4]"), "what was there went once");
}

async fn write_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.write(&two.there, 2).await;
    two.pass("31m");
    two.sweep(&two.here).await;
    assert_eq!(two.outcome().await, (of(family, "2", &["2"], "3", "[1,2]"), Some(90)));
}

async fn refresh_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.refresh(&two.there).await;
    two.pass("11m");
    two.sweep(&two.here).await;
    assert_eq!(two.outcome().await, (of(family, "1", &["1"], "1", "[1]"), Some(110)));
}

async fn refresh_and_refresh(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.refresh(&two.here).await;
    two.pass("20m");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await.1, Some(110), "the longer");
}

async fn refresh_and_write(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.write(&two.here, 2).await;
    two.pass("20m");
    two.refresh(&two.there).await;
    // What accumulates is renewed by a write; a register's write starts a life of its own.
    let end = if family.accumulates() { 110 } else { 90 };
    assert_eq!(two.outcome().await, (of(family, "2", &["2"], "3", "[1,2]"), Some(end)));
}

async fn creation_and_creation(subject: &dyn Subject, family: Family) {
    let two = Two::empty(subject, family).await;
    two.write(&two.here, 2).await;
    two.pass("10m");
    two.write(&two.there, 3).await;
    assert_eq!(two.outcome().await, (of(family, "3", &["3", "2"], "5", "[2,3]"), Some(70)));
}

async fn refresh_and_delete(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.delete(&two.here).await;
    two.pass("1s");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await, (values([]), None));
}

async fn refresh_and_rewriting_after_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.refresh(&two.there).await;
    two.pass("11m");
    two.write(&two.here, 5).await;
    assert_eq!(two.outcome().await, (of(family, "5", &["5"], "5", "[5]"), Some(121)));
}

async fn write_and_rewriting_after_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("50m");
    two.write(&two.there, 2).await;
    two.pass("11m");
    two.write(&two.here, 5).await;
    // What was there before is gone; what the rewriter had not seen is not.
    assert_eq!(two.outcome().await.0, of(family, "5", &["5", "2"], "7", "[2,5]"));
}

async fn set_ttl_and_refresh(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.touch(&two.here, "70m").await;
    two.pass("50m");
    two.refresh(&two.there).await;
    assert_eq!(two.outcome().await.1, Some(70), "who names a TTL means it");
}

async fn set_ttl_and_set_ttl(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.touch(&two.here, "3h").await;
    two.touch(&two.there, "2h").await;
    assert_eq!(two.outcome().await.1, Some(120), "the newer");
}

async fn delete_and_expiry(subject: &dyn Subject, family: Family) {
    let two = Two::sharing(subject, family).await;
    two.pass("30m");
    two.delete(&two.here).await;
    two.pass("31m");
    two.sweep(&two.there).await;
    assert_eq!(two.outcome().await, (values([]), None));
}

/// One behaviour for each family.
macro_rules! families {
    ($($pair:ident: $register:ident, $values:ident, $counter:ident, $set:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($pair), "` of a register.")]
            pub async fn $register(subject: &dyn Subject) {
                $pair(subject, Register).await;
            }

            #[doc = concat!("`", stringify!($pair), "` of values that stand beside each other.")]
            pub async fn $values(subject: &dyn Subject) {
                $pair(subject, Values).await;
            }

            #[doc = concat!("`", stringify!($pair), "` of a counter.")]
            pub async fn $counter(subject: &dyn Subject) {
                $pair(subject, Counter).await;
            }

            #[doc = concat!("`", stringify!($pair), "` of a set.")]
            pub async fn $set(subject: &dyn Subject) {
                $pair(subject, Set).await;
            }
        )*
    };
}

families! {
    write_and_write: writes_of_a_register, writes_of_values, writes_of_a_counter, writes_of_a_set;
    write_and_delete: write_and_delete_of_a_register, write_and_delete_of_values,
        write_and_delete_of_a_counter, write_and_delete_of_a_set;
    delete_and_delete: deletes_of_a_register, deletes_of_values, deletes_of_a_counter, deletes_of_a_set;
    write_and_expiry: write_and_expiry_of_a_register, write_and_expiry_of_values,
        write_and_expiry_of_a_counter, write_and_expiry_of_a_set;
    refresh_and_expiry: refresh_and_expiry_of_a_register, refresh_and_expiry_of_values,
        refresh_and_expiry_of_a_counter, refresh_and_expiry_of_a_set;
    refresh_and_refresh: refreshes_of_a_register, refreshes_of_values, refreshes_of_a_counter, refreshes_of_a_set;
    refresh_and_write: refresh_and_write_of_a_register, refresh_and_write_of_values,
        refresh_and_write_of_a_counter, refresh_and_write_of_a_set;
    creation_and_creation: creations_of_a_register, creations_of_values, creations_of_a_counter,
        creations_of_a_set;
    refresh_and_delete: refresh_and_delete_of_a_register, refresh_and_delete_of_values,
        refresh_and_delete_of_a_counter, refresh_and_delete_of_a_set;
    refresh_and_rewriting_after_expiry: refresh_and_rewriting_of_a_register, refresh_and_rewriting_of_values,
        refresh_and_rewriting_of_a_counter, refresh_and_rewriting_of_a_set;
    write_and_rewriting_after_expiry: write_and_rewriting_of_a_register, write_and_rewriting_of_values,
        write_and_rewriting_of_a_counter, write_and_rewriting_of_a_set;
    set_ttl_and_refresh: set_ttl_and_refresh_of_a_register, set_ttl_and_refresh_of_values,
        set_ttl_and_refresh_of_a_counter, set_ttl_and_refresh_of_a_set;
    set_ttl_and_set_ttl: set_ttls_of_a_register, set_ttls_of_values, set_ttls_of_a_counter, set_ttls_of_a_set;
    delete_and_expiry: delete_and_expiry_of_a_register, delete_and_expiry_of_values,
        delete_and_expiry_of_a_counter, delete_and_expiry_of_a_set;
}

async fn insertion_and_removal(subject: &dyn Subject, key: &str) -> Vec<i64> {
    let two = Two::empty(subject, Set).await;
    let (here, there) = (two.here.set(key).unwrap(), two.there.set(key).unwrap());
    here.insert(&1).await.unwrap();
    two.exchange().await;
    here.remove(&1).await.unwrap();
    there.insert(&1).await.unwrap();
    two.exchange().await;
    let members: Vec<i64> = here.members().await.unwrap().unwrap_or_default();
    assert_eq!(there.members::<i64>().await.unwrap().unwrap_or_default(), members);
    members
}

/// The insertion wins.
pub async fn insertion_and_removal_of_one_element(subject: &dyn Subject) {
    assert_eq!(insertion_and_removal(subject, "set/k").await, [1]);
}

/// The removal wins.
pub async fn insertion_and_removal_where_removals_win(subject: &dyn Subject) {
    assert_eq!(insertion_and_removal(subject, "denied/k").await, [0; 0]);
}

async fn enabling_and_disabling(subject: &dyn Subject, key: &str) -> Option<bool> {
    let two = Two::empty(subject, Set).await;
    let (here, there) = (two.here.flag(key).unwrap(), two.there.flag(key).unwrap());
    here.set(true).await.unwrap();
    two.exchange().await;
    here.set(false).await.unwrap();
    there.set(true).await.unwrap();
    two.exchange().await;
    assert_eq!(here.get().await.unwrap(), there.get().await.unwrap());
    here.get().await.unwrap()
}

/// On.
pub async fn enabling_and_disabling_where_enabling_wins(subject: &dyn Subject) {
    assert_eq!(enabling_and_disabling(subject, "ew/k").await, Some(true));
}

/// Off.
pub async fn enabling_and_disabling_where_disabling_wins(subject: &dyn Subject) {
    assert_eq!(enabling_and_disabling(subject, "dw/k").await, Some(false));
}

/// The later decision about the kind wins, with the whole entry.
pub async fn change_of_kind_and_write(subject: &dyn Subject) {
    let two = Two::sharing(subject, Register).await;
    let file =
        PolicyFile::parse("namespaces: [{namespace: 'lww/*', conflict_strategy: counter}]", "test").unwrap();
    let store = two.here.store().clone();
    let changed =
        Memory::builder(store).clock(two.clock.clone()).policy(Arc::new(file.rules)).build().unwrap();
    changed.apply_policy(None).await.unwrap();
    two.write(&two.there, 7).await;
    two.exchange().await;
    for memory in [&two.here, &two.there] {
        let entry = memory.entry("lww/k").await.unwrap().unwrap();
        assert_eq!((entry.kind.name(), &entry.values[0].value.bytes[..]), ("counter", &b"1"[..]));
    }
}

/// What comes from too far ahead waits, and nothing is clamped.
pub async fn a_write_from_the_future(subject: &dyn Subject) {
    let two = Two::sharing(subject, Register).await;
    two.pass("2m");
    two.write(&two.there, 2).await;
    let lines = state_of(&two.there).await;
    two.clock.step_to(START);
    let mut importer = two.here.import();
    for line in &lines {
        importer.line(line).await.unwrap();
    }
    assert_eq!(importer.finish().await.unwrap().quarantined, 1);
    assert_eq!(two.here.get::<i64>("lww/k").await.unwrap(), Some(1));
    two.pass("2m");
    assert_eq!(two.outcome().await.0, values(["2"]), "once its time has come");
}
