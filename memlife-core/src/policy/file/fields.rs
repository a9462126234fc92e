use super::node::{Entry, Node, Value, problem, shortened};
use crate::{Error, Result, Ttl};

/// The keys of one mapping, taken one by one.
pub(super) struct Fields<'a> {
    source: &'a str,
    /// What the mapping is, for messages: `a rule`.
    what: &'static str,
    pub(super) line: u32,
    entries: &'a [Entry],
}

/// The value under one key.
pub(super) struct Field<'a> {
    source: &'a str,
    key: &'static str,
    pub(super) line: u32,
    node: &'a Node,
}

impl<'a> Fields<'a> {
    /// The keys of `node`, all of which are in `known`, none twice.
    pub(super) fn new(source: &'a str, what: &'static str, node: &'a Node, known: &[&str]) -> Result<Self> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                let message = format!("{what} is a mapping of keys to values; found {}", node.described());
                return Err(problem(source, node.line, message));
            }
        };
        for (at, entry) in entries.iter().enumerate() {
            if !known.contains(&entry.key.as_str()) {
                return Err(problem(source, entry.line, unknown_key(&entry.key, what, known)));
            }
            if let Some(first) = entries[..at].iter().find(|earlier| earlier.key == entry.key) {
                let message = format!("`{}` stands here and on line {}: keep one", entry.key, first.line);
                return Err(problem(source, entry.line, message));
            }
        }
        Ok(Fields { source, what, line: node.line, entries })
    }

    /// The value under `key`, where it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { source: self.source, key, line: entry.line, node: &entry.node })
    }

    /// The value under `key`.
    pub(super) fn required(&self, key: &'static str) -> Result<Field<'a>> {
        self.get(key).ok_or_else(|| self.problem(format!("{} has no `{key}`: add it", self.what)))
    }

    /// An error about the mapping as a whole.
    pub(super) fn problem(&self, message: String) -> Error {
        problem(self.source, self.line, message)
    }
}

impl<'a> Field<'a> {
    /// An error about this value.
    pub(super) fn problem(&self, message: impl AsRef<str>) -> Error {
        problem(self.source, self.line, format!("`{}` {}", self.key, message.as_ref()))
    }

    /// The YAML itself.
    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    fn wrong_type(&self, wanted: &str) -> Error {
        self.problem(format!("takes {wanted}; found {}", self.node.described()))
    }

    /// True or false.
    pub(super) fn bool(&self) -> Result<bool> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&'a str> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Null => {
                Err(self.wrong_type("a text: put it in quotes"))
            }
            _ => Err(self.wrong_type("a text")),
        }
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, range: std::ops::RangeInclusive<u32>) -> Result<u32> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match self.node.value {
            Value::Integer(value) => match u32::try_from(value) {
                Ok(value) if range.contains(&value) => Ok(value),
                _ => Err(self.wrong_type(&wanted)),
            },
            _ => Err(self.wrong_type(&wanted)),
        }
    }

    /// A number of percent from 0 to 100, as `10` or `10%`.
    pub(super) fn percent(&self) -> Result<u8> {
        let number = match &self.node.value {
            Value::Integer(value) => u8::try_from(*value).ok(),
            Value::Text(text) => text.strip_suffix('%').and_then(|digits| digits.trim().parse().ok()),
            _ => None,
        };
        number
            .filter(|percent| *percent <= 100)
            .ok_or_else(|| self.wrong_type("a whole number of percent from 0 to 100"))
    }

    /// A number of seconds; 0 is permanent.
    pub(super) fn seconds(&self) -> Result<Option<Ttl>> {
        match self.node.value {
            Value::Integer(0) => Ok(None),
            Value::Integer(value) if value > 0 => {
                let ttl = Ttl::from_secs(u64::try_from(value).unwrap_or(u64::MAX));
                ttl.map(Some).map_err(|error| self.problem(format!("is out of range: {}", error.message())))
            }
            _ => Err(self.wrong_type("a whole number of seconds, 0 for permanent")),
        }
    }

    /// A duration such as `10m`; a bare number is seconds.
    pub(super) fn duration(&self) -> Result<Ttl> {
        let text = match &self.node.value {
            Value::Text(text) => shortened(text),
            Value::Integer(seconds) => seconds.to_string(),
            _ => return Err(self.wrong_type("a duration such as 90s, 10m or 7d")),
        };
        text.parse().map_err(|error: Error| self.problem(format!("is not usable: {}", error.message())))
    }

    /// A duration, or `permanent`.
    pub(super) fn duration_or_permanent(&self) -> Result<Option<Ttl>> {
        match &self.node.value {
            Value::Text(text) if text == "permanent" => Ok(None),
            _ => self.duration().map(Some),
        }
    }

    /// One of the names in `choices`.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let name = self.text()?;
        let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(name));
        found.map(|&(_, value)| value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|&(choice, _)| choice).collect();
            self.unknown_name(name, &names)
        })
    }

    /// An error that lists the names that are allowed.
    pub(super) fn unknown_name(&self, name: &str, names: &[&str]) -> Error {
        self.problem(format!("is one of {}; found {:?}", names.join(", "), shortened(name)))
    }
}

fn unknown_key(key: &str, what: &str, known: &[&str]) -> String {
    let shown = shortened(key);
    match closest(key, known) {
        Some(suggestion) => format!("{what} has no key `{shown}`: did you mean `{suggestion}`?"),
        None => format!("{what} has no key `{shown}`: the keys are {}", known.join(", ")),
    }
}

/// The known key that `key` most likely stands for.
fn closest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() > 64 {
        return None;
    }
    let key = key.to_ascii_lowercase().replace(['-', ' '], "_");
    let within =
        known.iter().filter(|known| key.len() >= 3 && (known.contains(&*key) || key.contains(**known)));
    if let Some(part) = within.min_by_key(|known| known.len().abs_diff(key.len())) {
        return Some(part);
    }
    let (distance, best) = known.iter().map(|known| (edits(&key, known), *known)).min()?;
    (distance <= best.len().div_ceil(3)).then_some(best)
}

/// How many characters to insert, drop or replace to make one text the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, character) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
