//! What the shipped chargers say, by made-up registers.

use super::{Registers, fact, milli, shipped, vehicle};
use crate::device::{Image, Raw};
use crate::domain::{
    DeviceFact, FaultKind, IdToken, MilliAmps, Observation, Phase, Quality, Quantity, TokenKind, VehicleState,
};

fn heidelberg(layout: u16, status: u16) -> Registers {
    let low = [
        layout, status, 160, 159, 161, 325, 230, 231, 229, 1, 11_040, 0, 500, 1, 0x86A0,
    ];
    let low = Registers::default()
        .set(4, 4, &low)
        .set(4, 100, &[16, 6])
        .set(4, 203, &[0x0102]);
    low.set(3, 257, &[15_000, 4, 1, 0, 130, 60])
}

#[test]
fn heidelberg_measures_and_says_its_layout() {
    let profile = shipped("heidelberg-energy-control");
    let seen = heidelberg(0x0108, 7).poll(&profile, &mut Image::new());
    assert_eq!(fact(&seen, DeviceFact::MapVersion), Some("1.0.8"));
    assert_eq!(vehicle(&seen), Some(VehicleState::Charging));
    assert_eq!(milli(&seen, Quantity::Current, Phase::L2), [15_900]);
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L3), [229_000]);
    assert_eq!(milli(&seen, Quantity::Temperature, Phase::Total), [32_500]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [11_040_000]);
    // Registers 17 and 18: 0x0001_86A0 VAh.
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::Total), [100_000_000]);
    assert!(seen.contains(&Observation::HardwareLimit(MilliAmps(16_000))));
    assert!(seen.contains(&Observation::LimitReadBack(MilliAmps(13_000))));
    let uncalibrated = |o: &Observation| !matches!(o, Observation::Reading(r) if r.quality == Quality::Good);
    assert!(seen.iter().all(uncalibrated));
}

#[test]
fn heidelberg_of_an_old_layout_is_asked_only_for_what_it_has() {
    let profile = shipped("heidelberg-energy-control");
    let mut registers = heidelberg(0x0103, 3);
    for missing in [14, 17, 18, 203] {
        registers.0.remove(&(4, missing));
    }
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(vehicle(&seen), Some(VehicleState::Absent));
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), Vec::<i64>::new());
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::Total), [500_000]);
}

#[test]
fn heidelberg_states() {
    let profile = shipped("heidelberg-energy-control");
    let state = |raw| vehicle(&heidelberg(0x0108, raw).poll(&profile, &mut Image::new())).unwrap();
    let expected = [
        (2, VehicleState::Absent),
        (4, VehicleState::Connected),
        (5, VehicleState::Ready),
        (6, VehicleState::Waiting),
        (8, VehicleState::Charging),
        (9, VehicleState::Fault(FaultKind::OtherError)),
        (10, VehicleState::Unavailable),
        (11, VehicleState::Fault(FaultKind::InternalError)),
        (99, VehicleState::Unavailable),
    ];
    for (raw, iec) in expected {
        assert_eq!(state(raw), iec, "{raw}");
    }
}

fn keba(status: u16, cable: u16) -> Registers {
    let pairs = [
        (1000, [0, status]),
        (1004, [0, cable]),
        (1006, [0, 0]),
        (1008, [0, 15_987]),
        (1010, [0, 16_001]),
        (1012, [0, 0]),
        (1014, [0x0012, 0xD687]),
        (1016, [0x0004, 0xEA41]),
        (1018, [0x030A, 0x2A00]),
        (1020, [0x0070, 0x9E08]),
        (1036, [0x0001, 0x0003]),
        (1040, [0, 230]),
        (1042, [0, 231]),
        (1044, [0, 0]),
        (1046, [0, 998]),
        (1110, [0, 20_000]),
        (1500, [0xDEAD, 0x00EF]),
        (1550, [0, 0]),
    ];
    pairs
        .iter()
        .fold(Registers::default(), |all, (addr, pair)| all.set(3, *addr, pair))
}

#[test]
fn keba_measures_pair_by_pair() {
    let profile = shipped("keba-p30");
    let seen = keba(3, 7).poll(&profile, &mut Image::new());
    assert_eq!(vehicle(&seen), Some(VehicleState::Charging));
    assert_eq!(milli(&seen, Quantity::Current, Phase::L1), [15_987]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [7_380_488]);
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::Total), [6_553_900]);
    assert_eq!(milli(&seen, Quantity::PowerFactor, Phase::Total), [998]);
    assert_eq!(fact(&seen, DeviceFact::FirmwareVersion), Some("3.10.42.0"));
    assert_eq!(fact(&seen, DeviceFact::Model), Some("322113"));
    assert!(seen.contains(&Observation::HardwareLimit(MilliAmps(20_000))));
    assert!(seen.contains(&Observation::Fault(None)));
    let card = IdToken::new("DEAD00EF", TokenKind::Iso14443);
    assert!(seen.contains(&Observation::Token(Some(card))));
}

#[test]
fn keba_tells_no_vehicle_from_not_allowed_by_the_cable() {
    let profile = shipped("keba-p30");
    let state = |status, cable| vehicle(&keba(status, cable).poll(&profile, &mut Image::new())).unwrap();
    assert_eq!(state(1, 3), VehicleState::Absent);
    assert_eq!(state(1, 5), VehicleState::Connected);
    assert_eq!(state(1, 7), VehicleState::Connected);
    assert_eq!(state(2, 7), VehicleState::Ready);
    assert_eq!(state(5, 7), VehicleState::Connected);
    assert_eq!(state(0, 0), VehicleState::Unavailable);
}

#[test]
fn keba_says_no_state_before_the_cable_was_read() {
    let profile = shipped("keba-p30");
    let (registers, mut image) = (keba(1, 7), Image::new());
    let plan = profile.plan(super::WIRE, 1, &image, crate::device::Caution::Normal);
    let mut read = |addr: u16| {
        let block = plan.iter().find(|block| block.addr == addr).unwrap();
        let reply = registers.answer(&profile, block);
        let electrical = crate::device::Electrical::default();
        let now = crate::domain::Mono(0);
        vehicle(
            &profile
                .decode(block, &reply, 1, electrical, &mut image, now)
                .unwrap(),
        )
    };
    assert_eq!(read(1000), None);
    assert_eq!(read(1004), Some(VehicleState::Connected));
}

#[test]
fn keba_without_a_card_says_so() {
    let profile = shipped("keba-p30");
    let seen = keba(1, 0).set(3, 1500, &[0, 0]).poll(&profile, &mut Image::new());
    assert!(seen.contains(&Observation::Token(None)));
}

fn evse_wb(firmware: u16, config: u16, limit: u16, advertised: u16, status: u16) -> Registers {
    let low = [limit, advertised, status, 20, 0, firmware, 2, 1];
    Registers::default().set(3, 1000, &low).set(3, 2005, &[config])
}

#[test]
fn evse_wb_states_follow_the_advertised_current() {
    let profile = shipped("evse-wb-din");
    let state = |advertised, status| {
        vehicle(&evse_wb(16, 0x2000, 0, advertised, status).poll(&profile, &mut Image::new())).unwrap()
    };
    assert_eq!(state(0, 2), VehicleState::Connected);
    assert_eq!(state(16, 2), VehicleState::Ready);
    assert_eq!(state(0, 3), VehicleState::Waiting);
    assert_eq!(state(16, 3), VehicleState::Charging);
    assert_eq!(state(16, 5), VehicleState::Fault(FaultKind::OtherError));
}

#[test]
fn evse_wb_reads_its_limit_in_the_unit_it_is_set_to() {
    let profile = shipped("evse-wb-din");
    let limits = |firmware, config, limit| {
        let seen = evse_wb(firmware, config, limit, 0, 1).poll(&profile, &mut Image::new());
        let limits = seen
            .into_iter()
            .filter(|o| matches!(o, Observation::LimitReadBack(_)));
        limits.collect::<Vec<_>>()
    };
    assert_eq!(
        limits(16, 0x2000, 13),
        [Observation::LimitReadBack(MilliAmps(13_000))]
    );
    assert_eq!(
        limits(17, 0x2080, 1357),
        [Observation::LimitReadBack(MilliAmps(13_570))]
    );
    assert_eq!(
        limits(16, 0x2080, 13),
        [Observation::LimitReadBack(MilliAmps(13_000))]
    );
    assert_eq!(limits(17, 0x2080, 0), [Observation::LimitReadBack(MilliAmps(0))]);
}

#[test]
fn an_answer_of_the_wrong_length_is_garbled_and_changes_nothing_known() {
    let profile = shipped("evse-wb-din");
    let (mut image, now) = (Image::new(), crate::domain::Mono(0));
    let status = profile.find("status").unwrap();
    let plan = profile.plan(super::WIRE, 1, &image, crate::device::Caution::Normal);
    let block = plan.iter().find(|block| block.points.contains(&status)).unwrap();
    let short = crate::device::Reply::Registers(vec![3; usize::from(block.count) - 1]);
    let electrical = crate::device::Electrical::default();
    let result = profile.decode(block, &short, 1, electrical, &mut image, now);
    assert_eq!(result, Err(crate::domain::DriveError::Garbled));
    assert_eq!(image.get(status), None::<&Raw>);
}
