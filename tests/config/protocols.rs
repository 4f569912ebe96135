//! Buses that are not Modbus.

use super::*;

const STREAM_PROFILE: &str = r#"format = 1
protocol = "twc"
id = "my-box"
kind = "charger"
vendor = "Test"
models = ["Test"]
source = ["made up for a test"]
link = { serial = { baud = 4800, parity = "odd", data_bits = 7 }, period_ms = 1000, silence_ms = 26000 }
limits = { max_a = 32 }

[watchdog]
timeout_ms = 10000
failsafe_a = 0
fallback = "The contactor opens."
fallback_safe = true
"#;

const STREAM_BUS: &str = r#"
[[bus]]
id = "line"
port = "/dev/serial/by-id/usb-x"
protocol = "twc"

[[device]]
id = "box"
bus = "line"
profile = "my-box"
"#;

/// A site with a profile that is not Modbus, and this configuration.
fn stream_site(text: &str) -> Site {
    let site = Site::new(text);
    site.write("devices.d/my-box.toml", STREAM_PROFILE);
    site
}

#[test]
fn a_bus_that_is_not_modbus_takes_its_settings_from_the_profile() {
    let loaded = stream_site(STREAM_BUS).good();
    let bus = &loaded.setup.buses[0];
    assert_eq!(bus.protocol.word(), "twc");
    let Link::Serial {
        baud,
        parity,
        data_bits,
        ..
    } = &bus.link
    else {
        panic!("a serial line")
    };
    assert_eq!((*baud, *parity, *data_bits), (4800, Parity::Odd, 7));
    let written = STREAM_BUS.replace("protocol =", "baud = 9600\nprotocol =");
    let loaded = stream_site(&written).good();
    assert!(matches!(
        loaded.setup.buses[0].link,
        Link::Serial { baud: 9600, .. }
    ));
    assert!(loaded.warnings.iter().any(|issue| issue.key == "bus.baud"));
}

#[test]
fn a_device_that_speaks_another_protocol_than_its_bus_is_refused() {
    let text = STREAM_BUS.replace("protocol = \"twc\"\n", "");
    let issues = stream_site(&text).issues();
    let issue = issues
        .iter()
        .find(|issue| issue.key == "device.profile")
        .expect("told");
    assert_eq!((issue.line, issue.column), (9, 11), "{issue}");
    let told = issue.to_string();
    assert!(
        told.contains("speaks twc") && told.contains("retrovolt.toml:3,"),
        "{told}"
    );
    assert!(
        told.contains("write protocol = \"twc\" in the [[bus]] 'line'"),
        "{told}"
    );
}

#[test]
fn devices_that_nothing_tells_apart_are_refused_on_one_bus() {
    let second = "[[device]]\nid = \"box-2\"\nbus = \"line\"\nprofile = \"my-box\"\n";
    let issues = stream_site(&format!("{STREAM_BUS}{second}")).issues();
    let issue = issues
        .iter()
        .find(|issue| issue.key == "device.address")
        .expect("told");
    assert!(
        issue.to_string().contains("write each device's address"),
        "{issue}"
    );
    let told = format!("{STREAM_BUS}address = \"1234\"\n{second}address = \"4321\"\n");
    let loaded = stream_site(&told).good();
    assert_eq!(loaded.setup.buses[0].devices[1].address.as_deref(), Some("4321"));
}

#[test]
fn framing_unit_and_tcp_port_are_looked_at_by_protocol() {
    let text = STREAM_BUS.replace("protocol =", "framing = \"rtu\"\nprotocol =") + "unit = 3\n";
    let issues = stream_site(&text).issues();
    let keys: Vec<&str> = issues.iter().map(|issue| issue.key.as_str()).collect();
    assert!(keys.ends_with(&["bus.framing", "device.unit"]), "{keys:?}");
    let text = STREAM_BUS.replace("port = \"/dev/serial/by-id/usb-x\"", "host = \"10.0.0.2\"");
    let issues = stream_site(&text).issues();
    assert!(issues.iter().any(|issue| issue.key == "bus.tcp_port"));
    let loaded = stream_site(&text.replace("protocol", "tcp_port = 2000\nprotocol")).good();
    assert!(matches!(loaded.setup.buses[0].link, Link::Tcp { port: 2000, .. }));
}

#[test]
fn wall_connectors_have_ids_of_two_bytes_and_are_three_at_most() {
    for bad in ["12345", "12G4", "x", "+123"] {
        let issues = stream_site(&format!("{STREAM_BUS}address = \"{bad}\"\n")).issues();
        assert!(issues.iter().any(|issue| issue.key == "device.address"), "{bad}");
    }
    let box_at = |n: u8| {
        format!("[[device]]\nid = \"b{n}\"\nbus = \"line\"\nprofile = \"my-box\"\naddress = \"1A2{n}\"\n")
    };
    let three: String = format!("{STREAM_BUS}address = \"1a2f\"\n{}{}", box_at(1), box_at(2));
    stream_site(&three).good();
    let issues = stream_site(&(three + &box_at(3))).issues();
    assert!(
        issues
            .iter()
            .any(|issue| issue.to_string().contains("a line takes three"))
    );
}

const SLOW_METER: &str = r#"
[[bus]]
id = "p1"
port = "/dev/serial/by-id/usb-y"
protocol = "dsmr-p1"

[[device]]
id = "grid"
bus = "p1"
profile = "dsmr-p1"

[[charge_point]]
id = "CP"

[[charge_point.evse]]
charger = "box"
meter = "grid"
max_current = "16A"
auth = "remote"

[[charge_point.csms]]
url = "ws://localhost/{id}"
"#;

#[test]
fn a_meter_that_speaks_seldom_is_not_stale_in_between() {
    let text = format!("{STREAM_BUS}{SLOW_METER}");
    let loaded = stream_site(&text).good();
    let stale = |loaded: &Loaded| loaded.setup.charge_points[0].evses[0].meter_stale_after;
    assert_eq!(stale(&loaded), Duration::from_secs(25));
    let written = text.replace("auth =", "meter_stale_after = \"12s\"\nauth =");
    let loaded = stream_site(&written).good();
    assert_eq!(stale(&loaded), Duration::from_secs(12));
    let issue = loaded
        .warnings
        .iter()
        .find(|issue| issue.key.ends_with("meter_stale_after"));
    let told = issue.expect("told").to_string();
    assert!(
        told.contains("every 10s only") && told.contains("at least 25s"),
        "{told}"
    );
}

#[test]
fn a_keyboard_reader_has_an_event_device_and_nothing_else() {
    let bus = "[[bus]]\nid = \"cards\"\nport = \"/dev/input/by-id/usb-reader-event-kbd\"\nprotocol = \"rfid-hid\"\n\n\
               [[device]]\nid = \"reader\"\nbus = \"cards\"\nprofile = \"rfid-keyboard\"\n";
    let loaded = Site::new(bus).good();
    let path = "/dev/input/by-id/usb-reader-event-kbd".into();
    assert_eq!(loaded.setup.buses[0].link, Link::Input { path });
    let issues = Site::new(&bus.replace("protocol", "baud = 9600\nprotocol")).issues();
    assert!(
        issues
            .iter()
            .any(|issue| issue.key == "bus.baud" && issue.severity == Severity::Error)
    );
    let issues = Site::new(&bus.replace("by-id/usb-reader-event-kbd", "event3")).issues();
    assert!(issues.iter().any(|issue| {
        issue
            .to_string()
            .contains("another keyboard after the next start")
    }));
    let issues = Site::new(&bus.replace("port = \"/dev", "host = \"dev")).issues();
    assert!(issues.iter().any(|issue| issue.key == "bus.host"));
}
