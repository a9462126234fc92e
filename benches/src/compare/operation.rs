use super::load::Load;
use crate::drive::TASKS;
use crate::figure::{Figure, Unit, grouped};
use crate::measure::Spread;
use anyhow::Result;
use serde::{Serialize, Serializer};

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// New keys, one task.
    Put,
    /// New keys, many tasks.
    PutShared,
    /// Keys that are there, one task.
    Hit,
    /// Keys that are there, many tasks.
    HitShared,
    /// Keys that are not there, one task.
    Miss,
    /// Keys that are not there, many tasks.
    MissShared,
    /// Large values, which are compressed.
    PutCompressed,
    /// The same.
    GetCompressed,
    /// Reads an entry and replaces it if it is still the same.
    Swap,
    /// Many tasks add to a counter, each to its own.
    AddOwn,
    /// Many tasks add to one counter.
    AddHot,
    /// Keys and deadlines of the next hundred entries.
    ListPage,
    /// Every entry as a line of JSON.
    Export,
    /// The way back, into an empty store.
    Import,
    /// Removes what is due.
    Sweep(Stored),
    /// Opens and reads one entry.
    Open(Stored),
    /// What the files take.
    Disk,
    /// Resident memory in the end.
    Resident,
    /// The most resident memory there was.
    Peak,
}

/// How many entries are stored, in terms of those that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// As many.
    Same,
    /// Ten times as many.
    Tenfold,
    /// A hundred times as many.
    Hundredfold,
}

impl Stored {
    /// All, from the least on.
    pub const ALL: [Stored; 3] = [Stored::Same, Stored::Tenfold, Stored::Hundredfold];

    /// How many times as many.
    pub fn times(self) -> usize {
        match self {
            Stored::Same => 1,
            Stored::Tenfold => 10,
            Stored::Hundredfold => 100,
        }
    }
}

impl Operation {
    /// All, in the order of the tables.
    pub const ALL: [Operation; 23] = [
        Operation::Put,
        Operation::PutShared,
        Operation::Hit,
        Operation::HitShared,
        Operation::Miss,
        Operation::MissShared,
        Operation::PutCompressed,
        Operation::GetCompressed,
        Operation::Swap,
        Operation::AddOwn,
        Operation::AddHot,
        Operation::ListPage,
        Operation::Export,
        Operation::Import,
        Operation::Sweep(Stored::Same),
        Operation::Sweep(Stored::Tenfold),
        Operation::Sweep(Stored::Hundredfold),
        Operation::Open(Stored::Same),
        Operation::Open(Stored::Tenfold),
        Operation::Open(Stored::Hundredfold),
        Operation::Disk,
        Operation::Resident,
        Operation::Peak,
    ];

    /// As JSON names it.
    pub fn name(self) -> String {
        let (name, stored) = match self {
            Operation::Put => ("put", None),
            Operation::PutShared => ("put_shared", None),
            Operation::Hit => ("get_hit", None),
            Operation::HitShared => ("get_hit_shared", None),
            Operation::Miss => ("get_miss", None),
            Operation::MissShared => ("get_miss_shared", None),
            Operation::PutCompressed => ("put_compressed", None),
            Operation::GetCompressed => ("get_compressed", None),
            Operation::Swap => ("compare_and_swap", None),
            Operation::AddOwn => ("counter_own", None),
            Operation::AddHot => ("counter_hot", None),
            Operation::ListPage => ("list_page", None),
            Operation::Export => ("export", None),
            Operation::Import => ("import", None),
            Operation::Sweep(stored) => ("sweep_in", Some(stored)),
            Operation::Open(stored) => ("open_with", Some(stored)),
            Operation::Disk => ("disk", None),
            Operation::Resident => ("resident", None),
            Operation::Peak => ("resident_peak", None),
        };
        stored.map_or_else(|| name.to_owned(), |stored| format!("{name}_{}x", stored.times()))
    }

    /// As tables name it.
    pub fn title(self, load: &Load) -> String {
        let number = |count: usize| grouped(count as u64);
        match self {
            Operation::Put => "put, 1 task".to_owned(),
            Operation::PutShared => format!("put, {TASKS} tasks"),
            Operation::Hit => "get, hit, 1 task".to_owned(),
            Operation::HitShared => format!("get, hit, {TASKS} tasks"),
            Operation::Miss => "get, miss, 1 task".to_owned(),
            Operation::MissShared => format!("get, miss, {TASKS} tasks"),
            Operation::PutCompressed => "put, 8 KiB, compressed".to_owned(),
            Operation::GetCompressed => "get, 8 KiB, compressed".to_owned(),
            Operation::Swap => "compare and swap".to_owned(),
            Operation::AddOwn => format!("own counters, {TASKS} tasks"),
            Operation::AddHot => format!("one counter, {TASKS} tasks"),
            Operation::ListPage => "list, pages".to_owned(),
            Operation::Export => "export, entries".to_owned(),
            Operation::Import => "import, entries".to_owned(),
            Operation::Sweep(stored) => {
                format!("sweep, {} in {}", number(load.due_count()), number(load.stored(stored)))
            }
            Operation::Open(stored) => format!("open with {}", number(load.stored(stored))),
            Operation::Disk => "bytes on disk, per entry".to_owned(),
            Operation::Resident => "resident memory".to_owned(),
            Operation::Peak => "resident memory, peak".to_owned(),
        }
    }

    /// What its figures count.
    pub fn unit(self) -> Unit {
        match self {
            Operation::Sweep(_) | Operation::Open(_) => Unit::Milliseconds,
            Operation::Disk => Unit::Bytes,
            Operation::Resident | Operation::Peak => Unit::Mebibytes,
            _ => Unit::PerSecond,
        }
    }

    /// The figure of what each round cost: seconds for one, seconds for the whole, or bytes.
    pub fn figure(self, costs: &[f64]) -> Result<Figure> {
        match self.unit() {
            Unit::PerSecond => Figure::rate(1, costs),
            Unit::Milliseconds => Figure::time(costs),
            Unit::Mebibytes => {
                Ok(Figure { spread: Spread::map(costs, |bytes| bytes / 1_048_576.0)?, unit: self.unit() })
            }
            unit => Ok(Figure { spread: Spread::of(costs.to_vec())?, unit }),
        }
    }

    /// What a round's cost is in the unit of the figure.
    pub fn shown(self, cost: f64) -> f64 {
        match self.unit() {
            Unit::PerSecond => 1.0 / cost,
            Unit::Milliseconds => cost * 1e3,
            Unit::Mebibytes => cost / 1_048_576.0,
            _ => cost,
        }
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unlike_each_other() {
        let names: HashSet<String> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        assert_eq!(names.len(), Operation::ALL.len());
    }

    #[test]
    fn costs_become_figures() {
        let rate = Operation::Put.figure(&[0.5, 0.25, 0.1]).unwrap();
        assert_eq!((rate.spread.min, rate.spread.median, rate.spread.max), (2.0, 4.0, 10.0));
        assert_eq!(Operation::Sweep(Stored::Same).figure(&[0.25]).unwrap().show(), "250 ms");
        assert_eq!(Operation::Resident.figure(&[2_097_152.0]).unwrap().show(), "2.00 MiB");
    }
}
