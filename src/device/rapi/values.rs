//! What the words of answers mean. A word that does not fit makes the whole answer count for nothing.

use super::guard::MISSED;
use crate::domain::{FaultKind, VehicleState};

/// Flag bits of the state.
const AUTH_LOCKED: u16 = 0x0008;
const CONNECTED: u16 = 0x0100;
const BOOT_LOCKED: u16 = 0x4000;
/// States without current.
const SLEEPING: u8 = 0xFE;
const DISABLED: u8 = 0xFF;

/// `$GS` and `$AT`: the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// State of the machine.
    pub(super) evse: u8,
    /// State of the pilot, while the machine sleeps.
    pilot: u8,
    flags: u16,
}

impl State {
    /// The words of `$GS`: state, seconds, pilot, flags.
    pub(super) fn polled(words: &[String]) -> Option<Self> {
        let [evse, elapsed, pilot, flags] = words else {
            return None;
        };
        elapsed.parse::<u64>().ok()?;
        Self::of(evse, pilot, flags)
    }

    /// The words of `$AT`: state, pilot, amperes, flags; and the amperes.
    pub(super) fn announced(words: &[String]) -> Option<(Self, u16)> {
        let [evse, pilot, amps, flags] = words else {
            return None;
        };
        Some((Self::of(evse, pilot, flags)?, amps.parse().ok()?))
    }

    fn of(evse: &str, pilot: &str, flags: &str) -> Option<Self> {
        Some(Self {
            evse: u8::from_str_radix(evse, 16).ok()?,
            pilot: u8::from_str_radix(pilot, 16).ok()?,
            flags: u16::from_str_radix(flags, 16).ok()?,
        })
    }

    /// Whether it is put to sleep or disabled.
    pub(super) fn is_off(self) -> bool {
        matches!(self.evse, SLEEPING | DISABLED)
    }

    /// Whether nothing can flow: off, or in a fault.
    pub(super) fn is_dead(self) -> bool {
        self.is_off() || matches!(self.evse, 0x04..=0x0B | 0x0E)
    }

    /// Whether a vehicle may be drawing current.
    pub(super) fn is_charging(self) -> bool {
        self.evse == 0x03
    }

    /// Whether it waits for `$SB` since its start.
    pub(super) fn is_boot_locked(self) -> bool {
        self.flags & BOOT_LOCKED != 0
    }

    /// Whether a vehicle is connected.
    pub(super) fn is_connected(self) -> bool {
        match (self.evse, self.pilot) {
            (0x01, _) => false,
            (0x02 | 0x03, _) => true,
            (_, 0x01) => false,
            (_, 0x02 | 0x03) => true,
            _ => self.flags & CONNECTED != 0,
        }
    }

    /// The state by IEC 61851-1. `None`: on its way from one to another.
    pub(super) fn vehicle(self) -> Option<VehicleState> {
        let locked = self.flags & (AUTH_LOCKED | BOOT_LOCKED) != 0;
        let fault = |kind| Some(VehicleState::Fault(kind));
        match self.evse {
            0x01 => Some(VehicleState::Absent),
            0x02 if locked => Some(VehicleState::Connected),
            0x02 => Some(VehicleState::Ready),
            0x03 => Some(VehicleState::Charging),
            // A vehicle that wants ventilation, which this charger does not have.
            0x04 => fault(FaultKind::OtherError),
            0x05 => fault(FaultKind::EvCommunicationError),
            0x06 | 0x07 => fault(FaultKind::GroundFailure),
            0x08 | 0x0E => fault(FaultKind::PowerSwitchFailure),
            0x09 => fault(FaultKind::InternalError),
            0x0A => fault(FaultKind::HighTemperature),
            0x0B => fault(FaultKind::OverCurrentFailure),
            SLEEPING if self.is_connected() => Some(VehicleState::Connected),
            SLEEPING => Some(VehicleState::Absent),
            DISABLED => Some(VehicleState::Unavailable),
            _ => None,
        }
    }
}

/// `$GE`: amperes and flags.
pub(super) fn settings(words: &[String]) -> Option<u16> {
    let [amps, flags] = words else { return None };
    u16::from_str_radix(flags, 16).ok()?;
    amps.parse().ok()
}

/// `$GC`: least and most amperes; the most of hardware, configuration and cable.
pub(super) fn range(words: &[String]) -> Option<(u16, u16)> {
    let [least, hardware, rest @ ..] = words else {
        return None;
    };
    let hardware: u16 = hardware.parse().ok()?;
    let most = match rest {
        [_pilot, configured, ..] => hardware.min(configured.parse().ok()?),
        _ => hardware,
    };
    let least = least.parse().ok()?;
    (least <= most).then_some((least, most))
}

/// `$GG`: milliampere and millivolt, each only where it is measured.
pub(super) fn flow(words: &[String]) -> Option<(Option<i64>, Option<i64>)> {
    let [milliamps, millivolts] = words else {
        return None;
    };
    let (milliamps, millivolts): (i64, i64) = (milliamps.parse().ok()?, millivolts.parse().ok()?);
    if milliamps > 100_000 || millivolts > 300_000 {
        return None;
    }
    Some((
        Some(milliamps).filter(|milli| *milli >= 0),
        Some(millivolts).filter(|milli| *milli > 0),
    ))
}

/// `$GU`: watt-seconds of the session, watt-hours of all sessions.
pub(super) fn energy(words: &[String]) -> Option<(u32, u32)> {
    let [session, total] = words else { return None };
    Some((session.parse().ok()?, total.parse().ok()?))
}

/// `$GP`: the hottest of the sensors that are fitted, 0.1 degrees Celsius.
pub(super) fn temperature(words: &[String]) -> Option<i64> {
    const ABSENT: i64 = -2_560;
    let all: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
    all?.into_iter()
        .filter(|tenths| *tenths != ABSENT && (-500..2_000).contains(tenths))
        .max()
}

/// `$SY` and `$GY`: seconds, amperes, and whether a pulse was missed and not acknowledged.
pub(super) fn supervision(words: &[String]) -> Option<(u16, u16, bool)> {
    let [seconds, amps, trigger] = words else {
        return None;
    };
    Some((
        seconds.parse().ok()?,
        amps.parse().ok()?,
        trigger.parse::<u16>().ok()? == MISSED,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn states() {
        let of = |text| State::polled(&words(text)).expect("a state");
        for (text, vehicle) in [
            ("01 0 01 0000", Some(VehicleState::Absent)),
            ("02 0 02 0100", Some(VehicleState::Ready)),
            ("02 0 02 0108", Some(VehicleState::Connected)),
            ("03 125 03 0140", Some(VehicleState::Charging)),
            (
                "06 0 01 0000",
                Some(VehicleState::Fault(FaultKind::GroundFailure)),
            ),
            (
                "0e 0 01 0000",
                Some(VehicleState::Fault(FaultKind::PowerSwitchFailure)),
            ),
            ("fe 0 01 0000", Some(VehicleState::Absent)),
            ("fe 0 02 0100", Some(VehicleState::Connected)),
            ("fe 0 00 0100", Some(VehicleState::Connected)),
            ("ff 0 01 0000", Some(VehicleState::Unavailable)),
            ("00 0 01 0000", None),
        ] {
            assert_eq!(of(text).vehicle(), vehicle, "{text}");
        }
        assert_eq!(State::polled(&words("03 125 03")), None);
        assert_eq!(State::polled(&words("zz 0 01 0000")), None);
        let (state, amps) = State::announced(&words("03 03 24 0140")).expect("a state");
        assert_eq!((state.is_charging(), amps), (true, 24));
    }

    #[test]
    fn numbers() {
        assert_eq!(settings(&words("24 0229")), Some(24));
        assert_eq!(range(&words("6 80 24 32")), Some((6, 32)));
        assert_eq!(range(&words("6 80")), Some((6, 80)));
        assert_eq!(flow(&words("-1 -1")), Some((None, None)));
        assert_eq!(flow(&words("23950 240000")), Some((Some(23_950), Some(240_000))));
        assert_eq!(flow(&words("2395000 240000")), None);
        assert_eq!(energy(&words("3600 1234")), Some((3_600, 1_234)));
        assert_eq!(temperature(&words("247 230 -2560")), Some(247));
        assert_eq!(temperature(&words("-2560 -2560 -2560")), None);
        assert_eq!(supervision(&words("100 6 2")), Some((100, 6, true)));
    }
}
