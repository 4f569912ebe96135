//! The electrical side of a simulated device: what a charger offers, what flows, what a meter counts. Knows no
//! register.

use super::ev::{Energy, Ev, Flow};
use crate::domain::{FaultKind, MilliAmps, MilliWattHours, Mono, Phase, Quantity, VehicleState};
use std::collections::VecDeque;
use std::time::Duration;

/// Writes remembered per device.
const WRITES_KEPT: usize = 10_000;

/// Communication supervision inside a charger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// Without a feed for this long the fallback is offered; zero: switched off.
    pub timeout: Duration,
    /// Offered then, at most; zero pauses.
    pub fallback: MilliAmps,
    /// The last feed.
    pub fed: Mono,
    /// Whether the fallback is in force.
    pub tripped: bool,
    /// How often it came into force.
    pub trips: u32,
}

/// A write that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When.
    pub at: Mono,
    /// Function code.
    pub fc: u8,
    /// First address.
    pub addr: u16,
    /// Words, or bits as 0 and 1.
    pub values: Vec<u16>,
}

/// What a device is, apart from its registers.
#[derive(Clone, Debug)]
pub struct Body {
    /// Least current it can offer.
    pub hw_min: MilliAmps,
    /// Most current it can offer.
    pub hw_max: MilliAmps,
    /// As last commanded.
    pub limit: MilliAmps,
    /// The switch apart from the limit.
    pub enabled: bool,
    /// Phases connected to the vehicle, 1 or 3.
    pub connected: u8,
    /// A fault that was injected.
    pub fault: Option<FaultKind>,
    /// Locked by a key, starting up.
    pub unavailable: bool,
    /// `None`: no watchdog, as in many real ones.
    pub supervision: Option<Supervision>,
    /// At the plug.
    pub ev: Option<Ev>,
    /// At the reader, as hexadecimal.
    pub card: Option<String>,
    /// Phase voltages, millivolt.
    pub millivolts: [i64; 3],
    /// What flows now.
    pub flow: Flow,
    /// How often the plug was released.
    pub unlocks: u32,
    /// Writes taken, oldest first.
    pub writes: VecDeque<Write>,
    total: Energy,
    phases: [Energy; 3],
}

impl Body {
    /// A body at rest.
    #[must_use]
    pub fn new(hw_min: MilliAmps, hw_max: MilliAmps) -> Self {
        Self {
            hw_min,
            hw_max,
            limit: hw_max,
            enabled: true,
            connected: 3,
            fault: None,
            unavailable: false,
            supervision: None,
            ev: None,
            card: None,
            millivolts: [230_000; 3],
            flow: Flow::default(),
            unlocks: 0,
            writes: VecDeque::new(),
            total: Energy::default(),
            phases: [Energy::default(); 3],
        }
    }

    /// What the control pilot offers: zero when anything forbids it.
    #[must_use]
    pub fn offered(&self) -> MilliAmps {
        if !self.enabled || self.unavailable || self.fault.is_some() {
            return MilliAmps::ZERO;
        }
        let commanded = match &self.supervision {
            Some(s) if s.tripped => s.fallback,
            Some(_) | None => self.limit,
        };
        let offered = commanded.min(self.hw_max);
        if offered < self.hw_min {
            MilliAmps::ZERO
        } else {
            offered
        }
    }

    /// The state by IEC 61851-1.
    #[must_use]
    pub fn vehicle(&self) -> VehicleState {
        if let Some(fault) = self.fault {
            return VehicleState::Fault(fault);
        }
        if self.unavailable {
            return VehicleState::Unavailable;
        }
        let offers = self.offered() > MilliAmps::ZERO;
        match (&self.ev, offers) {
            (None, _) => VehicleState::Absent,
            (Some(ev), true) if ev.asks() => VehicleState::Charging,
            (Some(_), true) => VehicleState::Ready,
            (Some(ev), false) if ev.asks() => VehicleState::Waiting,
            (Some(_), false) => VehicleState::Connected,
        }
    }

    /// The watchdog was fed.
    pub fn feed(&mut self, now: Mono) {
        if let Some(supervision) = &mut self.supervision {
            supervision.fed = now;
            supervision.tripped = false;
        }
    }

    /// A charger's step: the watchdog looks, the vehicle takes.
    pub fn step(&mut self, now: Mono, ms: i64) {
        if let Some(s) = &mut self.supervision
            && !s.tripped
            && !s.timeout.is_zero()
            && now.since(s.fed) >= s.timeout
        {
            s.tripped = true;
            s.trips += 1;
        }
        let (offered, mut millivolts) = (self.offered(), self.millivolts);
        millivolts
            .iter_mut()
            .skip(self.connected.into())
            .for_each(|volts| *volts = 0);
        let flow = self.ev.as_mut().map(|ev| ev.step(ms, offered, millivolts));
        self.carry(flow.unwrap_or_default(), ms);
    }

    /// Lets this flow through the counters for a time.
    pub fn carry(&mut self, flow: Flow, ms: i64) {
        self.flow = flow;
        self.total.add(flow.total_milliwatts(), ms);
        for (energy, milliwatts) in self.phases.iter_mut().zip(flow.milliwatts) {
            energy.add(milliwatts, ms);
        }
    }

    /// The billing register.
    #[must_use]
    pub fn energy(&self) -> Energy {
        self.total
    }

    /// Puts another register in place: a reset, a roll-over, another meter.
    pub fn set_energy(&mut self, at: MilliWattHours) {
        self.total = Energy::starting(at);
        self.phases = [Energy::starting(MilliWattHours(at.0 / 3)); 3];
    }

    /// Remembers a write.
    pub fn wrote(&mut self, write: Write) {
        if self.writes.len() == WRITES_KEPT {
            self.writes.pop_front();
        }
        self.writes.push_back(write);
    }

    /// What it would measure, in milli-units of the quantity's unit.
    #[must_use]
    pub fn measure(&self, quantity: Quantity, phase: Phase) -> i64 {
        let of = |values: [i64; 3], total: i64| match phase {
            Phase::L1 => values[0],
            Phase::L2 => values[1],
            Phase::L3 => values[2],
            Phase::N => 0,
            Phase::Total => total,
        };
        let (flow, volts) = (self.flow, self.millivolts);
        match quantity {
            Quantity::Voltage => of(volts, volts.iter().sum::<i64>() / 3),
            Quantity::Current => of(flow.milliamps, flow.milliamps.iter().sum()),
            // The vehicle is a perfect resistor here: apparent power is power.
            Quantity::Power | Quantity::ApparentPower => of(flow.milliwatts, flow.total_milliwatts()),
            Quantity::EnergyImport => {
                let each = self.phases.map(|energy| energy.whole().0);
                of(each, self.total.whole().0)
            }
            Quantity::ReactivePower
            | Quantity::EnergyExport
            | Quantity::ReactiveEnergyImport
            | Quantity::ReactiveEnergyExport => 0,
            Quantity::PowerFactor => 1_000,
            Quantity::Frequency => 50_000,
            Quantity::Temperature => 25_000,
            Quantity::CurrentOffered => self.offered().0,
            Quantity::Soc => self.ev.as_ref().map_or(0, |ev| ev.permille() * 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ev::EvSpec;
    use super::*;

    fn charger() -> Body {
        let mut body = Body::new(MilliAmps::from_base(6), MilliAmps::from_base(16));
        body.supervision = Some(Supervision {
            timeout: Duration::from_secs(15),
            fallback: MilliAmps::from_base(6),
            fed: Mono(0),
            tripped: false,
            trips: 0,
        });
        body
    }

    fn run(body: &mut Body, from_ms: u64, to_ms: u64) {
        (from_ms / 100 + 1..=to_ms / 100).for_each(|step| body.step(Mono(step * 100), 100));
    }

    #[test]
    fn an_unfed_watchdog_falls_back_and_a_feed_ends_it() {
        let mut body = charger();
        body.ev = Some(Ev::new(EvSpec::default()));
        run(&mut body, 0, 14_900);
        assert_eq!(body.offered(), MilliAmps::from_base(16));
        run(&mut body, 14_900, 20_000);
        assert_eq!(body.offered(), MilliAmps::from_base(6));
        assert_eq!(body.flow.milliamps, [6_000; 3]);
        body.feed(Mono(20_000));
        assert_eq!(body.offered(), MilliAmps::from_base(16));
        run(&mut body, 20_000, 60_000);
        assert_eq!(body.supervision.map(|s| s.trips), Some(2));
    }

    #[test]
    fn the_state_tells_who_withholds() {
        let mut body = charger();
        assert_eq!(body.vehicle(), VehicleState::Absent);
        let mut ev = Ev::new(EvSpec::default());
        ev.ask(false);
        body.ev = Some(ev);
        assert_eq!(body.vehicle(), VehicleState::Ready);
        body.limit = MilliAmps::ZERO;
        assert_eq!(body.vehicle(), VehicleState::Connected);
        if let Some(ev) = &mut body.ev {
            ev.ask(true);
        }
        assert_eq!(body.vehicle(), VehicleState::Waiting);
        body.limit = MilliAmps::from_base(10);
        assert_eq!(body.vehicle(), VehicleState::Charging);
        body.fault = Some(FaultKind::GroundFailure);
        assert_eq!(body.vehicle(), VehicleState::Fault(FaultKind::GroundFailure));
        assert_eq!(body.offered(), MilliAmps::ZERO);
    }
}
