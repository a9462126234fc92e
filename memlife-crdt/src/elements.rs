//! Elements with the dots of their writes: what both sets are made of.

use crate::causal::Causal;
use crate::{Changed, Dot, Lattice, Overflow, ReplicaId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// What a write says of one element.
pub(crate) trait Mark: Clone + Ord {
    /// Which element.
    fn element(&self) -> &Bytes;
}

impl Mark for Bytes {
    fn element(&self) -> &Bytes {
        self
    }
}

/// Causal marks and an index of them by element, which the marks alone determine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Causal<M>", into = "Causal<M>")]
#[serde(bound(serialize = "M: Mark + Serialize", deserialize = "M: Mark + Deserialize<'de>"))]
pub(crate) struct Elements<M: Mark> {
    marks: Causal<M>,
    index: BTreeMap<Place, Dots>,
}

/// Where an element is in the order, with its first bytes at hand: most comparisons end there, without a look at the
/// heap, which takes far longer than all else in a big set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The first 16 bytes, the first one the most significant; zeros fill up what is shorter.
    front: u128,
    element: Bytes,
}

impl From<&Bytes> for Place {
    fn from(element: &Bytes) -> Self {
        let mut front = [0; 16];
        let len = element.len().min(front.len());
        front[..len].copy_from_slice(&element[..len]);
        Place { front: u128::from_be_bytes(front), element: element.clone() }
    }
}

impl Borrow<[u8]> for Place {
    fn borrow(&self) -> &[u8] {
        &self.element
    }
}

/// The dots of one element: most often one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dots {
    first: Dot,
    rest: Vec<Dot>,
}

impl Dots {
    fn iter(&self) -> impl Iterator<Item = Dot> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// Adds `dot`, in order.
    fn insert(&mut self, dot: Dot) {
        let mut all: Vec<Dot> = self.iter().filter(|own| *own != dot).collect();
        all.insert(all.partition_point(|own| *own < dot), dot);
        *self = Dots { first: all[0], rest: all.split_off(1) };
    }

    /// Without `dot`; `None` when nothing is left.
    fn without(&self, dot: Dot) -> Option<Dots> {
        let mut left = self.iter().filter(|own| *own != dot);
        let first = left.next()?;
        Some(Dots { first, rest: left.collect() })
    }
}

impl<M: Mark> Default for Elements<M> {
    fn default() -> Self {
        Elements { marks: Causal::default(), index: BTreeMap::new() }
    }
}

impl<M: Mark> Elements<M> {
    /// Writes `mark` in place of all marks of its element, and returns the delta.
    ///
    /// # Errors
    /// As [`Causal::write`].
    pub(crate) fn write(&mut self, replica: ReplicaId, seq: u64, mark: M) -> Result<Self, Overflow> {
        let place = Place::from(mark.element());
        let observed: Vec<Dot> = self.index.get(&place).into_iter().flat_map(Dots::iter).collect();
        let delta = self.marks.write(replica, seq, |_| mark, &observed)?;
        if let Some((dot, _)) = delta.iter().next() {
            self.index.insert(place, Dots { first: dot, rest: Vec::new() });
        }
        Ok(delta.into())
    }

    /// Removes all marks of `element`, and returns the delta.
    pub(crate) fn remove(&mut self, element: &[u8]) -> Self {
        let observed: Vec<Dot> = self.index.remove(element).iter().flat_map(Dots::iter).collect();
        self.marks.remove(&observed).into()
    }

    pub(crate) fn clear(&mut self) -> Self {
        self.index.clear();
        self.marks.clear().into()
    }

    pub(crate) fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.marks.renew(replica, seq)
    }

    /// Elements with marks and whether `holds` of every mark, in the order of the elements.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, impl Iterator<Item = &M>)> {
        self.index.iter().map(|(place, dots)| (&place.element, self.marks_of(dots)))
    }

    /// The marks of `element`.
    pub(crate) fn get(&self, element: &[u8]) -> impl Iterator<Item = &M> {
        self.index.get(element).into_iter().flat_map(|dots| self.marks_of(dots))
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    fn marks_of(&self, dots: &Dots) -> impl Iterator<Item = &M> {
        dots.iter().filter_map(|dot| self.marks.get(dot))
    }

    fn link(&mut self, dot: Dot, mark: &M) {
        let fresh = Dots { first: dot, rest: Vec::new() };
        let entry = self.index.entry(Place::from(mark.element()));
        entry.and_modify(|dots| dots.insert(dot)).or_insert(fresh);
    }

    fn unlink(&mut self, dot: Dot) {
        let Some(place) = self.marks.get(dot).map(|mark| Place::from(mark.element())) else { return };
        match self.index.get(&place).map(|dots| dots.without(dot)) {
            Some(Some(left)) => drop(self.index.insert(place, left)),
            Some(None) => drop(self.index.remove(&place)),
            None => {}
        }
    }
}

impl<M: Mark> From<Causal<M>> for Elements<M> {
    fn from(marks: Causal<M>) -> Self {
        let mut dots: Vec<(Place, Dot)> =
            marks.iter().map(|(dot, mark)| (Place::from(mark.element()), dot)).collect();
        dots.sort_unstable();
        let index = dots
            .chunk_by(|(one, _), (next, _)| one == next)
            .map(|of_one| {
                let rest = of_one[1..].iter().map(|(_, dot)| *dot).collect();
                (of_one[0].0.clone(), Dots { first: of_one[0].1, rest })
            })
            .collect();
        Elements { marks, index }
    }
}

impl<M: Mark> From<Elements<M>> for Causal<M> {
    fn from(elements: Elements<M>) -> Self {
        elements.marks
    }
}

impl<M: Mark> Lattice for Elements<M> {
    fn join(&mut self, other: &Self) -> Changed {
        // Most often one element was inserted that nobody has seen: there is nothing to compare.
        if let Some((dot, mark)) = other.marks.only()
            && self.marks.add(dot, mark)
        {
            self.link(dot, mark);
            return Changed::Yes;
        }
        let difference = self.marks.difference(&other.marks);
        if difference.news.len() > self.index.len() / 4 {
            let changed = self.marks.merge(&other.marks, difference);
            *self = Elements::from(std::mem::take(&mut self.marks));
            return changed;
        }
        let replaced = difference.replaced.iter().map(|(dot, _)| dot);
        difference.gone.iter().chain(replaced).for_each(|dot| self.unlink(*dot));
        for (dot, mark) in difference.news.iter().chain(&difference.replaced) {
            self.link(*dot, mark);
        }
        self.marks.merge(&other.marks, difference)
    }
}
