//! Random histories of a few replicas that change their states and get each other's, late, twice or never.

use bytes::Bytes;
use memlife_crdt::{
    Actor, CausalContext, Contribution, Counter, Dot, Hlc, MultiValue, ReplicaId, Stamp, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

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

pub fn history<Op: Clone + std::fmt::Debug>(
    op: impl Strategy<Value = Op>,
) -> impl Strategy<Value = Vec<Step<Op>>> {
    let change =
        (0..REPLICAS, 0..50_u64, op).prop_map(|(replica, wall_ms, op)| Step::Change { replica, wall_ms, op });
    let deliver = (0..REPLICAS, any::<usize>()).prop_map(|(to, state)| Step::Deliver { to, state });
    vec(prop_oneof![3 => change, 2 => deliver], 1..40)
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

/// Whether the change was made; the counter may have no room for it.
pub fn change_counter(counter: &mut Counter, turn: Turn, op: &CounterOp) -> bool {
    match op {
        CounterOp::Add(amount) => counter.add(turn.replica, turn.seq, *amount).is_ok(),
        CounterOp::Reset => {
            counter.reset();
            true
        }
    }
}

#[derive(Clone, Debug)]
pub enum MultiValueOp {
    Put { writer: Option<String>, value: Bytes },
    Assign { value: Bytes },
    Clear,
    Cap(usize),
}

pub fn multi_value_op() -> impl Strategy<Value = MultiValueOp> {
    let writer = prop_oneof![Just(None), Just(Some("ann".to_owned())), Just(Some("bob".to_owned()))];
    prop_oneof![
        6 => (writer, value()).prop_map(|(writer, value)| MultiValueOp::Put { writer, value }),
        2 => value().prop_map(|value| MultiValueOp::Assign { value }),
        1 => Just(MultiValueOp::Clear),
        1 => (0..4_usize).prop_map(MultiValueOp::Cap),
    ]
}

pub fn change_multi_value(register: &mut MultiValue, turn: Turn, op: &MultiValueOp) {
    let contribution = |writer: &Option<String>, value: &Bytes| Contribution {
        replica: turn.replica,
        seq: turn.seq,
        stamp: turn.stamp,
        writer: writer.clone(),
        value: value.clone(),
    };
    match op {
        MultiValueOp::Put { writer, value } => register.put(contribution(writer, value)).unwrap(),
        MultiValueOp::Assign { value } => register.assign(contribution(&None, value)).unwrap(),
        MultiValueOp::Clear => register.clear(),
        MultiValueOp::Cap(most) => {
            register.cap(*most);
        }
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

pub fn value() -> impl Strategy<Value = Bytes> {
    vec(0..3_u8, 0..3).prop_map(Bytes::from)
}
