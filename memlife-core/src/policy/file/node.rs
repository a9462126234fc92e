//! The only code that knows the YAML library: a document as a tree that remembers its lines.

use crate::{Error, ErrorKind, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// A policy file is a list of flat mappings in a mapping: three levels.
const MAX_DEPTH: usize = 8;
/// How much of the YAML library's messages is repeated.
const MAX_MESSAGE_CHARS: usize = 200;

/// A value and the line it begins on, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In order, repeated keys kept.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) node: Node,
}

impl Node {
    /// Reads one YAML document without anchors, aliases, merge keys and tags of its own.
    pub(super) fn parse(text: &str, source: &str) -> Result<Node> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_aliases: 0,
                max_anchors: 0,
                max_documents: 1,
                max_merge_keys: 0,
            },
            merge_keys: MergeKeyPolicy::Error,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error, source))
    }

    /// What it is, in words, for messages.
    pub(super) fn described(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) => format!("the text {:?}", shortened(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// At most 60 characters of `text`: messages do not repeat what a hostile file holds.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An `Invalid` error that names the place in the file.
pub(super) fn problem(source: &str, line: u32, message: impl fmt::Display) -> Error {
    let place = if line == 0 { source.to_owned() } else { format!("{source}:{line}") };
    Error::new(ErrorKind::Invalid, format!("{place}: {message}"))
}

fn explain(error: &serde_saphyr::Error, source: &str) -> Error {
    use serde_saphyr::Error as Yaml;
    let error = error.without_snippet();
    let line = error.location().map_or(0, line_of);
    let message = match error {
        Yaml::Budget { breach, .. } => budget_message(breach).to_owned(),
        Yaml::UnknownAnchor { .. } => NO_ALIASES.to_owned(),
        Yaml::MergeKeyNotAllowed { .. } => "merge keys (`<<`) are not allowed: write the keys out".into(),
        Yaml::MultipleDocuments { .. } => ONE_DOCUMENT.to_owned(),
        Yaml::NonFiniteFloat { value, .. } => {
            format!("{:?} is not a number that can be used", shortened(value))
        }
        Yaml::NullIntoString { .. } => "a key is empty: give it a name".into(),
        other => syntax_message(other),
    };
    problem(source, line, message)
}

const NO_ALIASES: &str = "anchors and aliases (`&name`, `*name`) are not allowed: write the value out, and put a \
    pattern that begins with `*` in quotes";
const ONE_DOCUMENT: &str = "the file holds more than one YAML document: keep one";

fn budget_message(breach: &serde_saphyr::budget::BudgetBreach) -> &'static str {
    use serde_saphyr::budget::BudgetBreach;
    match breach {
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => NO_ALIASES,
        BudgetBreach::Documents { .. } => ONE_DOCUMENT,
        BudgetBreach::Depth { .. } => "the file is nested too deeply: policies are lists of flat rules",
        _ => "the file holds too much: policies are lists of flat rules",
    }
}

fn syntax_message(error: &serde_saphyr::Error) -> String {
    let rendered = error.render();
    let first_line = rendered.lines().next().unwrap_or_default();
    // The parser stops at a `*` that is no alias either; who wrote it meant a pattern.
    if first_line.contains("anchor or alias") {
        return NO_ALIASES.to_owned();
    }
    // The place is named already.
    let what = first_line.split(" at line ").next().unwrap_or(first_line);
    let end = what.char_indices().nth(MAX_MESSAGE_CHARS).map_or(what.len(), |(end, _)| end);
    format!("this is not valid YAML: {}", &what[..end])
}

fn line_of(location: Location) -> u32 {
    u32::try_from(location.line()).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { line: line_of(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let line = line_of(key.referenced);
            map.push(Entry { key: key.value, line, node: entries.next_value()? });
        }
        Ok(Value::Map(map))
    }
}
