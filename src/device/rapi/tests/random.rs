//! Any bytes and any order of events: nothing panics, no deadline lies in the past, every command ends once, nothing
//! above the last word is said, and the same events give the same log (T2).

use super::bench::{Bench, Evse};
use crate::device::StreamInput;
use crate::domain::{DeviceCommand, MilliAmps};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    Drive(DeviceCommand),
    Pass(u64),
    Garbage(Vec<u8>),
    Line(String),
    Silent(bool),
    Deaf(bool),
    Refuse(Vec<&'static str>),
    Car(Option<bool>),
    Fault(Option<u8>),
    Foreign(u16),
    PowerCut,
    Lease(u64),
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
    let line = prop_oneof![
        (0_u8..=255, 0_u8..40).prop_map(|(id, amps)| format!("$OK {amps} :{id:02X}")),
        (0_u8..=255, 0_u8..40, 0_u8..=255)
            .prop_map(|(a, amps, b)| format!("$AT {a:02x} {b:02x} {amps} 0100")),
        Just("$AB 00 8.2.1".to_owned()),
        Just("$NK".to_owned()),
        prop::collection::vec(b' '..=b'~', 0..40)
            .prop_map(|text| String::from_utf8_lossy(&text).into_owned()),
    ];
    prop_oneof![
        6 => command.prop_map(Event::Drive),
        8 => (0_u64..5_000).prop_map(Event::Pass),
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Event::Garbage),
        3 => line.prop_map(Event::Line),
        2 => any::<bool>().prop_map(Event::Silent),
        1 => any::<bool>().prop_map(Event::Deaf),
        1 => prop::sample::subsequence(vec!["GG", "GU", "SY", "GY", "FS", "GS"], 0..=6).prop_map(Event::Refuse),
        2 => any::<Option<bool>>().prop_map(Event::Car),
        1 => prop::option::of(4_u8..15).prop_map(Event::Fault),
        1 => (6_u16..32).prop_map(Event::Foreign),
        1 => Just(Event::PowerCut),
        2 => (0_u64..40_000).prop_map(Event::Lease),
        1 => any::<bool>().prop_map(Event::Port),
    ]
}

/// The most that may be said after what was commanded, milliampere.
#[derive(Clone, Copy)]
struct Word {
    limit: Option<i64>,
    off: bool,
}

impl Word {
    fn take(&mut self, command: DeviceCommand) {
        match command {
            DeviceCommand::Limit(limit) => self.limit = Some(limit.0),
            DeviceCommand::Enable(on) => self.off = !on,
            DeviceCommand::SafeState => {
                let offered = if self.off { 0 } else { self.limit.unwrap_or(6_000) };
                self.limit = Some(offered.min(6_000));
            }
            DeviceCommand::Unlock | DeviceCommand::ArmWatchdog | DeviceCommand::Phases(_) => {}
        }
    }

    fn most(self) -> i64 {
        if self.off { 0 } else { self.limit.unwrap_or(0) }
    }
}

fn happen(bench: &mut Bench, event: &Event, word: &mut Word, tickets: &mut u64) {
    match event {
        Event::Drive(command) => {
            *tickets += 1;
            word.take(*command);
            bench.drive(*tickets, *command);
        }
        Event::Pass(ms) => bench.run_for(*ms),
        Event::Garbage(bytes) => bench.input(StreamInput::Bytes(bytes.clone())),
        Event::Line(text) => bench.say(text),
        Event::Silent(on) => bench.evse.silent = *on,
        Event::Deaf(on) => bench.evse.deaf = if *on { vec!["SC", "FS", "FE"] } else { Vec::new() },
        Event::Refuse(commands) => bench.evse.refuses.clone_from(commands),
        Event::Car(car) => bench.evse.car = *car,
        Event::Fault(fault) => bench.evse.fault = *fault,
        Event::Foreign(amps) => bench.evse.amps = *amps,
        Event::PowerCut => {
            let old = std::mem::replace(&mut bench.evse, Evse::new());
            (bench.evse.car, bench.evse.silent) = (old.car, old.silent);
        }
        Event::Lease(ms) => bench.lease(*ms),
        Event::Port(open) if *open != bench.open => bench.plug_in(*open),
        Event::Port(_) => {}
    }
}

fn play(events: &[Event]) -> Result<String, TestCaseError> {
    let mut bench = Bench::new(Evse::new());
    bench.plug_in(true);
    let (mut word, mut tickets, mut seen) = (
        Word {
            limit: None,
            off: false,
        },
        0,
        0,
    );
    for event in events {
        let before = word;
        happen(&mut bench, event, &mut word, &mut tickets);
        let most = word.most().max(before.most());
        for (_, text) in &bench.sent[seen..] {
            let limit = text.strip_prefix("SC ").and_then(|rest| rest.strip_suffix(" V"));
            if let Some(amps) = limit.and_then(|amps| amps.parse::<i64>().ok()) {
                // The least is only said to ease a stop.
                prop_assert!(amps * 1_000 <= most.max(6_000), "{amps} above {most}");
            }
            prop_assert!(text != "FE" || most >= 6_000, "enabled at {most}");
        }
        seen = bench.sent.len();
    }
    let car = bench.evse.car;
    bench.evse = Evse::new();
    bench.evse.car = car;
    if !bench.open {
        bench.plug_in(true);
    }
    bench.say("$AB 00 8.2.1");
    bench.lease(3_600_000);
    bench.run_for(60_000);
    let mut ended: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
    ended.sort_unstable();
    prop_assert_eq!(ended, (1..=tickets).collect::<Vec<_>>());
    if word.off || word.limit.is_some() {
        let flows = i64::from(bench.evse.flowing()) * 1_000;
        prop_assert!(flows <= word.most(), "{flows} > {}", word.most());
    }
    Ok(bench.log)
}

proptest! {
    #[test]
    fn any_order_of_events(events in prop::collection::vec(event(), 0..80)) {
        let log = play(&events)?;
        prop_assert_eq!(log, play(&events)?);
    }
}
