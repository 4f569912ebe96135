//! What Home Assistant is told, and as whom it may send commands.

use super::*;
use retrovolt::domain::{HaForm, HaSetup};

const BROKER: &str = "url = \"mqtt://localhost\"\ngateway_id = \"garage\"\n";
const USER: &str = "commands = \"allow-list\"\n[[mqtt.allow]]\nname = \"ha\"\nset = [\"limit_a\"]\n";

fn site(lines: &str) -> Site {
    Site::new(&format!("{GOOD}\n[mqtt]\n{BROKER}{lines}\n"))
}

fn ha(lines: &str) -> HaSetup {
    site(lines).good().setup.mqtt.expect("it is there").ha
}

#[test]
fn nothing_is_announced_unless_it_is_wanted() {
    assert_eq!(ha(""), HaSetup::default());
    assert_eq!(HaSetup::default().form, HaForm::Off);
}

#[test]
fn form_prefix_and_account_can_be_chosen() {
    let lines = format!("ha_discovery = \"entity\"\nha_prefix = \"house/ha\"\nha_user = \"ha\"\n{USER}");
    let wanted = HaSetup {
        form: HaForm::Entity,
        prefix: "house/ha".into(),
        user: Some("ha".into()),
    };
    assert_eq!(ha(&lines), wanted);
}

#[test]
fn mistakes_are_told_with_the_next_step() {
    for (lines, key, words) in [
        ("ha_discovery = \"yes\"", "mqtt.ha_discovery", "device"),
        (
            "ha_prefix = \"home/+\"",
            "mqtt.ha_prefix",
            "cannot stand in a topic",
        ),
        ("ha_prefix = \"/home\"", "mqtt.ha_prefix", "Discovery prefix"),
        (
            "ha_discovery = \"device\"\nha_user = \"nobody\"",
            "mqtt.ha_user",
            "add [[mqtt.allow]] with name = \"nobody\"",
        ),
        ("ha_user = \"ha\"", "mqtt.ha_user", "has no effect"),
    ] {
        let issues = site(lines).issues();
        let told: Vec<String> = issues
            .iter()
            .filter(|issue| issue.key == key)
            .map(ToString::to_string)
            .collect();
        assert!(
            told.iter().any(|told| told.contains(words)),
            "{lines}: {issues:#?}"
        );
    }
}
