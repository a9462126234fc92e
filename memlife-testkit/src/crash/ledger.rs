use crate::Session;
use std::collections::BTreeMap;

/// The counter that all writers add to.
pub(super) const COUNTER: &str = "shared/counter";
/// What begins a line by which a process reports that it could not go on.
pub(super) const FAILED: &str = "failed: ";

/// A write as a process announces it before it submits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Put { key: String, id: u64, padding: usize },
    ShortLived { key: String, id: u64, padding: usize },
    Delete { key: String },
    Add { amount: u64 },
}

/// The value that a put with this `id` writes.
pub(super) fn json(id: u64, padding: usize) -> String {
    format!("\"{id:016x}{}\"", "x".repeat(padding))
}

impl Attempt {
    pub(super) fn put(writer: u64, key: u64, id: u64, padding: usize) -> Self {
        Attempt::Put { key: format!("writer/{writer}/{key}"), id, padding }
    }

    pub(super) fn short_lived(writer: u64, key: u64, id: u64, padding: usize) -> Self {
        Attempt::ShortLived { key: format!("short/{writer}/{key}"), id, padding }
    }

    pub(super) fn delete(writer: u64, key: u64) -> Self {
        Attempt::Delete { key: format!("writer/{writer}/{key}") }
    }

    pub(super) fn add(amount: u64) -> Self {
        Attempt::Add { amount }
    }

    /// The attempt as a line.
    pub(super) fn line(&self) -> String {
        match self {
            Attempt::Put { key, id, padding } => format!("try put {key} {id} {padding}"),
            Attempt::ShortLived { key, id, padding } => format!("try short {key} {id} {padding}"),
            Attempt::Delete { key } => format!("try delete {key} 0 0"),
            Attempt::Add { amount } => format!("try add {COUNTER} {amount} 0"),
        }
    }

    /// The line that acknowledges the attempt.
    pub(super) fn acknowledgement(&self, version: u64) -> String {
        let key = match self {
            Attempt::Put { key, .. } | Attempt::ShortLived { key, .. } | Attempt::Delete { key } => key,
            Attempt::Add { .. } => COUNTER,
        };
        format!("ack {key} {version}")
    }

    fn parse(words: &[&str]) -> Option<Self> {
        let [verb, key, number, padding] = words else { return None };
        let (key, number, padding) = ((*key).to_owned(), number.parse().ok()?, padding.parse().ok()?);
        Some(match *verb {
            "put" => Attempt::Put { key, id: number, padding },
            "short" => Attempt::ShortLived { key, id: number, padding },
            "delete" => Attempt::Delete { key },
            "add" => Attempt::Add { amount: number },
            _ => return None,
        })
    }
}

/// What the processes told, and what a store may therefore hold.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: BTreeMap<String, Claims>,
    counter: Sum,
    acknowledged: u64,
    highest_version: u64,
    failures: Vec<String>,
}

/// What a key may hold: the last acknowledged value, or any that was submitted after it.
#[derive(Debug, Default)]
struct Claims {
    acknowledged: Option<String>,
    submitted: Vec<Option<String>>,
    /// Whether the key may be absent because its time is over.
    is_short_lived: bool,
}

/// What the counter may hold: all that was acknowledged, and any part of what was submitted besides.
#[derive(Debug, Default)]
struct Sum {
    acknowledged: u64,
    submitted: u64,
}

impl Ledger {
    /// How many writes were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Reads what one process told.
    pub(super) fn read(&mut self, log: &[String]) {
        // Attempts of this process that are not acknowledged yet, oldest first.
        let mut open: Vec<Attempt> = Vec::new();
        for line in log {
            if let Some(problem) = line.strip_prefix(FAILED) {
                self.failures.push(problem.to_owned());
            }
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["try", ..] => {
                    let attempt = Attempt::parse(&words[1..]).expect("a line of our own");
                    self.submit(&attempt);
                    open.push(attempt);
                }
                ["ack", key, version] => {
                    let version = version.parse().expect("a line of our own");
                    let at = open.iter().position(|attempt| attempt.acknowledgement(version) == *line);
                    let attempt = open.remove(at.unwrap_or_else(|| panic!("{key} was never submitted")));
                    self.acknowledge(&attempt, version);
                }
                _ => {}
            }
        }
    }

    fn submit(&mut self, attempt: &Attempt) {
        match attempt {
            Attempt::Put { key, id, padding } => self.claims(key).submitted.push(Some(json(*id, *padding))),
            Attempt::ShortLived { key, id, padding } => {
                let claims = self.claims(key);
                claims.is_short_lived = true;
                claims.submitted.push(Some(json(*id, *padding)));
            }
            Attempt::Delete { key } => self.claims(key).submitted.push(None),
            Attempt::Add { amount } => self.counter.submitted += amount,
        }
    }

    fn acknowledge(&mut self, attempt: &Attempt, version: u64) {
        self.acknowledged += 1;
        self.highest_version = self.highest_version.max(version);
        let (key, value) = match attempt {
            Attempt::Put { key, id, padding } | Attempt::ShortLived { key, id, padding } => {
                (key, Some(json(*id, *padding)))
            }
            Attempt::Delete { key } => (key, None),
            Attempt::Add { amount } => {
                self.counter.acknowledged += amount;
                self.counter.submitted -= amount;
                return;
            }
        };
        let claims = self.claims(key);
        claims.acknowledged = value;
        // Each key has one writer, which submits one write to it at a time.
        claims.submitted.clear();
    }

    fn claims(&mut self, key: &str) -> &mut Claims {
        self.keys.entry(key.to_owned()).or_default()
    }

    /// Compares a store that was opened again; what it holds is settled from then on.
    pub(super) async fn compare(&mut self, session: &Session) -> Result<(), String> {
        if let Some(failure) = self.failures.first() {
            return Err(format!("a process could not go on: {failure}"));
        }
        for (key, claims) in &mut self.keys {
            let found = session.value(key).await;
            claims.settle(found).map_err(|problem| format!("{key:?} {problem}"))?;
        }
        let found = session.value(COUNTER).await.map_or(0, |value| value.parse().unwrap_or(0));
        self.counter.settle(found)?;
        self.probe(session).await
    }

    /// Numbers go on rising after what was acknowledged.
    async fn probe(&mut self, session: &Session) -> Result<(), String> {
        let version = session.apply(crate::draft::put("parent/probe", "1")).await.version;
        if version <= self.highest_version {
            let highest = self.highest_version;
            return Err(format!("version {version} was given out after {highest} was acknowledged"));
        }
        self.highest_version = version;
        Ok(())
    }
}

impl Claims {
    fn settle(&mut self, found: Option<String>) -> Result<(), String> {
        let is_over = found.is_none() && self.is_short_lived;
        let is_explained = is_over || found == self.acknowledged || self.submitted.contains(&found);
        if !is_explained {
            let brief = |value: &Option<String>| match value {
                Some(value) => format!("{:.20} of {} bytes", value, value.len()),
                None => "nothing".to_owned(),
            };
            let (found, acknowledged) = (brief(&found), brief(&self.acknowledged));
            return Err(format!("holds {found} where {acknowledged} was acknowledged"));
        }
        self.acknowledged = found;
        self.submitted.clear();
        Ok(())
    }
}

impl Sum {
    fn settle(&mut self, found: u64) -> Result<(), String> {
        let most = self.acknowledged + self.submitted;
        if !(self.acknowledged..=most).contains(&found) {
            let least = self.acknowledged;
            return Err(format!(
                "the counter holds {found} where at least {least} was acknowledged and {most} submitted"
            ));
        }
        *self = Sum { acknowledged: found, submitted: 0 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InMemorySubject, draft};

    fn told(ledger: &mut Ledger, attempts: &[(Attempt, Option<u64>)]) {
        let mut log = Vec::new();
        for (attempt, version) in attempts {
            log.push(attempt.line());
            log.extend(version.map(|version| attempt.acknowledgement(version)));
        }
        ledger.read(&log);
    }

    async fn holding(writes: &[(&str, String)]) -> Session {
        let session = Session::open(&InMemorySubject::new()).await;
        for _ in 0..10 {
            session.apply(draft::add(COUNTER, 1)).await;
        }
        for (key, json) in writes {
            session.apply(draft::put(key, json)).await;
        }
        session
    }

    fn added() -> (Attempt, Option<u64>) {
        (Attempt::add(10), Some(1))
    }

    #[tokio::test]
    async fn the_acknowledged_or_a_later_value_may_be_there() {
        let put = |id| Attempt::put(0, 0, id, 3);
        for found in [2, 3] {
            let mut ledger = Ledger::default();
            told(&mut ledger, &[added(), (put(1), Some(2)), (put(2), Some(3)), (put(3), None)]);
            let session = holding(&[("writer/0/0", json(found, 3))]).await;
            ledger.compare(&session).await.unwrap();
        }
        let mut ledger = Ledger::default();
        told(&mut ledger, &[added(), (put(1), Some(2)), (put(2), Some(3))]);
        let session = holding(&[("writer/0/0", json(1, 3))]).await;
        assert!(ledger.compare(&session).await.unwrap_err().contains("was acknowledged"));
    }

    #[tokio::test]
    async fn only_a_deletion_or_a_short_life_explains_absence() {
        let session = holding(&[]).await;
        let mut ledger = Ledger::default();
        told(&mut ledger, &[added(), (Attempt::short_lived(0, 0, 1, 3), Some(2))]);
        told(&mut ledger, &[(Attempt::put(0, 1, 1, 3), Some(3)), (Attempt::delete(0, 1), None)]);
        ledger.compare(&session).await.unwrap();
        told(&mut ledger, &[(Attempt::put(0, 2, 1, 3), Some(4))]);
        assert!(ledger.compare(&session).await.is_err());
    }

    #[tokio::test]
    async fn a_lost_addition_is_noticed() {
        let session = holding(&[]).await;
        let mut ledger = Ledger::default();
        told(&mut ledger, &[added(), (Attempt::add(1), Some(2))]);
        assert!(ledger.compare(&session).await.unwrap_err().contains("counter"));
    }

    #[tokio::test]
    async fn a_version_given_out_twice_is_noticed() {
        let session = holding(&[]).await;
        let mut ledger = Ledger::default();
        told(&mut ledger, &[(Attempt::add(10), Some(1_000))]);
        assert!(ledger.compare(&session).await.unwrap_err().contains("version"));
    }
}
