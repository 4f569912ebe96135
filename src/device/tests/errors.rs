//! Everything that is wrong is said at once, with its place and what would be right.

use super::charger;
use crate::device::{Caution, Electrical, Image, Profile, RecipeContext, Reply};
use crate::domain::{DeviceCommand, MilliAmps, Mono};
use proptest::prelude::*;

fn messages(text: &str) -> Vec<String> {
    Profile::parse("box.toml", text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn structure_mistakes_are_reported_together() {
    let text = r#"format = 2
id = "box"
kind = "chargr"
vendor = "V"
models = "M"
source = ["s"]

[link]
serial = { baud = 9600, parity = "evn" }
unit = 300
pol_ms = 1000
timeout_ms = 1.5

[points]
status = { at = 70000, type = "u17" }
current = { att = 6, type = "u16", quantity = "curent", phases = ["l1", "l4"] }

[stat]
point = "status"
"#;
    assert_eq!(
        messages(text),
        [
            "box.toml:1:10: format: out of range; expected 1",
            "box.toml:3:8: kind: `chargr` is not one of charger, meter, reader, contacts; did you mean `charger`?",
            "box.toml:5:10: models: expected a list, found a text",
            "box.toml:8:1: link.poll_ms: missing; expected Period of fast points, milliseconds",
            "box.toml:9:34: link.serial.parity: `evn` is not one of none, even, odd; did you mean `even`?",
            "box.toml:10:8: link.unit: out of range; expected a whole number from 0 to 255",
            "box.toml:11:1: link.pol_ms: unknown key; did you mean `poll_ms`?",
            "box.toml:12:14: link.timeout_ms: expected a whole number from 10 to 60000, found a number with a fraction",
            "box.toml:15:17: points.status.at: out of range; expected a whole number from 0 to 65535",
            "box.toml:15:31: points.status.type: `u17` is not one of u16, i16, u32, i32, u64, i64, f32, f64, bit, ascii, utf16, bytes; did you mean `u16`?",
            "box.toml:16:11: points.current.at: missing; expected Address as on the wire, counted from 0 (40001 in a vendor's table is 0 with function 3)",
            "box.toml:16:13: points.current.att: unknown key; did you mean `at`?",
            "box.toml:16:47: points.current.quantity: `curent` is not one of voltage, current, power, apparent_power, reactive_power, energy_import, energy_export, reactive_energy_import, reactive_energy_export, power_factor, frequency, temperature, current_offered, soc; did you mean `current`?",
            "box.toml:16:73: points.current.phases[1]: `l4` is not one of total, l1, l2, l3, n",
            "box.toml:18:2: stat: unknown key; did you mean `state`?",
        ]
    );
}

#[test]
fn mistakes_of_meaning_are_reported_together() {
    let errors = charger(
        r#"power = { at = 1, type = "u16", quantity = "power", unit = "VA" }
text = { at = 2, type = "ascii" }
limit = { at = 3, access = "rw", type = "u16", unit = "A", forbidden = [0], off = 0 }
eeprom = { at = 4, access = "rw", type = "u16", wear = true }
shy = { at = 5, access = "w", type = "u16" }
wide = { at = 6, access = "rw", type = "u32", write_fc = [6] }
coil = { at = 7, type = "bit" }"#,
        r#"otherwise = "E"
[limits]
min_a = 8
max_a = 6
[recipes]
limit = [
  { write = "limt", value = "limit" },
  { write = "eeprom", value = 1 },
  { write = "shy", value = 70000, verify = "shy" },
  { write = "power", value = "watchdog_timeout", wait_ms = 5 },
]
[watchdog]
timeout_ms = 5000
min_timeout_ms = 10000
max_timeout_ms = 20000
failsafe_a = 6
fallback = "?"
fallback_safe = true
feed = [{ write = "shy", value = "watchdog_timeout" }]
"#,
    )
    .unwrap_err();
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "made-up.toml:11:60: points.power.unit: apparent power is not real power: give `quality = \"uncalibrated\"` if it is taken for it",
            "made-up.toml:12:1: points.text.len: missing; expected the number of registers of the text",
            "made-up.toml:13:83: points.limit.off: is a value that must not be written",
            "made-up.toml:16:58: points.wide.write_fc: a value of several registers is written with function 16",
            "made-up.toml:17:1: points.coil.fc: a `bit` is read with function 1 or 2; for a bit of a register use its type and `bit = N`",
            "made-up.toml:24:9: limits.max_a: is below `min_a`",
            "made-up.toml:27:13: recipes.limit[0].write: there is no point `limt`; did you mean `limit`?",
            "made-up.toml:28:13: recipes.limit[1].write: wears out (`wear`), so it must not be written in turn",
            "made-up.toml:29:28: recipes.limit[2].value: does not fit the type of the point",
            "made-up.toml:29:44: recipes.limit[2].verify: cannot be read back: it is write-only",
            "made-up.toml:30:3: recipes.limit[3]: expected either `write` and `value`, or `wait_ms`",
            "made-up.toml:33:14: watchdog.timeout_ms: lies outside `min_timeout_ms` to `max_timeout_ms`",
            "made-up.toml:39:34: watchdog.feed[0].value: is a time: give the point `unit` ms, s or min",
        ]
    );
}

#[test]
fn a_broken_file_is_an_error_not_a_panic() {
    for text in [
        "",
        "=",
        "id = ",
        "[points",
        "\u{feff}",
        "id = \"a\nb\"",
        "points = { a = { at = 1, } ",
    ] {
        assert!(!messages(text).is_empty());
    }
}

#[test]
fn a_condition_that_could_never_hold_is_a_mistake() {
    let with = |condition: &str| {
        let points = format!(
            "float = {{ at = 1, type = \"f32\" }}\ntext = {{ at = 3, type = \"ascii\", len = 2 }}\n\
             x = {{ at = 9, type = \"u16\", quantity = \"power\", when = [{condition}] }}\n\
             limit = {{ at = 10, access = \"rw\", type = \"u16\", unit = \"A\", off = 0 }}"
        );
        let rest = "[limits]\nmax_a = 16\n[recipes]\nlimit = [{ write = \"limit\", value = \"limit\" }]";
        charger(&points, rest)
            .map_err(|errors| errors[0].message.clone())
            .err()
    };
    let never = |name: &str| {
        Some(format!(
            "does not fit the type of `{name}`, so it could never hold"
        ))
    };
    assert_eq!(with("{ point = \"float\", min = 1.5 }"), None);
    assert_eq!(with("{ point = \"text\", since = \"1.2\" }"), None);
    assert_eq!(with("{ point = \"float\", is = 1 }"), never("float"));
    assert_eq!(with("{ point = \"float\", bit = 1 }"), never("float"));
    assert_eq!(with("{ point = \"text\", max = 3 }"), never("text"));
    assert_eq!(
        with("{ point = \"status\", starts_with = \"A\" }"),
        never("status")
    );
}

proptest! {
    /// Whatever a user's file says, it is an error or a profile that can be planned and driven, never a panic.
    #[test]
    fn a_damaged_profile_never_panics(
        which in 0_usize..7,
        damage in proptest::collection::vec((0_usize..10_000, "[ -~]{0,3}|\n|9999999999|-1|true"), 1..6),
    ) {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
        let files = ["heidelberg/energy-control", "keba/p30", "evracing/evse-wb-din", "eastron/sdm630",
            "eastron/sdm120", "abb/b23-b24", "carlo-gavazzi/em340"];
        #[allow(clippy::disallowed_methods, reason = "a test reads the shipped files")]
        let mut text = std::fs::read_to_string(directory.join(format!("{}.toml", files[which]))).unwrap();
        for (at, junk) in &damage {
            let mut at = at % text.len();
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let end = text[at..].char_indices().nth(junk.len()).map_or(text.len(), |(end, _)| at + end);
            text.replace_range(at..end, junk);
        }
        if let Ok(profile) = Profile::parse("damaged.toml", &text) {
            let image = Image::new();
            for connector in [1, 2, u16::MAX] {
                let ctx = RecipeContext { connector, ..RecipeContext::new(&image) };
                for command in [limit(0), limit(16), limit(1_000_000), DeviceCommand::ArmWatchdog, DeviceCommand::SafeState] {
                    drop(profile.recipe(command, &ctx));
                }
                for block in profile.plan(super::WIRE, connector, &image, Caution::Normal) {
                    let reply = Reply::Registers(vec![0xFFFF; usize::from(block.count)]);
                    let (mut image, now) = (Image::new(), Mono(0));
                    let seen = profile.decode(&block, &reply, connector, Electrical::default(), &mut image, now);
                    prop_assert!(seen.is_ok());
                }
            }
        }
    }
}

fn limit(amps: i64) -> DeviceCommand {
    DeviceCommand::Limit(MilliAmps::from_base(amps))
}

#[test]
fn a_kind_has_its_demands() {
    let head = |kind: &str| {
        format!(
            "format = 1\nid = \"b\"\nkind = \"{kind}\"\nvendor = \"v\"\nmodels = [\"m\"]\nsource = [\"s\"]\n\
             link = {{ tcp_port = 502, unit = 1, poll_ms = 1000 }}\n[points]\nx = {{ at = 1, fc = 3, type = \"u16\" }}\n"
        )
    };
    let reader = "box.toml:8:2: points: a reader needs a point with `role = \"token\"`";
    assert_eq!(messages(&head("reader")), [reader]);
    let meter = "box.toml:8:2: points: a meter needs at least one point with a `quantity`";
    assert_eq!(messages(&head("meter")), [meter]);
    assert_eq!(messages(&head("charger")).len(), 3);
}

#[test]
fn a_charger_that_cannot_be_paused_or_limited_is_refused() {
    let with = |limit: &str| {
        let points = "limit = { at = 1, access = \"rw\", type = \"u16\", unit = \"A\" }";
        let errors = charger(
            points,
            &format!("[limits]\nmax_a = 16\n[recipes]\nlimit = [{limit}]"),
        )
        .unwrap_err();
        errors.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    let no_pause = "the charger cannot be paused: give `pause`, `disable`, or `off` at the limit's point";
    assert_eq!(with("{ write = \"limit\", value = \"limit\" }"), [no_pause]);
    assert_eq!(
        with("{ write = \"limit\", value = 16 }"),
        ["no step writes the value \"limit\""]
    );
}

#[test]
fn a_reader_of_cards_is_a_profile_like_any_other() {
    let text = "format = 1\nid = \"b\"\nkind = \"reader\"\nvendor = \"v\"\nmodels = [\"m\"]\nsource = [\"s\"]\n\
         link = { tcp_port = 502, unit = 1, poll_ms = 200 }\n[points]\n\
         card = { at = 1, fc = 3, type = \"bytes\", len = 5, role = \"token\" }\n";
    let profile = Profile::parse("box.toml", text).unwrap();
    assert!(profile.has_token());
    let block = &profile.plan(super::WIRE, 1, &Image::new(), Caution::Normal)[0];
    let read = |registers: [u16; 5]| {
        let reply = Reply::Registers(registers.to_vec());
        let (mut image, now) = (Image::new(), Mono(0));
        profile
            .decode(block, &reply, 1, Electrical::default(), &mut image, now)
            .unwrap()
    };
    use crate::domain::{IdToken, Observation, TokenKind};
    let token = |text: &str, kind| vec![Observation::Token(Some(IdToken::new(text, kind)))];
    assert_eq!(
        read([0x04A1, 0xB2C3, 0xD4E5, 0x8000, 0]),
        token("04A1B2C3D4E580", TokenKind::Iso14443)
    );
    assert_eq!(
        read([0x04A1, 0xB200, 0, 0, 0]),
        token("04A1B200", TokenKind::Iso14443)
    );
    assert_eq!(read([0; 5]), vec![Observation::Token(None)]);
}
