//! What the read planner is told of the wire.

use super::super::link_cost;
use super::{device, serial};
use crate::device::{Block, Caution, Image, Library, LinkCost, Profile};
use crate::domain::{BusId, BusSetup, Framing, Link, Protocol};
use std::time::Duration;

fn setup(link: Link, min_gap: Duration) -> BusSetup {
    BusSetup {
        id: BusId::new("bus"),
        link,
        protocol: Protocol::Modbus,
        framing: Framing::Rtu,
        min_gap,
        timeout: Duration::from_secs(1),
        reopen_wait: Duration::from_secs(1),
        devices: vec![device(1)],
    }
}

/// Microseconds of one pass over all blocks.
fn total(blocks: &[Block], cost: LinkCost) -> u64 {
    blocks
        .iter()
        .map(|block| cost.read_us(block.fc, block.count))
        .sum()
}

/// Wire time of the plan over that of the cheapest one, per mille, for a device that thinks for so long, at a baud rate with
/// 10 bits in a character and silences of 3.5 characters, 1.75 ms from 19,200 baud on (Modbus over Serial Line
/// V1.02, 2.5.1.1).
fn over_cheapest(profile: &Profile, baud: u32, min_gap: Duration, think_us: u32) -> u64 {
    let char_us = 10_000_000 / baud;
    let silence_us = if baud > 19_200 { 1_750 } else { char_us * 7 / 2 };
    let gap = profile.link().min_gap.max(min_gap).as_micros();
    let gap_us = u32::try_from(gap).expect("small").max(silence_us);
    // The device keeps one silence, the master the other.
    let truth = LinkCost {
        char_us,
        silence_us: 0,
        think_us: think_us + silence_us + gap_us,
    };
    let plan = |cost| profile.plan(cost, 1, &Image::new(), Caution::Normal);
    let told = link_cost(&setup(serial(baud), min_gap), profile);
    total(&plan(told), truth) * 1_000 / total(&plan(truth), truth)
}

/// P2: within 1.05 of the cheapest plan, for a device that thinks less than assumed or as long.
#[test]
fn the_plan_of_every_profile_counts_the_silence_before_each_request() {
    let library = Library::builtin();
    let meter = library.get("eastron-sdm630").expect("a shipped profile");
    assert_eq!(meter.link().min_gap, Duration::from_millis(100));
    for (id, profile) in library.speaking(Protocol::Modbus) {
        for baud in [9_600, 19_200, 115_200] {
            for (gap_ms, think_us) in [(0, 5_000), (0, 10_000), (200, 5_000)] {
                let ratio = over_cheapest(&profile, baud, Duration::from_millis(gap_ms), think_us);
                assert!(
                    ratio <= 1_050,
                    "{id} at {baud} baud, gap {gap_ms} ms, thinks {think_us} us: {ratio}"
                );
            }
        }
    }
}
