//! A port that one machine owns: bytes in as they come, bytes out in order.

use super::port::serial::Pace;
use super::port::{Wire, read};
use super::task::{BEAT, Core, Crew, Outlet, Word};
use super::timer::Timer;
use crate::device::{Serial, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{BusResult, BusSetup, DeviceId, DriveError, Mono, Now};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Effects taken from the machine in a turn, so that it cannot hold up the task.
const EFFECTS_A_TURN: usize = 64;
/// While so many writes wait for the port no more are taken from the machine.
const MOST_WAITING: usize = 64;
/// The port takes our bytes within this and their own time, or it is lost.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// How often a port is asked whether all bytes have left it.
const DRAIN_STEP: Duration = Duration::from_millis(5);

/// Something to do at the port.
enum Order {
    Write(Vec<u8>),
    Settings(Serial),
}

/// The machine of a port with the devices it serves.
pub(super) struct Stream {
    devices: Vec<DeviceId>,
    machine: Box<dyn StreamMachine>,
    orders: VecDeque<Order>,
    open: bool,
    /// Commands without an answer.
    owed: usize,
}

impl Stream {
    /// `devices` in the order of their slots.
    pub fn new(devices: Vec<DeviceId>, machine: Box<dyn StreamMachine>) -> Self {
        Self {
            devices,
            machine,
            orders: VecDeque::new(),
            open: false,
            owed: 0,
        }
    }

    fn input(&mut self, now: Now, input: StreamInput, outlet: &mut Outlet) {
        self.machine.handle(now, input);
        self.pump(outlet);
    }

    fn pump(&mut self, outlet: &mut Outlet) {
        for _ in 0..EFFECTS_A_TURN {
            if self.orders.len() >= MOST_WAITING {
                return;
            }
            let Some(effect) = self.machine.poll() else { return };
            match effect {
                StreamEffect::Write(bytes) => self.order(Order::Write(bytes)),
                StreamEffect::Settings(settings) => self.order(Order::Settings(settings)),
                StreamEffect::Observed { slot, observations } => {
                    if let Some(device) = self.devices.get(slot) {
                        // Nobody asks here, or only the machine knows of it: what was understood is what counts.
                        outlet.count(|tally| tally.ended(BusResult::Ok, Duration::ZERO));
                        outlet.observed(device, observations);
                    }
                }
                StreamEffect::Done { slot, ticket, result } => {
                    self.owed = self.owed.saturating_sub(1);
                    if let Some(device) = self.devices.get(slot) {
                        outlet.done(device, ticket, result);
                    }
                }
                StreamEffect::Link { slot, up, cause } => {
                    if let Some(device) = self.devices.get(slot) {
                        fell_silent(device, cause.as_ref(), outlet);
                        outlet.link(device, up, cause);
                    }
                }
                StreamEffect::Failsafe { slot, report } => {
                    if let Some(device) = self.devices.get(slot) {
                        outlet.failsafe(device, report);
                    }
                }
            }
        }
    }

    /// What is written to a port that is not there is lost, as it would be with the port.
    fn order(&mut self, order: Order) {
        if self.open {
            self.orders.push_back(order);
        }
    }
}

/// Of a machine's failures only that a device ceased to be heard is known here.
fn fell_silent(device: &DeviceId, cause: Option<&DriveError>, outlet: &Outlet) {
    let Some(cause) = cause else { return };
    let result = match cause {
        DriveError::Timeout(_) => BusResult::Timeout,
        DriveError::Garbled => BusResult::Crc,
        DriveError::Exception(_) => BusResult::Exception,
        DriveError::PortLost
        | DriveError::NotObeyed { .. }
        | DriveError::Unsupported
        | DriveError::OtherDevice
        | DriveError::Superseded => return,
    };
    outlet.count(|tally| {
        tally.ended(result, Duration::ZERO);
        tally.failed(&format!("{device}: {cause}"));
    });
}

impl Crew for Stream {
    fn slot(&self, device: &DeviceId) -> Option<usize> {
        self.devices.iter().position(|known| known == device)
    }

    fn tell(&mut self, now: Now, word: Word, outlet: &mut Outlet) {
        let input = match word {
            Word::Drive {
                slot,
                ticket,
                command,
                lowering,
            } => {
                self.owed += 1;
                StreamInput::Drive {
                    slot,
                    ticket,
                    command,
                    lowering,
                }
            }
            Word::Lease { slot, until } => StreamInput::Lease { slot, until },
            Word::PortLost => {
                self.open = false;
                self.orders.clear();
                StreamInput::PortLost
            }
            Word::PortBack => {
                self.open = true;
                StreamInput::PortBack
            }
        };
        self.input(now, input, outlet);
    }

    fn turn(&mut self, now: Now, outlet: &mut Outlet) {
        if self.next_deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle(now, StreamInput::Tick);
        }
        self.pump(outlet);
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.machine.next_deadline().map(|(at, _)| at)
    }

    fn is_urgent(&self) -> bool {
        false
    }

    fn owes(&self) -> bool {
        !self.orders.is_empty() || self.owed > 0
    }

    async fn serve(
        core: &mut Core<Self>,
        wire: Box<dyn Wire>,
        timer: Timer,
        setup: &BusSetup,
    ) -> Option<io::Error> {
        let mut port = Port {
            wire,
            timer,
            pace: Pace::of(&setup.link, Duration::ZERO),
            sent: Duration::ZERO,
        };
        let mut heard = Vec::new();
        loop {
            core.turn();
            if core.left() {
                return None;
            }
            let done = match core.crew.orders.pop_front() {
                Some(order) => {
                    let line = port.time_of(&order);
                    core.outlet.count(|tally| tally.busy(line));
                    core.during(port.carry_out(order), None).await
                }
                None => tokio::select! {
                    biased;
                    count = read(&mut *port.wire, &mut heard) => count.map(|_| ()),
                    () = core.stir(BEAT) => Ok(()),
                },
            };
            if let Err(lost) = done {
                return Some(lost);
            }
            if !heard.is_empty() {
                let line = port.pace.bytes(heard.len());
                core.outlet.count(|tally| tally.busy(line));
                let bytes = StreamInput::Bytes(std::mem::take(&mut heard));
                core.crew.input(core.clock.now(), bytes, &mut core.outlet);
            }
        }
    }
}

/// An open port.
struct Port {
    wire: Box<dyn Wire>,
    timer: Timer,
    pace: Pace,
    /// When the last byte written leaves a serial port.
    sent: Duration,
}

impl Port {
    /// How long the line is in use for it.
    fn time_of(&self, order: &Order) -> Duration {
        match order {
            Order::Write(bytes) => self.pace.bytes(bytes.len()),
            Order::Settings(_) => Duration::ZERO,
        }
    }

    async fn carry_out(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Write(bytes) => self.write(&bytes).await,
            Order::Settings(settings) => self.set(settings).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (begin, length) = (self.timer.now(), self.pace.bytes(bytes.len()));
        tokio::select! {
            biased;
            written = self.wire.write_all(bytes) => written?,
            passed = self.timer.until(begin.max(self.sent) + length + WRITE_LIMIT) => {
                passed?;
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.sent = begin.max(self.sent) + length;
        Ok(())
    }

    /// A byte still in the port would go out at the new speed and be lost.
    async fn set(&mut self, settings: Serial) -> io::Result<()> {
        self.timer.until(self.sent).await?;
        let limit = self.timer.now() + WRITE_LIMIT;
        while self.wire.unsent()? > 0 && self.timer.now() < limit {
            let next = self.timer.now() + DRAIN_STEP;
            self.timer.until(next).await?;
        }
        self.wire.set(&settings)?;
        self.pace = Pace::of_serial(&settings);
        Ok(())
    }
}
