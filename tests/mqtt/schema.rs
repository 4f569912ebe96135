//! The contract as files: schemas made from the types, and a list of keys that may only grow.

use retrovolt::telemetry::{
    BusState, Csms, Event, Health, Info, MeterState, PointState, Record, Response, SCHEMA, Session, SiteState,
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

/// Keys that are always there, at the root, in every alternative and in what they refer to.
fn required(root: &Value, schema: &Value, keys: &mut BTreeSet<String>) {
    for key in schema["required"].as_array().into_iter().flatten() {
        keys.extend(key.as_str().map(str::to_owned));
    }
    for kind in ["oneOf", "anyOf", "allOf"] {
        for part in schema[kind].as_array().into_iter().flatten() {
            required(root, part, keys);
        }
    }
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"))
    {
        required(root, &root["$defs"][name], keys);
    }
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
    let list = std::fs::read_to_string(docs().join("keys-1.txt")).unwrap();
    let mut present = BTreeSet::new();
    for (name, schema) in schemas() {
        let mut keys = BTreeSet::new();
        required(&schema, &schema, &mut keys);
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for key in properties.keys() {
            assert!(keys.contains(key), "{name}: '{key}' is not always there");
        }
        present.extend(keys.into_iter().map(|key| format!("{name} {key}")));
    }
    let promised: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = promised.difference(&present).collect();
    assert!(
        gone.is_empty(),
        "promised in docs/mqtt/keys-1.txt and not there: {gone:?}"
    );
    let new: Vec<&String> = present.difference(&promised).collect();
    assert!(
        new.is_empty(),
        "new keys belong into docs/mqtt/keys-1.txt: {new:?}"
    );
}
