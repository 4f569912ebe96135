//! The parsed text as a tree that remembers where everything stood, and how several texts become one.

use super::issue::{Issues, Told};
use super::place::Place;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table's content.
pub(super) type Entries = BTreeMap<String, Entry>;

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where the key stands.
    pub key_at: Place,
    /// The value.
    pub node: Node,
}

/// A value with its place. A table's place is its header.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it stands.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What TOML can say, plus text from the environment whose type only the key knows.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// An integer; `None` does not fit 64 bits.
    Int(Option<i64>),
    /// A float, as written.
    Float(String),
    /// A truth value.
    Bool(bool),
    /// A date or time, as written.
    Date(String),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Entries),
    /// From the environment.
    Raw(String),
}

impl Node {
    /// An empty table.
    pub fn empty(at: Place) -> Self {
        Self {
            at,
            value: Value::Table(Entries::new()),
        }
    }

    /// Takes over a parsed document.
    pub fn from_toml(source: usize, table: &Spanned<DeTable<'_>>) -> Self {
        let at = Place {
            source,
            start: 0,
            end: 0,
        };
        Self {
            at,
            value: Value::Table(entries(source, table.get_ref())),
        }
    }

    /// The value for a person, in few words.
    pub fn show(&self) -> String {
        match &self.value {
            Value::Text(text) | Value::Raw(text) => show_text(text),
            Value::Int(Some(number)) => number.to_string(),
            Value::Int(None) => "a number of more than 64 bits".to_owned(),
            Value::Float(text) | Value::Date(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// Lays another document over this one: tables merge, everything else is replaced.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Table(below), Value::Table(above)) => {
                for (key, entry) in above {
                    match below.get_mut(&key) {
                        Some(there) => there.node.merge(entry.node),
                        None => {
                            below.insert(key, entry);
                        }
                    }
                }
            }
            (_, value) => {
                self.at = over.at;
                self.value = value;
            }
        }
    }

    /// Sets the value that an environment variable's path names. List elements are named by their index.
    pub fn set(&mut self, path: &[&str], key_at: Place, node: Self, found: &mut Issues) {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        match &mut self.value {
            Value::Table(entries) => {
                let key = entries
                    .keys()
                    .find(|key| key.eq_ignore_ascii_case(first))
                    .cloned()
                    .unwrap_or_else(|| spelled(first));
                let entry = entries.entry(key).or_insert_with(|| Entry {
                    key_at,
                    node: Self::empty(key_at),
                });
                if !rest.is_empty() && !matches!(entry.node.value, Value::Table(_) | Value::List(_)) {
                    entry.node = Self::empty(key_at);
                }
                entry.key_at = if rest.is_empty() { key_at } else { entry.key_at };
                entry.node.set(rest, key_at, node, found);
            }
            Value::List(items) => {
                let count = items.len();
                match first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    Some(item) => item.set(rest, key_at, node, found),
                    None => found.error(
                        key_at,
                        Told::new(
                            path.join("__").to_ascii_lowercase(),
                            format!("'{first}' names no element of a list of {count}"),
                            format!("an index below {count}"),
                            "write the index of an element that the files declare, the first is 0",
                        ),
                    ),
                }
            }
            _ => *self = node,
        }
    }
}

/// Environment variables are usual in capitals, keys in small letters; mixed case is kept as it is.
fn spelled(segment: &str) -> String {
    if segment.contains(|letter: char| letter.is_ascii_lowercase()) {
        segment.to_owned()
    } else {
        segment.to_ascii_lowercase()
    }
}

/// A text in quotes, cut to a length that fits a line.
pub(super) fn show_text(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().count() > 40 {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

fn entries(source: usize, table: &DeTable<'_>) -> Entries {
    table
        .iter()
        .map(|(key, value)| {
            let key_at = place(source, key.span());
            (
                key.get_ref().to_string(),
                Entry {
                    key_at,
                    node: node(source, value),
                },
            )
        })
        .collect()
}

fn node(source: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let at = place(source, value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Int(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(source, item)).collect()),
        DeValue::Table(table) => Value::Table(entries(source, table)),
    };
    Node { at, value }
}

fn place(source: usize, span: std::ops::Range<usize>) -> Place {
    Place {
        source,
        start: span.start,
        end: span.end,
    }
}
