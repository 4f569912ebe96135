//! A value of the file to the value a setting wants, or the words that say why not.

use super::nearest::{did_you_mean, nearest};
use super::place::Place;
use super::quantity::{Dimension, Flaw};
use super::setting::{Key, Kind};
use super::tree::{Entries, Node, Value, show_text};
use crate::domain::{MilliAmps, MilliVolts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A checked value.
#[derive(Clone, Debug)]
pub(super) enum Typed {
    /// Text, id, word.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// Thousandths or milliseconds.
    Milli(i64),
    /// Several texts.
    Texts(Vec<(String, Place)>),
    /// Free names.
    Open(BTreeMap<String, (String, Place)>),
}

/// Why a value will not do.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// What was found.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// The next step.
    pub suggestion: String,
    /// A place within the value, where that is better.
    pub at: Option<Place>,
}

/// A Rust type that settings are read into.
pub(super) trait FromTyped: Sized {
    /// `None` only where the declaration and the struct disagree.
    fn from_typed(typed: Typed) -> Option<Self>;
}

macro_rules! from_typed {
    ($($type:ty: $pattern:pat => $value:expr;)*) => {$(
        impl FromTyped for $type {
            fn from_typed(typed: Typed) -> Option<Self> {
                match typed { $pattern => $value, _ => None }
            }
        }
    )*};
}

from_typed! {
    String: Typed::Text(text) => Some(text);
    PathBuf: Typed::Text(text) => Some(Self::from(text));
    bool: Typed::Bool(value) => Some(value);
    i64: Typed::Int(value) => Some(value);
    u8: Typed::Int(value) => Self::try_from(value).ok();
    u16: Typed::Int(value) => Self::try_from(value).ok();
    u32: Typed::Int(value) => Self::try_from(value).ok();
    u64: Typed::Milli(value) => Some(value.unsigned_abs());
    Duration: Typed::Milli(value) => Some(Self::from_millis(value.unsigned_abs()));
    MilliAmps: Typed::Milli(value) => Some(Self(value));
    MilliVolts: Typed::Milli(value) => Some(Self(value));
    Vec<(String, Place)>: Typed::Texts(texts) => Some(texts);
    BTreeMap<String, (String, Place)>: Typed::Open(names) => Some(names);
}

/// The dimension of settings that have one.
pub(super) fn dimension(kind: Kind) -> Option<Dimension> {
    match kind {
        Kind::Time { .. } => Some(Dimension::Time),
        Kind::Current { .. } => Some(Dimension::Current),
        Kind::Voltage { .. } => Some(Dimension::Voltage),
        Kind::Data { .. } => Some(Dimension::Data),
        _ => None,
    }
}

/// What a setting takes, for a person.
pub(super) fn expectation(kind: Kind) -> String {
    let quantity = |what: &str, dimension: Dimension, min: i64, max: i64, zero: Option<&str>| {
        let zero = zero.map_or(String::new(), |meaning| format!(", or 0: {meaning}"));
        format!(
            "{what} from {} to {} with its unit{zero}",
            dimension.show(min),
            dimension.show(max)
        )
    };
    match kind {
        Kind::Text { max } => format!("a text of 1 to {max} characters"),
        Kind::Id => "1 to 36 characters of A-Z a-z 0-9 _ -".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
        Kind::OneOfInt(choices) => format!("one of {}", join(choices)),
        Kind::OneOf(choices) => {
            format!(
                "one of {}",
                choices
                    .iter()
                    .map(|word| format!("\"{word}\""))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Kind::Time { min, max, zero } => quantity("a time", Dimension::Time, min, max, zero),
        Kind::Current { min, max, zero } => quantity("a current", Dimension::Current, min, max, zero),
        Kind::Voltage { min, max } => quantity("a voltage", Dimension::Voltage, min, max, None),
        Kind::Data { min, max } => quantity("an amount of data", Dimension::Data, min, max, None),
        Kind::Path => "a path in quotes".to_owned(),
        Kind::Secret => "a text in quotes".to_owned(),
        Kind::Texts => "a list of texts in quotes".to_owned(),
        Kind::Open => "a table of names with a text, a whole number, true or false".to_owned(),
    }
}

fn join(numbers: &[i64]) -> String {
    numbers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Reads a value. `unit` is the unit that the key's name carries.
pub(super) fn read(key: &Key, node: &Node, unit: Option<&str>) -> Result<Typed, Refusal> {
    match key.kind {
        Kind::Text { max } => text(key, node).and_then(|found| limited(key, found, max)),
        Kind::Id => text(key, node).and_then(|found| id(key, found)),
        Kind::Path => text(key, node).and_then(|found| limited(key, found, 4096)),
        Kind::Secret => secret(key, node),
        Kind::OneOf(choices) => text(key, node).and_then(|found| word(key, found, choices)),
        Kind::Bool => boolean(key, node),
        Kind::Int { min, max } => whole(key, node).and_then(|found| {
            if (min..=max).contains(&found) {
                return Ok(Typed::Int(found));
            }
            let nearest = if found < min { min } else { max };
            Err(refuse(
                key,
                format!("{found} is out of range"),
                format!("the nearest valid value is {nearest}"),
            ))
        }),
        Kind::OneOfInt(choices) => whole(key, node).and_then(|found| number_of(key, found, choices)),
        Kind::Time { min, max, zero } => {
            quantity(key, node, unit, Dimension::Time, (min, max), zero.is_some())
        }
        Kind::Current { min, max, zero } => {
            quantity(key, node, unit, Dimension::Current, (min, max), zero.is_some())
        }
        Kind::Voltage { min, max } => quantity(key, node, unit, Dimension::Voltage, (min, max), false),
        Kind::Data { min, max } => quantity(key, node, unit, Dimension::Data, (min, max), false),
        Kind::Texts => texts(key, node),
        Kind::Open => match &node.value {
            Value::Table(entries) => open(key, entries),
            _ => Err(wrong_type(key, node)),
        },
    }
}

fn refuse(key: &Key, problem: String, suggestion: String) -> Refusal {
    Refusal {
        problem,
        expected: expectation(key.kind),
        suggestion,
        at: None,
    }
}

fn wrong_type(key: &Key, node: &Node) -> Refusal {
    let problem = match &node.value {
        Value::Text(_) | Value::Raw(_) => format!("the text {} is not what belongs here", node.show()),
        Value::Table(_) | Value::List(_) => format!("{} is not what belongs here", node.show()),
        _ => format!("{} is of the wrong type", node.show()),
    };
    refuse(key, problem, format!("write {} = {}", key.name, key.example))
}

fn text(key: &Key, node: &Node) -> Result<String, Refusal> {
    match &node.value {
        Value::Text(text) | Value::Raw(text) => Ok(text.clone()),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_) => {
            let shown = node.show();
            Err(refuse(
                key,
                format!("{shown} is not in quotes"),
                format!("did you mean {} = \"{shown}\"", key.name),
            ))
        }
        Value::List(_) | Value::Table(_) => Err(wrong_type(key, node)),
    }
}

fn limited(key: &Key, found: String, max: usize) -> Result<Typed, Refusal> {
    let count = found.chars().count();
    if found.trim().is_empty() {
        return Err(refuse(
            key,
            "is empty".to_owned(),
            format!("write {} = {}", key.name, key.example),
        ));
    }
    if count > max {
        let cut: String = found.chars().take(max).collect();
        return Err(refuse(
            key,
            format!("{count} characters are too many"),
            format!("shorten it, for example to {}", show_text(cut.trim_end())),
        ));
    }
    if let Some(control) = found.chars().find(|letter| letter.is_control()) {
        return Err(refuse(
            key,
            format!("contains the control character {}", control.escape_unicode()),
            "remove it".to_owned(),
        ));
    }
    Ok(Typed::Text(found))
}

fn id(key: &Key, found: String) -> Result<Typed, Refusal> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if (1..=36).contains(&found.len()) && found.chars().all(fits) {
        return Ok(Typed::Text(found));
    }
    let cleaned: String = found
        .trim()
        .chars()
        .map(|letter| if fits(letter) { letter } else { '-' })
        .take(36)
        .collect();
    let suggestion = if cleaned.chars().any(|letter| letter.is_ascii_alphanumeric()) {
        format!("did you mean '{cleaned}'")
    } else {
        format!("write {} = {}", key.name, key.example)
    };
    let problem = match found.chars().find(|letter| !fits(*letter)) {
        _ if found.is_empty() => "is empty".to_owned(),
        Some(letter) => format!("{} contains '{}'", show_text(&found), letter.escape_debug()),
        None => format!("{} characters are too many", found.chars().count()),
    };
    Err(refuse(key, problem, suggestion))
}

/// A secret's value is never repeated, whatever is wrong with it.
fn secret(key: &Key, node: &Node) -> Result<Typed, Refusal> {
    match &node.value {
        Value::Text(text) | Value::Raw(text) if !text.is_empty() => Ok(Typed::Text(text.clone())),
        Value::Text(_) | Value::Raw(_) => Err(refuse(
            key,
            "is empty".to_owned(),
            format!("write {}_file = \"/path\"", key.name),
        )),
        _ => Err(refuse(
            key,
            "is not in quotes".to_owned(),
            "put the value in quotes".to_owned(),
        )),
    }
}

fn word(key: &Key, found: String, choices: &'static [&'static str]) -> Result<Typed, Refusal> {
    if choices.contains(&found.as_str()) {
        return Ok(Typed::Text(found));
    }
    let suggestion = did_you_mean(&found, choices.iter().copied(), || {
        format!("write {} = {}", key.name, key.example)
    });
    Err(refuse(
        key,
        format!("{} is not known", show_text(&found)),
        suggestion,
    ))
}

fn boolean(key: &Key, node: &Node) -> Result<Typed, Refusal> {
    match &node.value {
        Value::Bool(value) => Ok(Typed::Bool(*value)),
        Value::Raw(text) if text == "true" => Ok(Typed::Bool(true)),
        Value::Raw(text) if text == "false" => Ok(Typed::Bool(false)),
        other => {
            let meant = match other {
                Value::Int(Some(0)) => Some(false),
                Value::Int(Some(1)) => Some(true),
                Value::Text(text) | Value::Raw(text) => match text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" | "1" => Some(true),
                    "false" | "no" | "off" | "0" => Some(false),
                    _ => None,
                },
                _ => None,
            };
            let suggestion = meant.map_or_else(
                || format!("write {} = {}", key.name, key.example),
                |value| format!("did you mean {} = {value}", key.name),
            );
            Err(refuse(
                key,
                format!("{} is not a truth value", node.show()),
                suggestion,
            ))
        }
    }
}

fn whole(key: &Key, node: &Node) -> Result<i64, Refusal> {
    match &node.value {
        Value::Int(Some(number)) => Ok(*number),
        Value::Raw(text) if text.trim().parse::<i64>().is_ok() => Ok(text.trim().parse().unwrap_or_default()),
        Value::Text(text) => Err(match text.trim().parse::<i64>() {
            Ok(number) => refuse(
                key,
                format!("{} is a text", node.show()),
                format!("did you mean {} = {number}, without quotes", key.name),
            ),
            Err(_) => wrong_type(key, node),
        }),
        Value::Float(text) => {
            let cut = text.split('.').next().unwrap_or("0");
            Err(refuse(
                key,
                format!("{text} is not whole"),
                format!("did you mean {} = {cut}", key.name),
            ))
        }
        _ => Err(wrong_type(key, node)),
    }
}

fn number_of(key: &Key, found: i64, choices: &[i64]) -> Result<Typed, Refusal> {
    if choices.contains(&found) {
        return Ok(Typed::Int(found));
    }
    let near = choices
        .iter()
        .min_by_key(|choice| choice.abs_diff(found))
        .copied()
        .unwrap_or(0);
    Err(refuse(
        key,
        format!("{found} is not possible"),
        format!("did you mean {near}"),
    ))
}

fn quantity(
    key: &Key,
    node: &Node,
    unit: Option<&str>,
    dimension: Dimension,
    (min, max): (i64, i64),
    zero: bool,
) -> Result<Typed, Refusal> {
    let written = match (&node.value, unit) {
        (Value::Text(text) | Value::Raw(text), None) => text.clone(),
        (Value::Int(Some(number)), None) => number.to_string(),
        (Value::Float(number), None) => number.clone(),
        (Value::Int(Some(number)), Some(unit)) => format!("{number}{unit}"),
        (Value::Float(number) | Value::Raw(number), Some(unit)) => format!("{number}{unit}"),
        _ => return Err(wrong_type(key, node)),
    };
    let milli = dimension
        .parse(&written)
        .map_err(|flaw| unreadable(key, dimension, &written, flaw))?;
    if (min..=max).contains(&milli) || (milli == 0 && zero) {
        return Ok(Typed::Milli(milli));
    }
    let (side, bound) = if milli < min {
        ("too small", min)
    } else {
        ("too large", max)
    };
    Err(refuse(
        key,
        format!("{} is {side}", dimension.show(milli)),
        format!("the nearest valid value is \"{}\"", dimension.show(bound)),
    ))
}

fn unreadable(key: &Key, dimension: Dimension, written: &str, flaw: Flaw) -> Refusal {
    let name = key.name;
    match flaw {
        Flaw::NoUnit => {
            let units: &[&str] = match dimension {
                Dimension::Time => &["ms", "s"],
                Dimension::Current | Dimension::Voltage | Dimension::Data => &[dimension.usual()],
            };
            let options: Vec<String> = units
                .iter()
                .map(|unit| format!("{name} = \"{}{unit}\"", written.trim()))
                .collect();
            refuse(
                key,
                format!("{written} has no unit"),
                format!("write {}", options.join(" or ")),
            )
        }
        Flaw::Unit(unit) => {
            let shown: String = unit.chars().take(20).collect();
            let number = written.trim().trim_end_matches(unit.as_str()).trim();
            let suggestion = meant_unit(dimension, &unit).map_or_else(
                || format!("write {name} = {}", key.example),
                |unit| format!("did you mean \"{number}{unit}\""),
            );
            refuse(
                key,
                format!("'{shown}' is not a unit of it ({})", dimension.unit_names()),
                suggestion,
            )
        }
        Flaw::Comma => {
            let dotted = written.trim().replace(',', ".");
            refuse(
                key,
                format!("{} has a decimal comma", show_text(written)),
                format!("did you mean \"{dotted}\""),
            )
        }
        Flaw::Number => refuse(
            key,
            format!("{} has no number", show_text(written)),
            format!("write {name} = {}", key.example),
        ),
        Flaw::Range => refuse(
            key,
            format!("{} is too fine or too large to be counted", show_text(written)),
            format!("write {name} = {}", key.example),
        ),
    }
}

/// The unit behind a word for it.
fn meant_unit(dimension: Dimension, word: &str) -> Option<&'static str> {
    let words: &[(&str, &str)] = match dimension {
        Dimension::Time => &[
            ("millis", "ms"),
            ("msec", "ms"),
            ("milliseconds", "ms"),
            ("sec", "s"),
            ("seconds", "s"),
            ("m", "min"),
            ("mins", "min"),
            ("minutes", "min"),
            ("hr", "h"),
            ("hours", "h"),
            ("day", "d"),
            ("days", "d"),
        ],
        Dimension::Current => &[
            ("amp", "A"),
            ("amps", "A"),
            ("ampere", "A"),
            ("milliampere", "mA"),
        ],
        Dimension::Voltage => &[("volt", "V"), ("volts", "V")],
        Dimension::Data => &[
            ("mb", "MB"),
            ("Mb", "MB"),
            ("MByte", "MB"),
            ("megabytes", "MB"),
            ("M", "MB"),
            ("gb", "GB"),
            ("GByte", "GB"),
            ("gigabytes", "GB"),
            ("G", "GB"),
            ("KB", "kB"),
            ("kilobytes", "kB"),
            ("bytes", "B"),
        ],
    };
    let near = nearest(word, words.iter().map(|(word, _)| *word))?;
    words
        .iter()
        .find(|(word, _)| *word == near)
        .map(|(_, unit)| *unit)
}

fn texts(key: &Key, node: &Node) -> Result<Typed, Refusal> {
    let items = match &node.value {
        Value::List(items) => items,
        Value::Raw(text) => {
            let split = text
                .split(',')
                .map(|item| (item.trim().to_owned(), node.at))
                .collect();
            return Ok(Typed::Texts(split));
        }
        Value::Text(text) => {
            let suggestion = format!("did you mean {} = [{}]", key.name, show_text(text));
            return Err(refuse(key, "is not a list".to_owned(), suggestion));
        }
        _ => return Err(wrong_type(key, node)),
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let Value::Text(text) = &item.value else {
            return Err(Refusal {
                at: Some(item.at),
                ..wrong_type(key, item)
            });
        };
        found.push((text.clone(), item.at));
    }
    Ok(Typed::Texts(found))
}

/// Names with plain values as text; `A.B = 1`, written without quotes, is a table in a table and means the same.
fn open(key: &Key, entries: &Entries) -> Result<Typed, Refusal> {
    let mut found = BTreeMap::new();
    for (name, entry) in entries {
        let value = match &entry.node.value {
            Value::Text(text) | Value::Raw(text) => text.clone(),
            Value::Int(Some(number)) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Float(text) => text.clone(),
            Value::Table(inner) => {
                let Typed::Open(inner) = open(key, inner)? else {
                    continue;
                };
                found.extend(
                    inner
                        .into_iter()
                        .map(|(below, value)| (format!("{name}.{below}"), value)),
                );
                continue;
            }
            _ => {
                let problem = format!("{name} is {}", entry.node.show());
                let suggestion = format!("write {name} = \"...\"");
                return Err(Refusal {
                    at: Some(entry.node.at),
                    ..refuse(key, problem, suggestion)
                });
            }
        };
        found.insert(name.clone(), (value, entry.node.at));
    }
    Ok(Typed::Open(found))
}
