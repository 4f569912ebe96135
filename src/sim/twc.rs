//! Wall Connectors of the second generation as followers on a load-sharing line, in both forms of the protocol.
//!
//! A unit's id is 0x12 and the unit number of its spec. Presets: `protocol` (1 or 2, 2 unless given) and `vin`.
//! The framing is a second implementation on purpose: a mistake shared with the driver would hide.
//! Source: dracoventions/TWCManager, ngardiner/TWCManager.

use super::device::SimDevice;
use super::slave::Answer;
use super::speech::{Devices, Speech};
use crate::device::Raw;
use crate::domain::{MilliAmps, Mono, VehicleState};
use std::time::Duration;

/// A unit faults after this long without a master.
const PATIENCE: Duration = Duration::from_secs(10);
/// It looks for one this often.
const READY_EVERY: Duration = Duration::from_secs(10);
/// Most a European unit offers.
const MOST: MilliAmps = MilliAmps::from_base(32);
/// Its current meter shows this at rest, 0.01 A.
const OFFSET: i64 = 25;

struct Unit {
    name: String,
    id: [u8; 2],
    protocol: u8,
    vin: Vec<u8>,
    /// Has a master.
    led: bool,
    ready_at: Mono,
    open: bool,
}

/// All units of a line.
pub(super) struct TwcSpeech {
    units: Vec<Unit>,
}

impl TwcSpeech {
    /// The units of these names, switched on.
    pub(super) fn new(names: &[String], devices: &mut Devices) -> Self {
        let mut units = Vec::new();
        for name in names {
            let Some(device) = devices.get_mut(name) else {
                continue;
            };
            device.body.hw_max = MOST;
            device.body.limit = MilliAmps::ZERO;
            device
                .body
                .supervision
                .iter_mut()
                .for_each(|s| s.timeout = PATIENCE);
            let spec = device.spec();
            let protocol = spec.presets.get("protocol").and_then(Raw::int);
            let vin = match spec.presets.get("vin") {
                Some(Raw::Text(vin)) => vin.clone().into_bytes(),
                _ => Vec::new(),
            };
            units.push(Unit {
                name: name.clone(),
                id: [0x12, spec.unit],
                protocol: if protocol == Some(1) { 1 } else { 2 },
                vin,
                led: false,
                ready_at: Mono(0),
                open: false,
            });
        }
        Self { units }
    }
}

impl Speech for TwcSpeech {
    fn hear(&mut self, now: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer> {
        let frame = unframed(bytes)?;
        let mut answer = None;
        for unit in &mut self.units {
            let Some(device) = devices.get_mut(&unit.name).filter(|device| !device.silent) else {
                continue;
            };
            answer = unit.hear(now, device, &frame).or(answer);
        }
        let think = self
            .units
            .first()
            .and_then(|unit| devices.get(&unit.name))?
            .spec()
            .think;
        answer.map(|frame| Answer {
            pdu: framed(&frame),
            think,
        })
    }

    fn speak(&mut self, now: Mono, devices: &mut Devices) -> Vec<u8> {
        // One at a time: real ones draw lots.
        for unit in &mut self.units {
            let Some(device) = devices.get_mut(&unit.name).filter(|device| !device.silent) else {
                continue;
            };
            unit.led &= !has_faulted(device);
            if !unit.led && now >= unit.ready_at {
                unit.ready_at = now.plus(READY_EVERY);
                return framed(&unit.ready());
            }
        }
        Vec::new()
    }
}

/// Whether it has been without a master for too long.
fn has_faulted(device: &SimDevice) -> bool {
    device
        .body
        .supervision
        .is_some_and(|supervision| supervision.tripped)
}

impl Unit {
    fn ready(&self) -> Vec<u8> {
        let [hi, lo] = u16::try_from(MOST.0 / 10).unwrap_or(0).to_be_bytes();
        self.filled(vec![0xFD, 0xE2, self.id[0], self.id[1], 0x55, hi, lo])
    }

    /// With zeros up to the length of the protocol.
    fn filled(&self, mut frame: Vec<u8>) -> Vec<u8> {
        frame.resize(if self.protocol == 1 { 13 } else { 15 }, 0);
        frame
    }

    fn hear(&mut self, now: Mono, device: &mut SimDevice, frame: &[u8]) -> Option<Vec<u8>> {
        let id = self.id;
        let head = |kind: u8| vec![0xFD, kind, id[0], id[1]];
        let (kind, rest) = frame.split_at_checked(2)?;
        if *kind == [0xFB, 0xE2] {
            self.ready_at = now;
            return None;
        }
        if rest.get(2..4)? != self.id {
            return None;
        }
        let modern = self.protocol == 2;
        let answer = match *kind {
            [0xFB, 0xE0] => {
                if frame.len() != self.filled(Vec::new()).len() {
                    return None;
                }
                let master = [*rest.first()?, *rest.get(1)?];
                let limit = u16::from_be_bytes([*rest.get(5)?, *rest.get(6)?]);
                self.heartbeat(now, device, *rest.get(4)?, limit);
                let mut answer = head(0xE0);
                answer.extend(master);
                answer.extend(self.report(device));
                answer
            }
            [0xFB, 0xEB] if modern => {
                let mut answer = head(0xEB);
                let kwh = u32::try_from(device.body.energy().whole().0 / 1_000_000).unwrap_or(0);
                answer.extend(kwh.to_be_bytes());
                for volts in device.body.millivolts {
                    answer.extend(u16::try_from(volts / 1_000).unwrap_or(0).to_be_bytes());
                }
                answer
            }
            [0xFB, part @ (0xEE | 0xEF | 0xF1)] if modern => {
                let mut answer = head(part);
                let from = 7 * usize::from(part - 0xEE).min(2);
                let plugged = device.body.ev.is_some();
                answer.extend((from..from + 7).map(|at| *self.vin.get(at).filter(|_| plugged).unwrap_or(&0)));
                answer
            }
            [0xFC, switch @ (0xB1 | 0xB2)] if modern => {
                self.open = switch == 0xB2;
                device.body.enabled = !self.open;
                head(switch)
            }
            _ => return None,
        };
        Some(self.filled(answer))
    }

    fn heartbeat(&mut self, now: Mono, device: &mut SimDevice, command: u8, limit: u16) {
        if has_faulted(device) {
            device.body.limit = MilliAmps::ZERO;
        }
        let charging = device.body.vehicle() == VehicleState::Charging;
        let takes = match self.protocol {
            1 => command == 0x05,
            _ => command == 0x09 || (command == 0x05 && !charging),
        };
        if takes {
            device.body.limit = MilliAmps(i64::from(limit) * 10);
        }
        device.body.feed(now);
        self.led = true;
    }

    /// State, limit in force and current.
    fn report(&self, device: &SimDevice) -> Vec<u8> {
        let body = &device.body;
        let actual = (body.flow.milliamps[0] / 10).max(OFFSET);
        let state = match body.vehicle() {
            VehicleState::Absent => 0x00,
            VehicleState::Connected => 0x03,
            VehicleState::Waiting if self.open => 0x03,
            VehicleState::Waiting | VehicleState::Ready => 0x04,
            VehicleState::Charging if actual < 130 => 0x08,
            VehicleState::Charging => 0x01,
            VehicleState::Fault(_) | VehicleState::Unavailable => 0x02,
        };
        let centi = |value: i64| u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
        [
            vec![state],
            centi(body.limit.0 / 10).to_vec(),
            centi(actual).to_vec(),
        ]
        .concat()
    }
}

/// Sum, escapes and ends, and the noise that follows a frame.
fn framed(frame: &[u8]) -> Vec<u8> {
    let sum = frame
        .iter()
        .skip(1)
        .fold(0_u32, |sum, byte| sum + u32::from(*byte));
    let mut wire = vec![0xC0];
    for byte in frame.iter().copied().chain(sum.to_le_bytes().into_iter().take(1)) {
        match byte {
            0xC0 => wire.extend([0xDB, 0xDC]),
            0xDB => wire.extend([0xDB, 0xDD]),
            other => wire.push(other),
        }
    }
    wire.extend([0xC0, 0xFE]);
    wire
}

/// A frame of the master without ends, escapes and sum; `None`: damaged.
fn unframed(wire: &[u8]) -> Option<Vec<u8>> {
    let inner = wire.strip_prefix(&[0xC0])?.strip_suffix(&[0xC0])?;
    let mut frame = Vec::new();
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        frame.push(match byte {
            0xDB => match bytes.next()? {
                0xDC => 0xC0,
                0xDD => 0xDB,
                _ => return None,
            },
            0xC0 => return None,
            other => *other,
        });
    }
    let said = frame.pop()?;
    let sum = frame
        .iter()
        .skip(1)
        .fold(0_u32, |sum, byte| sum + u32::from(*byte));
    (u32::from(said) == sum % 256).then_some(frame)
}

#[cfg(test)]
mod tests {
    use super::super::device::DeviceSpec;
    use super::super::ev::{Ev, EvSpec};
    use super::*;
    use crate::device::Library;

    fn line(protocol: i128) -> (TwcSpeech, Devices) {
        let profile = Library::builtin()
            .get("tesla-wall-connector-gen2")
            .expect("it is shipped");
        let mut spec = DeviceSpec::new("left", profile, 0x34);
        spec.presets.insert("protocol".into(), Raw::Int(protocol));
        let mut devices = Devices::from([("left".to_owned(), SimDevice::new(spec, Mono(0)))]);
        (TwcSpeech::new(&["left".to_owned()], &mut devices), devices)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits = |byte| u8::from_str_radix(byte, 16).expect("two digits");
        text.split_whitespace().map(digits).collect()
    }

    #[test]
    fn it_announces_itself_until_it_has_a_master() {
        let (mut speech, mut devices) = line(1);
        // As published, but for the sign of the unit.
        let ready = hex("C0 FD E2 12 34 55 0C 80 00 00 00 00 00 00 09 C0 FE");
        assert_eq!(speech.speak(Mono(0), &mut devices), ready);
        assert!(speech.speak(Mono(9_900), &mut devices).is_empty());
        assert_eq!(speech.speak(Mono(10_000), &mut devices), ready);
        let beat = hex("C0 FB E0 77 77 12 34 05 07 D0 00 00 00 00 F0 C0");
        let answer = speech.hear(Mono(10_000), &mut devices, &beat).expect("an answer");
        assert_eq!(
            answer.pdu,
            hex("C0 FD E0 12 34 77 77 00 07 D0 00 19 00 00 04 C0 FE")
        );
        assert!(speech.speak(Mono(60_000), &mut devices).is_empty());
    }

    #[test]
    fn in_protocol_2_a_charging_vehicle_is_limited_by_the_later_command() {
        let (mut speech, mut devices) = line(2);
        let early = hex("C0 FB E0 77 77 12 34 05 07 D0 00 00 00 00 00 00 F0 C0");
        let late = hex("C0 FB E0 77 77 12 34 09 06 40 00 00 00 00 00 00 63 C0");
        speech.hear(Mono(0), &mut devices, &early).expect("an answer");
        let body = &mut devices.get_mut("left").expect("it is there").body;
        body.ev = Some(Ev::new(EvSpec::default()));
        (1..=50).for_each(|step| body.step(Mono(step * 100), 100));
        speech.hear(Mono(5_000), &mut devices, &late).expect("an answer");
        assert_eq!(devices["left"].body.limit, MilliAmps::from_base(16));
        speech.hear(Mono(5_000), &mut devices, &early).expect("an answer");
        assert_eq!(
            devices["left"].body.limit,
            MilliAmps::from_base(16),
            "too late for that one"
        );
    }
}
