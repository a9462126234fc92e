use crate::elements::{Elements, Mark};
use crate::{
    Changed, Counter, FlagDw, FlagEw, GCounter, Lattice, Max, Min, OrSet, Overflow, ReplicaId, Resettable,
    RwSet, Stamp, pairs,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A map whose fields merge each for itself.
///
/// A plain field holds a value, of which the newest write wins; other fields hold a counter, a set, a flag, a
/// greatest or a least number. A removal takes back what it has seen: a field that somebody else writes concurrently
/// stays, a counter with just what was added meanwhile. Fields of one name and several types, which concurrent
/// writes can make, are all kept; the one of the greatest [`FieldKind`] shows.
///
/// Choose it for JSON objects that several programs fill in. A plain field takes about 25 bytes beside its name and
/// value and nothing once removed; any other takes what its type does, and a removed one keeps its name and 10 to 20
/// bytes for each replica that wrote it. Maps do not nest: an object in a field is a plain value.
///
/// Source: the observed-remove map of Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018); the
/// counter in it is reset by its baselines, so that what is removed does not come back.
///
/// ```
/// use memlife_crdt::{Counter, Hlc, Lattice, Map, ReplicaId, Stamp, Timestamp};
///
/// let (here, there) = (ReplicaId(1), ReplicaId(2));
/// let stamp = Stamp::new(Hlc::new(Timestamp::from_ms(1_000)), here);
/// let mut map = Map::default();
/// map.put(here, 1, stamp, "owner", "agent1")?;
/// map.change::<Counter>("tries", |tries| tries.add(here, 2, 1_000))?;
///
/// let mut copy = map.clone();
/// copy.change::<Counter>("tries", |tries| tries.add(there, 1, 5))?; // concurrent with the removal
/// map.remove(b"tries");
/// let _ = map.join(&copy);
/// assert_eq!(map.get::<Counter>(b"tries").map(Counter::value), Some(5));
/// assert_eq!(map.plain(b"owner").map(|owner| &owner[..]), Some(&b"agent1"[..]));
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub struct Map {
    plain: Elements<Plain>,
    /// By name and kind; never a state that nothing was written to.
    typed: BTreeMap<(Bytes, FieldKind), Field>,
}

/// One write of a plain field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Plain {
    name: Bytes,
    stamp: Stamp,
    value: Bytes,
}

impl Mark for Plain {
    fn element(&self) -> &Bytes {
        &self.name
    }
}

/// What a field holds. Of several kinds under one name the greatest shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKind {
    /// A value; the newest write wins.
    Plain,
    /// A [`Max`].
    Max,
    /// A [`Min`].
    Min,
    /// A [`FlagEw`].
    FlagEw,
    /// A [`FlagDw`].
    FlagDw,
    /// A [`GCounter`].
    GCounter,
    /// A [`Counter`].
    Counter,
    /// An [`OrSet`].
    OrSet,
    /// An [`RwSet`].
    RwSet,
}

/// The state of a field that is not plain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// See [`Max`].
    Max(Max),
    /// See [`Min`].
    Min(Min),
    /// See [`FlagEw`].
    FlagEw(FlagEw),
    /// See [`FlagDw`].
    FlagDw(FlagDw),
    /// See [`GCounter`].
    GCounter(GCounter),
    /// See [`Counter`].
    Counter(Counter),
    /// See [`OrSet`].
    OrSet(OrSet),
    /// See [`RwSet`].
    RwSet(RwSet),
}

/// What a field may be made of.
pub trait FieldType: Resettable + Clone + Default + Eq + Into<Field> {
    /// Which kind it is.
    const KIND: FieldKind;

    /// The state in `field`, if it is of this type.
    fn of(field: &Field) -> Option<&Self>;
}

macro_rules! fields {
    ($($type:ident),*) => {
        $(
            impl From<$type> for Field {
                fn from(state: $type) -> Self {
                    Field::$type(state)
                }
            }

            impl FieldType for $type {
                const KIND: FieldKind = FieldKind::$type;

                fn of(field: &Field) -> Option<&Self> {
                    match field {
                        Field::$type(state) => Some(state),
                        _ => None,
                    }
                }
            }
        )*

        impl Field {
            /// Which kind it is.
            pub fn kind(&self) -> FieldKind {
                match self {
                    $(Field::$type(_) => FieldKind::$type,)*
                }
            }

            fn is_untouched(&self) -> bool {
                match self {
                    $(Field::$type(state) => *state == $type::default(),)*
                }
            }

            /// Joins a state of the same kind; one of another is not this field's.
            fn join(&mut self, other: &Field) -> Changed {
                match (self, other) {
                    $((Field::$type(mine), Field::$type(theirs)) => mine.join(theirs),)*
                    _ => Changed::No,
                }
            }

            fn reset(&mut self) -> Field {
                match self {
                    $(Field::$type(state) => state.reset().into(),)*
                }
            }

            fn is_live(&self) -> bool {
                match self {
                    $(Field::$type(state) => state.is_live(),)*
                }
            }

            fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
                match self {
                    $(Field::$type(state) => state.renew(replica, seq),)*
                }
            }
        }
    };
}

fields!(Max, Min, FlagEw, FlagDw, GCounter, Counter, OrSet, RwSet);

/// What a field shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRef<'a> {
    /// A value.
    Plain(&'a Bytes),
    /// A state of another kind.
    Typed(&'a Field),
}

impl Map {
    /// Writes the plain field `name` for `replica` and returns the delta; `seq` names the replica's presence when it
    /// has none yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the map is unchanged then.
    pub fn put(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        stamp: Stamp,
        name: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Map, Overflow> {
        let plain = Plain { name: name.into(), stamp, value: value.into() };
        Ok(Map { plain: self.plain.write(replica, seq, plain)?, typed: BTreeMap::new() })
    }

    /// Changes the field `name` of type `F`, from nothing if there is none, and returns the delta.
    ///
    /// # Errors
    /// That of `change`; the map is unchanged then.
    pub fn change<F: FieldType>(
        &mut self,
        name: impl Into<Bytes>,
        change: impl FnOnce(&mut F) -> Result<F, Overflow>,
    ) -> Result<Map, Overflow> {
        let at = (name.into(), F::KIND);
        let mut state = self.typed.get(&at).and_then(F::of).cloned().unwrap_or_default();
        let delta = change(&mut state)?;
        if state != F::default() {
            self.typed.insert(at.clone(), state.into());
        }
        let typed = if delta == F::default() { BTreeMap::new() } else { [(at, delta.into())].into() };
        Ok(Map { plain: Elements::default(), typed })
    }

    /// Removes the field `name`, whatever it holds, as far as it was seen here; returns the delta.
    pub fn remove(&mut self, name: &[u8]) -> Map {
        let plain = self.plain.remove(name);
        let named = self.typed.iter_mut().filter(|((other, _), _)| *other == name);
        Map { plain, typed: reset(named) }
    }

    /// The value of the plain field `name`.
    pub fn plain(&self, name: &[u8]) -> Option<&Bytes> {
        self.plain.get(name).max_by_key(|write| (write.stamp, &write.value)).map(|write| &write.value)
    }

    /// The field `name` of type `F`, if it holds anything.
    pub fn get<F: FieldType>(&self, name: &[u8]) -> Option<&F> {
        let at = (Bytes::copy_from_slice(name), F::KIND);
        self.typed.get(&at).and_then(F::of).filter(|state| state.is_live())
    }

    /// What the field `name` shows.
    pub fn field(&self, name: &[u8]) -> Option<FieldRef<'_>> {
        let named = self.typed.iter().filter(|((other, _), field)| *other == name && field.is_live());
        let typed = named.last().map(|(_, field)| FieldRef::Typed(field));
        typed.or_else(|| self.plain(name).map(FieldRef::Plain))
    }

    /// The fields and what they show, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, FieldRef<'_>)> {
        let typed = self.typed.iter().filter(|(_, field)| field.is_live());
        let mut all: BTreeMap<&Bytes, FieldRef<'_>> = self
            .plain
            .iter()
            .filter_map(|(name, _)| Some((name, FieldRef::Plain(self.plain(name)?))))
            .collect();
        all.extend(typed.map(|((name, _), field)| (name, FieldRef::Typed(field))));
        all.into_iter()
    }
}

/// Resets `fields` and returns their deltas.
fn reset<'a>(
    fields: impl Iterator<Item = (&'a (Bytes, FieldKind), &'a mut Field)>,
) -> BTreeMap<(Bytes, FieldKind), Field> {
    let deltas = fields.map(|(at, field)| (at.clone(), field.reset()));
    deltas.filter(|(_, delta)| !delta.is_untouched()).collect()
}

impl FieldRef<'_> {
    /// Which kind it is.
    pub fn kind(&self) -> FieldKind {
        match self {
            FieldRef::Plain(_) => FieldKind::Plain,
            FieldRef::Typed(field) => field.kind(),
        }
    }
}

impl Lattice for Map {
    fn join(&mut self, other: &Self) -> Changed {
        let mut changed = self.plain.join(&other.plain);
        for (at, theirs) in &other.typed {
            changed = changed.or(match self.typed.get_mut(at) {
                Some(mine) => mine.join(theirs),
                None => {
                    self.typed.insert(at.clone(), theirs.clone());
                    Changed::Yes
                }
            });
        }
        changed
    }
}

impl Resettable for Map {
    fn reset(&mut self) -> Self {
        Map { plain: self.plain.clear(), typed: reset(self.typed.iter_mut()) }
    }

    fn is_live(&self) -> bool {
        self.plain.len() > 0 || self.typed.values().any(Field::is_live)
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        let typed = self.typed.values_mut().map(|field| field.renew(replica, seq));
        typed.fold(self.plain.renew(replica, seq), Changed::or)
    }
}

/// The serde form; a field's kind is that of its state.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Map")]
struct Encoded {
    plain: Elements<Plain>,
    typed: Vec<(Bytes, Field)>,
}

impl From<Map> for Encoded {
    fn from(map: Map) -> Self {
        let typed = map.typed.into_iter().map(|((name, _), field)| (name, field)).collect();
        Encoded { plain: map.plain, typed }
    }
}

impl TryFrom<Encoded> for Map {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        let Encoded { plain, typed } = encoded;
        if !pairs::ascend(typed.iter().map(|(name, field)| (name, field.kind()))) {
            return Err("the fields of a map are out of order");
        }
        if typed.iter().any(|(_, field)| field.is_untouched()) {
            return Err("a map has a field that nothing was written to");
        }
        let typed = typed.into_iter().map(|(name, field)| ((name, field.kind()), field)).collect();
        Ok(Map { plain, typed })
    }
}
