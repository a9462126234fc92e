use serde_json::json;

/// The bytes of a small value's text; the value around it makes some 50 more.
pub const SMALL: usize = 200;
/// The same of a large one, which is above every compression threshold.
pub const LARGE: usize = 8192;

/// One entry to be.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
}

/// `count` small entries, spread over 97 namespaces: an agent's session facts, which live for an hour.
pub fn small(count: usize) -> Vec<Item> {
    under("session", "k", count, SMALL)
}

/// As [`small`], each value a text of [`SMALL`] bytes as JSON and nothing around it.
pub fn exact(count: usize) -> Vec<Item> {
    let texts = under("session", "k", count, SMALL - 2);
    texts.into_iter().map(|item| Item { value: item.value["notes"].clone(), ..item }).collect()
}

/// As [`small`], the whole value of some [`SMALL`] bytes as JSON.
pub fn objects(count: usize) -> Vec<Item> {
    under("session", "k", count, SMALL - 50)
}

/// `count` large entries in one namespace.
pub fn large(count: usize) -> Vec<Item> {
    let mut random = Random::new(11);
    (0..count).map(|at| Item { key: large_key(at), value: value_of(&mut random, LARGE) }).collect()
}

/// The key of the large entry number `at`.
pub fn large_key(at: usize) -> String {
    format!("swarm/shared/large{at}")
}

/// `count` small entries of the sort that is cleaned up.
pub fn coordination(count: usize) -> Vec<Item> {
    under("coordination", "e", count, SMALL)
}

/// `count` entries with texts of `bytes`, spread over 97 namespaces.
pub fn under(first_segment: &str, letter: &str, count: usize, bytes: usize) -> Vec<Item> {
    let mut random = Random::new(7);
    (0..count)
        .map(|at| Item {
            key: format!("{first_segment}/agent{}/{letter}{at}", at % 97),
            value: value_of(&mut random, bytes),
        })
        .collect()
}

const WORDS: [&str; 14] = [
    "agent", "task", "status", "running", "plan", "review", "merge", "build", "test", "deploy", "cache",
    "index", "shard", "queue",
];

/// A value as the Python benchmark makes it: words with numbers, `bytes` long.
pub fn value_of(random: &mut Random, bytes: usize) -> serde_json::Value {
    let mut notes = String::with_capacity(bytes + 16);
    while notes.len() < bytes {
        if !notes.is_empty() {
            notes.push(' ');
        }
        notes.push_str(WORDS[random.below(WORDS.len())]);
        notes.push_str(&random.below(1000).to_string());
    }
    notes.truncate(bytes);
    json!({ "task": random.below(1_000_000), "status": "running", "notes": notes })
}

/// Numbers that are the same in every run: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is small enough for the bias to be none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Brings `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
