//! Stories of devices on GPIO lines, in simulated time.

mod contactor;
mod pulses;

use super::{Edge, GpioEffect, GpioInput, GpioMachine};
use crate::device::FailsafeReport;
use crate::domain::{
    Bias, DeviceCommand, DeviceFault, DriveError, GpioDevice, GpioLine, GpioSignal, LineName, MilliAmps,
    MilliWattHours, Mono, Now, Observation, Phase, PulseSetup, Quantity, RelaySetup, VehicleState,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time zero of the kernel's clock is not ours.
const KERNEL_ORIGIN_NS: u64 = 86_400_000_000_000;

/// A device with these inputs beside its relay, and a meter of 1000 pulses per kWh that showed 5 kWh.
fn device(inputs: &[GpioSignal], relay: bool, pulses: bool) -> GpioDevice {
    let line = || GpioLine {
        at: LineName::Offset(0),
        active_low: false,
        bias: Bias::AsIs,
        debounce: Duration::ZERO,
    };
    let own = [(relay, GpioSignal::Relay), (pulses, GpioSignal::Pulse)];
    GpioDevice {
        lines: own
            .iter()
            .filter(|(there, _)| *there)
            .map(|(_, signal)| signal)
            .chain(inputs)
            .map(|signal| (*signal, line()))
            .collect(),
        relay: relay.then_some(RelaySetup {
            rated: MilliAmps::from_base(16),
            min_on: Duration::from_secs(60),
            min_off: Duration::from_secs(60),
        }),
        pulses: pulses.then_some(PulseSetup {
            per_kwh: 1000,
            start: MilliWattHours(5_000_000),
            width: Duration::from_millis(20),
        }),
    }
}

/// A machine on a bench: time is moved by hand, deadlines are kept to the millisecond.
struct Bench {
    machine: GpioMachine,
    now: u64,
    levels: BTreeMap<GpioSignal, bool>,
    seqno: u32,
    closed: bool,
    /// When the relay moved, and to what.
    moves: Vec<(u64, bool)>,
    done: Vec<(u64, Result<(), DriveError>)>,
    seen: BTreeMap<&'static str, Observation>,
    contacts: Vec<(GpioSignal, bool)>,
    kept: Option<u64>,
    links: Vec<bool>,
    failsafe: Vec<FailsafeReport>,
    remarks: usize,
}

impl Bench {
    /// A device whose lines are taken at 1 s, all inputs idle, leased for an hour.
    fn new(device: GpioDevice) -> Self {
        let levels = device
            .lines
            .keys()
            .filter(|signal| **signal != GpioSignal::Relay)
            .map(|signal| (*signal, false))
            .collect();
        let mut bench = Self {
            machine: GpioMachine::new(device, Duration::from_secs(1)),
            now: 1_000,
            levels,
            seqno: 0,
            closed: false,
            moves: Vec::new(),
            done: Vec::new(),
            seen: BTreeMap::new(),
            contacts: Vec::new(),
            kept: None,
            links: Vec::new(),
            failsafe: Vec::new(),
            remarks: 0,
        };
        bench.input(GpioInput::LinesBack(bench.levels.clone()));
        bench.lease(3_600_000);
        bench
    }

    fn time(&self) -> Now {
        Now {
            mono: Mono(self.now),
            ..Now::default()
        }
    }

    fn input(&mut self, input: GpioInput) {
        self.machine.handle(self.time(), input);
        while let Some(effect) = self.machine.poll() {
            match effect {
                GpioEffect::Relay(closed) => {
                    assert_ne!(self.closed, closed, "the relay is told what it does already");
                    self.closed = closed;
                    self.moves.push((self.now, closed));
                }
                GpioEffect::Keep(count) => {
                    assert!(self.kept.is_none_or(|kept| count >= kept), "the count fell");
                    self.kept = Some(count);
                }
                GpioEffect::Observed(observations) => self.note(observations),
                GpioEffect::Done { ticket, result } => self.done.push((ticket, result)),
                GpioEffect::Link { up, .. } => self.links.push(up),
                GpioEffect::Failsafe(report) => self.failsafe.push(report),
                GpioEffect::Remark(_) => self.remarks += 1,
            }
        }
    }

    fn note(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            let name = match &observation {
                Observation::Reading(reading) => match reading.quantity {
                    Quantity::EnergyImport => "energy",
                    Quantity::Power => "power",
                    other => panic!("{other:?}"),
                },
                Observation::Vehicle { .. } => "vehicle",
                Observation::Fault(_) => "fault",
                Observation::HardwareLimit(_) => "limit",
                Observation::Contact { contact, active } => {
                    if self.contacts.last() != Some(&(*contact, *active)) {
                        self.contacts.push((*contact, *active));
                    }
                    continue;
                }
                Observation::Pulses(count) => {
                    assert_eq!(self.kept, Some(*count), "told but not kept");
                    "pulses"
                }
                other => panic!("{other:?}"),
            };
            self.seen.insert(name, observation);
        }
    }

    fn lease(&mut self, ms: u64) {
        let until = Mono(self.now + ms);
        self.input(GpioInput::Lease { until });
    }

    /// Lets time pass, waking the machine when it asked to be.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some((at, _)) = self.machine.next_deadline(self.time())
            && at.0 <= end
        {
            assert!(
                at.0 > self.now || self.now == 1_000,
                "a deadline that does not pass"
            );
            self.now = at.0.max(self.now + 1);
            self.input(GpioInput::Tick);
        }
        self.now = end;
    }

    fn drive(&mut self, ticket: u64, command: DeviceCommand) {
        self.input(GpioInput::Drive { ticket, command });
    }

    /// What a station says to begin: a current, and the permission.
    fn release(&mut self, amps: i64) {
        self.drive(1, DeviceCommand::Limit(MilliAmps::from_base(amps)));
        self.drive(2, DeviceCommand::Enable(true));
    }

    fn set(&mut self, signal: GpioSignal, active: bool) {
        self.levels.insert(signal, active);
        let edge = Edge {
            active,
            at_ns: KERNEL_ORIGIN_NS + self.now * 1_000_000,
            seqno: 1,
        };
        self.input(GpioInput::Edge(signal, edge));
    }

    /// An edge of the pulse line some microseconds after the present.
    fn edge_at(&mut self, us: u64, active: bool) {
        self.seqno += 1;
        let edge = Edge {
            active,
            at_ns: KERNEL_ORIGIN_NS + self.now * 1_000_000 + us * 1_000,
            seqno: self.seqno,
        };
        self.levels.insert(GpioSignal::Pulse, active);
        self.input(GpioInput::Edge(GpioSignal::Pulse, edge));
    }

    /// A clean pulse, then a pause up to the whole period.
    fn pulse(&mut self, on_ms: u64, period_ms: u64) {
        self.edge_at(0, true);
        self.run(on_ms);
        self.edge_at(0, false);
        self.run(period_ms - on_ms);
    }

    fn vehicle(&self) -> Option<VehicleState> {
        match self.seen.get("vehicle")? {
            Observation::Vehicle { state, .. } => Some(*state),
            _ => None,
        }
    }

    fn fault(&self) -> Option<DeviceFault> {
        match self.seen.get("fault")? {
            Observation::Fault(fault) => fault.clone(),
            _ => None,
        }
    }

    fn reading(&self, name: &str) -> Option<i64> {
        match self.seen.get(name)? {
            Observation::Reading(reading) => {
                assert_eq!(reading.phase, Phase::Total);
                Some(reading.milli)
            }
            _ => None,
        }
    }
}
