//! The walk-throughs. Each says what it does, does it, and checks what came of it.

use super::report::Report;
use super::stage::Stage;
use anyhow::{Context, Result};
use memlife::blocking::Memory;
use memlife::record::Codec;
use memlife::store::Repair;
use memlife::{
    Effort, Entry, Expiry, Guard, ListOptions, PutOptions, ReadOptions, Show, SweepOptions, TouchMode,
    Written,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread;

const AGENTS: u64 = 4;
const TASKS: u64 = 8;

/// Put, get, list, overwrite, delete.
pub fn basics(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    let memory = stage.open("basics")?;
    report.say("put project/config and project/owner")?;
    let config = json!({ "language": "rust", "retries": 3 });
    let first = memory.put("project/config", &config)?;
    memory.put("project/owner", "ada")?;
    report.check("value_read_back", memory.get::<Value>("project/config")?, &config)?;
    report.check("keys_listed", keys(&memory)?, ["project/config", "project/owner"])?;
    report.say("put project/config again")?;
    let second = memory.put("project/config", &json!({ "language": "rust", "retries": 5 }))?;
    report.check("version_rose", second.version > first.version, true)?;
    report.say("delete project/owner twice")?;
    report.check("first_delete_found_it", memory.delete("project/owner")?, true)?;
    report.check("second_delete_found_it", memory.delete("project/owner")?, false)?;
    report.check("value_after_delete", memory.get::<String>("project/owner")?, None::<String>)
}

/// A large value is stored small, a short one as it is.
pub fn compression(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    let memory = stage.open("compression")?;
    let log: Vec<String> = (0..500).map(|line| format!("step {line}: built, tested, released")).collect();
    let given = serde_json::to_vec(&log)?.len();
    report.say("put project/log, 500 lines of a build log")?;
    memory.put("project/log", &log)?;
    let entry = entry(&memory, "project/log")?;
    report.check("bytes_before", entry.raw_len, given)?;
    report.found("bytes_after", entry.stored_len)?;
    report.check("stored_in_a_quarter_or_less", entry.stored_len * 4 <= entry.raw_len, true)?;
    let unchanged = memory.get::<Vec<String>>("project/log")?.is_some_and(|read| read == log);
    report.check("reads_back_unchanged", unchanged, true)?;
    report.say("put project/note, which is too short to gain anything")?;
    memory.put("project/note", "released")?;
    report.check(
        "short_value_is_compressed",
        self::entry(&memory, "project/note")?.codec != Codec::None,
        false,
    )
}

/// What expired is never returned; a sweep removes its bytes.
pub fn expiry(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    let memory = stage.open("expiry")?;
    report.say(
        "put session/draft for 10 minutes, session/plan for the hour of its rule, knowledge/api for good",
    )?;
    memory.put_with("session/draft", "v1", PutOptions::new().ttl("10m".parse()?))?;
    memory.put("session/plan", "three steps")?;
    memory.put("knowledge/api", "v2 from May")?;
    report.say("11 minutes pass")?;
    stage.pass("11m")?;
    report.check("expired_value", memory.get::<String>("session/draft")?, None::<String>)?;
    report.check("keys_listed", keys(&memory)?, ["knowledge/api", "session/plan"])?;
    let peeked = memory.entry("session/draft", ReadOptions::new().show(Show::Expired))?;
    report.check("bytes_are_still_there", peeked.is_some(), true)?;
    report.say("session/plan is touched to last 2 hours; 90 minutes pass")?;
    memory.touch("session/plan", Expiry::After("2h".parse()?), TouchMode::Set)?;
    stage.pass("90m")?;
    report.check("touched_value", memory.get::<String>("session/plan")?, Some("three steps"))?;
    let planned = memory.sweep(SweepOptions::new().effort(Effort::DryRun))?;
    report.check("a_dry_run_would_delete", planned.deleted, 1)?;
    let swept = memory.sweep(SweepOptions::new())?;
    report.check("deleted_count", swept.deleted, 1)?;
    report.check("entries_before", swept.entries_before, 3)?;
    report.check("entries_after", swept.entries_after, 2)
}

/// Concurrent writes stand beside each other, add up, or are refused, as the rule says.
pub fn conflicts(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    let memory = stage.open("conflicts")?;
    siblings(&memory, report)?;
    report.say("counter: put 5, then 3, to metrics/builds")?;
    memory.put("metrics/builds", &5)?;
    memory.put("metrics/builds", &3)?;
    report.check("counter_value", memory.get::<i64>("metrics/builds")?, Some(8))?;
    compare_and_swap(&memory, report)?;
    report.say("a write that is a minute late, under lww")?;
    let late = PutOptions::new().timestamp(stage.now().minus_ms(60_000));
    let written = memory.put_with("project/leader", "carol", late)?;
    report.check("late_write_is_superseded", written == Written::Superseded, true)
}

fn siblings(memory: &Memory, report: &mut Report<'_>) -> Result<()> {
    let key = "swarm/shared/plan";
    let by = |writer: &'static str| PutOptions::new().writer(writer);
    report.say("multi_value: alice and bob put swarm/shared/plan, then alice again")?;
    memory.put_with(key, "blue", by("alice"))?;
    memory.put_with(key, "green", by("bob"))?;
    memory.put_with(key, "teal", by("alice"))?;
    let entry = entry(memory, key)?;
    let values: Vec<String> = entry.values.iter().map(|held| held.value.parse()).collect::<Result<_, _>>()?;
    report.check("siblings_newest_first", values, ["teal", "green"])?;
    report.say("carol puts the merged plan over the version she read")?;
    let merged = memory.put_with(key, "teal and green", by("carol").guard(Guard::Version(entry.version)))?;
    report.check("merge_was_applied", merged.receipt().is_some(), true)?;
    report.check("siblings_after_the_merge", self::entry(memory, key)?.siblings, 1)
}

fn compare_and_swap(memory: &Memory, report: &mut Report<'_>) -> Result<()> {
    report.say("compare-and-swap: two agents read project/leader, both write over what they read")?;
    let read = memory.put("project/leader", "nobody")?.version;
    let over = || PutOptions::new().guard(Guard::Version(read));
    let first = memory.put_with("project/leader", "alice", over())?;
    report.check("first_swap_is_applied", first.receipt().is_some(), true)?;
    let refused_by: Option<String> = match memory.put_with("project/leader", "bob", over())? {
        Written::Refused(Some(current)) => Some(current.parse()?),
        Written::Refused(None) | Written::Applied(_) | Written::Superseded => None,
    };
    report.check("second_swap_is_refused_by", refused_by, Some("alice"))
}

/// Several threads claim the same tasks; each task goes to exactly one.
pub fn coordination(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    let memory = stage.open("coordination")?;
    report.say(&format!("{AGENTS} agents claim the same {TASKS} tasks at once and count what they got"))?;
    let claimed = claim_together(&memory)?;
    let mut owners: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (agent, tasks) in &claimed {
        tasks.iter().for_each(|task| owners.entry(*task).or_default().push(agent));
    }
    let claims: usize = owners.values().map(Vec::len).sum();
    report.check("tasks_claimed", owners.len(), TASKS)?;
    report.check("claims_granted", claims, TASKS)?;
    report.check("claims_refused", AGENTS * TASKS - claims as u64, (AGENTS - 1) * TASKS)?;
    report.check("counter_of_claims", memory.get::<u64>("metrics/claims")?, Some(TASKS))?;
    let mut stored_for_others = 0;
    for (task, agents) in &owners {
        let owner: Option<String> = memory.get(task_key(*task))?;
        stored_for_others += u64::from(owner.as_deref() != agents.first().copied());
    }
    report.check("claims_stored_for_another_agent", stored_for_others, 0)?;
    report.say("11 minutes pass: the claims are over and another agent takes task 1")?;
    let before = self::entry(&memory, &task_key(1))?.version;
    stage.pass("11m")?;
    let token = claim(&memory, "agent9", 1)?;
    report.check("new_fencing_token_is_greater", token.is_some_and(|token| token > before), true)
}

/// Each agent, and the tasks that it was granted.
fn claim_together(memory: &Memory) -> Result<Vec<(String, Vec<u64>)>> {
    thread::scope(|scope| {
        let agents: Vec<_> = (1..=AGENTS).map(|agent| scope.spawn(move || work(memory, agent))).collect();
        let ended =
            agents.into_iter().map(|agent| agent.join().ok().context("an agent's thread ended early"));
        ended.map(|result| result?).collect()
    })
}

fn work(memory: &Memory, agent: u64) -> Result<(String, Vec<u64>)> {
    let name = format!("agent{agent}");
    let mut granted = Vec::new();
    for step in 0..TASKS {
        // Each starts elsewhere, so that none gets everything.
        let task = (step + agent * TASKS / AGENTS) % TASKS + 1;
        if claim(memory, &name, task)?.is_some() {
            memory.add("metrics/claims", 1)?;
            granted.push(task);
        }
    }
    Ok((name, granted))
}

/// The fencing token, where the claim was granted.
fn claim(memory: &Memory, agent: &str, task: u64) -> Result<Option<u64>> {
    let options = PutOptions::new().ttl("10m".parse()?).guard(Guard::Absent).writer(agent);
    let written = memory.put_with(task_key(task), agent, options)?;
    Ok(written.receipt().map(|receipt| receipt.version))
}

fn task_key(task: u64) -> String {
    format!("coordination/task{task}")
}

/// What is permanent is there after the store was closed, and after every sweep.
pub fn persistence(stage: &Stage, report: &mut Report<'_>) -> Result<()> {
    if !stage.keeps() {
        report.say("this build has no store that outlives its process: nothing to show")?;
        return report.check("skipped", true, true);
    }
    report.say("put two facts under knowledge/ and a draft under session/, then close the store")?;
    let memory = stage.open("persistence")?;
    memory.put("knowledge/build", "use the release profile")?;
    memory.put("knowledge/deploy", "never on Fridays")?;
    memory.put("session/draft", "half a thought")?;
    memory.close()?;
    drop(memory);
    report.say("open it again; 30 days pass; sweep")?;
    let memory = stage.open("persistence")?;
    report.check(
        "keys_after_opening",
        keys(&memory)?,
        ["knowledge/build", "knowledge/deploy", "session/draft"],
    )?;
    stage.pass("30d")?;
    report.check("deleted_count", memory.sweep(SweepOptions::new())?.deleted, 1)?;
    report.check("keys_after_the_sweep", keys(&memory)?, ["knowledge/build", "knowledge/deploy"])?;
    report.check("fact", memory.get::<String>("knowledge/deploy")?, Some("never on Fridays"))?;
    report.check("problems_found_by_verify", memory.verify(Repair::No)?.problems, 0)
}

fn keys(memory: &Memory) -> Result<Vec<String>> {
    memory.list(ListOptions::new()).map(|entry| Ok(entry?.key.to_string())).collect()
}

fn entry(memory: &Memory, key: &str) -> Result<Entry> {
    let entry = memory.entry(key, ReadOptions::new())?;
    entry.with_context(|| format!("nothing is visible at {key}"))
}
