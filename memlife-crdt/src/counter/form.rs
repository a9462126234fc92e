//! The serde form of a counter.
//!
//! In formats for machines: the byte 255, the number of rows, and of each row the replica in 8 bytes, a byte that
//! tells which of its seven numbers are not 0, and these. Most rows were never reset and save their baselines.
//!
//! Before that there were plain rows behind their number, whose first byte is never 255 in the one such format in
//! use, bincode's: they are still read. Formats for people have plain rows.

use super::{Counter, Row};
use crate::{ReplicaId, pairs};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const COMPACT: u8 = 255;

/// Plain rows.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Counter")]
struct Plain {
    rows: Vec<(ReplicaId, Row)>,
}

impl Row {
    fn numbers(self) -> [u64; 7] {
        let Row { generation, added, subtracted, added_base, subtracted_base, writes, writes_base } = self;
        [generation, added, subtracted, writes, added_base, subtracted_base, writes_base]
    }

    fn of_numbers(numbers: [u64; 7]) -> Self {
        let [generation, added, subtracted, writes, added_base, subtracted_base, writes_base] = numbers;
        Row { generation, added, subtracted, added_base, subtracted_base, writes, writes_base }
    }
}

/// Which numbers are not 0: a bit for each, the first the lowest.
fn mask_of(numbers: &[u64; 7]) -> u8 {
    numbers.iter().rev().fold(0, |mask, number| mask << 1 | u8::from(*number != 0))
}

impl Serialize for Counter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Plain { rows: self.rows.clone() }.serialize(serializer);
        }
        let numbers = self.rows.iter().map(|(_, row)| mask_of(&row.numbers()).count_ones() as usize);
        let len = 2 + 2 * self.rows.len() + numbers.sum::<usize>();
        let mut tuple = serializer.serialize_tuple(len)?;
        tuple.serialize_element(&COMPACT)?;
        tuple.serialize_element(&(self.rows.len() as u64))?;
        for (replica, row) in &self.rows {
            let numbers = row.numbers();
            tuple.serialize_element(&replica.0.to_le_bytes())?;
            tuple.serialize_element(&mask_of(&numbers))?;
            for number in numbers.iter().filter(|number| **number != 0) {
                tuple.serialize_element(number)?;
            }
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Counter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = if deserializer.is_human_readable() {
            Plain::deserialize(deserializer)?.rows
        } else {
            deserializer.deserialize_tuple(usize::MAX, Rows)?
        };
        if !pairs::ascend(rows.iter().map(|(replica, _)| replica)) {
            return Err(D::Error::custom("the replicas of a counter are out of order"));
        }
        if !rows.iter().all(|(_, row)| row.is_sound()) {
            return Err(D::Error::custom("a counter was reset by more than it held"));
        }
        Ok(Counter { rows })
    }
}

/// Reads the form for machines. It claims memory only for what it has read.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Vec<(ReplicaId, Row)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a counter")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let first: u8 = next(&mut seq)?;
        if first != COMPACT {
            let count = plain_count(first, &mut seq)?;
            return (0..count).map(|_| next(&mut seq)).collect();
        }
        let count: u64 = next(&mut seq)?;
        let mut rows = Vec::new();
        for _ in 0..count {
            rows.push(row(&mut seq)?);
        }
        Ok(rows)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::custom("a counter is cut short"))
}

fn row<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<(ReplicaId, Row), A::Error> {
    let replica = ReplicaId(u64::from_le_bytes(next(seq)?));
    let mask: u8 = next(seq)?;
    let mut numbers = [0; 7];
    for (at, number) in numbers.iter_mut().enumerate() {
        if mask >> at & 1 == 1 {
            *number = next(seq)?;
        }
    }
    if mask_of(&numbers) != mask {
        return Err(A::Error::custom("a counter writes a number that is 0"));
    }
    Ok((replica, Row::of_numbers(numbers)))
}

/// The number of plain rows, whose first byte is read already: small ones are one byte, and others are announced
/// by 251 to 253.
fn plain_count<'de, A: SeqAccess<'de>>(first: u8, seq: &mut A) -> Result<u64, A::Error> {
    Ok(match first {
        ..=250 => first.into(),
        251 => u16::from_le_bytes(next(seq)?).into(),
        252 => u32::from_le_bytes(next(seq)?).into(),
        _ => return Err(A::Error::custom("a counter has more rows than there are replicas")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lattice, Resettable};
    use bincode::config::standard;
    use bincode::serde::{decode_from_slice, encode_to_vec};

    /// Three rows: one plain, one reset, one of a small id that only subtracts.
    fn counter() -> Counter {
        let mut counter = Counter::default();
        let _ = counter.add(ReplicaId(u64::MAX - 1), 70_000, 300);
        counter.reset();
        let _ = counter.add(ReplicaId(u64::MAX - 1), 70_000, 1);
        let mut other = Counter::default();
        let _ = other.add(ReplicaId(0x0123_4567_89ab_cdef), 3, 60_000);
        let _ = other.add(ReplicaId(7), 0, -5);
        let _ = counter.join(&other);
        counter
    }

    fn decode(bytes: &[u8]) -> Option<Counter> {
        let (counter, used) = decode_from_slice(bytes, standard()).ok()?;
        (used == bytes.len()).then_some(counter)
    }

    #[test]
    fn plain_rows_are_still_read() {
        let written = encode_to_vec(Plain { rows: counter().rows }, standard()).unwrap();
        assert_eq!(decode(&written), Some(counter()));
        assert_eq!(decode(&[0]), Some(Counter::default()));
        let mut many = Counter::default();
        for replica in 0..70_000 {
            let mut one = Counter::default();
            let _ = one.add(ReplicaId(replica), 1, 1);
            many.rows.append(&mut one.rows);
            if matches!(replica, 249..=251 | 69_999) {
                let written = encode_to_vec(Plain { rows: many.rows.clone() }, standard()).unwrap();
                assert_eq!(decode(&written), Some(many.clone()), "{replica}");
            }
        }
    }

    #[test]
    fn a_row_takes_what_its_numbers_take() {
        let bytes = encode_to_vec(counter(), standard()).unwrap();
        // 255 and 3; of each row 9 bytes and its numbers.
        let rows = [9 + 1 + 1, 9 + 1 + 3 + 1, 9 + 5 + 3 + 1 + 3 + 1];
        assert_eq!(bytes.len(), 2 + rows.iter().sum::<usize>());
        assert_eq!(decode(&bytes), Some(counter()));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn one_counter_has_one_form() {
        // A number that is written and 0; a bit that stands for none.
        let row = |mask, numbers: &[u8]| [&[255, 1][..], &[1; 8], &[mask], numbers].concat();
        assert!(decode(&row(0b1010, &[5, 1])).is_some());
        assert_eq!(decode(&row(0b1011, &[0, 5, 1])), None);
        assert_eq!(decode(&row(0b1000_1010, &[5, 1])), None);
    }

    #[test]
    fn people_read_plain_rows() {
        let text = serde_json::to_string(&counter()).unwrap();
        assert!(text.contains("\"subtracted\":5"), "{text}");
        assert_eq!(serde_json::from_str::<Counter>(&text).unwrap(), counter());
    }
}
