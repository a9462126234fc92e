//! Values under dots, and the one rule by which they are joined.

use crate::{Actor, CausalContext, Changed, Dot, Lattice, Overflow, ReplicaId, pairs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values that live under the dots of their writes, and the context of all dots seen.
///
/// A dot that one side holds and the other has seen and holds no more was removed there. Each dot goes through one
/// chain only, from unseen over its values in ascending order to removed, and the join takes the later of both
/// sides: so it is a lattice whatever the values are. A delta names just the dots that it concerns; joining one
/// costs what it holds, not what the state holds.
///
/// Source: dot stores and causal contexts of Almeida, Shoker and Baquero, "Delta State Replicated Data Types"
/// (2018), section 7, with the removals found through the dots themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded<V>", into = "Encoded<V>")]
#[serde(bound(serialize = "V: Clone + Ord + Serialize", deserialize = "V: Clone + Ord + Deserialize<'de>"))]
pub(crate) struct Causal<V: Clone + Ord> {
    values: BTreeMap<Dot, V>,
    context: CausalContext,
}

impl<V: Clone + Ord> Default for Causal<V> {
    fn default() -> Self {
        Causal { values: BTreeMap::new(), context: CausalContext::default() }
    }
}

/// What a join does to the values of one side.
#[derive(Debug)]
pub(crate) struct Difference<V> {
    /// Dots that the other side has removed.
    pub(crate) gone: Vec<Dot>,
    /// Values that only the other side has.
    pub(crate) news: Vec<(Dot, V)>,
    /// Values that outrank those of the same dot here.
    pub(crate) replaced: Vec<(Dot, V)>,
}

impl<V> Difference<V> {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.news.is_empty() && self.replaced.is_empty()
    }
}

impl<V: Clone + Ord> Causal<V> {
    /// Values and their dots, in the order of the dots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Dot, &V)> {
        self.values.iter().map(|(&dot, value)| (dot, value))
    }

    pub(crate) fn get(&self, dot: Dot) -> Option<&V> {
        self.values.get(&dot)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds the `value` of a new dot in place of the dots `observed`, and returns the delta.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; nothing changes then.
    pub(crate) fn write(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        value: impl FnOnce(Dot) -> V,
        observed: &[Dot],
    ) -> Result<Self, Overflow> {
        let dot = self.context.mint(replica, seq)?;
        let value = value(dot);
        let mut delta = self.remove(observed);
        self.values.insert(dot, value.clone());
        delta.values.insert(dot, value);
        let _ = delta.context.insert(dot);
        Ok(delta)
    }

    /// Removes the values of `observed`, and returns the delta.
    pub(crate) fn remove(&mut self, observed: &[Dot]) -> Self {
        let mut delta = Causal::default();
        for dot in observed {
            self.values.remove(dot);
            let _ = delta.context.insert(*dot);
        }
        delta
    }

    /// See [`Resettable::renew`](crate::Resettable::renew).
    pub(crate) fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.context.renew(replica, seq)
    }

    /// Removes all values, and returns the delta.
    pub(crate) fn clear(&mut self) -> Self {
        let dots: Vec<Dot> = self.values.keys().copied().collect();
        self.remove(&dots)
    }

    pub(crate) fn into_parts(self) -> (BTreeMap<Dot, V>, CausalContext) {
        (self.values, self.context)
    }

    /// Whoever has read them vouches that the context holds every dot of `values`.
    pub(crate) fn from_parts(values: BTreeMap<Dot, V>, context: CausalContext) -> Self {
        Causal { values, context }
    }

    /// The dot and the value of a state that has seen nothing else, as the delta of a first write is.
    pub(crate) fn only(&self) -> Option<(Dot, &V)> {
        let (&dot, value) = self.values.first_key_value()?;
        self.context.is_only(dot).then_some((dot, value))
    }

    /// Adds the `value` of a dot that was not seen; `false` where it was, and nothing changes.
    pub(crate) fn add(&mut self, dot: Dot, value: &V) -> bool {
        let is_new = self.context.insert(dot) == Changed::Yes;
        if is_new {
            self.values.insert(dot, value.clone());
        }
        is_new
    }

    /// What joining `other` does to the values here.
    pub(crate) fn difference(&self, other: &Self) -> Difference<V> {
        let mut difference = Difference { gone: Vec::new(), news: Vec::new(), replaced: Vec::new() };
        for (actor, seen) in other.context.vector() {
            self.compare_run(other, actor, seen, &mut difference);
        }
        for dot in other.context.cloud() {
            self.compare(dot, other.values.get(&dot), &mut difference);
        }
        difference
    }

    /// Joins, given what [`Causal::difference`] found.
    pub(crate) fn merge(&mut self, other: &Self, difference: Difference<V>) -> Changed {
        let changed = Changed::when(!difference.is_empty());
        for dot in difference.gone {
            self.values.remove(&dot);
        }
        self.values.extend(difference.replaced);
        if difference.news.len() > self.values.len() / 4 {
            // Many: both sides are in order, so that building the map anew is one pass.
            let mut news: BTreeMap<Dot, V> = difference.news.into_iter().collect();
            self.values.append(&mut news);
        } else {
            self.values.extend(difference.news);
        }
        changed.or(self.context.join(&other.context))
    }

    /// Compares the dots 1 to `seen` of `actor`, all of which the other side has seen: both hold theirs in order.
    fn compare_run(&self, other: &Self, actor: Actor, seen: u64, difference: &mut Difference<V>) {
        let run = Dot { actor, n: 1 }..=Dot { actor, n: seen };
        let mut theirs = other.values.range(run.clone()).peekable();
        for (dot, mine) in self.values.range(run) {
            while let Some((new, value)) = theirs.next_if(|(their, _)| *their < dot) {
                self.add_unseen(*new, value, difference);
            }
            match theirs.next_if(|(their, _)| *their == dot) {
                Some((_, value)) if value > mine => difference.replaced.push((*dot, value.clone())),
                Some(_) => {}
                None => difference.gone.push(*dot),
            }
        }
        theirs.for_each(|(new, value)| self.add_unseen(*new, value, difference));
    }

    fn compare(&self, dot: Dot, theirs: Option<&V>, difference: &mut Difference<V>) {
        if !self.context.contains(dot) {
            // Most often, and only values of what was seen are held: those need not be looked through.
            difference.news.extend(theirs.map(|value| (dot, value.clone())));
            return;
        }
        match (self.values.get(&dot), theirs) {
            (Some(mine), Some(theirs)) if theirs > mine => difference.replaced.push((dot, theirs.clone())),
            (Some(_), None) => difference.gone.push(dot),
            // Removed here, or equal.
            _ => {}
        }
    }

    fn add_unseen(&self, dot: Dot, value: &V, difference: &mut Difference<V>) {
        if !self.context.contains(dot) {
            difference.news.push((dot, value.clone()));
        }
    }
}

impl<V: Clone + Ord> Lattice for Causal<V> {
    fn join(&mut self, other: &Self) -> Changed {
        let difference = self.difference(other);
        self.merge(other, difference)
    }
}

/// The serde form: actors are written once and named by their place, which makes a dot two small numbers.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Causal")]
struct Encoded<V> {
    actors: Vec<Actor>,
    /// Up to which number the dots of each actor were seen; 0 where only the cloud names it.
    vector: Vec<u64>,
    cloud: Vec<(u32, u64)>,
    values: Vec<(u32, u64, V)>,
}

impl<V: Clone + Ord> From<Causal<V>> for Encoded<V> {
    fn from(causal: Causal<V>) -> Self {
        let Causal { values, context } = causal;
        let mut seen: BTreeMap<Actor, u64> = context.vector().collect();
        for dot in context.cloud() {
            seen.entry(dot.actor).or_insert(0);
        }
        let places: BTreeMap<Actor, u32> = seen.keys().copied().zip(0..).collect();
        // Every dot with a value is in the context, so that its actor has a place.
        let place = |actor: &Actor| places.get(actor).copied().unwrap_or(u32::MAX);
        Encoded {
            cloud: context.cloud().map(|dot| (place(&dot.actor), dot.n)).collect(),
            values: values.into_iter().map(|(dot, value)| (place(&dot.actor), dot.n, value)).collect(),
            vector: seen.values().copied().collect(),
            actors: seen.into_keys().collect(),
        }
    }
}

impl<V: Clone + Ord> TryFrom<Encoded<V>> for Causal<V> {
    type Error = &'static str;

    fn try_from(encoded: Encoded<V>) -> Result<Self, Self::Error> {
        let Encoded { actors, vector, cloud, values } = encoded;
        if vector.len() != actors.len() {
            return Err("a state counts the writes of other replicas than it names");
        }
        let dot = |place: u32, n: u64| {
            let actor = actors.get(place as usize).copied();
            actor.map(|actor| Dot { actor, n }).ok_or("a state names a replica by a place that it has not")
        };
        let cloud: Vec<Dot> = cloud.into_iter().map(|(place, n)| dot(place, n)).collect::<Result<_, _>>()?;
        if !pairs::ascend(actors.iter()) {
            return Err("the replicas of a state are out of order");
        }
        let named = |(actor, &n): (&Actor, &u64)| n > 0 || cloud.iter().any(|dot| dot.actor == *actor);
        if !actors.iter().zip(&vector).all(named) {
            return Err("a state names a replica of which it has seen nothing");
        }
        let counted = actors.iter().copied().zip(vector).filter(|(_, n)| *n > 0);
        let context = CausalContext::from_parts(counted.collect(), cloud)?;
        let values: Vec<(Dot, V)> = values
            .into_iter()
            .map(|(place, n, value)| Ok((dot(place, n)?, value)))
            .collect::<Result<_, &'static str>>()?;
        let is_seen = |dot: &Dot| dot.n > 0 && context.contains(*dot);
        if !pairs::ascend(values.iter().map(|(dot, _)| dot)) || !values.iter().all(|(dot, _)| is_seen(dot)) {
            return Err("the writes of a state are out of order, or not all in what it has seen");
        }
        Ok(Causal { values: values.into_iter().collect(), context })
    }
}
