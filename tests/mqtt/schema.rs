//! The contract as files: schemas made from the types, and a list of keys that may only grow.

use retrovolt::telemetry::{
    BusState, Csms, EVENT_TYPES, Event, Health, Info, MeterState, PointState, Record, Response, SCHEMA,
    Session, SiteState,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/mqtt")
}

fn schema<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("info", schema::<Info>()),
        ("health", schema::<Health>()),
        ("bus-state", schema::<BusState>()),
        ("cp-state", schema::<PointState>()),
        ("cp-session", schema::<Session>()),
        ("cp-csms", schema::<Csms>()),
        ("cp-event", schema::<Event>()),
        ("cp-record", schema::<Record>()),
        ("meter-state", schema::<MeterState>()),
        ("site-state", schema::<SiteState>()),
        ("response", schema::<Response>()),
    ]
}

/// Every key a schema knows, as a path from its root, e.g. `budgets.stage`; of those that are always there and of those that
/// are not. An alternative with a word of its own (`event_type`) stands apart from the others, as `cp-event/tag`.
#[derive(Default)]
struct Keys {
    always: BTreeSet<String>,
    sometimes: BTreeSet<String>,
}

struct Walk<'a> {
    root: &'a Value,
    name: String,
    path: String,
}

impl Walk<'_> {
    fn at(&self, schema: &Value, keys: &mut Keys) {
        if let Some(name) = schema["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix("#/$defs/"))
        {
            self.at(&self.root["$defs"][name], keys);
        }
        for kind in ["oneOf", "anyOf", "allOf"] {
            for part in schema[kind].as_array().into_iter().flatten() {
                let word = part["properties"]["event_type"]["const"].as_str();
                let name = word.map_or_else(|| self.name.clone(), |word| format!("{}/{word}", self.name));
                self.beside(name).at(part, keys);
            }
        }
        self.at_array(schema, keys);
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{}{key}", self.path);
            let list = if required.contains(key.as_str()) {
                &mut keys.always
            } else {
                &mut keys.sometimes
            };
            list.insert(format!("{} {path}", self.name));
            let deeper = Walk {
                root: self.root,
                name: self.name.clone(),
                path: format!("{path}."),
            };
            deeper.at(inner, keys);
        }
    }

    /// Of an array it is the entries that have keys.
    fn at_array(&self, schema: &Value, keys: &mut Keys) {
        for entry in [&schema["items"], &schema["prefixItems"]] {
            match entry {
                Value::Object(_) => self.at(entry, keys),
                Value::Array(entries) => entries.iter().for_each(|entry| self.at(entry, keys)),
                _ => {}
            }
        }
    }

    fn beside(&self, name: String) -> Self {
        Walk {
            root: self.root,
            name,
            path: self.path.clone(),
        }
    }
}

fn keys_of(name: &str, schema: &Value) -> Keys {
    let mut keys = Keys::default();
    let walk = Walk {
        root: schema,
        name: name.to_owned(),
        path: String::new(),
    };
    walk.at(schema, &mut keys);
    keys
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    for (name, schema) in schemas() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let path = docs().join("schema").join(format!("{name}.json"));
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            published,
            text,
            "{}: UPDATE_SCHEMA=1 writes it anew",
            path.display()
        );
    }
}

/// Contract version 1: a key may be added, none may be renamed or removed.
#[test]
fn no_key_of_the_contract_is_renamed_or_removed() {
    assert_eq!(
        SCHEMA, 1,
        "a new version needs a list of its own, and a release that publishes both"
    );
    let mut present = BTreeSet::new();
    for (name, schema) in schemas() {
        let Keys { always, sometimes } = keys_of(name, &schema);
        assert!(sometimes.is_empty(), "not always there: {sometimes:?}");
        present.extend(always);
    }
    let path = docs().join("keys-1.txt");
    let list = std::fs::read_to_string(&path).unwrap();
    let promised: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = promised.difference(&present).collect();
    assert!(
        gone.is_empty(),
        "promised in docs/mqtt/keys-1.txt and not there: {gone:?}"
    );
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let all: Vec<String> = present.iter().map(|key| format!("{key}\n")).collect();
        std::fs::write(&path, all.concat()).unwrap();
        return;
    }
    let new: Vec<&String> = present.difference(&promised).collect();
    assert!(
        new.is_empty(),
        "new keys belong into docs/mqtt/keys-1.txt, where UPDATE_SCHEMA=1 puts them: {new:?}"
    );
}

/// What the list is for: a key that goes is missed wherever it was, also where another place has one of the same name.
#[test]
fn a_key_that_goes_is_missed_at_any_depth_and_in_every_alternative() {
    let (event, health) = (schema::<Event>(), schema::<Health>());
    let of = |name: &str, schema: &Value| keys_of(name, schema).always;
    for word in EVENT_TYPES {
        assert!(of("cp-event", &event).contains(&format!("cp-event/{word} event_type")));
    }
    let gone = |name: &str, schema: &Value, mut less: Value, pointer: &str, key: &str| {
        let place = less.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        assert!(place["properties"].as_object_mut().unwrap().remove(key).is_some());
        place["required"].as_array_mut().unwrap().retain(|one| one != key);
        let (before, after) = (of(name, schema), of(name, &less));
        before.difference(&after).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        gone("cp-event", &event, event.clone(), "/oneOf/1", "id_tag_hash"),
        ["cp-event/tag id_tag_hash"]
    );
    assert_eq!(
        gone("health", &health, health.clone(), "/$defs/Budget", "stage"),
        ["health budgets.stage"]
    );
    assert_eq!(
        gone("health", &health, health.clone(), "/$defs/Queue", "oldest_s"),
        ["health queue.oldest_s"]
    );
}
