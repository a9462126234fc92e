//! The behaviours of the [`Store`](memlife_core::Store) contract, one function each.
//!
//! Every function takes a fresh [`Subject`] and panics where the store does not keep the contract. A new
//! behaviour is a new function here and one more name in the list below.

pub mod batches;
pub mod bounds;
pub mod changes;
pub mod counters;
pub mod due;
pub mod erasure;
pub mod expiry;
pub mod gets;
pub mod guards;
pub mod handles;
pub mod joins;
pub mod keys;
pub mod limits;
pub mod multi_values;
pub mod registers;
pub mod reopening;
pub mod replacements;
pub mod restamps;
pub mod scans;
pub mod touches;
pub mod usage;
pub mod verification;
pub mod versions;

mod list;

use crate::Subject;
use std::pin::Pin;

/// What a behaviour asks of a store beyond the contract's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: every store is tested for it.
    Nothing,
    /// Records that outlive the last handle.
    Persistence,
    /// Limits that a test can lower.
    Limits,
}

impl Need {
    fn is_met_by(self, subject: &dyn Subject) -> bool {
        match self {
            Need::Nothing => true,
            Need::Persistence => subject.persistent(),
            Need::Limits => subject.limitable(),
        }
    }
}

/// A running behaviour.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A fresh subject in the making.
pub type NewSubject = Pin<Box<dyn Future<Output = Box<dyn Subject>>>>;

/// Runs one behaviour on a fresh subject, or prints that the subject declares not to have what it needs.
///
/// # Panics
/// Where the store does not keep the contract.
pub fn run(
    name: &str,
    need: Need,
    subject: NewSubject,
    behaviour: for<'a> fn(&'a dyn Subject) -> Running<'a>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let subject = subject.await;
        if need.is_met_by(&*subject) {
            behaviour(&*subject).await;
        } else {
            println!("SKIP {name}: the store declares not to have {need:?}");
        }
    });
}

/// The behaviours as plain functions. A future is compiled where it is boxed: here, once, and not with each store.
#[macro_export]
#[doc(hidden)]
macro_rules! boxed_behaviours {
    (() $($area:ident ($need:ident) { $($name:ident)* })*) => {
        #[doc(hidden)]
        #[allow(missing_docs, reason = "each is described where it is written")]
        pub mod boxed {
            $(pub mod $area {
                use $crate::Subject;
                use $crate::conformance::Running;

                $(pub fn $name(subject: &dyn Subject) -> Running<'_> {
                    Box::pin($crate::conformance::$area::$name(subject))
                })*
            })*
        }
    };
}

crate::with_behaviours! { boxed_behaviours! () }

#[cfg(test)]
mod tests {
    use super::list::NAMES;

    /// A function that is not in the list would never run.
    #[test]
    fn every_behaviour_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        let mut written = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let area = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("pub async fn ") {
                    written.push(format!("{area}::{}", rest.split('(').next().unwrap()));
                }
            }
        }
        written.sort();
        let mut listed: Vec<String> = NAMES.iter().map(|(area, name)| format!("{area}::{name}")).collect();
        listed.sort();
        assert_eq!(written, listed);
        assert!(listed.len() >= 90, "{} behaviours", listed.len());
    }
}
