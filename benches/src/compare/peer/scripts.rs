use crate::compare::load::Load;
use crate::compare::operation::{Operation, Stored};
use crate::compare::subject::{Ability, Cost, Subject};
use crate::script::Script;
use anyhow::Result;
use async_trait::async_trait;
use std::sync::Arc;

/// What a script calls an operation.
type Names = &'static [(&'static str, Operation)];

/// The Python original. Its script does everything in one task, in a store of its own.
pub struct Original {
    script: Script,
    load: Arc<Load>,
}

/// Python's diskcache, in the same way.
pub struct Diskcache {
    script: Script,
    load: Arc<Load>,
}

const ORIGINAL: Names = &[
    ("store", Operation::Put),
    ("retrieve", Operation::Hit),
    ("store_compressed", Operation::PutCompressed),
    ("retrieve_compressed", Operation::GetCompressed),
    ("cleanup", Operation::Sweep(Stored::Same)),
];
const DISKCACHE: Names =
    &[("store", Operation::Put), ("retrieve", Operation::Hit), ("cleanup", Operation::Sweep(Stored::Same))];

impl Original {
    /// By its script.
    pub fn new(script: Script, load: Arc<Load>) -> Self {
        Original { script, load }
    }
}

impl Diskcache {
    /// By its script.
    pub fn new(script: Script, load: Arc<Load>) -> Self {
        Diskcache { script, load }
    }
}

#[async_trait]
impl Subject for Original {
    fn ability(&self, operation: Operation) -> Ability {
        use Operation as O;
        match operation {
            // Nothing keeps two tasks from losing each other's writes; an export is a copy of the folder.
            O::PutShared
            | O::HitShared
            | O::MissShared
            | O::Swap
            | O::AddOwn
            | O::AddHot
            | O::Export
            | O::Import => Ability::HasNone,
            operation => ability(ORIGINAL, operation),
        }
    }

    async fn round(&mut self) -> Result<Vec<Cost>> {
        costs(&self.script, &["bench"], &self.load, ORIGINAL)
    }
}

#[async_trait]
impl Subject for Diskcache {
    fn ability(&self, operation: Operation) -> Ability {
        use Operation as O;
        match operation {
            O::PutCompressed | O::GetCompressed | O::Export | O::Import => Ability::HasNone,
            operation => ability(DISKCACHE, operation),
        }
    }

    async fn round(&mut self) -> Result<Vec<Cost>> {
        costs(&self.script, &[], &self.load, DISKCACHE)
    }
}

fn ability(names: Names, operation: Operation) -> Ability {
    match names.iter().any(|(_, named)| *named == operation) {
        true => Ability::Measured,
        false => Ability::NotHere("its benchmark script does not do this".to_owned()),
    }
}

fn costs(script: &Script, before: &[&str], load: &Load, names: Names) -> Result<Vec<Cost>> {
    // As many entries as one finds due, so that the sweeps are alike.
    let (entries, bytes) = (load.due_count().to_string(), load.value_bytes.to_string());
    let told = script.run(&[before, &["--entries", &entries, "--value-bytes", &bytes]].concat())?;
    names.iter().map(|(name, operation)| Ok((*operation, told.seconds(name)?))).collect()
}
