mod documents;

use crate::comparison::{Comparisons, Target};
use crate::figure::Figure;
use crate::measure::{Duel, Stopwatch, duel};
use crate::report::Section;
use crate::stage::Stage;
use crate::workload::Random;
use anyhow::{Result, ensure};
use bytes::Bytes;
use crdts::{CmRDT, CvRDT, LWWReg, MVReg, Orswot, PNCounter};
use memlife_crdt::{
    Contribution, Counter, Hlc, Lattice, Map, MultiValue, OrSet, Register, ReplicaId, Stamp, Timestamp,
};
use serde::Serialize;
use std::hint::black_box;

const SIZES: [&str; 1] = [
    "Counted first: bytes in bincode's standard form, as the engine keeps states. Of the register what \
     is beside the value's own bytes; of the counter all, divided by its 64 replicas, which have ids of 64 random \
     bits, added and subtracted up to 60,000 and began at a `seq` up to 60,000; of the set all but the elements' own \
     bytes, divided by 10,000 elements of 3 replicas. The byte that tells a length counts as ours. Of a counter's row \
     8 bytes are the replica's id, and one tells which of its numbers are not 0: baselines of resets, most often, are.",
];

const MERGES: [&str; 4] = [
    "In memory, one thread, beside the crate `crdts`. All states were cloned before the clock started. `crdts` consumes \
     the state that it merges. Ours does the same for registers, by `Lattice::absorb`; counters and sets it joins by \
     reference, so that dropping theirs is in the time of the peer alone.",
    "Register: the stamp of the engine on both sides and 32 bytes of value; `winning` takes the other value over, \
     `losing` compares alone, `mixed` is one of each in turn. Counter: both sides hold the same 64 replicas, half of \
     them further on in the other; our row has seven numbers, so that a reset is exact, and theirs two. Set: elements \
     of 12 bytes. A change of one element reaches ours as a delta and theirs as the whole set, since a merge is all \
     that they have for states.",
    "Of an insert, ours returns the delta for others and keeps the elements in order; theirs makes an operation and \
     applies it to a hash map. Multi-value: four concurrent values joined into four others.",
    "Where we are not ahead, as the code has it and without a profile: an insert keeps two ordered maps and makes a \
     delta; disjoint sets have their ordered index built anew.",
];

/// States of a register or counter in one timing: they stay in the nearest cache.
const BATCH: usize = 128;
const REPLICAS: usize = 64;
const ELEMENTS: usize = 10_000;
const SMALL: usize = 1_000;
/// Changes in a row.
const CHANGES: usize = 100;

/// The states that merge, beside other crates of them.
pub async fn measure(stage: &Stage) -> Result<Vec<Section>> {
    // Each is short, and the machine has its moods.
    let rounds = 4 * stage.scale.rounds;
    let mut merges = Comparisons::new("Lattices: joins, beside crdts", &MERGES);
    registers(rounds, &mut merges).await?;
    counters(rounds, &mut merges).await?;
    deltas(rounds, &mut merges).await?;
    sets(rounds, &mut merges).await?;
    multi_values(rounds, &mut merges).await?;
    maps(rounds, &mut merges).await?;
    Ok(vec![sizes()?, merges.finish(), documents::measure(rounds).await?])
}

fn encode(state: &impl Serialize) -> Result<Vec<u8>> {
    Ok(bincode::serde::encode_to_vec(state, bincode::config::standard())?)
}

fn sizes() -> Result<Section> {
    let mut table = Comparisons::new("Lattices: encoded sizes", &SIZES);
    let mut random = Random::new(21);
    let register = Register { value: Some(value(0)), stamp: stamp(3, random.next()) };
    let beside = encode(&register)?.len() - value(0).len();
    table.alone("register, beside the value", Figure::size(beside as f64)?, Some(Target::AtMost(24.0)));
    let each = encode(&counter_pair(&mut random)?.0.1)?.len() as f64 / REPLICAS as f64;
    table.alone("counter, per replica", Figure::size(each)?, Some(Target::AtMost(20.0)));
    let replicas = [random.next(), random.next(), random.next()];
    let mut set = OrSet::default();
    for at in 0..ELEMENTS {
        set.insert(ReplicaId(replicas[at % 3]), at as u64 + 1, element(at))?;
    }
    let own: usize = set.iter().map(Bytes::len).sum();
    let each = (encode(&set)?.len() - own) as f64 / ELEMENTS as f64;
    table.alone("set, per element beside it", Figure::size(each)?, Some(Target::AtMost(8.0)));
    Ok(table.finish())
}

/// Seconds that `join` takes for all pairs, `repeats` times; what it returns is dropped after the clock stopped.
fn each<S: Clone, L>(pairs: &[(S, S)], repeats: usize, join: impl Fn(&mut [S], Vec<S>) -> L) -> f64 {
    let round = || {
        let (mut states, others): (Vec<S>, Vec<S>) = pairs.iter().cloned().unzip();
        let watch = Stopwatch::start();
        let left = join(black_box(&mut states), black_box(others));
        let seconds = watch.seconds();
        black_box((states, left));
        seconds
    };
    (0..repeats).map(|_| round()).sum()
}

/// The states stay.
fn join_each<S: Lattice + Clone>(pairs: &[(S, S)], repeats: usize) -> f64 {
    each(pairs, repeats, |states, others| {
        for (mine, theirs) in states.iter_mut().zip(&others) {
            let _ = black_box(mine.join(theirs));
        }
        others
    })
}

/// The states are consumed.
fn absorb_each<S: Lattice + Clone>(pairs: &[(S, S)], repeats: usize) -> f64 {
    each(pairs, repeats, |states, others| {
        for (mine, theirs) in states.iter_mut().zip(others) {
            let _ = black_box(mine.absorb(theirs));
        }
    })
}

/// The same by the peer.
fn merge_each<S: CvRDT + Clone>(pairs: &[(S, S)], repeats: usize) -> f64 {
    each(pairs, repeats, |states, others| {
        for (mine, theirs) in states.iter_mut().zip(others) {
            mine.merge(theirs);
        }
    })
}

async fn joins<S: Lattice + Clone, P: CvRDT + Clone>(
    rounds: usize,
    ours: &[(S, S)],
    peers: &[(P, P)],
    repeats: usize,
) -> Result<Duel> {
    duel(rounds, async || Ok(join_each(ours, repeats)), || Ok(merge_each(peers, repeats))).await
}

fn stamp(ms: u64, replica: u64) -> Stamp {
    Stamp::new(Hlc::new(Timestamp::from_ms(1_790_000_000_000 + ms)), ReplicaId(replica))
}

fn value(at: usize) -> Bytes {
    format!("a value of thirty-two bytes {at:04}").into()
}

fn element(at: usize) -> Bytes {
    format!("element{at:05}").into()
}

async fn registers(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let repeats = 200;
    type IsWinning = fn(usize) -> bool;
    let rows: [(&str, IsWinning, bool); 3] = [
        ("register join, mixed", |at| at % 2 == 0, true),
        ("register join, losing", |_| false, true),
        ("register join, winning", |_| true, false),
    ];
    for (what, is_winning, is_judged) in rows {
        let ours: Vec<(Register, Register)> = (0..BATCH)
            .map(|at| {
                let theirs = stamp(if is_winning(at) { 3 } else { 1 }, 2);
                let register = |stamp, at| Register { stamp, value: Some(value(at)) };
                (register(stamp(2, 1), at), register(theirs, at + BATCH))
            })
            .collect();
        let peer = |register: &Register| LWWReg { val: register.value.clone(), marker: register.stamp };
        let peers: Vec<_> = ours.iter().map(|(mine, theirs)| (peer(mine), peer(theirs))).collect();
        let duel = duel(rounds, async || Ok(absorb_each(&ours, repeats)), || Ok(merge_each(&peers, repeats)))
            .await?;
        let count = BATCH * repeats;
        table.each(what, count, &duel, None)?;
        if is_judged {
            let figure = Figure::each(count, &duel.ours)?;
            table.alone(&format!("{what}, time of one"), figure, Some(Target::AtMost(15.0)));
        }
    }
    Ok(())
}

type CounterPair = ((Counter, Counter), (PNCounter<u64>, PNCounter<u64>));

/// Two counters of the same replicas, the second one further on in half of them; ours and the peer's.
fn counter_pair(random: &mut Random) -> Result<CounterPair> {
    let (mut ours, mut peer) = (Counter::default(), PNCounter::new());
    let replicas: Vec<u64> = (0..REPLICAS).map(|_| random.next()).collect();
    let mut count = |(ours, peer): (&mut Counter, &mut PNCounter<u64>), replica: u64| -> Result<()> {
        let (up, down, seq) = (random.below(30_000), random.below(30_000), random.below(60_000));
        ours.add(ReplicaId(replica), seq as u64, up as i64)?;
        ours.add(ReplicaId(replica), seq as u64, -(down as i64))?;
        peer.apply(peer.inc_many(replica, up as u64));
        peer.apply(peer.dec_many(replica, down as u64));
        Ok(())
    };
    for replica in &replicas {
        count((&mut ours, &mut peer), *replica)?;
    }
    let (mine, peers) = (ours.clone(), peer.clone());
    for replica in replicas.iter().step_by(2) {
        count((&mut ours, &mut peer), *replica)?;
    }
    ensure!(ours.value().to_string() == peer.read().to_string(), "the counters differ");
    Ok(((mine, ours), (peers, peer)))
}

async fn counters(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let (ours, peer) = counter_pair(&mut Random::new(22))?;
    let (counter, other) = (ours.1.clone(), peer.1.clone());
    let repeats = 100;
    let duel_of_joins = joins(rounds, &vec![ours; 8], &vec![peer; 8], repeats).await?;
    // Half as fast is twice the time.
    table.each("counter join, 64 replicas", 8 * repeats, &duel_of_joins, Some(Target::AtLeast(0.5)))?;
    let reads = 2_000;
    let duel_of_reads = duel(
        rounds,
        async || {
            let watch = Stopwatch::start();
            for _ in 0..reads {
                black_box(black_box(&counter).value());
            }
            Ok(watch.seconds())
        },
        || {
            let watch = Stopwatch::start();
            for _ in 0..reads {
                black_box(black_box(&other).read());
            }
            Ok(watch.seconds())
        },
    )
    .await?;
    table.each("counter read, 64 replicas", reads, &duel_of_reads, Some(Target::AtLeast(5.0)))
}

/// The same set twice, ours and the peer's.
#[derive(Clone, Default)]
struct Sets {
    ours: OrSet,
    peer: Orswot<Bytes, u64>,
}

impl Sets {
    fn insert(&mut self, replica: u64, at: usize) -> Result<OrSet> {
        self.insert_peer(replica, at);
        Ok(self.ours.insert(ReplicaId(replica), 1, element(at))?)
    }

    fn insert_peer(&mut self, replica: u64, at: usize) {
        let context = self.peer.read_ctx().derive_add_ctx(replica);
        self.peer.apply(self.peer.add(element(at), context));
    }

    fn with(mut self, replica: u64, elements: std::ops::Range<usize>) -> Result<Self> {
        for at in elements {
            self.insert(replica, at)?;
        }
        Ok(self)
    }
}

/// One-element changes of a big set.
async fn deltas(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let base = Sets::default().with(1, 0..ELEMENTS)?;
    let changes = ELEMENTS..ELEMENTS + CHANGES;
    let mut other = base.clone();
    let deltas: Vec<OrSet> = changes.clone().map(|at| other.insert(2, at)).collect::<Result<_>>()?;
    let one = base.clone().with(2, ELEMENTS..ELEMENTS + 1)?;
    let pair = [(base.peer.clone(), one.peer)];
    let joined = duel(
        rounds,
        async || {
            // As if they had just been received.
            let (mut set, deltas) = (base.ours.clone(), deltas.clone());
            let watch = Stopwatch::start();
            for delta in deltas {
                let _ = black_box(set.absorb(black_box(delta)));
            }
            let seconds = watch.seconds() / CHANGES as f64;
            ensure!(set == other.ours, "the sets differ");
            Ok(seconds)
        },
        || Ok(merge_each(&pair, 1)),
    )
    .await?;
    let what = "set of 10,000, one element joined";
    table.each(what, 1, &joined, Some(Target::AtLeast(1_000.0)))?;
    let figure = Figure::each(1, &joined.ours)?;
    table.alone(&format!("{what}, time of one"), figure, Some(Target::AtMost(1_000.0)));
    let inserted = duel(
        rounds,
        async || {
            let mut set = base.ours.clone();
            let watch = Stopwatch::start();
            for at in changes.clone() {
                black_box(set.insert(ReplicaId(2), 1, element(at))?);
            }
            Ok(watch.seconds())
        },
        || {
            let mut set = base.clone();
            let watch = Stopwatch::start();
            changes.clone().for_each(|at| set.insert_peer(2, at));
            let seconds = watch.seconds();
            black_box(set);
            Ok(seconds)
        },
    )
    .await?;
    table.each("set of 10,000, insert", CHANGES, &inserted, None)
}

/// Whole sets of 1,000.
async fn sets(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let base = Sets::default().with(1, 0..SMALL)?;
    let common = Sets::default().with(1, 0..SMALL * 9 / 10)?;
    let one = base.clone().with(2, SMALL..SMALL + 1)?;
    let tenth = SMALL / 10;
    let left = common.clone().with(2, SMALL..SMALL + tenth)?;
    let right = common.with(3, SMALL + tenth..SMALL + 2 * tenth)?;
    let target = Some(Target::AtLeast(4.0));
    let rows = [
        ("sets of 1,000 joined, one element new", base, one, target),
        ("sets of 1,000 joined, 10 % different on each side", left, right, target),
        (
            "sets of 1,000 joined, disjoint",
            Sets::default().with(2, 0..SMALL)?,
            Sets::default().with(3, SMALL..2 * SMALL)?,
            None,
        ),
    ];
    let repeats = 20;
    for (what, mine, theirs, target) in rows {
        let duel = joins(rounds, &[(mine.ours, theirs.ours)], &[(mine.peer, theirs.peer)], repeats).await?;
        table.each(what, repeats, &duel, target)?;
    }
    Ok(())
}

/// The same map of counters twice, ours and the peer's.
#[derive(Clone, Default)]
struct Maps {
    ours: Map,
    peer: crdts::Map<Bytes, PNCounter<u64>, u64>,
}

impl Maps {
    fn count(mut self, replica: u64, fields: impl Iterator<Item = usize>) -> Result<Self> {
        for at in fields {
            self.ours.change::<Counter>(element(at), |field| field.add(ReplicaId(replica), 1, 1))?;
            let context = self.peer.read_ctx().derive_add_ctx(replica);
            let update = self.peer.update(element(at), context, |field, add| field.inc(add.dot.actor));
            self.peer.apply(update);
        }
        Ok(self)
    }
}

/// Whole maps of 1,000 counters.
async fn maps(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let base = Maps::default().count(1, 0..SMALL)?;
    let other = base.clone().count(2, (0..SMALL).step_by(10))?;
    let repeats = 20;
    let duel = joins(rounds, &[(base.ours, other.ours)], &[(base.peer, other.peer)], repeats).await?;
    table.each("maps of 1,000 counters joined, 10 % changed", repeats, &duel, None)
}

async fn multi_values(rounds: usize, table: &mut Comparisons) -> Result<()> {
    let build = |first: u64| -> Result<(MultiValue, MVReg<Bytes, u64>)> {
        let (mut ours, mut peer) = (MultiValue::default(), MVReg::new());
        for replica in first..first + 4 {
            let value = value(replica as usize);
            let context = MVReg::<Bytes, u64>::new().read_ctx().derive_add_ctx(replica);
            peer.apply(peer.write(value.clone(), context));
            let (replica, stamp) = (ReplicaId(replica), stamp(replica, replica));
            ours.put(Contribution { replica, seq: 1, stamp, writer: None, value })?;
        }
        Ok((ours, peer))
    };
    let ((ours, peer), (our_other, peer_other)) = (build(1)?, build(5)?);
    let repeats = 100;
    let (ours, peers) = (vec![(ours, our_other); 32], vec![(peer, peer_other); 32]);
    let duel = joins(rounds, &ours, &peers, repeats).await?;
    table.each("multi-value join, 4 into 4", 32 * repeats, &duel, None)
}
