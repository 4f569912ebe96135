//! What the shipped meters say, by made-up registers.

use super::{Registers, fact, milli, shipped};
use crate::device::Image;
use crate::domain::{DeviceFact, Phase, Quantity};

#[test]
fn sdm630_floats_become_exact_milli_units() {
    let profile = shipped("eastron-sdm630");
    let registers = Registers::default()
        .floats(
            4,
            &[
                (0, 230.25),
                (2, 231.5),
                (4, f32::NAN),
                (6, 16.0),
                (0x0C, 3680.5),
                (0x34, -11_040.75),
            ],
        )
        .floats(4, &[(0x46, 49.98), (0x48, 12_345.678), (0x15A, 4000.5)])
        .set(3, 0xFC00, &[0x0012, 0xD687, 0x0070]);
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L1), [230_250]);
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L3), Vec::<i64>::new());
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [-11_040_750]);
    // 12345.678 as the nearest f32 is 12345.677734375.
    assert_eq!(
        milli(&seen, Quantity::EnergyImport, Phase::Total),
        [12_345_677_734]
    );
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::L1), [4_000_500_000]);
    assert_eq!(milli(&seen, Quantity::Frequency, Phase::Total), [49_980]);
    assert_eq!(fact(&seen, DeviceFact::SerialNumber), Some("1234567"));
    assert_eq!(fact(&seen, DeviceFact::Model), Some("0070"));
}

#[test]
fn sdm120_is_a_meter_of_one_phase() {
    let profile = shipped("eastron-sdm120");
    let registers = Registers::default()
        .floats(
            4,
            &[(0, 229.0), (6, 10.5), (0x0C, 2404.5), (0x46, 50.0), (0x48, 0.001)],
        )
        .set(3, 0xFC00, &[0, 42, 0x0020]);
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L1), [229_000]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [2_404_500]);
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::Total), [1000]);
    assert_eq!(profile.about().phases, 1);
}

#[test]
fn abb_leaves_out_what_is_not_available() {
    let profile = shipped("abb-b23-b24");
    let registers = Registers::default()
        .set(3, 0x5000, &[0, 0, 0x0012, 0xD687])
        .set(3, 0x5004, &[0xFFFF; 4])
        .set(3, 0x5460, &[0xFFFF; 24])
        .set(3, 0x5B00, &[0, 2301, 0, 2312, 0xFFFF, 0xFFFF])
        .set(3, 0x5B0C, &[0, 1600, 0, 0, 0, 0, 0, 0])
        .set(3, 0x5B14, &[0xFFFF, 0xFF9C, 0x7FFF, 0xFFFF, 0, 5000, 0, 0])
        .set(3, 0x5B2C, &[4998])
        .set(3, 0x5B3A, &[0xFC18, 0x7FFF, 1000, 500])
        .set(3, 0x8900, &[0x0012, 0xD687])
        .set(3, 0x8908, &[0x4231, 0x2E33, 0, 0, 0, 0, 0, 0])
        .set(3, 0x8910, &[17])
        .set(3, 0x8960, &[0x4232, 0x3320, 0x3131, 0x322D, 0x3130, 0x3020]);
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(
        milli(&seen, Quantity::EnergyImport, Phase::Total),
        [12_345_670_000]
    );
    assert_eq!(
        milli(&seen, Quantity::EnergyExport, Phase::Total),
        Vec::<i64>::new()
    );
    assert_eq!(milli(&seen, Quantity::EnergyImport, Phase::L1), Vec::<i64>::new());
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L2), [231_200]);
    assert_eq!(milli(&seen, Quantity::Voltage, Phase::L3), Vec::<i64>::new());
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [-1000]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::L1), Vec::<i64>::new());
    assert_eq!(milli(&seen, Quantity::PowerFactor, Phase::Total), [-1000]);
    assert_eq!(fact(&seen, DeviceFact::Model), Some("B23 112-100"));
    assert_eq!(fact(&seen, DeviceFact::FirmwareVersion), Some("B1.3"));
}

#[test]
fn em340_has_the_low_word_first() {
    let profile = shipped("carlo-gavazzi-em340");
    let registers = Registers::default()
        .set(4, 0, &[2301, 0, 2312, 0, 2323, 0])
        .set(4, 0x0C, &[16_000, 0, 0x7530, 0x0001, 0, 0])
        .set(4, 0x12, &[0x6B40, 0x0001, 0xFFFF, 0xFFFF, 0, 0])
        .set(4, 0x24, &[2312, 0])
        .set(4, 0x28, &[0xD687, 0x0012])
        .set(4, 0x2E, &[1000, 0xFC18, 500, 990])
        .set(4, 0x32, &[0, 500])
        .set(4, 0x34, &[0x86A0, 0x0001])
        .set(4, 0x40, &[1, 0, 2, 0, 3, 0])
        .set(4, 0x4E, &[7, 0])
        .set(4, 0x302, &[0x1203])
        .set(4, 0x5000, &[0x4B41, 0x3132, 0x3334, 0x3536, 0x3738, 0, 0]);
    let seen = registers.poll(&profile, &mut Image::new());
    assert_eq!(milli(&seen, Quantity::Current, Phase::L2), [95_536]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::L2), [-100]);
    assert_eq!(milli(&seen, Quantity::Power, Phase::Total), [123_456_700]);
    assert_eq!(
        milli(&seen, Quantity::EnergyImport, Phase::Total),
        [10_000_000_000]
    );
    assert_eq!(milli(&seen, Quantity::EnergyExport, Phase::Total), [700_000]);
    assert_eq!(milli(&seen, Quantity::PowerFactor, Phase::L2), [-1000]);
    assert_eq!(fact(&seen, DeviceFact::FirmwareVersion), Some("1.2.3"));
    assert_eq!(fact(&seen, DeviceFact::SerialNumber), Some("KA12345678"));
}
