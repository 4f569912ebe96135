//! `docs/ocpp.md` says what the code does: every message, every key, no more and no less.
#![allow(clippy::disallowed_methods, reason = "not a pure room")]

use crate::pair::Pair;
use ocpp_kit::v1_6::Action;
use retrovolt::domain::{FirmwareKind, FirmwareSetup};
use retrovolt::ocpp::Effect;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The cells of a table of `docs/ocpp.md` whose first column is `first`, by the first cell.
fn table(first: &str, second: &str) -> BTreeMap<String, Vec<String>> {
    table_of("docs/ocpp.md", first, second)
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).ok()
}

fn table_of(path: &str, first: &str, second: &str) -> BTreeMap<String, Vec<String>> {
    let page = text(path).expect("the page");
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
    let untold = page.iter().filter(|(_, row)| row[1] == "W");
    let untold: Vec<&str> = untold.map(|(name, _)| name.as_str()).collect();
    for name in &untold {
        pair.ask(
            "ChangeConfiguration",
            json!({"key": name, "value": "a-good-long-value"}),
        );
        let asked = pair.told.pop_back();
        assert!(matches!(asked, Some(Effect::Vault { .. })), "{name}: {asked:?}");
    }
    assert_eq!(
        told.len() + untold.len(),
        page.len(),
        "the page has a key that is not told"
    );
}

/// The areas a charge point is certified in.
const AREAS: &str = "001 002 003 004_1 004_2 005_1 005_2 005_3 007 008 010 011_1 011_2 012 013 014 015 016 017_1 017_2 018_1 \
    018_2 019 021 023 024 026 027 028 030 031 032_1 032_2 034 036 037_1 037_2 037_3 038 039 040_1 040_2 041 042_1 042_2 043 \
    043_1 043_2 043_3 044_1 044_2 044_3 045_1 045_2 046_1 046_2 047 048_1 048_2 048_3 048_4 049 050_1 050_2 050_3 050_4 051 \
    052 053 054 055 056 057 058_1 058_2 059 060 061 062 066 067 068 069 070 071 072 073 074 075 076 077 078 079 080 081 082 \
    083 084 085 086 087";

/// Whether `module::name`, or `folder::module::name`, is a test.
fn is_test(story: &str) -> bool {
    let mut parts = story.rsplit("::");
    let (Some(name), Some(module)) = (parts.next(), parts.next()) else {
        return false;
    };
    let folder = parts.next().unwrap_or("ocpp16/certification");
    let source = text(&format!("tests/{folder}/{module}.rs")).unwrap_or_default();
    let mut before = "";
    for line in source.lines() {
        if line.ends_with(&format!("fn {name}() {{")) {
            return before == "#[test]" || before.starts_with("#[tokio::test");
        }
        before = line;
    }
    false
}

#[test]
fn every_area_of_certification_has_a_story_or_is_said_not_to_be_offered() {
    let page = table_of("docs/ocpp-certification.md", "area", "what happens");
    let areas: Vec<&str> = AREAS.split_whitespace().collect();
    let told: Vec<&str> = page.keys().map(String::as_str).collect();
    assert_eq!(told, areas);
    for (area, row) in &page {
        if row[2].starts_with("not offered") {
            continue;
        }
        for story in row[2].split_whitespace() {
            let story = story.trim_matches('`');
            assert!(is_test(story), "{area}: {story} is no test");
        }
    }
    assert!(!is_test("sessions::no_such_story") && !is_test("no_such_module::a"));
}
