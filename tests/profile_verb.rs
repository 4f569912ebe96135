//! `retrovolt profile` as a person and a script meet it.
#![allow(clippy::disallowed_methods, reason = "not a pure room")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::Value;
use std::process::{Command, Output};

fn retrovolt(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .arg("profile")
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = retrovolt(args);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["schema"], 1);
    value
}

fn example() -> String {
    let page = include_str!("../docs/profile-format.md");
    page.split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap()
        .to_owned()
}

#[test]
fn the_shipped_profiles_are_listed_and_shown() {
    let output = retrovolt(&["list"]);
    assert!(output.status.success());
    let line = text(&output.stdout)
        .lines()
        .find(|line| line.starts_with("keba-p30 "))
        .unwrap();
    assert!(
        line.contains("charger") && line.contains("tcp") && line.contains("KEBA KeContact P30"),
        "{line}"
    );

    let listed = json(&["list", "--json"]);
    let keba = listed["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["id"] == "keba-p30")
        .unwrap();
    assert_eq!(
        (&keba["kind"], &keba["fallback_safe"]),
        (&"charger".into(), &true.into())
    );

    let output = retrovolt(&["show", "keba-p30"]);
    assert!(text(&output.stdout).contains("- Unit id as delivered: 255\n"));
    let shown = json(&["show", "keba-p30", "--json"]);
    let status = shown["points"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "status")
        .unwrap();
    assert_eq!(
        (&status["fc"], &status["at"], &status["width"]),
        (&3.into(), &1000.into(), &2.into())
    );
    assert_eq!(retrovolt(&["show", "nothing-like-it"]).status.code(), Some(66));
}

#[test]
fn a_sound_profile_passes_and_tells_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("box.toml");
    std::fs::write(&file, example()).unwrap();
    let file = file.to_str().unwrap();
    let output = retrovolt(&["test", file, "--writes"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("  ok    start           10 A offered, charging\n"),
        "{said}"
    );
    assert!(said.contains("          wrote 6 200 = 100\n"), "{said}");
    let report = &json(&["test", file, "--json"])["profiles"][0];
    assert_eq!(
        (&report["ok"], &report["report"]["profile"]),
        (&true.into(), &"example-box".into())
    );

    let listed = json(&["list", "--json", "--device-dir", folder.path().to_str().unwrap()]);
    assert!(
        listed["profiles"]
            .as_array()
            .unwrap()
            .iter()
            .any(|profile| profile["id"] == "example-box")
    );
}

#[test]
fn mistakes_come_with_their_place_and_a_story_that_fails_with_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let mistaken = write(
        "mistaken.toml",
        example().replace("point = \"state\"", "point = \"stat\""),
    );
    let output = retrovolt(&["test", &mistaken]);
    assert_eq!(output.status.code(), Some(65));
    let said = text(&output.stdout);
    assert!(
        said.contains("state.point: there is no point `stat`; did you mean `state`?"),
        "{said}"
    );
    let mistake = &json(&["test", &mistaken, "--json"])["profiles"][0]["mistakes"][0];
    assert_eq!(mistake["suggestion"], "state");
    assert!(mistake["line"].as_u64().unwrap() > 1);

    let blind = write(
        "blind.toml",
        example().replace("{ raw = 4, iec = \"C2\" }", "{ raw = 4, iec = \"B2\" }"),
    );
    let output = retrovolt(&["test", &blind]);
    assert_eq!(output.status.code(), Some(65));
    let said = text(&output.stdout);
    assert!(
        said.contains("  FAIL  start           the vehicle is Charging, the state map says"),
        "{said}"
    );

    let missing = folder.path().join("missing.toml");
    assert_eq!(
        retrovolt(&["test", missing.to_str().unwrap()]).status.code(),
        Some(66)
    );
    assert_eq!(retrovolt(&["test"]).status.code(), Some(64));
}

#[test]
fn what_is_not_modbus_is_listed_shown_and_tested_for_what_it_is() {
    let lines = retrovolt(&["list"]);
    let words = |id: &str| {
        let line = text(&lines.stdout)
            .lines()
            .find(|line| line.starts_with(id))
            .unwrap();
        line.split_whitespace()
            .take(4)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words("gpio-contactor "),
        ["gpio-contactor", "charger", "gpio", "gpio"]
    );
    assert_eq!(
        words("rfid-keyboard "),
        ["rfid-keyboard", "reader", "rfid-hid", "keyboard"]
    );
    assert_eq!(words("sml-meter "), ["sml-meter", "meter", "sml", "serial"]);

    let page = retrovolt(&["show", "sml-meter"]);
    let page = text(&page.stdout);
    assert!(
        page.contains("- Protocol: sml\n") && !page.contains("Unit id"),
        "{page}"
    );
    assert!(page.contains("- energy, import: total\n"), "{page}");
    let shown = json(&["show", "sml-meter", "--json"]);
    assert_eq!(shown["billing_grade"], true);
    let mut values = shown["values"].as_array().unwrap().iter();
    let energy = values.find(|value| value["meaning"] == "energy, import").unwrap();
    assert!(
        energy["sums"][0][0].as_str().unwrap().contains("1.8.0"),
        "{energy}"
    );

    let tested = retrovolt(&["test", "sml-meter", "gpio-contactor"]);
    let said = text(&tested.stdout);
    assert!(tested.status.success(), "{said}");
    assert_eq!(said.matches("nothing was tried on a device").count(), 2, "{said}");
    assert!(
        !said.contains("FAIL") && !said.contains("all steps hold"),
        "{said}"
    );
    let report = &json(&["test", "sml-meter", "--json"])["profiles"][0];
    assert_eq!(
        (&report["ok"], &report["rehearsed"]),
        (&true.into(), &false.into())
    );
}
