//! Mistakes in profiles that are not Modbus.

use crate::device::{Library, Profile};
use crate::domain::Protocol;

const GOOD: &str = r#"format = 1
protocol = "sml"
id = "x"
kind = "meter"
vendor = "V"
models = ["M"]
source = ["S"]
link = { serial = { baud = 9600, parity = "none" }, period_ms = 1000, silence_ms = 5000 }
[values]
energy = { obis = "1-0:1.8.0", quantity = "energy_import" }
serial = { obis = ["1-0:96.1.0"], fact = "serial_number" }
"#;

/// What is told about the good profile with a text put in the place of another.
fn told(find: &str, put: &str) -> Vec<String> {
    assert!(GOOD.contains(find), "{find:?}");
    let text = GOOD.replacen(find, put, 1);
    let errors = Profile::parse("x.toml", &text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_good_one_is_good() {
    let profile = Profile::parse("x.toml", GOOD).unwrap();
    assert_eq!(profile.protocol(), Protocol::Sml);
    assert_eq!(profile.values().len(), 2);
}

/// What is replaced, by what, and what must be told.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "\"sml\"",
        "\"smll\"",
        "x.toml:2:12: protocol: `smll` is not one of sml,",
        "did you mean `sml`",
    ),
    ("\"sml\"", "7", "x.toml:2:12: protocol: expected one of sml,", ""),
    (
        "\"1-0:1.8.0\"",
        "\"1-0:1,8.0\"",
        "x.toml:10:19: values.energy.obis: `1-0:1,8.0` is not an OBIS code",
        "",
    ),
    (
        "[\"1-0:96.1.0\"]",
        "[\"a\"]",
        "x.toml:11:20: values.serial.obis[0]: `a` is not an OBIS code",
        "",
    ),
    (
        "[\"1-0:96.1.0\"]",
        "[\"1.8.1 + 1.8.2\"]",
        "values.serial.obis: a fact is one code",
        "",
    ),
    (
        "[\"1-0:96.1.0\"]",
        "[]",
        "values.serial.obis: expected at least one code",
        "",
    ),
    (
        "quantity = \"energy_import\"",
        "quantity = \"energy_imp\"",
        "is not one of",
        "did you mean `energy_import`",
    ),
    (
        ", quantity = \"energy_import\"",
        "",
        "values.energy: expected either `quantity` or `fact`",
        "",
    ),
    (
        "\"energy_import\" }",
        "\"energy_import\", unit = \"kW\" }",
        "values.energy.unit: does not fit the quantity",
        "",
    ),
    (
        "\"energy_import\" }",
        "\"energy_import\", scale = 0 }",
        "values.energy.scale: expected a factor",
        "",
    ),
    (
        "fact = ",
        "scale = 2, fact = ",
        "values.serial.scale: is for a `quantity`",
        "",
    ),
    (
        "kind = \"meter\"",
        "kind = \"charger\"",
        "x.toml:4:8: kind: expected \"meter\": no other device speaks sml",
        "",
    ),
    (
        "parity = \"none\"",
        "parity = \"none\", framing = \"ascii\"",
        "link.serial.framing: is for Modbus",
        "",
    ),
    (
        "silence_ms = 5000",
        "silence_ms = 1000",
        "link.silence_ms: expected more than `period_ms`",
        "",
    ),
    (
        "[values]",
        "[limits]\nmax_a = 16\n[values]",
        "limits: is for chargers only",
        "",
    ),
    (
        "[values]",
        "[telegram]\nchecksum = true\n[values]",
        "telegram.checksum: is for dsmr-p1 only",
        "",
    ),
    (
        "[values]",
        "[telegram]\nmesage_crc = \"x25\"\n[values]",
        "unknown key",
        "did you mean `message_crc`",
    ),
    ("[\"S\"]", "[]", "source: expected at least one source", ""),
    (
        "energy =",
        "Energy =",
        "expected a name of lower-case letters",
        "",
    ),
    (
        "energy = { obis = \"1-0:1.8.0\", quantity = \"energy_import\" }",
        "",
        "values: a meter needs at least one value",
        "",
    ),
];

#[test]
fn a_profile_may_name_every_protocol_but_modbus() {
    let told = told("\"sml\"", "\"none\"").join("\n");
    let words = Protocol::ALL
        .iter()
        .filter(|protocol| **protocol != Protocol::Modbus);
    let list = told.split("is not one of ").nth(1).expect("the words");
    let mut named: Vec<&str> = list.split([',', ';', '\n']).map(str::trim).take(8).collect();
    let mut known: Vec<&str> = words.map(|protocol| protocol.word()).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known, "{told}");
}

#[test]
fn every_mistake_names_place_and_remedy() {
    for (find, put, problem, hint) in CASES {
        let told = told(find, put).join("\n");
        assert!(told.contains(problem) && told.contains(hint), "{put}: {told}");
    }
}

#[test]
fn every_value_of_a_shipped_profile_can_become_an_observation() {
    let library = Library::builtin();
    let mut seen = 0;
    for id in library.ids() {
        let profile = library.get(id).unwrap();
        for point in profile.values() {
            assert!(!point.sums.is_empty(), "{id}: {}", point.name);
            seen += 1;
        }
    }
    assert!(seen > 50);
}
