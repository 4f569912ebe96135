//! A simulated device refuses what its profile forbids. What it does apart from that is told by the story in
//! `profiles`.

use retrovolt::device::Library;
use retrovolt::domain::{MilliAmps, Mono};
use retrovolt::sim::{DeviceSpec, SimDevice};

#[test]
fn what_the_profile_forbids_is_refused() {
    let profile = Library::builtin().get("heidelberg-energy-control").unwrap();
    let mut device = SimDevice::new(DeviceSpec::new("d", profile, 1), Mono(0));
    let mut refused = |pdu: &[u8]| device.call(Mono(0), pdu).expect("an answer").pdu;
    assert_eq!(
        refused(&[6, 1, 5, 0, 30]),
        [0x86, 3],
        "3 A is not an allowed limit"
    );
    assert_eq!(refused(&[6, 1, 44, 0, 0]), [0x86, 2], "no register 300");
    assert_eq!(refused(&[6, 0, 5, 0, 7]), [0x86, 2], "the status is read-only");
    assert_eq!(refused(&[4, 0, 4, 0, 31]), [0x84, 3], "31 registers are too many");
    assert_eq!(refused(&[6, 1, 5, 0, 100]), [6, 1, 5, 0, 100]);
    assert_eq!(device.register(3, 261), Some(100));
    assert_eq!(device.body.limit, MilliAmps::from_base(10));
}
