//! What a state shows is a function of the changes it has seen: each type against that function, at every
//! replica after every step.

#![allow(clippy::unwrap_used, reason = "a test that fails should say so at once")]

mod cases;
mod simulation;

use bytes::Bytes;
use cases::config;
use memlife_crdt::{
    CausalContext, Changed, Counter, Dot, FieldKind, FlagDw, FlagEw, GCounter, Hlc, Lattice, Life, Map, Max,
    Min, MultiValue, Number, OrSet, Register, ReplicaId, Resettable, RwSet, Stamp, Timestamp,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use simulation::{
    ContextOp, CounterOp, ExtremeOp, FieldOp, FlagOp, GCounterOp, MapOp, MultiValueOp, SetOp, Step, Turn,
    change_context, change_counter, change_flag_dw, change_flag_ew, change_g_counter, change_map, change_max,
    change_min, change_multi_value, change_or_set, change_rw_set, context_op, counter_op, extreme_op,
    flag_op, g_counter_op, history, map_op, multi_value_op, play, set_op,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;

/// The changes that a replica has seen, by their `seq`, and those that a visible removal had seen.
#[derive(Clone, Debug)]
struct Seen<T> {
    made: BTreeMap<u64, T>,
    removed: BTreeSet<u64>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Seen { made: BTreeMap::new(), removed: BTreeSet::new() }
    }
}

impl<T: Clone> Seen<T> {
    fn join(&mut self, other: &Self) {
        self.made.extend(other.made.iter().map(|(seq, change)| (*seq, change.clone())));
        self.removed.extend(&other.removed);
    }

    fn live(&self) -> impl Iterator<Item = (u64, &T)> {
        self.made.iter().filter(|(seq, _)| !self.removed.contains(seq)).map(|(seq, change)| (*seq, change))
    }

    fn remove_where(&mut self, mut goes: impl FnMut(&T) -> bool) {
        let going: Vec<u64> = self.live().filter(|(_, change)| goes(change)).map(|(seq, _)| seq).collect();
        self.removed.extend(going);
    }
}

type CounterRun = (Counter, Seen<i64>);

fn count((counter, seen): &mut CounterRun, turn: Turn, op: &CounterOp) {
    let before = counter.clone();
    if change_counter(counter, turn, op).is_none() {
        assert_eq!(*counter, before, "a refused change changed something");
        return;
    }
    match op {
        CounterOp::Add(amount) => {
            seen.made.insert(turn.seq, *amount);
        }
        CounterOp::Reset => seen.remove_where(|_| true),
    }
}

#[derive(Clone, Debug)]
struct Written {
    replica: ReplicaId,
    stamp: Stamp,
    writer: Option<String>,
    value: Bytes,
}

type MultiValueRun = (MultiValue, Seen<Written>);

fn write((register, seen): &mut MultiValueRun, turn: Turn, op: &MultiValueOp) {
    change_multi_value(register, turn, op).unwrap();
    let add = |seen: &mut Seen<Written>, writer: &Option<String>, value: &Bytes| {
        let written = Written {
            replica: turn.replica,
            stamp: turn.stamp,
            writer: writer.clone(),
            value: value.clone(),
        };
        seen.made.insert(turn.seq, written);
    };
    match op {
        MultiValueOp::Put { writer, value } => {
            seen.remove_where(|old| writer.is_some() && old.writer == *writer && old.replica == turn.replica);
            add(seen, writer, value);
        }
        MultiValueOp::Assign { value } => {
            seen.remove_where(|_| true);
            add(seen, &None, value);
        }
        MultiValueOp::Reset => seen.remove_where(|_| true),
        MultiValueOp::Cap(most) => {
            let mut stamps: Vec<Stamp> = seen.live().map(|(_, written)| written.stamp).collect();
            stamps.sort();
            stamps.truncate(stamps.len().saturating_sub(*most));
            seen.remove_where(|old| stamps.contains(&old.stamp));
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_counter_is_the_sum_that_no_visible_reset_has_seen(steps in history(counter_op(), 39)) {
        let runs = play::<CounterRun, _>(&steps, count, |mine, theirs| {
            let _ = mine.0.join(&theirs.0);
            mine.1.join(&theirs.1);
        });
        for (counter, seen) in runs {
            let sum: i128 = seen.live().map(|(_, amount)| i128::from(*amount)).sum();
            prop_assert_eq!(counter.value(), sum);
            prop_assert_eq!(counter.is_live(), seen.live().next().is_some());
        }
    }

    #[test]
    fn a_value_survives_exactly_if_no_visible_write_has_seen_and_removed_it(
        steps in history(multi_value_op(), 39),
    ) {
        let runs = play::<MultiValueRun, _>(&steps, write, |mine, theirs| {
            let _ = mine.0.join(&theirs.0);
            mine.1.join(&theirs.1);
        });
        for (register, seen) in runs {
            let mut expected: Vec<&Written> = seen.live().map(|(_, written)| written).collect();
            expected.sort_by_key(|written| std::cmp::Reverse(written.stamp));
            let expected: Vec<_> =
                expected.iter().map(|written| (written.stamp, &written.writer, &written.value)).collect();
            let held: Vec<_> = register
                .newest_first()
                .into_iter()
                .map(|sibling| (sibling.stamp, &sibling.writer, &sibling.value))
                .collect();
            prop_assert_eq!(held, expected);
        }
    }

    #[test]
    fn a_context_is_the_set_of_dots_seen(steps in history(context_op(), 39)) {
        type Run = (CausalContext, BTreeSet<Dot>);
        let runs = play::<Run, _>(
            &steps,
            |(context, seen), turn, op| {
                let before = context.clone();
                let dot = change_context(context, turn, op);
                if matches!(op, ContextOp::Mint) {
                    let mut own = seen.iter().filter(|seen| seen.actor.replica == turn.replica);
                    assert!(own.all(|seen| *seen < dot), "{dot:?} is not past what its replica minted");
                }
                let is_new = seen.insert(dot);
                assert_eq!(is_new, *context != before);
            },
            |mine, theirs| {
                let _ = mine.0.join(&theirs.0);
                mine.1.extend(&theirs.1);
            },
        );
        let all: BTreeSet<Dot> = runs.iter().flat_map(|(_, seen)| seen.iter().copied()).collect();
        for (context, seen) in &runs {
            for dot in &all {
                prop_assert_eq!(context.contains(*dot), seen.contains(dot));
            }
            for (other, other_seen) in &runs {
                prop_assert_eq!(context == other, seen == other_seen);
            }
        }
    }
}

/// The operations that a replica has seen, with those that each of them had seen: bits by their `seq`.
#[derive(Clone, Debug)]
struct Visible<Op>(BTreeMap<u64, Rc<Operation<Op>>>);

#[derive(Debug)]
struct Operation<Op> {
    stamp: Stamp,
    op: Op,
    saw: u64,
}

impl<Op> Default for Visible<Op> {
    fn default() -> Self {
        Visible(BTreeMap::new())
    }
}

impl<Op: Supersede> Visible<Op> {
    /// The operations that no visible one has seen and superseded.
    fn standing(&self) -> Vec<&Operation<Op>> {
        let is_superseded = |seq: u64, old: &Op| {
            self.0.values().any(|new| new.saw & (1 << seq) != 0 && new.op.supersedes(old))
        };
        let standing = self.0.iter().filter(|(seq, old)| !is_superseded(**seq, &old.op));
        standing.map(|(_, operation)| &**operation).collect()
    }
}

/// The semantics of operations, all of it.
trait Supersede: Clone {
    /// Whether `self`, which has seen `old`, takes it back.
    fn supersedes(&self, old: &Self) -> bool;
}

impl Supersede for CounterOp {
    fn supersedes(&self, _: &Self) -> bool {
        matches!(self, CounterOp::Reset)
    }
}

impl Supersede for GCounterOp {
    fn supersedes(&self, _: &Self) -> bool {
        matches!(self, GCounterOp::Reset)
    }
}

impl Supersede for FlagOp {
    fn supersedes(&self, _: &Self) -> bool {
        true
    }
}

/// Offers that beat nothing are no operations.
impl Supersede for ExtremeOp {
    fn supersedes(&self, _: &Self) -> bool {
        true
    }
}

impl Supersede for SetOp {
    fn supersedes(&self, old: &Self) -> bool {
        match (self, old) {
            (SetOp::Reset, _) => true,
            (SetOp::Insert(new) | SetOp::Remove(new), SetOp::Insert(old) | SetOp::Remove(old)) => new == old,
            _ => false,
        }
    }
}

impl Supersede for FieldOp {
    fn supersedes(&self, old: &Self) -> bool {
        match (self, old) {
            (FieldOp::Max(new), FieldOp::Max(old)) | (FieldOp::Min(new), FieldOp::Min(old)) => {
                new.supersedes(old)
            }
            (FieldOp::FlagEw(new), FieldOp::FlagEw(old)) | (FieldOp::FlagDw(new), FieldOp::FlagDw(old)) => {
                new.supersedes(old)
            }
            (FieldOp::GCounter(new), FieldOp::GCounter(old)) => new.supersedes(old),
            (FieldOp::Counter(new), FieldOp::Counter(old)) => new.supersedes(old),
            (FieldOp::OrSet(new), FieldOp::OrSet(old)) | (FieldOp::RwSet(new), FieldOp::RwSet(old)) => {
                new.supersedes(old)
            }
            _ => false,
        }
    }
}

impl Supersede for MapOp {
    fn supersedes(&self, old: &Self) -> bool {
        match (self, old) {
            (MapOp::Reset, _) => true,
            (MapOp::Remove(name), MapOp::Put(old, _) | MapOp::Change(old, _)) => name == old,
            (MapOp::Put(name, _), MapOp::Put(old, _)) => name == old,
            (MapOp::Change(name, new), MapOp::Change(old_name, old)) => {
                name == old_name && new.supersedes(old)
            }
            _ => false,
        }
    }
}

/// Whether `op` offers something better than all that stand.
fn beats<'a>(
    op: &ExtremeOp,
    standing: impl IntoIterator<Item = &'a ExtremeOp>,
    better: impl Fn(Number, Number) -> bool,
) -> bool {
    let ExtremeOp::Offer(new) = op else { return true };
    offers(standing).into_iter().all(|old| better(*new, old))
}

fn offers<'a>(standing: impl IntoIterator<Item = &'a ExtremeOp>) -> Vec<Number> {
    let offer = |op: &ExtremeOp| match op {
        ExtremeOp::Offer(number) => Some(*number),
        ExtremeOp::Reset => None,
    };
    standing.into_iter().filter_map(offer).collect()
}

/// What was added, and whether anything was.
fn sum<'a>(standing: impl IntoIterator<Item = &'a CounterOp>) -> Option<i128> {
    let amount = |op: &CounterOp| match op {
        CounterOp::Add(amount) => Some(i128::from(*amount)),
        CounterOp::Reset => None,
    };
    standing.into_iter().filter_map(amount).reduce(|sum, amount| sum + amount)
}

fn growth<'a>(standing: impl IntoIterator<Item = &'a GCounterOp>) -> Option<u128> {
    let amount = |op: &GCounterOp| match op {
        GCounterOp::Add(amount) => Some(u128::from(*amount)),
        GCounterOp::Reset => None,
    };
    standing.into_iter().filter_map(amount).reduce(|sum, amount| sum + amount)
}

fn positions<'a>(standing: impl IntoIterator<Item = &'a FlagOp>) -> Vec<bool> {
    let position = |op: &FlagOp| match op {
        FlagOp::Set(is_on) => Some(*is_on),
        FlagOp::Reset => None,
    };
    standing.into_iter().filter_map(position).collect()
}

/// Elements of standing writes, and whether all or any of these insert them.
fn elements<'a>(standing: impl IntoIterator<Item = &'a SetOp>) -> BTreeMap<Bytes, (bool, bool)> {
    let mut elements = BTreeMap::new();
    for op in standing {
        let (element, is_in) = match op {
            SetOp::Insert(element) => (element, true),
            SetOp::Remove(element) => (element, false),
            SetOp::Reset => continue,
        };
        let (all, any) = elements.entry(element.clone()).or_insert((true, false));
        (*all, *any) = (*all && is_in, *any || is_in);
    }
    elements
}

/// The elements of an [`OrSet`].
fn any_in<'a>(standing: impl IntoIterator<Item = &'a SetOp>) -> Vec<Bytes> {
    elements(standing).into_iter().filter(|(_, (_, any))| *any).map(|(element, _)| element).collect()
}

/// The elements of an [`RwSet`], and whether it was written.
fn all_in<'a>(standing: impl IntoIterator<Item = &'a SetOp>) -> (Vec<Bytes>, bool) {
    let elements = elements(standing);
    let is_live = !elements.is_empty();
    (elements.into_iter().filter(|(_, (all, _))| *all).map(|(element, _)| element).collect(), is_live)
}

/// Plays `steps` and compares what each state shows with what stands.
fn follows<S: Lattice + Clone + Default + Eq + Debug, Op: Supersede + Debug>(
    steps: &[Step<Op>],
    change: impl Fn(&mut S, Turn, &Op) -> Option<S>,
    counts: impl Fn(&Op, &[&Op]) -> bool,
    shows: impl Fn(&S, &[&Operation<Op>]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let runs = play::<(S, Visible<Op>), _>(
        steps,
        |(state, visible), turn, op| {
            let before = state.clone();
            let standing: Vec<&Op> = visible.standing().iter().map(|operation| &operation.op).collect();
            let counts = counts(op, &standing);
            if change(state, turn, op).is_some() && counts {
                let saw = visible.0.keys().fold(0, |saw, seq| saw | 1 << seq);
                let operation = Operation { stamp: turn.stamp, op: op.clone(), saw };
                visible.0.insert(turn.seq, Rc::new(operation));
            } else {
                assert_eq!(*state, before, "{op:?} changed something");
            }
        },
        |mine, theirs| {
            let _ = mine.0.join(&theirs.0);
            mine.1.0.extend(theirs.1.0.iter().map(|(seq, operation)| (*seq, operation.clone())));
        },
    );
    runs.iter().try_for_each(|(state, visible)| shows(state, &visible.standing()))
}

/// The operations alone.
fn ops<'a, Op>(standing: &'a [&'a Operation<Op>]) -> impl Iterator<Item = &'a Op> {
    standing.iter().map(|operation| &operation.op)
}

/// What a map shows under `name`, of each kind.
fn shows_field(map: &Map, name: &'static str, standing: &[&Operation<MapOp>]) -> Result<(), TestCaseError> {
    let fields: Vec<&FieldOp> = ops(standing)
        .filter_map(|op| match op {
            MapOp::Change(field, op) if field == name => Some(op),
            _ => None,
        })
        .collect();
    macro_rules! of {
        ($kind:ident) => {
            fields.iter().filter_map(|op| match op {
                FieldOp::$kind(op) => Some(op),
                _ => None,
            })
        };
    }
    let puts = standing.iter().filter_map(|operation| match &operation.op {
        MapOp::Put(field, value) if field == name => Some((operation.stamp, value)),
        _ => None,
    });
    let plain = puts.max().map(|(_, value)| value);
    let max = offers(of!(Max)).into_iter().max();
    let min = offers(of!(Min)).into_iter().min();
    let (ew, dw) = (positions(of!(FlagEw)), positions(of!(FlagDw)));
    let (grown, counted) = (growth(of!(GCounter)), sum(of!(Counter)));
    let (or_set, rw_set) = (any_in(of!(OrSet)), all_in(of!(RwSet)));

    let at = name.as_bytes();
    prop_assert_eq!(map.plain(at), plain);
    prop_assert_eq!(map.get::<Max>(at).and_then(Max::value), max);
    prop_assert_eq!(map.get::<Min>(at).and_then(Min::value), min);
    let on = |positions: &[bool], is_on: bool| (!positions.is_empty()).then_some(is_on);
    prop_assert_eq!(map.get::<FlagEw>(at).map(FlagEw::is_on), on(&ew, ew.contains(&true)));
    prop_assert_eq!(map.get::<FlagDw>(at).map(FlagDw::is_on), on(&dw, !dw.contains(&false)));
    prop_assert_eq!(map.get::<GCounter>(at).map(GCounter::value), grown);
    prop_assert_eq!(map.get::<Counter>(at).map(Counter::value), counted);
    let held = map.get::<OrSet>(at).map(|set| set.iter().cloned().collect::<Vec<_>>());
    prop_assert_eq!(held, (!or_set.is_empty()).then_some(or_set.clone()));
    let held = map.get::<RwSet>(at).map(|set| set.iter().cloned().collect::<Vec<_>>());
    prop_assert_eq!(held, rw_set.1.then_some(rw_set.0));

    let kinds = [
        (plain.is_some(), FieldKind::Plain),
        (max.is_some(), FieldKind::Max),
        (min.is_some(), FieldKind::Min),
        (!ew.is_empty(), FieldKind::FlagEw),
        (!dw.is_empty(), FieldKind::FlagDw),
        (grown.is_some(), FieldKind::GCounter),
        (counted.is_some(), FieldKind::Counter),
        (!or_set.is_empty(), FieldKind::OrSet),
        (rw_set.1, FieldKind::RwSet),
    ];
    let shown = kinds.iter().rfind(|(is_live, _)| *is_live).map(|(_, kind)| *kind);
    prop_assert_eq!(map.field(at).map(|field| field.kind()), shown);
    let listed = map.iter().find(|(field, _)| *field == name).map(|(_, field)| field.kind());
    prop_assert_eq!(listed, shown);
    Ok(())
}

fn counts_in_map(op: &MapOp, standing: &[&MapOp]) -> bool {
    let MapOp::Change(name, op) = op else { return true };
    let fields = standing.iter().filter_map(|op| match op {
        MapOp::Change(field, op) if field == name => Some(op),
        _ => None,
    });
    match op {
        FieldOp::Max(op) => {
            let of = fields.filter_map(|op| if let FieldOp::Max(op) = op { Some(op) } else { None });
            beats(op, of, |new, old| new > old)
        }
        FieldOp::Min(op) => {
            let of = fields.filter_map(|op| if let FieldOp::Min(op) = op { Some(op) } else { None });
            beats(op, of, |new, old| new < old)
        }
        _ => true,
    }
}

fn always<Op>(_: &Op, _: &[&Op]) -> bool {
    true
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_or_set_holds_what_an_insertion_put_in_that_nothing_took_back(steps in history(set_op(), 39)) {
        follows(&steps, change_or_set, always, |set, standing| {
            let expected = any_in(ops(standing));
            for element in ["", "a", "b"] {
                prop_assert_eq!(set.contains(element.as_bytes()), expected.contains(&Bytes::from(element)));
            }
            prop_assert_eq!((set.len(), set.is_live()), (expected.len(), !expected.is_empty()));
            prop_assert_eq!(set.iter().cloned().collect::<Vec<_>>(), expected);
            Ok(())
        })?;
    }

    #[test]
    fn an_rw_set_holds_what_is_written_and_only_inserted(steps in history(set_op(), 39)) {
        follows(&steps, change_rw_set, always, |set, standing| {
            let (expected, is_live) = all_in(ops(standing));
            for element in ["", "a", "b"] {
                prop_assert_eq!(set.contains(element.as_bytes()), expected.contains(&Bytes::from(element)));
            }
            prop_assert_eq!((set.len(), set.is_live()), (expected.len(), is_live));
            prop_assert_eq!(set.iter().cloned().collect::<Vec<_>>(), expected);
            Ok(())
        })?;
    }

    #[test]
    fn an_enable_wins_flag_is_on_if_any_standing_write_enables(steps in history(flag_op(), 39)) {
        follows(&steps, change_flag_ew, always, |flag, standing| {
            let positions = positions(ops(standing));
            prop_assert_eq!(flag.is_on(), positions.contains(&true));
            prop_assert_eq!(flag.is_live(), !positions.is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn a_disable_wins_flag_is_on_if_all_standing_writes_enable(steps in history(flag_op(), 39)) {
        follows(&steps, change_flag_dw, always, |flag, standing| {
            let positions = positions(ops(standing));
            prop_assert_eq!(flag.is_on(), !positions.is_empty() && !positions.contains(&false));
            prop_assert_eq!(flag.is_live(), !positions.is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn a_max_is_the_greatest_standing_offer(steps in history(extreme_op(), 39)) {
        let counts = |op: &ExtremeOp, standing: &[&ExtremeOp]| {
            beats(op, standing.iter().copied(), |new, old| new > old)
        };
        follows(&steps, change_max, counts, |max, standing| {
            prop_assert_eq!(max.value(), offers(ops(standing)).into_iter().max());
            prop_assert_eq!(max.is_live(), max.value().is_some());
            Ok(())
        })?;
    }

    #[test]
    fn a_min_is_the_least_standing_offer(steps in history(extreme_op(), 39)) {
        let counts = |op: &ExtremeOp, standing: &[&ExtremeOp]| {
            beats(op, standing.iter().copied(), |new, old| new < old)
        };
        follows(&steps, change_min, counts, |min, standing| {
            prop_assert_eq!(min.value(), offers(ops(standing)).into_iter().min());
            prop_assert_eq!(min.is_live(), min.value().is_some());
            Ok(())
        })?;
    }

    #[test]
    fn a_growing_counter_is_the_sum_that_no_visible_reset_has_seen(steps in history(g_counter_op(), 39)) {
        follows(&steps, change_g_counter, always, |counter, standing| {
            let sum = growth(ops(standing));
            prop_assert_eq!(counter.value(), sum.unwrap_or(0));
            prop_assert_eq!(counter.is_live(), sum.is_some());
            Ok(())
        })?;
    }

    #[test]
    fn a_map_shows_in_each_field_what_stands_there(steps in history(map_op(), 39)) {
        follows(&steps, change_map, counts_in_map, |map, standing| {
            ["", "a", "b"].iter().try_for_each(|name| shows_field(map, name, standing))?;
            prop_assert_eq!(map.is_live(), map.iter().next().is_some());
            Ok(())
        })?;
    }
}

#[test]
fn a_history_delivers_and_changes() {
    // The tests above say nothing if their histories never join.
    let steps = [
        Step::Change { replica: 0, wall_ms: 1, op: CounterOp::Add(5) },
        Step::Deliver { to: 1, state: 1 },
        Step::Change { replica: 1, wall_ms: 1, op: CounterOp::Reset },
        Step::Change { replica: 0, wall_ms: 2, op: CounterOp::Add(1) },
        Step::Deliver { to: 1, state: 4 },
    ];
    let runs = play::<CounterRun, _>(&steps, count, |mine, theirs| {
        let _ = mine.0.join(&theirs.0);
    });
    let values: Vec<i128> = runs.iter().map(|(counter, _)| counter.value()).collect();
    assert_eq!(values, [0, 5, 5, 0, 6, 1]);
}

#[test]
fn a_register_keeps_the_newest_then_a_removal_then_the_greater_value() {
    let register =
        |ms, value: Option<&'static str>| Register { stamp: stamp(ms), value: value.map(Bytes::from) };
    let rising = [
        register(1, Some("z")),
        register(2, Some("a")),
        register(2, Some("b")),
        register(2, None),
        register(3, Some("a")),
    ];
    for pair in rising.windows(2) {
        assert!(pair[1].wins_over(&pair[0]) && !pair[0].wins_over(&pair[1]), "{pair:?}");
    }
}

#[test]
fn a_life_is_the_longest_of_the_newest_epoch() {
    let life = |ms, end: Option<u64>| Life::new(stamp(ms), end.map(Timestamp::from_ms));
    let rising = [
        life(1, None),
        life(2, Some(5)),
        life(2, Some(9)),
        life(2, Some(u64::MAX)),
        life(2, None),
        life(3, Some(4)),
    ];
    for pair in rising.windows(2) {
        let (mut lesser, mut greater) = (pair[0], pair[1]);
        assert_eq!((greater.join(&pair[0]), greater), (Changed::No, pair[1]));
        assert_eq!((lesser.join(&pair[1]), lesser), (Changed::Yes, pair[1]));
    }
}

fn stamp(ms: u64) -> Stamp {
    Stamp::new(Hlc::new(Timestamp::from_ms(ms)), ReplicaId(1))
}

#[test]
fn a_counter_created_anew_after_a_purge_ignores_the_straggler() {
    let (here, there) = (ReplicaId(1), ReplicaId(2));
    let mut old = Counter::default();
    old.add(here, 3, 10).unwrap();
    let mut straggler = old.clone();
    straggler.add(there, 1, 2).unwrap();

    let mut anew = Counter::default();
    anew.add(here, 9, 1).unwrap(); // the old metadata is gone, so the presence is a later one
    let _ = anew.join(&straggler);
    let _ = straggler.join(&anew);
    assert_eq!((anew.value(), straggler.value()), (3, 3));
}

#[test]
fn a_full_counter_starts_again_after_a_reset() {
    let here = ReplicaId(1);
    let mut counter = Counter::default();
    counter.add(here, 1, i64::MAX).unwrap();
    counter.add(here, 2, i64::MAX).unwrap();
    counter.add(here, 3, 1).unwrap(); // 2^64 - 1
    let full = counter.clone();
    assert!(counter.add(here, 4, 1).is_err());
    assert_eq!(counter, full);

    counter.reset();
    counter.add(here, 5, 7).unwrap();
    let _ = counter.join(&full);
    assert_eq!(counter.value(), 7);
}

#[test]
fn the_least_amount_is_no_overflow() {
    let mut counter = Counter::default();
    counter.add(ReplicaId(1), 1, i64::MIN).unwrap();
    counter.add(ReplicaId(1), 2, i64::MIN + 1).unwrap();
    assert_eq!(counter.value(), i128::from(i64::MIN) * 2 + 1);
}
