//! Values that other registers have a say in: factors, sums, blocks that are read whole.

use super::{Registers, WIRE, fact, milli};
use crate::device::{Cadence, Caution, Image, LinkCost, Pdu, Profile, ReadFc, RecipeContext};
use crate::domain::{DeviceCommand, DeviceFact, MilliAmps, Phase, Quantity};

fn meter(points: &str) -> Result<Profile, Vec<crate::device::ProfileError>> {
    let text = format!(
        r#"format = 1
id = "made-up"
kind = "meter"
vendor = "Nobody"
models = ["None"]
source = ["this test"]
link = {{ tcp_port = 502, unit = 1, poll_ms = 1000 }}
defaults = {{ fc = 3 }}
[points]
{points}"#
    );
    Profile::parse("made-up.toml", &text)
}

fn complaints(points: &str) -> Vec<String> {
    meter(points)
        .err()
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .collect()
}

#[test]
fn ratios_of_transformers_are_multiplied_in() {
    let profile = meter(
        r#"power = { at = 10, type = "u16", quantity = "power", times = ["ct", "pt"] }
ct = { at = 0, type = "u16" }
pt = { at = 1, type = "u16", scale = 0.1 }"#,
    )
    .unwrap();
    let registers = |ct, pt| Registers::default().set(3, 0, &[ct, pt]).set(3, 10, &[100]);
    let power = |ct, pt| {
        milli(
            &registers(ct, pt).poll(&profile, &mut Image::new()),
            Quantity::Power,
            Phase::Total,
        )
    };
    assert_eq!(power(40, 10), [4_000_000]);
    assert_eq!(power(40, 15), [6_000_000]);
    assert_eq!(
        power(0, 10),
        [0; 0],
        "a ratio of 0 is none: better no reading than a wrong bill"
    );
}

#[test]
fn a_power_of_ten_may_stand_behind_its_value_in_the_same_block() {
    let profile = meter(
        r#"voltage = { at = 10, type = "u16", quantity = "voltage", exponent = "voltage_sf" }
voltage_sf = { at = 11, type = "i16", na = ["min"] }"#,
    )
    .unwrap();
    let voltage = |sf: i16| {
        let registers = Registers::default().set(3, 10, &[2301, sf.cast_unsigned()]);
        milli(
            &registers.poll(&profile, &mut Image::new()),
            Quantity::Voltage,
            Phase::Total,
        )
    };
    assert_eq!(voltage(-1), [230_100]);
    assert_eq!(voltage(0), [2_301_000]);
    assert_eq!(voltage(i16::MIN), [2_301_000], "not implemented is 0");
    let plan = profile.plan(WIRE, 1, &Image::new(), Caution::Normal);
    assert_eq!(plan.len(), 1, "it may change and is read together with its value");
    assert_eq!(voltage(77), [0; 0], "no such scale factor");
}

#[test]
fn a_difference_needs_both_of_its_terms() {
    let profile = meter(
        r#"power = { at = 0, type = "u32", scale = 0.1, quantity = "power", minus = ["power_out"] }
power_out = { at = 2, type = "u32", scale = 0.1, na = ["max"] }
phase = { at = 40, type = "u16", quantity = "power", phases = ["l1", "l2", "l3"], stride = 2, minus = ["out"] }
out = { at = 41, type = "u16", quantity = "apparent_power", phases = ["l1", "l2", "l3"], stride = 2 }
volts_l1 = { at = 60, type = "u16", quantity = "voltage", phase = "l1" }
volts_l2 = { at = 61, type = "u16" }
volts = { at = 60, type = "u16", quantity = "voltage", plus = ["volts_l2"], quality = "derived" }"#,
    )
    .unwrap();
    let registers = |out: u16| {
        Registers::default()
            .set(3, 0, &[0, 500, out, out])
            .set(3, 40, &[1000, 0, 7, 2, 900, 1000])
            .set(3, 60, &[230, 231])
    };
    let seen = registers(0).poll(&profile, &mut Image::new());
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [50_000]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::L2), [5_000]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::L3), [-100_000]);
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::Total), [461_000]);
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L1), [230_000]);
    let seen = registers(0xFFFF).poll(&profile, &mut Image::new());
    assert_eq!(
        milli(&seen, Quantity::Power, Phase::Total),
        [0; 0],
        "export is not available"
    );
}

#[test]
fn what_cannot_be_a_factor_or_a_term_is_told() {
    assert_eq!(
        complaints(
            r#"power = { at = 0, type = "u16", quantity = "power", times = ["text"], plus = ["power"] }
text = { at = 1, type = "ascii", len = 2 }
plain = { at = 3, type = "u16", plus = ["other"], exponent = "other" }
other = { at = 4, type = "f32" }
sum = { at = 10, type = "u16", quantity = "power", phases = ["l1", "l2"], plus = ["other"] }
total = { at = 10, type = "u16", quantity = "power", plus = ["sum_l2", "sum_l3"] }"#
        ),
        [
            "made-up.toml:10:62: points.power.times[0]: expected a readable number without `quantity`, `role` and `fact`",
            "made-up.toml:10:79: points.power.plus[0]: expected a readable number that is not a sum itself",
            "made-up.toml:12:40: points.plain.plus: only a point with a `quantity` is a sum",
            "made-up.toml:12:62: points.plain.exponent: expected a point of an integer type",
            "made-up.toml:15:62: points.total.plus[0]: expected a readable number that is not a sum itself",
            "made-up.toml:15:72: points.total.plus[1]: there is no point `sum_l3`; did you mean `sum_l2`?",
        ]
    );
}

#[test]
fn facts_follow_their_scale() {
    let profile = meter(
        r#"power = { at = 0, type = "u16", quantity = "power" }
firmware = { at = 1, type = "u16", scale = 0.01, fact = "firmware_version" }
model = { at = 2, type = "f32", fact = "model" }"#,
    )
    .unwrap();
    let registers = Registers::default().set(3, 0, &[0, 120]).floats(3, &[(2, 1.18)]);
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(fact(&seen, DeviceFact::FirmwareVersion), Some("1.20"));
    assert_eq!(fact(&seen, DeviceFact::Model), Some("1.18"));
}

#[test]
fn a_condition_may_ask_for_anything_else() {
    let profile = meter(
        r#"power = { at = 0, type = "u16", quantity = "power", when = [{ point = "code", is_not = [7, 9] }] }
code = { at = 1, type = "u16" }"#,
    )
    .unwrap();
    let power = |code| {
        let registers = Registers::default().set(3, 0, &[5, code]);
        milli(
            &registers.poll(&profile, &mut Image::new()),
            Quantity::Power,
            Phase::Total,
        )
    };
    assert_eq!((power(7), power(8), power(9)), (vec![], vec![5_000], vec![]));
}

/// A charger that answers its limit only as the fourth of five registers.
fn whole() -> Profile {
    let text = include_str!("../../../docs/profile-format.md");
    let example = text
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let example = example
        .replace(
            "max_read_regs = 40\n",
            "max_read_regs = 40\nread_whole = [{ fc = 3, first = 198, last = 202 }]\n",
        )
        .replace("at = 202, type", "at = 222, type");
    Profile::parse("whole.toml", &example).unwrap()
}

#[test]
fn what_is_read_whole_is_read_by_nothing_else() {
    let profile = whole();
    let cost = LinkCost {
        char_us: 0,
        silence_us: 0,
        think_us: 1,
    };
    for caution in [Caution::Normal, Caution::Small, Caution::Single] {
        let plan = profile.plan(cost, 1, &Image::new(), caution);
        let touching: Vec<_> = plan
            .iter()
            .filter(|block| block.addr <= 202 && block.addr + block.count > 198)
            .map(|block| (block.fc, block.addr, block.count, block.cadence))
            .collect();
        assert_eq!(touching, [(ReadFc::HoldingRegisters, 198, 5, Cadence::Fast)]);
    }
    let steps = profile.recipe(
        DeviceCommand::Limit(MilliAmps::from_base(13)),
        &RecipeContext::new(&Image::new()),
    );
    let crate::device::Step::Write {
        verify: Some(check), ..
    } = &steps.unwrap()[0]
    else {
        panic!("the limit is verified");
    };
    assert_eq!(
        check.read,
        Pdu::Read {
            fc: ReadFc::HoldingRegisters,
            addr: 198,
            count: 5
        }
    );
    let answer = |limit| crate::device::Reply::Registers(vec![1, 2, limit, 3, 4]);
    assert_eq!(check.judge(&answer(130)), Ok(()));
    assert!(check.judge(&answer(120)).is_err());
}

#[test]
fn a_point_half_inside_a_whole_is_a_mistake() {
    let text = r#"format = 1
id = "made-up"
kind = "meter"
vendor = "Nobody"
models = ["None"]
source = ["this test"]
defaults = { fc = 3 }
[link]
tcp_port = 502
unit = 1
poll_ms = 1000
max_read_regs = 4
max_read_bits = 16
read_whole = [{ fc = 3, first = 0, last = 4 }, { fc = 3, first = 10, last = 12 }, { fc = 1, first = 0, last = 15 }, { fc = 2, first = 0, last = 16 }]
[points]
energy = { at = 12, type = "u32", quantity = "energy_import" }"#;
    let errors: Vec<String> = Profile::parse("made-up.toml", text)
        .err()
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .collect();
    assert_eq!(
        errors,
        [
            "made-up.toml:14:14: link.read_whole: `energy` lies partly inside 10 to 12",
            "made-up.toml:14:15: link.read_whole[0]: is too wide: one read takes 4 registers at most",
            "made-up.toml:14:117: link.read_whole[3]: is too wide: one read takes 16 bits at most",
        ]
    );
}

#[test]
fn a_term_that_is_not_available_may_count_nothing() {
    let sum = |extra: &str| {
        let profile = meter(&format!(
            r#"total = {{ at = 0, type = "u32", unit = "Wh", na = ["max"], quantity = "energy_import", plus = ["l2", "l3"]{extra} }}
l2 = {{ at = 2, type = "u32", unit = "Wh", na = ["max"] }}
l3 = {{ at = 4, type = "u32", unit = "Wh", na = ["max"] }}"#
        ))
        .unwrap();
        let registers = Registers::default().set(3, 0, &[0, 700, 0xFFFF, 0xFFFF, 0, 5]);
        let seen = registers.poll(&profile, &mut Image::new());
        milli(&seen, Quantity::EnergyImport, Phase::Total)
    };
    assert_eq!(sum(""), [0; 0]);
    assert_eq!(sum(", skip_na = true"), [705_000]);
}

#[test]
fn values_out_of_range_are_no_readings() {
    let profile =
        meter(r#"current = { at = 0, type = "u16", scale = 0.1, quantity = "current", valid = [0, 80] }"#)
            .unwrap();
    let current = |raw| {
        let registers = Registers::default().set(3, 0, &[raw]);
        milli(
            &registers.poll(&profile, &mut Image::new()),
            Quantity::Current,
            Phase::Total,
        )
    };
    assert_eq!((current(800), current(801)), (vec![80_000], vec![]));
    assert_eq!(
        complaints(r#"current = { at = 0, type = "u16", quantity = "current", valid = [80, 0] }"#),
        [
            "made-up.toml:10:65: points.current.valid: expected the least and the largest value of a point with a `quantity`"
        ]
    );
}

#[test]
fn fingerprints_of_texts() {
    let profile = meter(
        r#"power = { at = 0, type = "u16", quantity = "power", when = [{ point = "name", starts_with = ["countis e2", "Diris"] }, { point = "serial", min_chars = 4 }] }
name = { at = 1, type = "ascii", len = 6 }
serial = { at = 7, type = "ascii", len = 3, skip = 1 }"#,
    )
    .unwrap();
    let words = |text: &str| -> Vec<u16> {
        text.as_bytes()
            .chunks(2)
            .map(|w| u16::from_be_bytes([w[0], w[1]]))
            .collect()
    };
    let there = |name: &str, serial: &str| {
        let registers =
            Registers::default()
                .set(3, 0, &[5])
                .set(3, 1, &words(name))
                .set(3, 7, &words(serial));
        !milli(
            &registers.poll(&profile, &mut Image::new()),
            Quantity::Power,
            Phase::Total,
        )
        .is_empty()
    };
    assert!(there("COUNTIS E23\0", "P12345"));
    assert!(there("diris a10 \0\0", "P1234\0"));
    assert!(!there("Countis E1 \0", "P12345"), "another family");
    assert!(
        !there("COUNTIS E23\0", "P123\0\0"),
        "the first byte does not count"
    );
    assert!(!there("COUNTIS E23\0", "P12\u{e4}5"), "not printable");
}

#[test]
fn connectors_may_share_a_register() {
    let profile =
        meter(r#"power = { at = 0, type = "u16", mask = 0x00FF, connector_shift = 8, quantity = "power" }"#)
            .unwrap();
    let power = |connector| {
        let cost = LinkCost {
            char_us: 0,
            silence_us: 0,
            think_us: 1,
        };
        let mut image = Image::new();
        let plan = profile.plan(cost, connector, &image, Caution::Normal);
        let reply = crate::device::Reply::Registers(vec![0x0207]);
        let electrical = crate::device::Electrical::default();
        let seen = profile.decode(
            &plan[0],
            &reply,
            connector,
            electrical,
            &mut image,
            crate::domain::Mono(0),
        );
        milli(&seen.unwrap(), Quantity::Power, Phase::Total)
    };
    assert_eq!((power(1), power(2)), (vec![7_000], vec![2_000]));
    assert_eq!(
        complaints(
            r#"power = { at = 0, type = "u16", connector_shift = 8, quantity = "power", skip_na = true }
text = { at = 1, type = "ascii", len = 1, skip = 2 }"#
        ),
        [
            "made-up.toml:10:51: points.power.connector_shift: moves `mask` or `bit`: give one of them",
            "made-up.toml:10:84: points.power.skip_na: is for a sum: give `plus` or `minus`",
            "made-up.toml:11:50: points.text.skip: is for texts and bytes that are longer than it",
        ]
    );
}

#[test]
fn a_read_back_may_be_lower_where_another_limit_wins() {
    let rest = |compare: &str| {
        format!(
            "[limits]\nmax_a = 32\n[recipes]\nlimit = [{{ write = \"limit\", value = \"limit\", verify = \"limit\", {compare} }}]\n"
        )
    };
    let point = r#"limit = { at = 1, access = "rw", type = "u16", unit = "A", off = 0 }"#;
    let verdicts = |compare: &str, amps: i64| {
        let profile = super::charger(point, &rest(compare)).unwrap();
        let image = Image::new();
        let command = DeviceCommand::Limit(MilliAmps::from_base(amps));
        let steps = profile.recipe(command, &RecipeContext::new(&image)).unwrap();
        let crate::device::Step::Write {
            verify: Some(check), ..
        } = &steps[0]
        else {
            panic!("the limit is verified");
        };
        let agrees = |raw| check.judge(&crate::device::Reply::Registers(vec![raw])).is_ok();
        [0, 10, 13, 14].map(agrees)
    };
    assert_eq!(verdicts("tolerance = 0", 13), [false, false, true, false]);
    assert_eq!(verdicts("compare = \"at_most\"", 13), [true, true, true, false]);
    assert_eq!(verdicts("compare = \"at_least\"", 13), [false, false, true, true]);
    assert_eq!(
        verdicts("compare = \"at_least\"", 0),
        [true, false, false, false],
        "a pause is a pause"
    );
}

#[test]
fn a_register_that_only_shows_the_limit_shows_the_pause_too() {
    let points = r#"limit = { at = 1, access = "w", type = "u16", unit = "duty", scale = 0.1, off = 1000 }
shown = { at = 2, type = "u16", mask = 0x0FFF, unit = "duty", scale = 0.1, off = 1000, role = "limit_read_back" }"#;
    let rest = "[limits]\nmax_a = 32\n[recipes]\nlimit = [{ write = \"limit\", value = \"limit\", verify = \"shown\" }]\n";
    let profile = super::charger(points, rest).unwrap();
    let image = Image::new();
    let expected = |amps| {
        let command = DeviceCommand::Limit(MilliAmps::from_base(amps));
        let steps = profile.recipe(command, &RecipeContext::new(&image)).unwrap();
        let crate::device::Step::Write {
            verify: Some(check), ..
        } = &steps[0]
        else {
            panic!("the limit is verified");
        };
        check.expected.clone()
    };
    assert_eq!(
        (expected(16), expected(0)),
        (crate::device::Raw::Int(266), crate::device::Raw::Int(1000))
    );
    let shown = profile.point(profile.find("shown").unwrap());
    let amps = |raw| {
        crate::device::current_of(
            shown,
            &crate::device::Raw::Int(raw),
            crate::device::Electrical::default(),
        )
    };
    assert_eq!(
        (amps(1000), amps(266)),
        (Some(MilliAmps::ZERO), Some(MilliAmps(15_960)))
    );
}
