//! An OpenEVSE controller on its serial port. Source: OpenEVSE/open_evse `rapi_proc.h` and `EnergyMeter`.

use super::device::SimDevice;
use super::slave::Answer;
use super::speech::{Devices, Speech};
use crate::domain::{FaultKind, MilliAmps, Mono, VehicleState};
use std::time::Duration;

/// Least and most a controller for level 2 offers.
const LEAST: MilliAmps = MilliAmps::from_base(6);
const MOST: MilliAmps = MilliAmps::from_base(32);

/// The controller at a line.
pub(super) struct RapiSpeech {
    name: String,
    booted: bool,
    /// As last announced.
    told: Option<(u8, u8)>,
    /// A pulse was missed and not acknowledged.
    missed: bool,
    /// Register when the vehicle came, milliwatt-hours.
    session_from: Option<i64>,
    session_ws: i64,
    total_wh: i64,
}

impl RapiSpeech {
    /// A controller that has just been switched on: it is enabled, and nobody supervises it.
    pub(super) fn new(name: &str, devices: &mut Devices) -> Self {
        let mut total_wh = 0;
        if let Some(device) = devices.get_mut(name) {
            (device.body.hw_min, device.body.hw_max, device.body.limit) = (LEAST, MOST, MOST);
            device
                .body
                .supervision
                .iter_mut()
                .for_each(|s| s.timeout = Duration::ZERO);
            total_wh = device.body.energy().whole().base();
        }
        Self {
            name: name.to_owned(),
            booted: false,
            told: None,
            missed: false,
            session_from: None,
            session_ws: 0,
            total_wh,
        }
    }

    /// What has happened since it was last looked at.
    fn catch_up(&mut self, now: Mono, device: &mut SimDevice) {
        let body = &mut device.body;
        if let Some(supervision) = body
            .supervision
            .as_mut()
            .filter(|supervision| supervision.tripped)
        {
            self.missed = true;
            (supervision.tripped, supervision.fed) = (false, now);
            body.limit = body.limit.min(supervision.fallback.max(LEAST));
        }
        let register = body.energy().whole().0;
        match (self.session_from, body.ev.is_some()) {
            (None, true) => (self.session_from, self.session_ws) = (Some(register), 0),
            (Some(from), there) => {
                self.session_ws = (register - from) * 36 / 10_000;
                if !there {
                    self.session_from = None;
                    self.total_wh += self.session_ws / 3_600;
                }
            }
            (None, false) => {}
        }
    }

    /// State of the machine and of the pilot.
    fn states(device: &SimDevice) -> (u8, u8) {
        let body = &device.body;
        let pilot = body
            .ev
            .as_ref()
            .map_or(1, |ev| if ev.asks() && body.enabled { 3 } else { 2 });
        let state = match body.vehicle() {
            VehicleState::Fault(FaultKind::GroundFailure) => 0x06,
            VehicleState::Fault(FaultKind::PowerSwitchFailure) => 0x08,
            VehicleState::Fault(FaultKind::HighTemperature) => 0x0A,
            VehicleState::Fault(FaultKind::OverCurrentFailure) => 0x0B,
            VehicleState::Fault(_) => 0x09,
            VehicleState::Unavailable => 0xFF,
            _ if !body.enabled => 0xFE,
            VehicleState::Absent => 0x01,
            VehicleState::Charging | VehicleState::Waiting => 0x03,
            VehicleState::Connected | VehicleState::Ready => 0x02,
        };
        (state, pilot)
    }

    fn flags(device: &SimDevice) -> u16 {
        if device.body.ev.is_some() { 0x0100 } else { 0 }
    }

    /// The answer to a command, without id and check.
    fn obey(&mut self, now: Mono, device: &mut SimDevice, words: &[&str]) -> String {
        let (state, pilot) = Self::states(device);
        let flags = Self::flags(device);
        let body = &mut device.body;
        match words {
            ["GV"] => "$OK 8.2.1 5.1.0".into(),
            ["GI"] => "$OK SIM00042".into(),
            ["GS"] => format!("$OK {state:02x} 0 {pilot:02x} {flags:04x}"),
            ["GE"] => format!("$OK {} 0229", body.limit.base()),
            ["GC"] => format!(
                "$OK {} 80 {} {}",
                LEAST.base(),
                body.limit.base(),
                body.hw_max.base()
            ),
            ["GG"] => format!("$OK {} {}", body.flow.milliamps[0], body.millivolts[0]),
            ["GU"] => format!("$OK {} {}", self.session_ws, self.total_wh),
            ["GP"] => "$OK 250 -2560 -2560".into(),
            ["SC", amps, "V"] => {
                let Ok(amps) = amps.parse::<i64>() else {
                    return "$NK".into();
                };
                let wanted = MilliAmps::from_base(amps);
                body.limit = wanted.clamp(LEAST, body.hw_max);
                let ok = if body.limit == wanted { "OK" } else { "NK" };
                format!("${ok} {}", body.limit.base())
            }
            ["FS"] | ["FE"] => {
                body.enabled = words == ["FE"];
                "$OK".into()
            }
            ["SY" | "GY", ..] => self.supervise(now, device, words),
            _ => "$NK".into(),
        }
    }

    fn supervise(&mut self, now: Mono, device: &mut SimDevice, words: &[&str]) -> String {
        let body = &mut device.body;
        let Some(supervision) = body.supervision.as_mut() else {
            return "$NK".into();
        };
        let mut ok = true;
        match words {
            ["SY", seconds, amps] => {
                let (Ok(seconds), Ok(amps)) = (seconds.parse(), amps.parse()) else {
                    return "$NK".into();
                };
                supervision.timeout = Duration::from_secs(seconds);
                (supervision.fallback, supervision.fed) = (MilliAmps::from_base(amps), now);
                self.missed = false;
            }
            ["SY", "165"] => {
                self.missed = false;
                body.limit = body.hw_max;
            }
            ["SY"] => {
                supervision.fed = now;
                ok = !self.missed;
            }
            _ => {}
        }
        let word = if ok { "OK" } else { "NK" };
        let (seconds, amps) = (supervision.timeout.as_secs(), supervision.fallback.base());
        format!("${word} {seconds} {amps} {}", if self.missed { 2 } else { 0 })
    }
}

impl Speech for RapiSpeech {
    fn hear(&mut self, now: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer> {
        let name = self.name.clone();
        let device = devices.get_mut(&name).filter(|device| !device.silent)?;
        self.catch_up(now, device);
        let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\r')?;
        let (body, check) = line.split_once('^')?;
        let said = body.bytes().fold(0, |sum, byte| sum ^ byte);
        let answer = if u8::from_str_radix(check, 16) == Ok(said) {
            let mut words: Vec<&str> = body.strip_prefix('$')?.split(' ').collect();
            let id = words.last().copied().filter(|word| word.starts_with(':'));
            if id.is_some() {
                words.pop();
            }
            let answer = self.obey(now, device, &words);
            id.map_or(answer.clone(), |id| format!("{answer} {id}"))
        } else {
            "$NK".to_owned()
        };
        Some(Answer {
            pdu: checked(&answer),
            think: device.spec().think,
        })
    }

    fn speak(&mut self, now: Mono, devices: &mut Devices) -> Vec<u8> {
        let name = self.name.clone();
        let Some(device) = devices.get_mut(&name).filter(|device| !device.silent) else {
            return Vec::new();
        };
        self.catch_up(now, device);
        if !std::mem::replace(&mut self.booted, true) {
            return checked("$AB 00 8.2.1");
        }
        let states = Self::states(device);
        if self.told.replace(states).is_none_or(|told| told == states) {
            return Vec::new();
        }
        let ((state, pilot), amps) = (states, device.body.limit.base());
        checked(&format!(
            "$AT {state:02x} {pilot:02x} {amps} {:04x}",
            Self::flags(device)
        ))
    }
}

/// With check and end.
fn checked(text: &str) -> Vec<u8> {
    let check = text.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("{text}^{check:02X}\r").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::device::DeviceSpec;
    use super::super::ev::{Ev, EvSpec};
    use super::*;
    use crate::device::Library;

    #[test]
    fn it_answers_as_documented() {
        let profile = Library::builtin().get("openevse").expect("it is shipped");
        let device = SimDevice::new(DeviceSpec::new("evse", profile, 1), Mono(0));
        let mut devices = Devices::from([("evse".to_owned(), device)]);
        let mut speech = RapiSpeech::new("evse", &mut devices);
        let mut say = |devices: &mut Devices, line: &str| {
            let answer = speech
                .hear(Mono(0), devices, line.as_bytes())
                .map(|answer| answer.pdu);
            answer.map(|bytes| String::from_utf8(bytes).expect("text"))
        };
        assert_eq!(say(&mut devices, "$FE^27\r").as_deref(), Some("$OK^20\r"));
        assert_eq!(say(&mut devices, "$FE^28\r").as_deref(), Some("$NK^21\r"));
        assert_eq!(say(&mut devices, "$FE^27"), None);
        assert_eq!(say(&mut devices, "$FE :A1^4D\r").as_deref(), Some("$OK :A1^4A\r"));
        let states = |devices: &Devices| RapiSpeech::states(&devices["evse"]);
        assert_eq!(states(&devices), (1, 1));
        let body = &mut devices.get_mut("evse").expect("it is there").body;
        body.ev = Some(Ev::new(EvSpec::default()));
        assert_eq!(states(&devices), (3, 3));
        say(&mut devices, "$FS^31\r");
        assert_eq!(states(&devices), (0xFE, 2));
        assert_eq!(devices["evse"].body.offered(), MilliAmps::ZERO);
    }
}
