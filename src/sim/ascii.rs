//! Devices that speak Modbus ASCII, and those of ABL, which answer with `>` in the place of `:`, know functions 3 and 16
//! only, answer nothing to a read that is not a whole block, and sleep when nobody has asked for a while.
//!
//! The framing is a second implementation on purpose: a mistake shared with the bus would hide.
//! Source: Modbus over Serial Line V1.02, 2.5.2; ABL API description 05001520 Rev. B.

use super::device::SimDevice;
use super::slave::Answer;
use super::speech::{Devices, Speech};
use crate::device::{ReadFc, SerialFraming};
use crate::domain::Mono;
use std::time::Duration;

/// A box of ABL that nobody asks falls asleep after this.
const AWAKE: Duration = Duration::from_secs(10);

/// All devices of a line.
pub(super) struct AsciiSpeech {
    names: Vec<String>,
    /// When somebody was last heard on the line.
    heard: Option<Mono>,
}

impl AsciiSpeech {
    /// The devices of these names.
    pub(super) fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            heard: None,
        }
    }
}

impl Speech for AsciiSpeech {
    fn hear(&mut self, now: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer> {
        let awake = self.heard.is_some_and(|heard| now.since(heard) < AWAKE);
        self.heard = Some(now);
        let frame = opened(bytes)?;
        let (unit, pdu) = frame.split_first()?;
        let mut answer = None;
        for name in &self.names {
            let Some(device) = devices.get_mut(name).filter(|device| {
                let spec = device.spec();
                spec.unit == *unit || *unit == 0
            }) else {
                continue;
            };
            let abl = is_abl(device);
            if abl && (!awake || !is_known(device, pdu)) {
                continue;
            }
            let Some(said) = device.call(now, pdu) else {
                continue;
            };
            let refused = said.pdu.first().is_some_and(|function| function & 0x80 != 0);
            let pdu = match (abl, refused, pdu[0]) {
                (true, true, 3) => continue,
                (true, true, function) => vec![function | 0x80, 4],
                _ => said.pdu,
            };
            answer = Some(Answer {
                pdu: closed(if abl { b'>' } else { b':' }, *unit, &pdu),
                think: said.think,
            });
        }
        answer.filter(|_| *unit != 0)
    }

    fn speak(&mut self, _: Mono, _: &mut Devices) -> Vec<u8> {
        Vec::new()
    }
}

fn is_abl(device: &SimDevice) -> bool {
    let serial = device.spec().profile.link().serial;
    serial.is_some_and(|serial| serial.framing == SerialFraming::Abl)
}

/// Whether a box of ABL answers to it at all: writes, and reads of exactly one block.
fn is_known(device: &SimDevice, pdu: &[u8]) -> bool {
    match pdu {
        [16, ..] => true,
        [3, a, b, c, d] => {
            let (addr, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            device.spec().profile.link().read_whole.iter().any(|block| {
                let whole = block.last - block.first + 1;
                block.fc == ReadFc::HoldingRegisters && block.first == addr && whole == count
            })
        }
        _ => false,
    }
}

/// Two's complement of the sum.
fn lrc(bytes: &[u8]) -> u8 {
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    u8::try_from((256 - sum % 256) % 256).unwrap_or(0)
}

/// Unit and PDU of a request whose check is right.
fn opened(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix(':')?.strip_suffix("\r\n")?;
    let mut frame = Vec::new();
    for at in (0..digits.len()).step_by(2) {
        frame.push(u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?);
    }
    let check = frame.pop()?;
    (frame.len() >= 2 && lrc(&frame) == check).then_some(frame)
}

fn closed(start: u8, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = vec![unit];
    frame.extend_from_slice(pdu);
    frame.push(lrc(&frame));
    let digits: String = frame.iter().map(|byte| format!("{byte:02X}")).collect();
    [&[start], digits.as_bytes(), b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::super::device::DeviceSpec;
    use super::*;
    use crate::device::Library;

    #[test]
    fn a_box_of_abl_answers_blocks_only_once_it_is_awake() {
        let profile = Library::builtin().get("abl-emh1").expect("it is shipped");
        let device = SimDevice::new(DeviceSpec::new("box", profile, 1), Mono(0));
        let mut devices = Devices::from([("box".to_owned(), device)]);
        let mut speech = AsciiSpeech::new(&["box".to_owned()]);
        let mut say = |now: u64, line: &str| {
            let answer = speech.hear(Mono(now), &mut devices, line.as_bytes());
            answer.map(|answer| String::from_utf8(answer.pdu).expect("text"))
        };
        let firmware = ":010300010002F9\r\n";
        assert_eq!(say(0, firmware), None, "it sleeps");
        let answer = say(100, firmware).expect("it is awake");
        assert!(answer.starts_with(">01030401"), "{answer}");
        assert_eq!(say(200, ":010300010001FA\r\n"), None, "half a block");
        assert_eq!(say(300, ":010400010002F8\r\n"), None, "another function");
        assert_eq!(say(400, ":010300010002F8\r\n"), None, "a wrong check");
        assert_eq!(say(500, ":020300010002F8\r\n"), None, "another unit");
        assert_eq!(
            say(600, ":0110001400010200A632\r\n").as_deref(),
            Some(">011000140001DA\r\n")
        );
        assert_eq!(
            say(700, ":01100099000102000053\r\n").as_deref(),
            Some(">0190046B\r\n"),
            "a register that is none"
        );
        assert_eq!(say(700 + 10_000, firmware), None, "asleep again");
    }
}
