use super::plan::{KEYS, Plan, Planned, PlannedExpiry, PlannedGuard, Step, moved};
use super::word;
use crate::{START, Session};
use memlife_core::Timestamp;
use memlife_core::record::Kind;
use std::collections::HashMap;

/// What users should see, told from the operations alone: no records, stamps or indexes.
#[derive(Default)]
pub(super) struct Oracle {
    entries: HashMap<usize, Seen>,
    /// The latest wall clock of any write that did something.
    latest: Timestamp,
}

/// One visible entry.
#[derive(Clone)]
struct Seen {
    kind: Kind,
    /// Writer and value, oldest first; a counter has one value.
    values: Vec<(Option<&'static str>, String)>,
    /// Milliseconds; `u64::MAX` is never.
    ends_at: u64,
}

const NEVER: u64 = u64::MAX;

impl Oracle {
    /// Takes a step on both sides and compares what became of it and what is visible then.
    pub(super) async fn follow(&mut self, session: &Session, step: &Step) -> Result<(), String> {
        match step {
            Step::Write(plans) => {
                for plan in plans {
                    let outcome = session.try_write(plan.write(session).await).await;
                    self.expect(plan, session.now(), &word(&outcome))
                        .map_err(|problem| format!("{plan:?}: {problem}, not {outcome:?}"))?;
                }
            }
            Step::Sweep(class) => {
                for entry in session.due(*class, session.now().max(self.latest)).await {
                    let erasure =
                        crate::draft::erase(entry.key.as_str(), memlife_core::store::Cause::Expired);
                    session.apply(erasure.if_due()).await;
                    self.latest = self.latest.max(session.now());
                }
            }
            Step::Pass(ms) => session.pass(*ms),
            // A wall clock before the start would be before what the session's drafts are built for.
            Step::Back(ms) => session.step_to(session.now().minus_ms(*ms).max(START)),
            other => panic!("{other:?} is no plain step"),
        }
        self.compare(session).await
    }

    async fn compare(&self, session: &Session) -> Result<(), String> {
        let now = session.now().max(self.latest);
        for (place, key) in KEYS.iter().enumerate() {
            let got = session.values(key).await;
            let expected: Vec<String> = self
                .entries
                .get(&place)
                .filter(|seen| now.ms() < seen.ends_at)
                .map(|seen| seen.values.iter().rev().map(|(_, value)| value.clone()).collect())
                .unwrap_or_default();
            if got != expected {
                return Err(format!("{key:?} shows {got:?} and not {expected:?}"));
            }
        }
        Ok(())
    }

    fn expect(&mut self, plan: &Plan, wall: Timestamp, got: &str) -> Result<(), String> {
        let now = wall.max(self.latest);
        let visible = self.entries.get(&plan.key).filter(|seen| now.ms() < seen.ends_at).cloned();
        let guard_holds = match plan.guard {
            PlannedGuard::Absent => visible.is_none(),
            PlannedGuard::Visible => visible.is_some(),
            _ => true,
        };
        // A touch that asks for the expiry there is may still make it the caller's.
        let is_same_expiry = match (&plan.change, &visible) {
            (Planned::SetExpiry(ms), Some(seen)) => after(*ms, now) == seen.ends_at,
            _ => false,
        };
        let expected = if guard_holds { self.change(plan, visible, now, wall) } else { "refused" };
        // Whether dead bytes are still there to be erased is no matter of what users see.
        let is_erasure = matches!(plan.change, Planned::Erase(_));
        let may_change_nothing = guard_holds && (is_erasure || is_same_expiry) && got == "unchanged";
        if got == "applied" {
            self.latest = now;
        }
        if may_change_nothing || expected == got { Ok(()) } else { Err(format!("{expected} was expected")) }
    }

    fn change(
        &mut self,
        plan: &Plan,
        visible: Option<Seen>,
        now: Timestamp,
        wall: Timestamp,
    ) -> &'static str {
        match &plan.change {
            Planned::Delete if visible.is_none() => "unchanged",
            Planned::Delete | Planned::Erase(_) => {
                self.entries.remove(&plan.key);
                "applied"
            }
            Planned::SetExpiry(ms) => match visible {
                Some(seen) => {
                    let ends_at = after(*ms, now);
                    self.entries.insert(plan.key, Seen { ends_at, ..seen });
                    "applied"
                }
                None => "unchanged",
            },
            Planned::Put(_) | Planned::Assign(_) | Planned::Add(_) => {
                let kind = visible.as_ref().map_or(&plan.kind, |seen| &seen.kind).clone();
                match values(&kind, plan, visible.as_ref()) {
                    Some(values) => {
                        let ends_at = ends_at(&kind, plan, visible.as_ref(), (now, wall));
                        self.entries.insert(plan.key, Seen { kind, values, ends_at });
                        "applied"
                    }
                    None => "TypeMismatch",
                }
            }
            other => panic!("{other:?} is no plain change"),
        }
    }
}

/// So long after an instant, in milliseconds; without a length, never.
fn after(ms: Option<u64>, now: Timestamp) -> u64 {
    ms.map_or(NEVER, |ms| now.plus_ms(ms).ms())
}

type Values = Vec<(Option<&'static str>, String)>;

/// The values after a change; `None` where the kind does not take it.
fn values(kind: &Kind, plan: &Plan, visible: Option<&Seen>) -> Option<Values> {
    let before = visible.map(|seen| seen.values.clone()).unwrap_or_default();
    match (kind, &plan.change) {
        (Kind::Counter, change) => {
            let (amount, from) = match change {
                Planned::Add(amount) => (i128::from(*amount), &before[..]),
                Planned::Assign(json) => (json.parse::<i64>().ok()?.into(), &[][..]),
                Planned::Put(json) => (json.parse::<i64>().ok()?.into(), &before[..]),
                _ => return None,
            };
            let was: i128 = from.first().map_or(0, |(_, value)| value.parse().unwrap());
            Some(vec![(None, (was + amount).to_string())])
        }
        (_, Planned::Add(_)) => None,
        (Kind::MultiValue, Planned::Put(json)) => {
            let mut values = before;
            values.retain(|(writer, _)| plan.writer.is_none() || *writer != plan.writer);
            values.push((plan.writer, (*json).to_owned()));
            let surplus = values.len().saturating_sub(Plan::MAX_SIBLINGS as usize);
            Some(values.split_off(surplus))
        }
        (_, Planned::Put(json) | Planned::Assign(json)) => Some(vec![(plan.writer, (*json).to_owned())]),
        _ => None,
    }
}

fn ends_at(kind: &Kind, plan: &Plan, visible: Option<&Seen>, (now, wall): (Timestamp, Timestamp)) -> u64 {
    let by_rule = matches!(plan.expiry, PlannedExpiry::Never | PlannedExpiry::Rule(_));
    let new = match plan.expiry {
        PlannedExpiry::Never => NEVER,
        PlannedExpiry::Caller(ms) | PlannedExpiry::Rule(ms) => now.plus_ms(ms).ms(),
        PlannedExpiry::At(ms) => moved(wall, ms).ms(),
        PlannedExpiry::KeepOrRule(ms) => {
            return visible.map_or_else(|| now.plus_ms(ms).ms(), |seen| seen.ends_at);
        }
    };
    let adds = *kind == Kind::Counter && !matches!(plan.change, Planned::Assign(_));
    match visible {
        // Adding to a living counter under a rule is use, which never shortens its life.
        Some(seen) if adds && by_rule => new.max(seen.ends_at),
        _ => new,
    }
}
