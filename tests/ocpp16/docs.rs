//! `docs/ocpp.md` says what the code does: every message, every key, no more and no less.
#![allow(clippy::disallowed_methods, reason = "not a pure room")]

use crate::pair::Pair;
use ocpp_kit::v1_6::Action;
use retrovolt::domain::{FirmwareKind, FirmwareSetup};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The cells of a table whose first column is `first`, by the first cell.
fn table(first: &str, second: &str) -> BTreeMap<String, Vec<String>> {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ocpp.md")).expect("the page");
    let mut rows = BTreeMap::new();
    let mut inside = false;
    for line in page.lines() {
        let cells: Vec<String> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        if !line.starts_with('|') {
            inside = false;
        } else if cells[0] == first && cells[1] == second {
            inside = true;
        } else if inside && !cells[0].starts_with("--") {
            let name = cells[0].clone();
            assert!(rows.insert(name.clone(), cells).is_none(), "{name} twice");
        }
    }
    assert!(!rows.is_empty(), "no table {first} | {second}");
    rows
}

/// Whether a charge point answers this if its site has firmware.
fn where_declared(action: &str) -> bool {
    [None, Some("/roots.pem".into())].into_iter().any(|roots| {
        let mut cp = crate::pair::cp();
        cp.firmware = Some(FirmwareSetup {
            spool: "/spool".into(),
            kind: FirmwareKind::Package,
            roots,
            max_bytes: 1,
            waits_for_sessions: false,
            install_timeout: Duration::from_secs(1),
        });
        let mut pair = Pair::of(cp);
        pair.boot("Accepted", 3600);
        pair.ask(action, json!({"nonsense": {}}));
        pair.wire.back().is_some_and(|frame| frame[2] != "NotSupported")
    })
}

#[test]
fn the_messages_of_the_csms_are_answered_as_the_page_says() {
    let page = table("message", "answered");
    let mut seen = 0;
    for action in Action::ALL
        .iter()
        .filter(|action| action.origin() != ocpp_kit::message::Origin::ChargingStation)
    {
        let name = action.as_str();
        let row = page
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not on the page"));
        let mut pair = Pair::accepted();
        pair.ask(name, json!({"nonsense": {}}));
        let refused = pair.wire.back().is_some_and(|frame| frame[2] == "NotSupported");
        let answered = match (refused, where_declared(name)) {
            (true, true) => "where declared",
            (true, false) => "no",
            (false, _) => "yes",
        };
        assert_eq!(row[1], answered, "{name}");
        seen += 1;
    }
    assert_eq!(seen, page.len(), "the page has a message that OCPP 1.6 has not");
}

#[test]
fn the_messages_to_the_csms_are_those_the_page_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ocpp/v16");
    let source: String = std::fs::read_dir(folder)
        .expect("the dialect")
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    let page = table("message", "sent");
    let mut seen = 0;
    for action in Action::ALL
        .iter()
        .filter(|action| action.origin() != ocpp_kit::message::Origin::Csms)
    {
        let name = action.as_str();
        let row = page
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not on the page"));
        let sent = source.contains(&format!("Call::new(\"{name}\""));
        assert_eq!(row[1], if sent { "yes" } else { "no" }, "{name}");
        seen += 1;
    }
    assert_eq!(seen, page.len(), "the page has a message that OCPP 1.6 has not");
}

#[test]
fn the_keys_are_those_the_page_says() {
    let mut pair = Pair::accepted();
    pair.ask("GetConfiguration", json!({}));
    let told = pair.result();
    let told = told["configurationKey"].as_array().expect("keys").clone();
    let page = table("key", "access");
    for key in &told {
        let name = key["key"].as_str().expect("a name");
        let row = page
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not on the page"));
        let access = if key["readonly"] == true { "R" } else { "RW" };
        assert_eq!(row[1], access, "{name}");
        // An accepted boot has set the heartbeat.
        if row[2] != "set-up" && name != "HeartbeatInterval" {
            assert_eq!(key["value"], row[2].as_str(), "{name}");
        }
    }
    assert_eq!(told.len(), page.len(), "the page has a key that is not told");
}
