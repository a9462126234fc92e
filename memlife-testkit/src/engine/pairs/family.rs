use memlife_core::store::Guard;
use memlife_core::{Memory, PutOptions};

/// An hour for every kind, from the last write or read.
pub(super) const POLICY: &str = "
namespaces:
  - {namespace: 'lww/*', ttl: 1h, refresh: on_read, conflict_strategy: lww}
  - {namespace: 'mv/*', ttl: 1h, refresh: on_read, conflict_strategy: multi_value}
  - {namespace: 'counter/*', ttl: 1h, refresh: on_read, conflict_strategy: counter}
  - {namespace: 'up/*', ttl: 1h, refresh: on_read, conflict_strategy: g_counter}
  - {namespace: 'set/*', ttl: 1h, refresh: on_read, conflict_strategy: or_set}
  - {namespace: 'denied/*', ttl: 1h, refresh: on_read, conflict_strategy: rw_set}
  - {namespace: 'max/*', ttl: 1h, refresh: on_read, conflict_strategy: max}
  - {namespace: 'min/*', ttl: 1h, refresh: on_read, conflict_strategy: min}
  - {namespace: 'ew/*', ttl: 1h, refresh: on_read, conflict_strategy: flag_ew}
  - {namespace: 'dw/*', ttl: 1h, refresh: on_read, conflict_strategy: flag_dw}
  - {namespace: 'map/*', ttl: 1h, refresh: on_read, conflict_strategy: map}
";

/// A kind, and how a number is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Of a register, the newest number.
    Register,
    /// The numbers that no later write has seen, side by side.
    Values,
    /// The sum.
    Counter,
    /// The sum, in a counter that only goes up.
    GrowingCounter,
    /// The set of the numbers.
    Set,
    /// The same, in a set in which removals win.
    Denials,
    /// The greatest.
    Greatest,
    /// The least of the numbers with their signs turned.
    Least,
    /// Whether the number is odd, in a flag that enabling wins.
    Enabling,
    /// Whether the number is odd, in a flag that disabling wins.
    Disabling,
    /// A map, each number in a field of its own.
    Fields,
    /// A map, each number as the plain value of one field.
    Field,
    /// A map, each number added to a counter in one field.
    FieldSum,
}

use Family::{
    Counter, Denials, Disabling, Enabling, Field, FieldSum, Fields, Greatest, GrowingCounter, Least,
    Register, Set, Values,
};

impl Family {
    pub(super) fn key(self) -> &'static str {
        match self {
            Register => "lww/k",
            Values => "mv/k",
            Counter => "counter/k",
            GrowingCounter => "up/k",
            Set => "set/k",
            Denials => "denied/k",
            Greatest => "max/k",
            Least => "min/k",
            Enabling => "ew/k",
            Disabling => "dw/k",
            Fields | Field | FieldSum => "map/k",
        }
    }

    /// Whether a write to what lives renews it and does not start a new life.
    pub(super) fn accumulates(self) -> bool {
        !matches!(self, Register | Values)
    }

    /// A write that has seen what is there.
    pub(super) async fn write(self, memory: &Memory, number: i64) {
        let key = self.key();
        let field = |name: &str| memory.map(key).unwrap().field(name);
        match self {
            Register | Values => {
                let version = memory.entry(key).await.unwrap().map(|entry| entry.version);
                let guard = version.map_or(Guard::Any, Guard::Version);
                memory.put_with(key, &number, PutOptions::new().guard(guard)).await.unwrap();
            }
            Counter | GrowingCounter => drop(memory.counter(key).unwrap().add(number).await.unwrap()),
            Set | Denials => drop(memory.set(key).unwrap().insert(&number).await.unwrap()),
            Greatest => drop(memory.put(key, &number).await.unwrap()),
            Least => drop(memory.put(key, &-number).await.unwrap()),
            Enabling | Disabling => drop(memory.flag(key).unwrap().set(is_on(number)).await.unwrap()),
            Fields => drop(field(&format!("f{number}")).put(&number).await.unwrap()),
            Field => drop(field("f").put(&number).await.unwrap()),
            FieldSum => drop(field("f").add(number).await.unwrap()),
        }
    }

    /// What is shown of the writes that neither a delete nor an expiry took, the oldest first: of all, or of the `last`,
    /// which no later write has seen.
    pub(super) fn shown(self, last: &[i64], all: &[i64]) -> Vec<String> {
        let list = |numbers: Vec<String>| numbers.join(",");
        let sum: i64 = all.iter().sum();
        let newest = last.last().copied().unwrap_or_default();
        let greatest = all.iter().copied().max().unwrap_or_default();
        let mut sorted = all.to_vec();
        sorted.sort_unstable();
        let one = match self {
            Values => return last.iter().rev().map(i64::to_string).collect(),
            Register => newest.to_string(),
            Counter | GrowingCounter => sum.to_string(),
            Set | Denials => format!("[{}]", list(sorted.iter().map(i64::to_string).collect())),
            Greatest => greatest.to_string(),
            Least => (-greatest).to_string(),
            Enabling => last.iter().any(|number| is_on(*number)).to_string(),
            Disabling => last.iter().all(|number| is_on(*number)).to_string(),
            Fields => format!("{{{}}}", list(sorted.iter().map(|n| format!("\"f{n}\":{n}")).collect())),
            Field => format!("{{\"f\":{newest}}}"),
            FieldSum => format!("{{\"f\":{sum}}}"),
        };
        vec![one]
    }
}

fn is_on(number: i64) -> bool {
    number % 2 == 1
}
