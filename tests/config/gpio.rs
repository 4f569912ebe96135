//! GPIO chips and what is wired to them.

use super::*;
use retrovolt::domain::{Bias, GpioSignal, LineName};

const WIRED: &str = r#"[[bus]]
id = "pins"
gpio = "pinctrl-bcm2711"

[[device]]
id = "box"
bus = "pins"
profile = "gpio-contactor"
accept_no_failsafe = true

[device.gpio]
rated_current = "16A"
min_off = "30s"
pulses_per_kwh = 1000
meter_start_wh = 1234567

[[device.line]]
signal = "relay"
line = "GPIO17"

[[device.line]]
signal = "pulse"
offset = 27
active_low = true
bias = "pull-up"

[[device.line]]
signal = "emergency_stop"
line = "GPIO22"
debounce = "50ms"

[[charge_point]]
id = "CP-1"

[[charge_point.evse]]
charger = "box"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://localhost:9000/ocpp/{id}"
"#;

fn told(text: &str, key: &str) -> String {
    let issues = Site::new(text).issues();
    let issue = issues.iter().find(|issue| issue.key == key);
    issue
        .unwrap_or_else(|| panic!("{key} is not among {issues:#?}"))
        .to_string()
}

#[test]
fn a_contactor_with_a_pulse_meter_is_wired_as_written() {
    let site = Site::new(WIRED);
    let loaded = site.good();
    assert_eq!(loaded.warnings, []);
    let Link::Gpio(link) = &loaded.setup.buses[0].link else {
        panic!("a GPIO chip")
    };
    assert_eq!(link.chip, "pinctrl-bcm2711");
    assert_eq!(link.counts, loaded.setup.state_dir.join("counts"));
    let device = link.devices.values().next().expect("the device");
    let relay = device.relay.expect("a relay");
    assert_eq!(
        (relay.rated, relay.min_on, relay.min_off),
        (
            MilliAmps::from_base(16),
            Duration::from_secs(60),
            Duration::from_secs(30)
        )
    );
    let pulses = device.pulses.expect("a pulse input");
    assert_eq!((pulses.per_kwh, pulses.start.base()), (1000, 1_234_567));
    assert_eq!(pulses.width, Duration::from_millis(20));
    let line = |signal| device.lines.get(&signal).expect("the line");
    assert_eq!(line(GpioSignal::Relay).at, LineName::Name("GPIO17".into()));
    let pulse = line(GpioSignal::Pulse);
    assert_eq!(pulse.at, LineName::Offset(27));
    assert!(pulse.active_low && pulse.debounce.is_zero());
    assert_eq!(pulse.bias, Bias::PullUp);
    assert_eq!(
        line(GpioSignal::EmergencyStop).debounce,
        Duration::from_millis(50)
    );
}

#[test]
fn the_effective_configuration_of_a_chip_says_the_same() {
    let loaded = Site::new(WIRED).good();
    let again = Site::new(&config::effective(&loaded.setup)).good();
    assert_eq!(again.setup.buses, loaded.setup.buses);
}

#[test]
fn a_contactor_runs_only_with_consent() {
    let text = WIRED.replace("accept_no_failsafe = true\n", "");
    let told = told(&text, "device.accept_no_failsafe");
    assert!(
        told.contains("docs/gpio.md") && told.contains("add accept_no_failsafe = true"),
        "{told}"
    );
}

#[test]
fn what_is_missing_is_said_with_what_to_add() {
    for (cut, key, remedy) in [
        (
            "rated_current = \"16A\"\n",
            "device.gpio.rated_current",
            "rated_current = \"16A\"",
        ),
        (
            "pulses_per_kwh = 1000\n",
            "device.gpio.pulses_per_kwh",
            "pulses_per_kwh = 1000",
        ),
        ("line = \"GPIO17\"\n", "device.line.line", "line = \"GPIO17\""),
        (
            "[[device.line]]\nsignal = \"relay\"\nline = \"GPIO17\"\n",
            "device.line",
            "signal = \"relay\"",
        ),
    ] {
        let told = told(&WIRED.replace(cut, ""), key);
        assert!(
            told.contains("retrovolt.toml:") && told.contains(remedy),
            "{told}"
        );
    }
}

#[test]
fn wrong_words_and_double_lines_are_found_at_their_place() {
    let text = WIRED.replace("signal = \"relay\"", "signal = \"relais\"");
    assert!(told(&text, "device.line.signal").contains("did you mean 'relay'"));
    let text = WIRED.replace("line = \"GPIO22\"", "line = \"GPIO17\"");
    let double = told(&text, "device.line.line");
    assert!(
        double.contains("retrovolt.toml:29:")
            && double.contains("used already, in")
            && double.contains(":19"),
        "{double}"
    );
    let text = WIRED.replace("signal = \"emergency_stop\"", "signal = \"pulse\"");
    assert!(told(&text, "device.line.signal").contains("is there already"));
    let text = WIRED.replace("gpio = \"pinctrl", "baud = 9600\ngpio = \"pinctrl");
    assert!(told(&text, "bus.baud").contains("does not belong to a bus with `gpio`"));
    let text = WIRED.replace("gpio = \"pinctrl", "host = \"10.0.0.2\"\ngpio = \"pinctrl");
    assert!(told(&text, "bus.gpio").contains("both `host` and `gpio`"));
}

#[test]
fn a_wallbox_that_draws_more_than_its_evse_is_refused() {
    let text = WIRED.replace("rated_current = \"16A\"", "rated_current = \"32A\"");
    let told = told(&text, "device.gpio.rated_current");
    assert!(
        told.contains("32 A is more than the 16 A") && told.contains("at most 16 A"),
        "{told}"
    );
}

#[test]
fn a_contactor_without_any_register_is_refused() {
    let text = WIRED
        .replace("pulses_per_kwh = 1000\nmeter_start_wh = 1234567\n", "")
        .replace(
            "[[device.line]]\nsignal = \"pulse\"\noffset = 27\nactive_low = true\nbias = \"pull-up\"\n",
            "",
        );
    assert!(told(&text, "charge_point.evse.meter").contains("no session could begin"));
}

#[test]
fn wires_on_another_bus_and_relays_on_a_meter_are_refused() {
    let text = WIRED.replace("gpio = \"pinctrl-bcm2711\"", "port = \"/dev/serial/by-id/x\"");
    assert!(told(&text, "device.line").contains("on a bus with `gpio`"));
    let text = WIRED.replace("gpio-contactor", "s0-meter");
    assert!(told(&text, "device.line.signal").contains("a meter has no \"relay\""));
    assert!(told(&text, "device.gpio.rated_current").contains("has no effect without a relay"));
}

/// A device with nothing but contacts, for the wallbox of [`WIRED`].
const CONTACTS: &str = r#"[[device]]
id = "inputs"
bus = "pins"
profile = "gpio-contacts"

[[device.line]]
signal = "tamper"
line = "GPIO5"

[[device.line]]
signal = "dimming"
line = "GPIO6"

[[charge_point]]"#;

fn with_contacts(evse: &str) -> String {
    WIRED
        .replace("[[charge_point]]\n", &format!("{CONTACTS}\n"))
        .replace("charger = \"box\"\n", &format!("charger = \"box\"\n{evse}\n"))
}

#[test]
fn an_evse_heeds_the_contacts_of_its_charger_and_those_it_names() {
    let text = with_contacts("contacts = [\"inputs\"]\ndimmed_current = \"0A\"");
    let loaded = Site::new(&text).good();
    assert_eq!(loaded.warnings, []);
    let evse = &loaded.setup.charge_points[0].evses[0];
    let heeded: Vec<(&str, Vec<GpioSignal>)> = evse
        .contacts
        .iter()
        .map(|c| (c.device.as_str(), c.signals.iter().copied().collect()))
        .collect();
    assert_eq!(
        heeded,
        [
            ("box", vec![GpioSignal::EmergencyStop]),
            ("inputs", vec![GpioSignal::Tamper, GpioSignal::Dimming]),
        ]
    );
    assert_eq!(evse.dimmed_current, MilliAmps(0));
    let again = Site::new(&config::effective(&loaded.setup)).good();
    assert_eq!(again.setup.charge_points, loaded.setup.charge_points);
}

#[test]
fn without_a_word_dimming_leaves_the_least_current() {
    let text = with_contacts("contacts = [\"inputs\"]\nmin_current = \"8A\"");
    let loaded = Site::new(&text).good();
    assert_eq!(
        loaded.setup.charge_points[0].evses[0].dimmed_current,
        MilliAmps(8_000)
    );
}

#[test]
fn contacts_that_concern_nobody_or_are_named_twice_are_told() {
    assert!(told(&with_contacts(""), "device.id").contains("no EVSE uses 'inputs'"));
    let key = "charge_point.evse.contacts";
    let twice = told(&with_contacts("contacts = [\"inputs\", \"inputs\"]"), key);
    assert!(twice.contains("is there twice"), "{twice}");
    let own = told(&with_contacts("contacts = [\"inputs\", \"box\"]"), key);
    assert!(own.contains("its contacts count already"), "{own}");
    let near = told(&with_contacts("contacts = [\"input\"]"), key);
    assert!(near.contains("did you mean 'inputs'"), "{near}");
    let cut = "[[device.line]]\nsignal = \"tamper\"\nline = \"GPIO5\"\n\n[[device.line]]\nsignal = \"dimming\"\nline = \"GPIO6\"\n";
    let none = with_contacts("contacts = [\"inputs\"]").replace(cut, "");
    assert!(told(&none, "device.line").contains("a contact device has one"));
    let relay = with_contacts("contacts = [\"inputs\"]").replace("\"tamper\"", "\"fault\"");
    assert!(told(&relay, "device.line.signal").contains("a contact device has no \"fault\""));
}

/// What docs/gpio.md shows can be copied as it stands.
#[test]
fn the_examples_of_the_guide_are_accepted() {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gpio.md"))
        .expect("the guide");
    let examples: Vec<&str> = guide
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let loaded = Site::new(example).good();
        let errors: Vec<&Issue> = loaded
            .warnings
            .iter()
            // The second and third examples are devices and no site.
            .filter(|issue| issue.key != "charge_point" && !issue.problem.contains("no EVSE uses"))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}
