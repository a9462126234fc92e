use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;

/// A number as JSON has them: an integer of 64 bits or a finite double, in the order of their values.
///
/// One value is one number: a double that is a whole number in the range of integers is that integer, and `-0.0` is
/// 0. So two replicas that got 1 and 1.0 hold the same.
///
/// ```
/// use memlife_crdt::Number;
///
/// assert_eq!(Number::from_f64(2.0), Some(Number::from(2)));
/// assert!(Number::from(i64::MAX) < Number::from_f64(9.3e18).unwrap());
/// assert_eq!(Number::from_f64(f64::NAN), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(Form);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Form {
    Integer(i64),
    /// Finite, and no integer of 64 bits.
    Double(f64),
}

/// 2^63: the first double above every integer of 64 bits.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    /// `value` as a number; `None` for infinities and what is no number.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        if value.fract() == 0.0 && (-BEYOND..BEYOND).contains(&value) {
            // Exact: a whole number in the range of the type.
            return Some(Number(Form::Integer(value as i64)));
        }
        Some(Number(Form::Double(value)))
    }

    /// The integer, where it is one.
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Form::Integer(value) => Some(value),
            Form::Double(_) => None,
        }
    }

    /// The nearest double.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Form::Integer(value) => value as f64,
            Form::Double(value) => value,
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Number(Form::Integer(value))
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Form::Integer(mine), Form::Integer(theirs)) => mine.cmp(&theirs),
            (Form::Double(mine), Form::Double(theirs)) => mine.total_cmp(&theirs),
            (Form::Integer(mine), Form::Double(theirs)) => compare(mine, theirs),
            (Form::Double(mine), Form::Integer(theirs)) => compare(theirs, mine).reverse(),
        }
    }
}

/// Exactly: a double as near to an integer as doubles get is not taken for it.
fn compare(integer: i64, double: f64) -> Ordering {
    if double >= BEYOND {
        return Ordering::Less;
    }
    if double < -BEYOND {
        return Ordering::Greater;
    }
    let whole = double.floor();
    integer.cmp(&(whole as i64)).then(if double > whole { Ordering::Less } else { Ordering::Equal })
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Integer(value) => value.fmt(f),
            Form::Double(value) => value.fmt(f),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let number = match form {
            Form::Integer(value) => Some(Number::from(value)),
            Form::Double(value) => Number::from_f64(value),
        };
        let is_its_form = |number: &Number| number.0 == form;
        number.filter(is_its_form).ok_or_else(|| serde::de::Error::custom("a number is not in its one form"))
    }
}
