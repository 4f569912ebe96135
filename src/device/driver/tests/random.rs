//! Any order of events: the invariants of the bench hold, every ticket ends once, and nothing above the last word
//! is written (S8). The same events give the same transcript (T2).

use super::bench::{Bench, Mood, setup};
use super::maps::{self, LIMIT, SWITCH};
use crate::device::{Input, Pdu};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Mono};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    Drive(DeviceCommand, bool),
    Pass(u64),
    Answer,
    Fail(u8),
    Mood(u8),
    Foreign(u16),
    PowerCut,
    Lease(u64),
    PortLost,
    PortBack,
    Stray(u64),
}

fn command() -> impl Strategy<Value = DeviceCommand> {
    prop_oneof![
        6 => (0_i64..20_000).prop_map(|ma| DeviceCommand::Limit(MilliAmps(ma))),
        2 => Just(DeviceCommand::Limit(MilliAmps::ZERO)),
        2 => any::<bool>().prop_map(DeviceCommand::Enable),
        1 => Just(DeviceCommand::Unlock),
        1 => Just(DeviceCommand::ArmWatchdog),
        1 => Just(DeviceCommand::SafeState),
        1 => any::<bool>().prop_map(|one| DeviceCommand::Phases(if one { 1 } else { 3 })),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (command(), any::<bool>()).prop_map(|(command, lowering)| Event::Drive(command, lowering)),
        6 => (0_u64..4_000).prop_map(Event::Pass),
        6 => Just(Event::Answer),
        3 => (0_u8..6).prop_map(Event::Fail),
        1 => (0_u8..4).prop_map(Event::Mood),
        1 => (0_u16..=160).prop_map(Event::Foreign),
        1 => Just(Event::PowerCut),
        2 => (0_u64..40_000).prop_map(Event::Lease),
        1 => Just(Event::PortLost),
        2 => Just(Event::PortBack),
        1 => (0_u64..50).prop_map(Event::Stray),
    ]
}

fn failure(kind: u8) -> DriveError {
    match kind {
        0 | 1 => DriveError::Timeout(Duration::from_millis(500)),
        2 => DriveError::Garbled,
        3 => DriveError::Exception(2),
        4 => DriveError::Exception(6),
        _ => DriveError::Exception(11),
    }
}

/// The most that may be offered after what was commanded so far, milliampere.
#[derive(Clone, Copy)]
struct Word {
    limit: i64,
    disabled: bool,
    resume: i64,
    switch: bool,
}

impl Word {
    fn take(&mut self, command: DeviceCommand) {
        match command {
            DeviceCommand::Limit(limit) => {
                self.limit = limit.0;
                if limit.0 >= 6_000 {
                    self.resume = limit.0;
                }
            }
            DeviceCommand::Enable(on) if self.switch => self.disabled = !on,
            DeviceCommand::Enable(true) => self.limit = self.limit.max(self.resume),
            DeviceCommand::Enable(false) => self.limit = 0,
            DeviceCommand::SafeState => self.limit = self.most().min(6_000),
            DeviceCommand::Phases(_) | DeviceCommand::Unlock | DeviceCommand::ArmWatchdog => {}
        }
    }

    fn most(self) -> i64 {
        if self.disabled { 0 } else { self.limit }
    }
}

/// Lets one event happen to the bench; a command is counted and remembered.
fn happen(bench: &mut Bench, event: &Event, word: &mut Word, tickets: &mut u64) {
    match event {
        Event::Drive(command, lowering) => {
            *tickets += 1;
            word.take(*command);
            bench.input(Input::Drive {
                ticket: *tickets,
                command: *command,
                lowering: *lowering,
            });
        }
        Event::Pass(ms) => bench.run_for(*ms),
        Event::Answer => {
            bench.answer_one();
        }
        Event::Fail(kind) => bench.fail_next([failure(*kind)]),
        Event::Mood(mood) => {
            bench.mood = [Mood::Well, Mood::Well, Mood::Off, Mood::Deaf(LIMIT)][usize::from(*mood)];
        }
        Event::Foreign(raw) => {
            bench.registers.insert(LIMIT, *raw);
        }
        Event::PowerCut => bench.registers = maps::POWER_ON.into(),
        Event::Lease(ms) => bench.input(Input::Lease {
            until: Mono(bench.now + ms),
        }),
        Event::PortLost => bench.input(Input::PortLost),
        Event::PortBack => bench.input(Input::PortBack),
        Event::Stray(id) => {
            if !bench.queue.iter().any(|request| request.id == *id) {
                bench.input(Input::Replied {
                    id: *id,
                    result: Err(DriveError::Garbled),
                });
            }
        }
    }
}

/// Nothing that waits for the bus offers more than the last word.
fn obeys(bench: &Bench, word: Word) -> Result<(), TestCaseError> {
    for request in &bench.queue {
        match request.pdu {
            Pdu::WriteSingle { addr: LIMIT, value } => {
                prop_assert!(
                    i64::from(value) * 100 <= word.limit,
                    "{value} above {}",
                    word.limit
                );
            }
            Pdu::WriteSingle { addr: SWITCH, value } if value != 0 && word.switch => {
                prop_assert!(word.most() > 0);
            }
            _ => {}
        }
    }
    Ok(())
}

fn play(map: u8, seed: u64, events: &[Event]) -> Result<String, TestCaseError> {
    let profile = [
        maps::any_fed(),
        maps::write_fed(),
        maps::bare(),
        maps::two_phased(),
    ][usize::from(map)]
    .clone();
    let mut bench = Bench::with(profile, &setup(), seed);
    bench.answering = false;
    bench.input(Input::Lease { until: Mono(30_000) });
    let mut word = Word {
        limit: 6_000,
        disabled: false,
        resume: 0,
        switch: map == 1,
    };
    let mut tickets = 0;
    for event in events {
        happen(&mut bench, event, &mut word, &mut tickets);
        obeys(&bench, word)?;
    }
    bench.input(Input::PortBack);
    bench.heal();
    bench.input(Input::Lease {
        until: Mono(bench.now + 3_600_000),
    });
    bench.answering = true;
    bench.run_for(200_000);
    let mut ended: Vec<u64> = bench.done.iter().map(|(ticket, _)| *ticket).collect();
    ended.sort_unstable();
    prop_assert_eq!(ended, (1..=tickets).collect::<Vec<_>>());
    let end = bench.driver.snapshot();
    prop_assert_eq!(end.link, "up");
    if end.in_force && end.commanded.is_some() {
        let offered = if map == 1 && bench.registers[&SWITCH] == 0 {
            0
        } else {
            bench.registers[&LIMIT]
        };
        prop_assert!(
            i64::from(offered) * 100 <= word.most().max(0),
            "{} > {}",
            offered,
            word.most()
        );
    }
    Ok(bench.log)
}

proptest! {
    #[test]
    fn any_order_of_events(map in 0_u8..4, seed: u64, events in prop::collection::vec(event(), 0..120)) {
        let log = play(map, seed, &events)?;
        prop_assert_eq!(log, play(map, seed, &events)?);
    }
}
