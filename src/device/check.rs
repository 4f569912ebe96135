//! Structure: the file is held against its JSON Schema, so that every wrong key, type and word is found at once
//! (serde would stop at the first). The schema comes from the types in `file`; nothing is said twice.

use super::error::{Path, Problems, nearest};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reports everything in the table that the schema does not allow.
pub(super) fn structure(schema: &Value, root: &Spanned<DeTable<'_>>, problems: &mut Problems<'_>) {
    let checker = Checker { root: schema };
    checker.table(
        schema,
        root.get_ref(),
        root.span().start,
        &Path::default(),
        problems,
    );
}

struct Checker<'s> {
    root: &'s Value,
}

impl<'s> Checker<'s> {
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self
                .root
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or(schema),
            None => schema,
        }
    }

    /// The alternatives of a schema, without "absent".
    fn branches(&self, schema: &'s Value) -> Vec<&'s Value> {
        let schema = self.resolve(schema);
        match schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array)
        {
            Some(list) => list
                .iter()
                .flat_map(|branch| self.branches(branch))
                .filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null"))
                .collect(),
            None => vec![schema],
        }
    }

    fn value(
        &self,
        schema: &'s Value,
        value: &Spanned<DeValue<'_>>,
        path: &Path,
        problems: &mut Problems<'_>,
    ) {
        let branches = self.branches(schema);
        let fitting: Vec<&Value> = branches
            .iter()
            .copied()
            .filter(|branch| accepts_kind(branch, value.get_ref()))
            .collect();
        let offset = value.span().start;
        let words: Vec<&str> = branches.iter().flat_map(|branch| words(branch)).collect();
        match (value.get_ref(), fitting.as_slice()) {
            (_, []) => {
                let found = kind_name(value.get_ref());
                problems.at(
                    offset,
                    path,
                    format!("expected {}, found {found}", expected(&branches)),
                    None,
                );
            }
            (DeValue::String(text), _) if !words.is_empty() && !words.contains(&text.as_ref()) => {
                let message = format!("`{text}` is not one of {}", words.join(", "));
                problems.at(offset, path, message, nearest(text, words));
            }
            (DeValue::Table(table), [branch, ..]) => self.table(branch, table, offset, path, problems),
            (DeValue::Array(array), _) => {
                let items: Vec<_> = array.iter().collect();
                self.array(&fitting, &items, offset, path, problems);
            }
            (DeValue::Integer(_) | DeValue::Float(_), [branch, ..]) => {
                range(branch, value.get_ref(), offset, path, problems);
            }
            _ => {}
        }
    }

    fn table(
        &self,
        schema: &'s Value,
        table: &DeTable<'_>,
        offset: usize,
        path: &Path,
        problems: &mut Problems<'_>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = |key: &str| properties.and_then(|map| map.get(key));
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let below = path.key(name);
            match known(name).or_else(|| schema.get("additionalProperties").filter(|s| s.is_object())) {
                Some(schema) => self.value(schema, value, &below, problems),
                None => {
                    let names = properties
                        .into_iter()
                        .flat_map(|map| map.keys().map(String::as_str));
                    problems.at(key.span().start, &below, "unknown key", nearest(name, names));
                }
            }
        }
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for name in required.filter_map(Value::as_str) {
            if !table.iter().any(|(key, _)| key.get_ref().as_ref() == name) {
                let what = known(name)
                    .map(|schema| self.describe(schema))
                    .unwrap_or_default();
                problems.at(offset, &path.key(name), format!("missing; expected {what}"), None);
            }
        }
    }

    fn array(
        &self,
        schemas: &[&'s Value],
        items: &[&Spanned<DeValue<'_>>],
        offset: usize,
        path: &Path,
        problems: &mut Problems<'_>,
    ) {
        for schema in schemas {
            if let Some(tuple) = schema.get("prefixItems").and_then(Value::as_array) {
                if tuple.len() != items.len() {
                    problems.at(offset, path, format!("expected {} values", tuple.len()), None);
                }
                for (index, (schema, item)) in tuple.iter().zip(items).enumerate() {
                    self.value(schema, item, &path.index(index), problems);
                }
            } else if let Some(of) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    self.value(of, item, &path.index(index), problems);
                }
            }
        }
    }

    /// What a key wants, from its doc comment.
    fn describe(&self, schema: &'s Value) -> String {
        let text = |schema: &Value| {
            schema
                .get("description")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let text = text(schema).unwrap_or_else(|| expected(&self.branches(schema)));
        let words: Vec<&str> = self
            .branches(schema)
            .iter()
            .flat_map(|branch| words(branch))
            .collect();
        let text = text.replace('\n', " ").trim_end_matches('.').to_owned();
        if words.is_empty() {
            text
        } else {
            format!("{text} ({})", words.join(", "))
        }
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect(),
        _ => Vec::new(),
    }
}

fn accepts_kind(schema: &Value, value: &DeValue<'_>) -> bool {
    types(schema).iter().any(|kind| match value {
        DeValue::String(_) => *kind == "string",
        DeValue::Integer(_) => matches!(*kind, "integer" | "number"),
        DeValue::Float(_) => *kind == "number",
        DeValue::Boolean(_) => *kind == "boolean",
        DeValue::Array(_) => *kind == "array",
        DeValue::Table(_) => *kind == "object",
        DeValue::Datetime(_) => false,
    })
}

/// The words a string may be; none: any.
fn words(schema: &Value) -> Vec<&str> {
    let list = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    list.chain(schema.get("const"))
        .filter_map(Value::as_str)
        .collect()
}

fn range(schema: &Value, value: &DeValue<'_>, offset: usize, path: &Path, problems: &mut Problems<'_>) {
    let number = match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .map(|n| n.to_string()),
        DeValue::Float(float) => Some(float.as_str().to_owned()),
        _ => None,
    };
    let number = number.and_then(|text| text.replace('_', "").parse::<f64>().ok());
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let (least, most) = (bound("minimum"), bound("maximum"));
    let within = |number: f64| least.is_none_or(|b| number >= b) && most.is_none_or(|b| number <= b);
    if !number.is_some_and(within) {
        problems.at(
            offset,
            path,
            format!("out of range; expected {}", expected(&[schema])),
            None,
        );
    }
}

/// What a value may be, in words.
fn expected(branches: &[&Value]) -> String {
    let mut list: Vec<String> = Vec::new();
    let all_words: Vec<&str> = branches.iter().flat_map(|branch| words(branch)).collect();
    if !all_words.is_empty() {
        list.push(format!("one of {}", all_words.join(", ")));
    }
    for schema in branches.iter().filter(|schema| words(schema).is_empty()) {
        for kind in types(schema) {
            let bound = |key: &str| schema.get(key).map(ToString::to_string);
            let name = match kind {
                "string" => "a text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                _ => "a table",
            };
            list.push(match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) if least == most => least,
                (Some(least), Some(most)) => format!("{name} from {least} to {most}"),
                (Some(least), None) => format!("{name} from {least}"),
                (None, Some(most)) => format!("{name} up to {most}"),
                (None, None) => name.to_owned(),
            });
        }
    }
    list.dedup();
    list.join(" or ")
}

fn kind_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
