//! Random histories of a few replicas that change their states and get each other's, late, twice or never.

#![allow(dead_code, reason = "each of the tests uses a part of it")]

use bytes::Bytes;
use memlife_crdt::{
    Actor, CausalContext, Changed, Contribution, Counter, Dot, FlagDw, FlagEw, GCounter, Hlc, Lattice, Life,
    Map, Max, Min, MultiValue, Number, OrSet, Register, ReplicaId, Resettable, RwSet, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

pub const REPLICAS: usize = 3;

/// One event of a history.
#[derive(Clone, Debug)]
pub enum Step<Op> {
    /// A replica changes its state while its wall clock shows `wall_ms`.
    Change { replica: usize, wall_ms: u64, op: Op },
    /// A replica gets a state that some replica once had.
    Deliver { to: usize, state: usize },
}

/// What a change puts its name to.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub replica: ReplicaId,
    /// Rises over the whole history, so it names the change among all others.
    pub seq: u64,
    pub stamp: Stamp,
}

/// Histories of up to `most` steps.
pub fn history<Op: Clone + std::fmt::Debug>(
    op: impl Strategy<Value = Op>,
    most: usize,
) -> impl Strategy<Value = Vec<Step<Op>>> {
    let change =
        (0..REPLICAS, 0..50_u64, op).prop_map(|(replica, wall_ms, op)| Step::Change { replica, wall_ms, op });
    let deliver = (0..REPLICAS, any::<usize>()).prop_map(|(to, state)| Step::Deliver { to, state });
    vec(prop_oneof![3 => change, 2 => deliver], 1..=most)
}

/// Plays `steps` and returns the state of the replica concerned after each of them.
pub fn play<S: Clone + Default, Op>(
    steps: &[Step<Op>],
    mut change: impl FnMut(&mut S, Turn, &Op),
    mut join: impl FnMut(&mut S, &S),
) -> Vec<S> {
    let mut replicas: [S; REPLICAS] = Default::default();
    let mut clocks = [Hlc::default(); REPLICAS];
    let mut all: Vec<S> = vec![S::default()];
    for (seq, step) in (1..).zip(steps) {
        let at = match step {
            Step::Change { replica, wall_ms, op } => {
                let id = ReplicaId(*replica as u64 + 1);
                let time = clocks[*replica].tick(Timestamp::from_ms(*wall_ms));
                let turn = Turn { replica: id, seq, stamp: Stamp::new(time, id) };
                change(&mut replicas[*replica], turn, op);
                *replica
            }
            Step::Deliver { to, state } => {
                join(&mut replicas[*to], &all[state % all.len()]);
                *to
            }
        };
        all.push(replicas[at].clone());
    }
    all
}

/// What [`record`] keeps of a history.
#[derive(Clone, Debug)]
pub struct Record<S> {
    /// As [`play`] returns them.
    pub states: Vec<S>,
    pub changes: Vec<Made<S>>,
}

/// A change: the states around it, and its delta.
#[derive(Clone, Debug)]
pub struct Made<S> {
    pub before: S,
    pub delta: S,
    pub after: S,
}

/// Plays `steps` with changes that answer with their deltas, or with nothing where they were refused.
pub fn record<S: Lattice + Clone + Default, Op>(
    steps: &[Step<Op>],
    change: impl Fn(&mut S, Turn, &Op) -> Option<S>,
) -> Record<S> {
    let mut changes = Vec::new();
    let states = play(
        steps,
        |state: &mut S, turn, op| {
            let before = state.clone();
            if let Some(delta) = change(state, turn, op) {
                changes.push(Made { before, delta, after: state.clone() });
            }
        },
        |mine, theirs| {
            let _ = mine.join(theirs);
        },
    );
    Record { states, changes }
}

#[derive(Clone, Debug)]
pub enum CounterOp {
    Add(i64),
    Reset,
}

pub fn counter_op() -> impl Strategy<Value = CounterOp> {
    prop_oneof![
        6 => (-5..=5_i64).prop_map(CounterOp::Add),
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN)].prop_map(CounterOp::Add),
        2 => Just(CounterOp::Reset),
    ]
}

/// The delta; `None` where the counter has no room.
pub fn change_counter(counter: &mut Counter, turn: Turn, op: &CounterOp) -> Option<Counter> {
    match op {
        CounterOp::Add(amount) => counter.add(turn.replica, turn.seq, *amount).ok(),
        CounterOp::Reset => Some(counter.reset()),
    }
}

#[derive(Clone, Debug)]
pub enum GCounterOp {
    Add(u64),
    Reset,
}

pub fn g_counter_op() -> impl Strategy<Value = GCounterOp> {
    prop_oneof![
        6 => (0..=5_u64).prop_map(GCounterOp::Add),
        1 => Just(GCounterOp::Add(u64::MAX - 6)),
        2 => Just(GCounterOp::Reset),
    ]
}

/// As [`change_counter`].
pub fn change_g_counter(counter: &mut GCounter, turn: Turn, op: &GCounterOp) -> Option<GCounter> {
    match op {
        GCounterOp::Add(amount) => counter.add(turn.replica, turn.seq, *amount).ok(),
        GCounterOp::Reset => Some(counter.reset()),
    }
}

#[derive(Clone, Debug)]
pub enum SetOp {
    Insert(Bytes),
    Remove(Bytes),
    Reset,
}

pub fn set_op() -> impl Strategy<Value = SetOp> {
    prop_oneof![
        5 => name().prop_map(SetOp::Insert),
        3 => name().prop_map(SetOp::Remove),
        1 => Just(SetOp::Reset),
    ]
}

pub fn change_or_set(set: &mut OrSet, turn: Turn, op: &SetOp) -> Option<OrSet> {
    match op {
        SetOp::Insert(element) => set.insert(turn.replica, turn.seq, element.clone()).ok(),
        SetOp::Remove(element) => Some(set.remove(element)),
        SetOp::Reset => Some(set.reset()),
    }
}

pub fn change_rw_set(set: &mut RwSet, turn: Turn, op: &SetOp) -> Option<RwSet> {
    match op {
        SetOp::Insert(element) => set.insert(turn.replica, turn.seq, element.clone()).ok(),
        SetOp::Remove(element) => set.remove(turn.replica, turn.seq, element.clone()).ok(),
        SetOp::Reset => Some(set.reset()),
    }
}

#[derive(Clone, Debug)]
pub enum FlagOp {
    Set(bool),
    Reset,
}

pub fn flag_op() -> impl Strategy<Value = FlagOp> {
    prop_oneof![5 => any::<bool>().prop_map(FlagOp::Set), 1 => Just(FlagOp::Reset)]
}

#[derive(Clone, Debug)]
pub enum ExtremeOp {
    Offer(Number),
    Reset,
}

pub fn extreme_op() -> impl Strategy<Value = ExtremeOp> {
    prop_oneof![5 => number().prop_map(ExtremeOp::Offer), 1 => Just(ExtremeOp::Reset)]
}

/// Small ones, which meet each other, halves between them, and those at the edges.
pub fn number() -> impl Strategy<Value = Number> {
    let double = |value: f64| Number::from_f64(value).unwrap();
    prop_oneof![
        6 => (-2..3_i64).prop_map(Number::from),
        2 => (-2..3_i8).prop_map(move |whole| double(f64::from(whole) + 0.5)),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(Number::from),
        1 => prop_oneof![Just(f64::MIN), Just(f64::MAX), Just(9_223_372_036_854_775_808.0)].prop_map(double),
    ]
}

macro_rules! change {
    ($name:ident, $state:ty, $op:ident::$write:ident, $method:ident) => {
        pub fn $name(state: &mut $state, turn: Turn, op: &$op) -> Option<$state> {
            match op {
                $op::$write(value) => state.$method(turn.replica, turn.seq, *value).ok(),
                $op::Reset => Some(state.reset()),
            }
        }
    };
}

change!(change_flag_ew, FlagEw, FlagOp::Set, set);
change!(change_flag_dw, FlagDw, FlagOp::Set, set);
change!(change_max, Max, ExtremeOp::Offer, offer);
change!(change_min, Min, ExtremeOp::Offer, offer);

#[derive(Clone, Debug)]
pub enum MapOp {
    Put(Bytes, Bytes),
    Change(Bytes, FieldOp),
    Remove(Bytes),
    Reset,
}

#[derive(Clone, Debug)]
pub enum FieldOp {
    Max(ExtremeOp),
    Min(ExtremeOp),
    FlagEw(FlagOp),
    FlagDw(FlagOp),
    GCounter(GCounterOp),
    Counter(CounterOp),
    OrSet(SetOp),
    RwSet(SetOp),
}

pub fn map_op() -> impl Strategy<Value = MapOp> {
    let field = prop_oneof![
        1 => extreme_op().prop_map(FieldOp::Max),
        1 => extreme_op().prop_map(FieldOp::Min),
        1 => flag_op().prop_map(FieldOp::FlagEw),
        1 => flag_op().prop_map(FieldOp::FlagDw),
        1 => g_counter_op().prop_map(FieldOp::GCounter),
        2 => counter_op().prop_map(FieldOp::Counter),
        1 => set_op().prop_map(FieldOp::OrSet),
        1 => set_op().prop_map(FieldOp::RwSet),
    ];
    prop_oneof![
        3 => (name(), value()).prop_map(|(name, value)| MapOp::Put(name, value)),
        6 => (name(), field).prop_map(|(name, op)| MapOp::Change(name, op)),
        2 => name().prop_map(MapOp::Remove),
        1 => Just(MapOp::Reset),
    ]
}

pub fn change_map(map: &mut Map, turn: Turn, op: &MapOp) -> Option<Map> {
    match op {
        MapOp::Put(name, value) => {
            map.put(turn.replica, turn.seq, turn.stamp, name.clone(), value.clone()).ok()
        }
        MapOp::Change(name, op) => change_field(map, turn, name.clone(), op),
        MapOp::Remove(name) => Some(map.remove(name)),
        MapOp::Reset => Some(map.reset()),
    }
}

fn change_field(map: &mut Map, turn: Turn, name: Bytes, op: &FieldOp) -> Option<Map> {
    macro_rules! field {
        ($change:ident, $op:expr) => {
            map.change(name, |state| $change(state, turn, $op).ok_or(memlife_crdt::Overflow)).ok()
        };
    }
    match op {
        FieldOp::Max(op) => field!(change_max, op),
        FieldOp::Min(op) => field!(change_min, op),
        FieldOp::FlagEw(op) => field!(change_flag_ew, op),
        FieldOp::FlagDw(op) => field!(change_flag_dw, op),
        FieldOp::GCounter(op) => field!(change_g_counter, op),
        FieldOp::Counter(op) => field!(change_counter, op),
        FieldOp::OrSet(op) => field!(change_or_set, op),
        FieldOp::RwSet(op) => field!(change_rw_set, op),
    }
}

#[derive(Clone, Debug)]
pub enum MultiValueOp {
    Put { writer: Option<String>, value: Bytes },
    Assign { value: Bytes },
    Reset,
    Cap(usize),
}

pub fn multi_value_op() -> impl Strategy<Value = MultiValueOp> {
    let writer = prop_oneof![Just(None), Just(Some("ann".to_owned())), Just(Some("bob".to_owned()))];
    prop_oneof![
        6 => (writer, value()).prop_map(|(writer, value)| MultiValueOp::Put { writer, value }),
        2 => value().prop_map(|value| MultiValueOp::Assign { value }),
        1 => Just(MultiValueOp::Reset),
        1 => (0..4_usize).prop_map(MultiValueOp::Cap),
    ]
}

pub fn change_multi_value(register: &mut MultiValue, turn: Turn, op: &MultiValueOp) -> Option<MultiValue> {
    let contribution = |writer: &Option<String>, value: &Bytes| Contribution {
        replica: turn.replica,
        seq: turn.seq,
        stamp: turn.stamp,
        writer: writer.clone(),
        value: value.clone(),
    };
    match op {
        MultiValueOp::Put { writer, value } => register.put(contribution(writer, value)).ok(),
        MultiValueOp::Assign { value } => register.assign(contribution(&None, value)).ok(),
        MultiValueOp::Reset => Some(register.reset()),
        MultiValueOp::Cap(most) => Some(register.cap(*most).1),
    }
}

#[derive(Clone, Debug)]
pub enum ContextOp {
    Mint,
    See(Dot),
}

pub fn context_op() -> impl Strategy<Value = ContextOp> {
    let dot = (1..=REPLICAS as u64, 1..3_u64, 1..6_u64).prop_map(|(replica, generation, n)| Dot {
        actor: Actor { replica: ReplicaId(replica), generation },
        n,
    });
    prop_oneof![Just(ContextOp::Mint), dot.prop_map(ContextOp::See)]
}

pub fn change_context(context: &mut CausalContext, turn: Turn, op: &ContextOp) -> Dot {
    match op {
        ContextOp::Mint => context.mint(turn.replica, turn.seq).unwrap(),
        ContextOp::See(dot) => {
            let _ = context.insert(*dot);
            *dot
        }
    }
}

/// What a store keeps under one key: a state, its life, and until when it stays once dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<S> {
    pub state: S,
    pub life: Life,
    pub keep: u64,
}

impl<S: Lattice> Lattice for Entry<S> {
    fn join(&mut self, other: &Self) -> Changed {
        let kept = Changed::when(other.keep > self.keep);
        self.keep = self.keep.max(other.keep);
        self.state.join(&other.state).or(self.life.join(&other.life)).or(kept)
    }
}

#[derive(Clone, Debug)]
pub enum EntryOp<Op> {
    /// A write starts a new epoch with its time to live.
    Write(Op, Option<u64>),
    /// A time to live that is set starts one, too.
    SetTtl(Option<u64>),
    Refresh(u64),
    Delete,
}

pub fn entry_op<Op: Clone + std::fmt::Debug>(
    op: impl Strategy<Value = Op>,
) -> impl Strategy<Value = EntryOp<Op>> {
    let ttl = || prop::option::of(0..20_u64);
    prop_oneof![
        5 => (op, ttl()).prop_map(|(op, ttl)| EntryOp::Write(op, ttl)),
        1 => ttl().prop_map(EntryOp::SetTtl),
        2 => (0..70_u64).prop_map(EntryOp::Refresh),
        1 => Just(EntryOp::Delete),
    ]
}

/// Changes the parts of an entry, and returns their deltas; `delete` is what a deletion does to the state.
pub fn change_entry<S: Lattice + Default, Op>(
    entry: &mut Entry<S>,
    turn: Turn,
    op: &EntryOp<Op>,
    change: impl Fn(&mut S, Turn, &Op) -> Option<S>,
    delete: impl Fn(&mut S, Turn) -> S,
) -> Option<Entry<S>> {
    let anew = |ttl: &Option<u64>| Life::new(turn.stamp, ttl.map(|ttl| turn.stamp.at().plus_ms(ttl)));
    let mut delta = Entry::default();
    match op {
        EntryOp::Write(op, ttl) => {
            delta.state = change(&mut entry.state, turn, op)?;
            delta.life = anew(ttl);
        }
        EntryOp::SetTtl(ttl) => delta.life = anew(ttl),
        EntryOp::Refresh(until) => {
            delta.life = Life::new(entry.life.epoch, Some(Timestamp::from_ms(*until)));
        }
        EntryOp::Delete => {
            delta.state = delete(&mut entry.state, turn);
            delta.keep = turn.stamp.at().ms() + 30;
        }
    }
    let _ = entry.life.join(&delta.life);
    entry.keep = entry.keep.max(delta.keep);
    Some(delta)
}

/// A last-write-wins state that may be none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lww(pub Option<Register>);

impl Lattice for Lww {
    fn join(&mut self, other: &Self) -> Changed {
        match (&mut self.0, &other.0) {
            (Some(mine), Some(theirs)) => mine.join(theirs),
            (mine @ None, Some(theirs)) => {
                *mine = Some(theirs.clone());
                Changed::Yes
            }
            (_, None) => Changed::No,
        }
    }
}

/// A write of `value`, or a removal.
pub fn change_lww(lww: &mut Lww, turn: Turn, value: &Option<Bytes>) -> Option<Lww> {
    let delta = Lww(Some(Register { stamp: turn.stamp, value: value.clone() }));
    let _ = lww.join(&delta);
    Some(delta)
}

pub fn value() -> impl Strategy<Value = Bytes> {
    vec(0..3_u8, 0..3).prop_map(Bytes::from)
}

/// Names of which there are few: histories are about the same fields and elements.
pub fn name() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(""), Just("a"), Just("b")].prop_map(Bytes::from)
}
