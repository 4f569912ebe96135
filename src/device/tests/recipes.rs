//! What commands come to: exact values, exact functions, nothing above what was asked, nothing forbidden.

use super::{charger, context, script, shipped};
use crate::device::{Electrical, Image, Pdu, Profile, Raw, RecipeContext, Refusal, Reply, Step, current_of};
use crate::domain::{DeviceCommand, DriveError, MilliAmps};
use proptest::prelude::*;
use std::time::Duration;

fn run(profile: &Profile, ctx: &RecipeContext<'_>, command: DeviceCommand) -> Vec<String> {
    script(&profile.recipe(command, ctx).unwrap())
}

fn limit(milliamps: i64) -> DeviceCommand {
    DeviceCommand::Limit(MilliAmps(milliamps))
}

#[test]
fn heidelberg_limits_in_tenths_of_an_ampere() {
    let profile = shipped("heidelberg-energy-control");
    let image = Image::new();
    let ctx = context(&image);
    assert_eq!(run(&profile, &ctx, limit(13_370)), ["w6 261=133 (r3 261=133)"]);
    assert_eq!(run(&profile, &ctx, limit(6000)), ["w6 261=60 (r3 261=60)"]);
    assert_eq!(run(&profile, &ctx, limit(5999)), ["w6 261=0 (r3 261=0)"]);
    assert_eq!(run(&profile, &ctx, limit(0)), ["w6 261=0 (r3 261=0)"]);
    assert_eq!(run(&profile, &ctx, limit(80_000)), ["w6 261=160 (r3 261=160)"]);
    assert_eq!(
        run(&profile, &ctx, DeviceCommand::Enable(false)),
        ["w6 261=0 (r3 261=0)"]
    );
    assert_eq!(
        run(&profile, &ctx, DeviceCommand::SafeState),
        ["w6 261=0 (r3 261=0)"]
    );
    assert_eq!(
        profile.recipe(DeviceCommand::Enable(true), &ctx),
        Err(Refusal::Unsupported)
    );
    assert_eq!(
        profile.recipe(DeviceCommand::Unlock, &ctx),
        Err(Refusal::Unsupported)
    );
    assert_eq!(profile.feed(&ctx), Ok(Vec::new()));
}

#[test]
fn heidelberg_is_armed_as_its_layout_allows() {
    let profile = shipped("heidelberg-energy-control");
    let mut image = Image::new();
    image.set(profile.find("layout").unwrap(), Raw::Int(0x0108));
    let mut ctx = context(&image);
    ctx.timeout = Some(Duration::from_secs(20));
    ctx.failsafe = Some(MilliAmps(6_540));
    assert_eq!(
        run(&profile, &ctx, DeviceCommand::ArmWatchdog),
        [
            "w6 257=20000 (r3 257=20000) unless equal",
            "w6 262=65 (r3 262=65) unless equal",
            "w6 258=4 (r3 258=4) unless equal",
        ]
    );
    let mut old = Image::new();
    old.set(profile.find("layout").unwrap(), Raw::Int(0x0107));
    assert_eq!(
        run(&profile, &context(&old), DeviceCommand::ArmWatchdog),
        [
            "w6 257=15000 (r3 257=15000) unless equal",
            "w6 262=0 (r3 262=0) unless equal",
            "w6 258=4"
        ]
    );
    ctx.timeout = Some(Duration::from_secs(3600));
    assert_eq!(
        run(&profile, &ctx, DeviceCommand::ArmWatchdog)[0],
        "w6 257=65535 (r3 257=65535) unless equal"
    );
}

#[test]
fn keba_is_enabled_only_after_a_pause() {
    let profile = shipped("keba-p30");
    let image = Image::new();
    let mut ctx = context(&image);
    assert_eq!(run(&profile, &ctx, limit(13_370)), ["w6 5004=13370", "w6 5014=1"]);
    ctx.maybe_paused = false;
    assert_eq!(run(&profile, &ctx, limit(32_500)), ["w6 5004=32000"]);
    assert_eq!(run(&profile, &ctx, limit(5_000)), ["w6 5014=0"]);
    assert_eq!(run(&profile, &ctx, DeviceCommand::SafeState), ["w6 5014=0"]);
    assert_eq!(run(&profile, &ctx, DeviceCommand::Unlock), ["w6 5012=0"]);
    assert_eq!(
        run(&profile, &ctx, DeviceCommand::ArmWatchdog),
        [
            "w6 5016=6000 (r3 1600=6000) unless equal",
            "w6 5018=30 (r3 1602=30) unless equal",
            "w6 5020=1 after a write",
        ]
    );
    assert_eq!(script(&profile.feed(&ctx).unwrap()), ["w6 5018=30"]);
    // A fallback the register cannot say is refused, not bent.
    ctx.failsafe = Some(MilliAmps(0));
    let refused = profile.recipe(DeviceCommand::ArmWatchdog, &ctx);
    assert_eq!(
        refused,
        Err(Refusal::Unencodable {
            point: "failsafe_current".into()
        })
    );
}

#[test]
fn evse_wb_is_told_in_the_unit_it_is_set_to() {
    let profile = shipped("evse-wb-din");
    let with = |firmware, config| {
        let mut image = Image::new();
        image.set(profile.find("firmware").unwrap(), Raw::Int(firmware));
        image.set(profile.find("config").unwrap(), Raw::Int(config));
        image
    };
    let (whole, fine, old) = (with(16, 0x2000), with(17, 0x2080), with(16, 0x2080));
    assert_eq!(
        run(&profile, &context(&whole), limit(13_990)),
        ["w6 1000=13 (r3 1000=13)"]
    );
    assert_eq!(
        run(&profile, &context(&fine), limit(13_999)),
        ["w6 1000=1399 (r3 1000=1399)"]
    );
    assert_eq!(
        run(&profile, &context(&old), limit(13_999)),
        ["w6 1000=13 (r3 1000=13)"]
    );
    let unknown = Image::new();
    assert_eq!(
        profile.recipe(limit(10_000), &context(&unknown)),
        Err(Refusal::NoStepFits)
    );
    // A stop needs no knowledge.
    assert_eq!(
        run(&profile, &context(&unknown), limit(0)),
        ["w6 1000=0 (r3 1000=0)"]
    );
    assert!(profile.watchdog().is_none());
    assert_eq!(profile.feed(&context(&unknown)), Err(Refusal::Unsupported));
}

/// One limit register of a made-up charger, and what a command writes.
fn written(point: &str, limits: &str, command: i64) -> Vec<String> {
    let profile = charger(
        &format!("limit = {{ at = 10, access = \"rw\", {point} }}"),
        &format!(
            "[limits]\n{limits}\n[recipes]\nlimit = [{{ write = \"limit\", value = \"limit\" }}]\npause = [{{ wait_ms = 1 }}, {{ write = \"limit\", value = 0 }}]"
        ),
    );
    let profile = profile.unwrap_or_else(|errors| panic!("{errors:#?}"));
    let image = Image::new();
    run(&profile, &context(&image), limit(command))
}

#[test]
fn limits_in_every_unit() {
    let max = "max_a = 32";
    assert_eq!(
        written("type = \"u16\", unit = \"mA\"", max, 13_371),
        ["w6 10=13371"]
    );
    assert_eq!(
        written(
            "type = \"u16\", unit = \"%\", full_a = 32, scale = 0.1",
            max,
            10_000
        ),
        ["w6 10=312"]
    );
    // ABL: duty cycle in 0.1 %; the table of the vendor's document.
    let duty = "type = \"u16\", unit = \"duty\", scale = 0.1";
    assert_eq!(written(duty, max, 6_000), ["w6 10=100"]);
    assert_eq!(written(duty, max, 10_000), ["w6 10=166"]);
    assert_eq!(written(duty, max, 16_000), ["w6 10=266"]);
    assert_eq!(written(duty, max, 32_000), ["w6 10=533"]);
    assert_eq!(written(duty, "max_a = 80", 63_000), ["w6 10=892"]);
    // One phase at 230 V is the careful default.
    assert_eq!(
        written("type = \"u32\", unit = \"W\"", max, 16_000),
        ["w16 10=[0000, 0E60]"]
    );
    assert_eq!(
        written("type = \"f32\", unit = \"A\"", max, 13_500),
        ["w16 10=[4158, 0000]"]
    );
    let steps = "type = \"u16\", unit = \"A\", lookup = [[6, 1002], [7, 1169], [10, 1670]]";
    assert_eq!(written(steps, max, 9_999), ["w6 10=1169"]);
    assert_eq!(
        written("type = \"u16\", unit = \"A\"", "max_a = 32\nstep_a = 4", 15_000),
        ["w6 10=12"]
    );
    let words = "type = \"u32\", unit = \"mA\", word_order = \"little\"";
    assert_eq!(written(words, "max_a = 80", 70_000), ["w16 10=[1170, 0001]"]);
}

#[test]
fn a_forbidden_value_is_stepped_around_downward() {
    let point = "type = \"u16\", unit = \"A\", forbidden = [13, [15, 20], [6, 7]]";
    assert_eq!(written(point, "max_a = 32", 13_000), ["w6 10=12"]);
    assert_eq!(written(point, "max_a = 32", 20_000), ["w6 10=14"]);
    // Nothing lies between the minimum and the command: pause.
    assert_eq!(written(point, "max_a = 32", 7_000), ["wait 1ms", "w6 10=0"]);
}

#[test]
fn coils_and_life_bits() {
    let profile = charger(
        "limit = { at = 10, access = \"rw\", type = \"u16\", unit = \"A\" }\n\
         allow = { at = 400, fc = 1, write_fc = [5], access = \"rw\", type = \"bit\" }\n\
         many = { at = 401, fc = 1, write_fc = [15], access = \"rw\", type = \"bit\" }\n\
         alive = { at = 20, access = \"w\", type = \"u16\" }",
        "[limits]\nmax_a = 32\n[recipes]\nlimit = [{ write = \"limit\", value = \"limit\" }]\n\
         enable = [{ write = \"allow\", value = 1, verify = \"allow\" }, { write = \"many\", value = 1 }]\n\
         disable = [{ write = \"allow\", value = 0 }]\n\
         [watchdog]\ntimeout_ms = 10000\nfailsafe_a = 6\nfallback = \"?\"\nfallback_safe = false\n\
         feed = [{ write = \"alive\", value = \"toggle\" }]",
    )
    .unwrap();
    let image = Image::new();
    let mut ctx = context(&image);
    let enable = profile.recipe(DeviceCommand::Enable(true), &ctx).unwrap();
    assert_eq!(script(&enable), ["w5 400=true (r1 400=1)", "w15 401=[true]"]);
    assert_eq!(run(&profile, &ctx, limit(0)), ["w5 400=false"]);
    assert_eq!(script(&profile.feed(&ctx).unwrap()), ["w6 20=1"]);
    ctx.toggle = false;
    assert_eq!(script(&profile.feed(&ctx).unwrap()), ["w6 20=0"]);
    let [
        Step::Write {
            verify: Some(check), ..
        },
        ..,
    ] = enable.as_slice()
    else {
        panic!()
    };
    assert_eq!(check.judge(&Reply::Bits(vec![true; 8])), Ok(()));
    let not_obeyed = DriveError::NotObeyed { wrote: 1, read: 0 };
    assert_eq!(check.judge(&Reply::Bits(vec![false; 8])), Err(not_obeyed));
    assert_eq!(check.judge(&Reply::Written), Err(DriveError::Garbled));
}

#[test]
fn the_second_connector_has_its_own_registers() {
    let profile = charger(
        "limit = { at = 301, connector_offset = 1000, access = \"rw\", type = \"u16\", unit = \"A\", off = 0 }",
        "[limits]\nmax_a = 32\n[recipes]\nlimit = [{ write = \"limit\", value = \"limit\", verify = \"limit\" }]",
    )
    .unwrap();
    let image = Image::new();
    let ctx = RecipeContext {
        connector: 2,
        ..context(&image)
    };
    assert_eq!(run(&profile, &ctx, limit(10_000)), ["w6 1301=10 (r3 1301=10)"]);
}

/// The raw value a single write carries.
fn raw(profile: &Profile, steps: &[Step]) -> Raw {
    let Some(Step::Write { pdu, .. }) = steps.last() else {
        panic!("no write")
    };
    let registers = match pdu {
        Pdu::WriteSingle { value, .. } => vec![*value],
        Pdu::WriteMulti { values, .. } => values.clone(),
        _ => panic!("no register"),
    };
    profile
        .point(profile.find("limit").unwrap())
        .layout
        .read(&registers)
        .unwrap()
}

proptest! {
    /// Whatever the register: never above the command or the maximum, never forbidden, and at least the minimum or
    /// a pause.
    #[test]
    fn an_encoded_limit_never_exceeds_the_command(
        command in 0_i64..100_000,
        max in 6_i64..80,
        unit in 0_usize..6,
        wide: bool,
        forbidden in proptest::collection::vec((1_i64..9000, 0_i64..300), 0..4),
        phases in prop_oneof![Just(1_u8), Just(3)],
    ) {
        let unit = ["unit = \"A\", scale = 0.1", "unit = \"A\"", "unit = \"mA\"", "unit = \"W\"",
            "unit = \"duty\", scale = 0.1", "unit = \"%\", full_a = 80, scale = 0.01"][unit];
        let kind = if wide { "f32" } else { "u32" };
        let bars: Vec<String> =
            forbidden.iter().map(|(from, length)| format!("[{from}, {}]", from + length)).collect();
        let profile = charger(
            &format!("limit = {{ at = 10, access = \"rw\", type = \"{kind}\", {unit}, forbidden = [{}] }}", bars.join(", ")),
            &format!("[limits]\nmax_a = {max}\n[recipes]\nlimit = [{{ write = \"limit\", value = \"limit\" }}]\n\
                      pause = [{{ write = \"limit\", value = 0 }}]"),
        ).unwrap();
        let image = Image::new();
        let electrical = Electrical { phases, volts: 230 };
        let ctx = RecipeContext { electrical, ..context(&image) };
        let steps = profile.recipe(limit(command), &ctx).unwrap();
        let raw = raw(&profile, &steps);
        let point = profile.point(profile.find("limit").unwrap());
        prop_assert!(point.permits(&raw));
        let amps = current_of(point, &raw, electrical).unwrap().0;
        prop_assert!(amps <= command && amps <= max * 1000, "{amps} for {command}");
        prop_assert!(amps == 0 || amps >= 5_990, "{amps} is below the minimum");
    }
}
