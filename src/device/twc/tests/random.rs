//! Any bytes and any order of events: nothing panics, no deadline lies in the past, every command ends once, nothing
//! above the last word is said, and the same events give the same log (T2).

use super::bench::{Bench, Slave, framed, unit};
use crate::device::StreamInput;
use crate::domain::{DeviceCommand, MilliAmps, Observation};
use proptest::prelude::*;

const A: [u8; 2] = [0x12, 0x34];
const B: [u8; 2] = [0xC0, 0xDB];

#[derive(Clone, Debug)]
enum Event {
    Drive(usize, DeviceCommand),
    Pass(u64),
    Garbage(Vec<u8>),
    Frame(Vec<u8>),
    Silent(usize, bool),
    Deaf(usize, bool),
    Car(usize, Option<(bool, bool)>),
    PowerCut(usize),
    Lease(usize, u64),
    Port(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let command = prop_oneof![
        4 => (0_i64..40_000).prop_map(|milli| DeviceCommand::Limit(MilliAmps(milli))),
        2 => any::<bool>().prop_map(DeviceCommand::Enable),
        1 => Just(DeviceCommand::SafeState),
        1 => Just(DeviceCommand::Unlock),
        1 => Just(DeviceCommand::ArmWatchdog),
    ];
    let slot = 0_usize..2;
    prop_oneof![
        6 => (slot.clone(), command).prop_map(|(slot, command)| Event::Drive(slot, command)),
        8 => (0_u64..5_000).prop_map(Event::Pass),
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Event::Garbage),
        2 => prop::collection::vec(any::<u8>(), 2..20).prop_map(Event::Frame),
        2 => (slot.clone(), any::<bool>()).prop_map(|(slot, on)| Event::Silent(slot, on)),
        1 => (slot.clone(), any::<bool>()).prop_map(|(slot, on)| Event::Deaf(slot, on)),
        2 => (slot.clone(), any::<Option<(bool, bool)>>()).prop_map(|(slot, car)| Event::Car(slot, car)),
        1 => slot.clone().prop_map(Event::PowerCut),
        2 => (slot, 0_u64..40_000).prop_map(|(slot, ms)| Event::Lease(slot, ms)),
        1 => any::<bool>().prop_map(Event::Port),
    ]
}

/// The most that may be said to a unit after what was commanded, 0.01 A.
#[derive(Clone, Copy, Default)]
struct Word {
    limit: i64,
    off: bool,
}

impl Word {
    fn take(&mut self, command: DeviceCommand) {
        match command {
            DeviceCommand::Limit(limit) => self.limit = limit.0 / 10,
            DeviceCommand::Enable(on) => self.off = !on,
            DeviceCommand::SafeState => self.limit = 0,
            DeviceCommand::Unlock | DeviceCommand::ArmWatchdog => {}
        }
    }

    fn most(self) -> i64 {
        if self.off { 0 } else { self.limit }
    }
}

fn happen(bench: &mut Bench, event: &Event, words: &mut [Word; 2], tickets: &mut u64) {
    match event {
        Event::Drive(slot, command) => {
            *tickets += 1;
            words[*slot].take(*command);
            bench.drive(*slot, *tickets, *command);
        }
        Event::Pass(ms) => bench.run_for(*ms),
        Event::Garbage(bytes) => bench.input(StreamInput::Bytes(bytes.clone())),
        Event::Frame(frame) => bench.input(StreamInput::Bytes(framed(frame))),
        Event::Silent(slave, on) => bench.slaves[*slave].silent = *on,
        Event::Deaf(slave, on) => bench.slaves[*slave].deaf = *on,
        Event::Car(slave, car) => bench.slaves[*slave].car = *car,
        Event::PowerCut(slave) => {
            let old = &bench.slaves[*slave];
            let mut fresh = Slave::new(old.id, old.protocol);
            (fresh.car, fresh.silent) = (old.car, old.silent);
            bench.slaves[*slave] = fresh;
        }
        Event::Lease(slot, ms) => bench.lease(*slot, *ms),
        Event::Port(open) if *open != bench.open => bench.plug_in(*open),
        Event::Port(_) => {}
    }
}

fn play(events: &[Event]) -> Result<String, TestCaseError> {
    let mut bench = Bench::new(
        vec![Slave::new(A, 1), Slave::new(B, 2)],
        &[unit(Some(A)), unit(Some(B))],
    );
    bench.plug_in(true);
    let (mut words, mut tickets, mut seen) = ([Word::default(); 2], 0, 0);
    for event in events {
        let before = words;
        happen(&mut bench, event, &mut words, &mut tickets);
        for (_, frame) in &bench.sent[seen..] {
            if frame[..2] == [0xFB, 0xE0] {
                let slot = usize::from(frame[4..6] == B);
                let said = i64::from(u16::from_be_bytes([frame[7], frame[8]]));
                prop_assert!(said <= words[slot].most().max(before[slot].most()), "{said}");
            }
        }
        seen = bench.sent.len();
    }
    if !bench.open {
        bench.plug_in(true);
    }
    for slot in 0..2 {
        (bench.slaves[slot].silent, bench.slaves[slot].deaf) = (false, false);
        bench.lease(slot, 3_600_000);
    }
    bench.run_for(60_000);
    let mut ended: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
    ended.sort_unstable();
    prop_assert_eq!(ended, (1..=tickets).collect::<Vec<_>>());
    for (slave, word) in bench.slaves.iter().zip(words) {
        prop_assert!(
            i64::from(slave.limit) <= word.most().max(0),
            "{} > {}",
            slave.limit,
            word.most()
        );
    }
    Ok(bench.log)
}

proptest! {
    #[test]
    fn any_order_of_events(events in prop::collection::vec(event(), 0..80)) {
        let log = play(&events)?;
        prop_assert_eq!(log, play(&events)?);
    }

    #[test]
    fn damaged_frames_are_no_readings(cuts in prop::collection::vec((0_usize..18, 1_u8..=255), 1..300)) {
        let mut bench = Bench::settled(vec![Slave::new(A, 2)]);
        bench.slaves[0].silent = true;
        let good = framed(&[0xFD, 0xE0, A[0], A[1], 0x77, 0x77, 1, 0x06, 0x40, 0x05, 0xFA, 0, 0, 0, 0]);
        for (at, flip) in cuts {
            let mut frame = good.clone();
            frame[at] ^= flip;
            bench.input(StreamInput::Bytes(frame));
        }
        let readings = bench.observed.iter().filter(|(_, _, said)| matches!(said, Observation::Reading(_)));
        prop_assert_eq!(readings.count(), 0);
    }
}
