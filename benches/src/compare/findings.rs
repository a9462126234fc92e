use super::load::Load;
use super::operation::Operation;
use super::who::{Level, Who};
use crate::figure::{Figure, Unit};
use crate::machine::Machine;
use crate::measure::{Duel, Spread};
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// Everything one comparison found.
#[derive(Debug)]
pub struct Findings {
    /// What it was measured on.
    pub machine: Machine,
    /// The command that does it again.
    pub command: String,
    /// The level that was asked for.
    pub asked: Level,
    /// What was done.
    pub load: Arc<Load>,
    /// Who did it, stores first.
    pub crew: Vec<Member>,
    /// Who was asked for and could not do it.
    pub missing: Vec<Missing>,
    /// What a process has resident that did nothing yet but make the values, in bytes.
    pub resident_before: Option<u64>,
    cells: HashMap<(Who, Operation), Cell>,
}

/// Someone who was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Who.
    pub name: Who,
    /// What its acknowledged writes survived.
    pub level: Level,
}

/// Someone who could not be measured, or not to the end.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Who.
    pub name: Who,
    /// Why.
    pub why: String,
}

/// What is known of one operation of one of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What each round cost.
    Costs(Vec<f64>),
    /// There is no such operation.
    HasNone,
    /// It was not measured, and why.
    NotHere(String),
}

impl Findings {
    /// Nothing found yet.
    pub fn new(machine: Machine, command: String, asked: Level, load: Arc<Load>) -> Self {
        Findings {
            machine,
            command,
            asked,
            load,
            crew: Vec::new(),
            missing: Vec::new(),
            resident_before: None,
            cells: HashMap::new(),
        }
    }

    /// Adds what one round cost.
    pub fn push(&mut self, who: Who, operation: Operation, cost: f64) {
        match self.cells.entry((who, operation)).or_insert_with(|| Cell::Costs(Vec::new())) {
            Cell::Costs(costs) => costs.push(cost),
            absent => *absent = Cell::Costs(vec![cost]),
        }
    }

    /// Notes why there is no figure.
    pub fn leave_out(&mut self, who: Who, operation: Operation, cell: Cell) {
        self.cells.entry((who, operation)).or_insert(cell);
    }

    /// What is known of `operation` of `who`.
    pub fn cell(&self, who: Who, operation: Operation) -> Cell {
        let cell = self.cells.get(&(who, operation)).cloned();
        cell.unwrap_or_else(|| Cell::NotHere("it did not get that far".to_owned()))
    }

    /// The figure of `operation` of `who`.
    pub fn figure(&self, who: Who, operation: Operation) -> Option<Figure> {
        match self.cell(who, operation) {
            Cell::Costs(costs) => operation.figure(&costs).ok(),
            Cell::HasNone | Cell::NotHere(_) => None,
        }
    }

    /// How many times as fast, or as small, a store is as a peer, round by round; only at equal durability.
    pub fn ratio(&self, store: Who, peer: Who, operation: Operation) -> Option<Spread> {
        if self.level(store)? != self.level(peer)? {
            return None;
        }
        match (self.cell(store, operation), self.cell(peer, operation)) {
            (Cell::Costs(ours), Cell::Costs(peer)) => Duel { ours, peer }.speed().ok(),
            _ => None,
        }
    }

    /// The level that `who` was measured at.
    pub fn level(&self, who: Who) -> Option<Level> {
        self.crew.iter().find(|member| member.name == who).map(|member| member.level)
    }

    /// Whether `who` was measured until something went wrong.
    pub fn has_failed(&self, who: Who) -> bool {
        self.missing.iter().any(|missing| missing.name == who) && self.level(who).is_some()
    }

    /// The stores that were measured.
    pub fn stores(&self) -> impl Iterator<Item = &Member> {
        self.crew.iter().filter(|member| member.name.is_store())
    }

    /// The peers that may stand beside `store`: those of its level.
    pub fn beside(&self, store: &Member) -> Vec<Who> {
        let peers = self.crew.iter().filter(|member| !member.name.is_store());
        peers.filter(|peer| peer.level == store.level).map(|peer| peer.name).collect()
    }

    /// Who was measured at another level than the one asked for, and is compared only with its like.
    pub fn elsewhere(&self) -> impl Iterator<Item = &Member> {
        self.crew.iter().filter(|member| member.level != self.asked)
    }

    /// Everything, for programs.
    pub fn to_json(&self) -> Result<String> {
        let figures =
            || self.crew.iter().flat_map(|member| Operation::ALL.map(|operation| (member.name, operation)));
        let figures: Vec<_> = figures().map(|(who, operation)| self.figure_json(who, operation)).collect();
        let mut ratios = Vec::new();
        for store in self.stores() {
            for peer in self.beside(store) {
                ratios.extend(Operation::ALL.iter().filter_map(|&operation| {
                    let Spread { min, median, max } = self.ratio(store.name, peer, operation)?;
                    Some(json!({
                        "operation": operation, "store": store.name, "peer": peer,
                        "least": min, "median": median, "most": max,
                    }))
                }));
            }
        }
        let crew = self.crew.iter().map(|Member { name, level }| {
            json!({
                "name": name, "kind": if name.is_store() { "store" } else { "peer" }, "about": name.about(),
                "durability": level, "raw_limit": name.raw_limit(),
            })
        });
        let whole = json!({
            "machine": self.machine,
            "command": self.command,
            "durability": self.asked,
            "entries": self.load.entries,
            "value_bytes": self.load.value_bytes,
            "due": self.load.due_count(),
            "resident_before_bytes": self.resident_before,
            "crew": crew.collect::<Vec<_>>(),
            "missing": self.missing,
            "figures": figures,
            "ratios": ratios,
        });
        Ok(serde_json::to_string_pretty(&whole)?)
    }

    fn figure_json(&self, who: Who, operation: Operation) -> serde_json::Value {
        let mut figure = json!({
            "operation": operation, "title": operation.title(&self.load), "of": who, "unit": unit(operation),
        });
        let more = match self.cell(who, operation) {
            Cell::Costs(costs) => {
                let rounds: Vec<f64> = costs.iter().map(|&cost| operation.shown(cost)).collect();
                let spread = self.figure(who, operation).map(|figure| figure.spread);
                json!({
                    "rounds": rounds,
                    "least": spread.map(|spread| spread.min),
                    "median": spread.map(|spread| spread.median),
                    "most": spread.map(|spread| spread.max),
                })
            }
            Cell::HasNone => json!({ "absent": "there is no such operation" }),
            Cell::NotHere(why) => json!({ "absent": why }),
        };
        if let (Some(figure), serde_json::Value::Object(more)) = (figure.as_object_mut(), more) {
            figure.extend(more);
        }
        figure
    }
}

fn unit(operation: Operation) -> &'static str {
    match operation.unit() {
        Unit::PerSecond => "per second",
        Unit::Milliseconds => "ms",
        Unit::Mebibytes => "MiB",
        Unit::Nanoseconds => "ns",
        Unit::Bytes => "bytes",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::compare::who::{Other, Store};

    pub const SQLITE: Who = Who::Store(Store::Sqlite);
    pub const MEMORY: Who = Who::Store(Store::Memory);
    pub const RAW: Who = Who::Peer(Other::RawSqlite);
    pub const MOKA: Who = Who::Peer(Other::Moka);

    /// Two stores and two peers, of which only two are of one level.
    pub fn some() -> Findings {
        let load = Arc::new(Load::new(64, 10, Level::Process).unwrap());
        let machine = Machine::here(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut findings =
            Findings::new(machine, "compare <this> & \"that\"".to_owned(), Level::Process, load);
        findings.crew =
            [MEMORY, SQLITE, RAW].map(|name| Member { name, level: name.level(Level::Process) }).into();
        let why = "there is no <such> thing".to_owned();
        findings.missing = vec![Missing { name: MOKA, why }];
        for (ours, peer) in [(1.0, 2.0), (2.0, 2.0), (1.0, 4.0)] {
            findings.push(SQLITE, Operation::Put, ours);
            findings.push(RAW, Operation::Put, peer);
            findings.push(MEMORY, Operation::Put, ours);
        }
        findings.leave_out(RAW, Operation::Swap, Cell::HasNone);
        findings.leave_out(RAW, Operation::Export, Cell::NotHere("it takes <ages>".to_owned()));
        findings
    }

    #[test]
    fn ratios_are_of_rounds_and_of_one_level() {
        let findings = some();
        let ratio = findings.ratio(SQLITE, RAW, Operation::Put).unwrap();
        assert_eq!(ratio, Spread { min: 1.0, median: 2.0, max: 4.0 });
        assert_eq!(findings.ratio(MEMORY, RAW, Operation::Put), None);
        assert_eq!(findings.ratio(SQLITE, RAW, Operation::Swap), None);
        assert_eq!(findings.beside(&findings.crew[0]), []);
        assert_eq!(findings.beside(&findings.crew[1]), [RAW]);
    }

    #[test]
    fn json_tells_every_round_and_every_gap() {
        let told: serde_json::Value = serde_json::from_str(&some().to_json().unwrap()).unwrap();
        let figures = told["figures"].as_array().unwrap();
        assert_eq!(figures.len(), 3 * Operation::ALL.len());
        let of = |who: &str, operation: &str| {
            figures.iter().find(|figure| figure["of"] == who && figure["operation"] == operation).unwrap()
        };
        assert_eq!(of("sqlite", "put")["rounds"], json!([1.0, 0.5, 1.0]));
        assert_eq!(of("raw-sqlite", "compare_and_swap")["absent"], "there is no such operation");
        assert_eq!(of("raw-sqlite", "export")["absent"], "it takes <ages>");
        assert_eq!(told["ratios"][0]["median"], 2.0);
        assert_eq!(told["missing"][0]["name"], "moka");
        assert!(told["machine"]["date"].is_string());
    }
}
