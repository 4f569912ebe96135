//! Meters that are not Modbus, as they speak on their line: SML and P1 telegrams and IEC 62056-21 text pushed at the pace
//! of their profile, or IEC 62056-21 mode C asked for, at 300 baud throughout.

use super::device::SimDevice;
use super::slave::Answer;
use super::speech::{Devices, Speech};
use super::telegram::{SmlValue, iec_block, p1, sml};
use crate::device::{Profile, Sent};
use crate::domain::{Mono, Protocol};
use std::time::Duration;

/// DLMS units of watt-hours, watts.
const WH: u8 = 30;
const W: u8 = 27;

/// The meter of a line.
pub(super) struct MeterSpeech {
    name: String,
    protocol: Protocol,
    asked: bool,
    checksum: bool,
    period: Duration,
    next: Mono,
    /// It was called and waits for the acknowledgement.
    called: bool,
}

impl MeterSpeech {
    /// The meter of this name.
    pub(super) fn new(name: &str, profile: &Profile) -> Self {
        let telegram = profile.telegram();
        Self {
            name: name.to_owned(),
            protocol: profile.protocol(),
            asked: profile.protocol() == Protocol::Iec62056 && telegram.sent == Sent::Asked,
            checksum: telegram.checksum,
            period: profile.link().poll,
            next: Mono(0),
            called: false,
        }
    }

    fn telegram(&self, device: &SimDevice) -> Vec<u8> {
        let wh = device.body.energy().whole().0 / 1_000;
        let watt = device.body.flow.total_milliwatts() / 1_000;
        let kwh = |digits: usize| format!("{:0digits$}.{:03}", wh / 1_000, wh % 1_000);
        let kw = format!("{:02}.{:03}", watt / 1_000, watt % 1_000);
        match self.protocol {
            Protocol::Sml => sml(
                b"SIMULATED",
                &[
                    SmlValue::signed([1, 0, 1, 8, 0, 255], WH, 0, wh),
                    SmlValue::signed([1, 0, 16, 7, 0, 255], W, 0, watt),
                ],
            ),
            Protocol::DsmrP1 => {
                let (energy, power) = (kwh(6), kw);
                let lines = [
                    "0-0:96.1.1(53494D)".to_owned(),
                    format!("1-0:1.8.1({energy}*kWh)"),
                    "1-0:1.8.2(000000.000*kWh)".to_owned(),
                    format!("1-0:1.7.0({power}*kW)"),
                ];
                p1(&lines.each_ref().map(String::as_str), self.checksum)
            }
            _ => {
                let head = if self.asked { "" } else { "/SIM5RETROVOLT\r\n\r\n" };
                let lines = [
                    "1-0:0.0.0*255(SIMULATED)".to_owned(),
                    format!("1-0:1.8.0*255({}*kWh)", kwh(6)),
                    format!("1-0:16.7.0*255({kw}*kW)"),
                ];
                if self.asked {
                    iec_block(&lines.each_ref().map(String::as_str))
                } else {
                    format!("{head}{}\r\n!\r\n", lines.join("\r\n")).into_bytes()
                }
            }
        }
    }
}

impl Speech for MeterSpeech {
    fn hear(&mut self, _: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer> {
        let device = devices
            .get(&self.name)
            .filter(|device| self.asked && !device.silent)?;
        let called = std::mem::take(&mut self.called);
        let pdu = match bytes {
            b"/?!\r\n" => {
                self.called = true;
                b"/SIM0RETROVOLT\r\n".to_vec()
            }
            // The offered speed, taken: data readout.
            b"\x06000\r\n" if called => self.telegram(device),
            _ => return None,
        };
        Some(Answer {
            pdu,
            // The shortest reaction of the standard.
            think: device.spec().think.max(Duration::from_millis(200)),
        })
    }

    fn speak(&mut self, now: Mono, devices: &mut Devices) -> Vec<u8> {
        if self.asked || now < self.next {
            return Vec::new();
        }
        self.next = now.plus(self.period);
        let device = devices.get(&self.name).filter(|device| !device.silent);
        device.map_or_else(Vec::new, |device| self.telegram(device))
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::DeviceSpec;
    use super::*;
    use crate::device::{Library, answer, voices};
    use std::sync::Arc;

    #[test]
    fn each_is_heard_as_what_it_is() {
        let library = Library::builtin();
        let all: Vec<_> = library.ids().filter_map(|id| library.get(id)).collect();
        for id in [
            "sml-meter",
            "dsmr-p1",
            "dsmr-p1-v2",
            "iec62056-push-meter",
            "iec62056-meter",
        ] {
            let profile = library.get(id).expect("it is shipped");
            let spec = DeviceSpec::new("meter", Arc::clone(&profile), 1);
            let mut devices = Devices::from([("meter".to_owned(), SimDevice::new(spec, Mono(0)))]);
            let mut speech = MeterSpeech::new("meter", &profile);
            let said = speech.speak(Mono(0), &mut devices);
            if id == "iec62056-meter" {
                assert!(said.is_empty());
                let mut hear = |bytes: &[u8]| speech.hear(Mono(0), &mut devices, bytes).map(|a| a.pdu);
                assert_eq!(hear(b"\x06000\r\n"), None, "nobody called");
                let called = hear(b"/?!\r\n").expect("an identification");
                assert!(answer(&called, &profile).is_some());
                let block = hear(b"\x06000\r\n").expect("a readout");
                assert!(
                    block.starts_with(b"\x021-0:0.0.0"),
                    "{}",
                    String::from_utf8_lossy(&block)
                );
            } else {
                assert_eq!(voices(&said, &all)[0].profiles[0].id(), id);
                assert!(
                    speech.speak(Mono(1), &mut devices).is_empty(),
                    "not before its time"
                );
            }
        }
    }
}
