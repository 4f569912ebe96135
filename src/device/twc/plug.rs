//! What the states of a unit's heartbeats say about the plug.
//!
//! There is no plug contact in the protocol: state 00 is "no vehicle" and "vehicle asleep" alike, and a paused unit
//! swings between 00 and 03. So a vehicle counts as gone only when 00 has lasted.

use crate::domain::{FaultKind, Mono, VehicleState};
use std::time::Duration;

/// 00 for this long after a vehicle was there: it is gone.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// 00 for this long when nothing is known yet: a unit that lost its master passes through 00 with a vehicle charging.
const NEVER_THERE_AFTER: Duration = Duration::from_secs(10);

/// The plug of one unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Plug {
    plugged: Option<bool>,
    ready_since: Option<Mono>,
}

impl Plug {
    /// Whether a vehicle is there, as far as is known.
    pub(super) fn plugged(&self) -> Option<bool> {
        self.plugged
    }

    /// Takes the state of a heartbeat. `offers`: the limit in force is above zero; `draws`: current flows. `None`:
    /// the state says nothing new.
    pub(super) fn state(&mut self, now: Mono, state: u8, offers: bool, draws: bool) -> Option<VehicleState> {
        let vehicle = match state {
            0x00 => return self.ready(now, offers),
            0x01 | 0x0A if offers || draws => VehicleState::Charging,
            0x01 | 0x0A => VehicleState::Waiting,
            0x02 => {
                self.ready_since = None;
                return Some(VehicleState::Fault(FaultKind::OtherError));
            }
            0x04 if offers => VehicleState::Ready,
            0x03 | 0x04 | 0x08 => VehicleState::Connected,
            _ => return None,
        };
        (self.plugged, self.ready_since) = (Some(true), None);
        Some(vehicle)
    }

    fn ready(&mut self, now: Mono, offers: bool) -> Option<VehicleState> {
        let since = *self.ready_since.get_or_insert(now);
        let patience = match self.plugged {
            Some(true) => GONE_AFTER,
            Some(false) => Duration::ZERO,
            None => NEVER_THERE_AFTER,
        };
        if now.since(since) >= patience {
            self.plugged = Some(false);
            return Some(VehicleState::Absent);
        }
        let there = if offers {
            VehicleState::Ready
        } else {
            VehicleState::Connected
        };
        self.plugged.map(|_| there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vehicle_is_gone_when_ready_has_lasted() {
        let mut plug = Plug::default();
        assert_eq!(plug.state(Mono(0), 0, false, false), None);
        assert_eq!(plug.state(Mono(9_999), 0, false, false), None);
        assert_eq!(
            plug.state(Mono(10_000), 0, false, false),
            Some(VehicleState::Absent)
        );
        assert_eq!(
            plug.state(Mono(11_000), 4, false, false),
            Some(VehicleState::Connected)
        );
        assert_eq!(
            plug.state(Mono(12_000), 1, true, true),
            Some(VehicleState::Charging)
        );
        for swing in 0..60 {
            let (now, state) = (Mono(13_000 + swing * 1_000), if swing % 2 == 0 { 0 } else { 3 });
            assert_eq!(
                plug.state(now, state, false, false),
                Some(VehicleState::Connected)
            );
        }
        assert_eq!(
            plug.state(Mono(80_000), 0, true, false),
            Some(VehicleState::Ready)
        );
        assert_eq!(plug.state(Mono(90_000), 5, true, false), None, "busy");
        assert_eq!(
            plug.state(Mono(110_000), 0, true, false),
            Some(VehicleState::Absent)
        );
        assert_eq!(plug.plugged(), Some(false));
    }

    #[test]
    fn a_unit_that_charges_with_nothing_offered_waits() {
        let mut plug = Plug::default();
        assert_eq!(plug.state(Mono(0), 1, false, false), Some(VehicleState::Waiting));
        assert_eq!(plug.state(Mono(0), 1, false, true), Some(VehicleState::Charging));
        assert_eq!(
            plug.state(Mono(0), 2, false, false),
            Some(VehicleState::Fault(FaultKind::OtherError))
        );
        assert_eq!(plug.plugged(), Some(true));
    }
}
