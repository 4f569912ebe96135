//! Every template, rendered by Jinja as Home Assistant does, with payloads that know everything and such that know nothing.

use super::sample::messages;
use super::{root, sample};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn u7_every_template_renders_what_its_entity_takes() {
    let settings = sample::settings();
    let mut cases = Vec::new();
    let discovery = messages(&sample::everything(), &settings);
    let (full, nulls) = (sample::everything(), sample::unknown());
    let mut half = sample::unknown();
    for bus in half.buses.values_mut() {
        bus.requests = 1;
        bus.timeouts = 1;
    }
    for picture in [full, nulls, half] {
        let values = sample::values(&picture, &settings);
        for message in discovery.values() {
            for (key, fields) in message.payload["components"].as_object().expect("a map") {
                cases.push(json!({ "key": key, "fields": fields }));
                let last = cases.last_mut().expect("just pushed");
                for topic in ["state_topic", "json_attributes_topic"] {
                    let value = fields[topic].as_str().map_or(&Value::Null, |t| &values[t]);
                    last[topic] = value.clone();
                }
            }
        }
    }
    let mut jinja = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("tests/ha/templates.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python with jinja2: `make setup`");
    let mut input = jinja.stdin.take().expect("piped");
    input
        .write_all(json!(cases).to_string().as_bytes())
        .expect("written");
    drop(input);
    let output = jinja.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim(), format!("{} entities", cases.len()));
}
