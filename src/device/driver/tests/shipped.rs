//! The shipped profiles under the driver: registers that only hold what is written, no behaviour.

use super::bench::{Bench, setup};
use crate::device::{Input, Library};
use crate::domain::{DeviceCommand, DriveError, Mono, Protocol};
use std::collections::BTreeMap;

/// A device of a shipped profile with these registers, leased for an hour, 20 s after its start.
fn start(id: &str, registers: &[(u16, u16)]) -> Bench {
    let profile = Library::builtin().get(id).expect("it is shipped");
    let mut bench = Bench::with(profile, &setup(), 7);
    bench.registers = registers.iter().copied().collect();
    bench.input(Input::Lease {
        until: Mono(3_600_000),
    });
    bench.run_for(60_000);
    bench
}

#[test]
fn every_shipped_profile_settles_and_keeps_to_one_request_of_each_class() {
    for (id, profile) in Library::builtin().speaking(Protocol::Modbus) {
        let mut bench = start(id, &[]);
        let ups: Vec<bool> = bench.links.iter().map(|(_, up)| *up).collect();
        if profile.sunspec().is_some() {
            // Nothing but zeros is no list of models.
            assert_eq!(ups, [true, false], "{id}");
            continue;
        }
        assert_eq!(ups, [true], "{id}");
        bench.forget();
        bench.run_for(60_000);
        assert!(bench.sent.len() >= 5, "{id}: {}", bench.sent.len());
    }
}

#[test]
fn a_heidelberg_of_the_old_layout_is_armed_and_limited() {
    let mut bench = start("heidelberg-energy-control", &[(4, 0x0107), (5, 7), (262, 60)]);
    assert_eq!(
        [257, 258, 262].map(|register| bench.registers[&register]),
        [15_000, 4, 0]
    );
    assert!(bench.reports.iter().all(|report| report.armed));
    bench.limit(1, 11);
    bench.run_for(3_000);
    assert_eq!(bench.registers[&261], 110);
    bench.limit(2, 0);
    bench.run_for(3_000);
    assert_eq!(bench.registers[&261], 0);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))]);
}

#[test]
fn a_keba_pauses_by_its_switch_five_seconds_after_the_last_write() {
    let mut bench = start("keba-p30", &[(1601, 6_000), (1603, 30)]);
    bench.limit(1, 11);
    bench.run_for(12_000);
    assert_eq!(
        [5004, 5014].map(|register| bench.registers[&register]),
        [11_000, 1]
    );
    bench.limit(2, 0);
    bench.run_for(6_000);
    assert_eq!(bench.registers[&5014], 0);
    assert_eq!(bench.done, [(1, Ok(())), (2, Ok(()))]);
    let writes: Vec<u64> = bench
        .sent
        .iter()
        .filter(|(_, _, pdu)| pdu.is_write())
        .map(|(at, _, _)| *at)
        .collect();
    assert!(
        writes.windows(2).all(|pair| pair[1] - pair[0] >= 5_000),
        "{writes:?}"
    );
}

#[test]
fn an_evse_board_takes_the_unit_its_configuration_says() {
    for (config, firmware, raw) in [(0, 18, 13), (0x80, 18, 1_350), (0x80, 16, 13)] {
        let mut bench = start("evse-wb-din", &[(1002, 2), (1005, firmware), (2005, config)]);
        bench.drive(1, DeviceCommand::Limit(crate::domain::MilliAmps(13_500)));
        bench.run_for(3_000);
        assert_eq!(bench.registers[&1000], raw);
        bench.drive(2, DeviceCommand::ArmWatchdog);
        bench.run_for(100);
        assert_eq!(bench.done, [(1, Ok(())), (2, Err(DriveError::Unsupported))]);
        let worn: BTreeMap<u64, u16> = (2000..2018).flat_map(|register| bench.writes(register)).collect();
        assert!(worn.is_empty(), "its EEPROM is left alone");
    }
}
