//! The broker, and who may send commands over it.

use super::*;
use retrovolt::domain::{MqttSetup, MqttVersion, SiteSetup};

fn site(lines: &str) -> Site {
    Site::new(&format!("{GOOD}\n[mqtt]\n{lines}\n"))
}

fn setup(lines: &str) -> MqttSetup {
    site(lines).good().setup.mqtt.expect("it is there")
}

/// What was told about a key, in one line.
fn told(lines: &str, key: &str) -> String {
    let issues = site(lines).issues();
    let issue = issues.iter().find(|issue| issue.key == key);
    issue
        .unwrap_or_else(|| panic!("{key} is not among {issues:#?}"))
        .to_string()
}

#[test]
fn little_is_needed_and_everything_can_be_said() {
    assert_eq!(Site::new(GOOD).good().setup.mqtt, None);
    let least = setup("url = \"mqtt://localhost\"\ngateway_id = \"garage\"");
    assert_eq!(
        (least.broker.host.as_str(), least.broker.port, least.broker.tls),
        ("localhost", 1883, false)
    );
    assert_eq!(
        (least.broker.client_id.as_str(), least.prefix.as_str()),
        ("retrovolt-garage", "retrovolt")
    );
    assert_eq!(
        (least.broker.version, least.refresh),
        (MqttVersion::Auto, Duration::from_secs(60))
    );
    assert_eq!((least.flat, least.commands), (false, None));
    let secret = site("");
    let password = secret.write("mqtt.password", "hush\n");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("a file");
    let most = setup(&format!(
        r#"url = "mqtts://broker.example.com"
user = "gw"
password_file = "{}"
gateway_id = "gw-1"
prefix = "site"
protocol = "3.1.1"
flat = true
refresh = "30s"
commands = "allow-list"

[[mqtt.allow]]
name = "ha"
set = ["enabled", "limit_a"]
request = ["status"]
spacing = "2s""#,
        password.display()
    ));
    assert_eq!((most.broker.port, most.broker.tls), (8883, true));
    assert_eq!(
        most.broker.password.map(|secret| secret.bytes().to_vec()),
        Some(b"hush".to_vec())
    );
    let rights = &most.commands.expect("an allow list")["ha"];
    assert!(rights.keys.contains("limit_a") && rights.operations.contains("status"));
    assert_eq!(rights.spacing, Duration::from_secs(2));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn mistakes_are_told_with_the_next_step() {
    let url = "url = \"mqtts://broker\"\ngateway_id = \"gw\"\n";
    for (lines, key, words) in [
        (
            "url = \"http://broker\"".to_owned(),
            "mqtt.url",
            "neither mqtt:// nor mqtts://",
        ),
        (
            "url = \"mqtt://me:pw@broker\"".to_owned(),
            "mqtt.url",
            "holds a user or a password",
        ),
        (
            "url = \"mqtt://broker/topic\"".to_owned(),
            "mqtt.url",
            "behind the port",
        ),
        (
            "url = \"mqtt://b\"\ngateway_id = \"GW\"".to_owned(),
            "mqtt.gateway_id",
            "write \"gw\"",
        ),
        (format!("{url}prefix = \"_x\""), "mqtt.prefix", "write \"x\""),
        (
            format!("{url}certificate_file = \"x.pem\""),
            "mqtt.certificate_file",
            "without key_file",
        ),
        (
            format!("{url}ca_file = \"/nowhere.pem\""),
            "mqtt.ca_file",
            "cannot be read",
        ),
        (
            format!("{url}password = \"x\""),
            "mqtt.user",
            "the account that the password is for",
        ),
        (
            format!("{url}commands = \"allow-list\""),
            "mqtt.commands",
            "nobody may send commands",
        ),
        (
            format!("{url}[[mqtt.allow]]\nname = \"ha\""),
            "mqtt.allow.name",
            "commands = \"off\"",
        ),
        (
            format!("{url}commands = \"allow-list\"\n[[mqtt.allow]]\nname = \"ha\"\nset = [\"limit\"]"),
            "mqtt.allow.set",
            "did you mean 'limit_a'",
        ),
        (
            format!("{url}commands = \"allow-list\"\n[[mqtt.allow]]\nname = \"a/b\""),
            "mqtt.allow.name",
            "without / + #",
        ),
    ] {
        let told = told(&lines, key);
        assert!(told.contains(words), "{lines}:\n{told}");
    }
    let plain = told(
        "url = \"mqtt://broker\"\ngateway_id = \"gw\"\nuser = \"gw\"\npassword = \"x\"",
        "mqtt.url",
    );
    assert!(plain.contains("in the open"), "{plain}");
}

#[test]
fn ids_that_a_topic_cannot_tell_apart_are_refused_only_with_mqtt() {
    let clash = GOOD.replacen("[gateway]", "[gateway]\n", 1)
        + "\n[[bus]]\nid = \"Attic\"\nhost = \"192.0.2.1\"\n[[bus]]\nid = \"attic\"\nhost = \"192.0.2.2\"\n";
    assert!(Site::new(&clash).load().is_ok());
    let issues = Site::new(&format!(
        "{clash}[mqtt]\nurl = \"mqtt://localhost\"\ngateway_id = \"gw\"\n"
    ))
    .issues();
    let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|text| text.contains("would both be 'attic' in MQTT topics")),
        "{told:#?}"
    );
}

#[test]
fn the_effective_configuration_says_it_again_without_the_secret() {
    let lines = "url = \"mqtts://[2001:db8::1]:8884\"\ngateway_id = \"gw\"\nuser = \"gw\"\npassword = \"cAnArY\"\ncommands = \"allow-list\"\n[[mqtt.allow]]\nname = \"ha\"\nset = [\"limit_a\"]";
    let loaded = site(lines).good();
    let text = config::effective(&loaded.setup);
    assert!(
        !text.contains("cAnArY") && !format!("{loaded:?}").contains("cAnArY"),
        "{text}"
    );
    let again = Site::new(&text.replace("\"***\"", "\"cAnArY\"")).good();
    assert_eq!(again.setup.mqtt, loaded.setup.mqtt, "{text}");
}

#[test]
fn records_wait_90_days_unless_told_otherwise_and_a_budget_is_that_of_the_broker() {
    let url = "url = \"mqtt://localhost\"\ngateway_id = \"garage\"";
    let day = Duration::from_secs(86_400);
    assert_eq!(setup(url).keep_records, 90 * day);
    let lines = format!("{url}\nkeep_records = \"7d\"\nmonthly_budget = \"20MB\"");
    assert_eq!(setup(&lines).keep_records, 7 * day);
    let budgets = |lines: &str| site(lines).good().setup.budgets;
    assert_eq!(budgets(&lines).get(SiteSetup::BROKER), Some(&20_000_000));
    assert_eq!(budgets(url).get(SiteSetup::BROKER), None);
    let short = told(&format!("{url}\nkeep_records = \"90\""), "mqtt.keep_records");
    assert!(
        short.contains("has no unit") && short.contains("from 1h to 3650d"),
        "{short}"
    );
    let none = told(&format!("{url}\nkeep_records = \"10min\""), "mqtt.keep_records");
    assert!(none.contains("too small"), "{none}");
    let scada = "[sparkplug]\ngroup = \"a\"\nedge_node = \"b\"\nmonthly_budget = \"1GB\"\n\
                 [[sparkplug.broker]]\nurl = \"mqtt://localhost\"\n";
    let budgets = Site::new(&format!("{GOOD}\n{scada}")).good().setup.budgets;
    assert_eq!(budgets.get(SiteSetup::SPARKPLUG), Some(&1_000_000_000));
}
