//! The shipped profiles and the rules of the format, seen from outside.

mod chargers;
mod errors;
mod meters;
mod planning;
mod recipes;
mod schema;
mod stream_errors;
pub(super) mod streams;

use super::{
    Block, Cadence, Caution, Electrical, Image, Library, LinkCost, Profile, ReadFc, RecipeContext, Reply,
    Step,
};
use crate::domain::{DeviceFact, Mono, Observation, Phase, Protocol, Quantity, VehicleState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// 9,600 baud with a parity or second stop bit, and a device that thinks for 5 ms.
const WIRE: LinkCost = LinkCost {
    char_us: 1146,
    silence_us: 4011,
    think_us: 5000,
};

fn shipped(id: &str) -> Arc<Profile> {
    Library::builtin().get(id).unwrap()
}

/// Registers of a made-up device. What was not set is answered by zero only where the profile may read holes.
#[derive(Default)]
struct Registers(BTreeMap<(u8, u16), u16>);

impl Registers {
    fn set(mut self, fc: u8, addr: u16, values: &[u16]) -> Self {
        self.0.extend(
            values
                .iter()
                .zip(addr..)
                .map(|(value, addr)| ((fc, addr), *value)),
        );
        self
    }

    fn floats(self, fc: u8, values: &[(u16, f32)]) -> Self {
        let words = |value: f32| [(value.to_bits() >> 16) as u16, (value.to_bits() & 0xFFFF) as u16];
        values
            .iter()
            .fold(self, |all, (addr, value)| all.set(fc, *addr, &words(*value)))
    }

    fn answer(&self, profile: &Profile, block: &Block) -> Reply {
        let read = |addr: u16| match self.0.get(&(block.fc.code(), addr)) {
            Some(value) => *value,
            None if profile.link().read_holes => 0,
            None => panic!("{} reads {addr}, which the device does not have", profile.id()),
        };
        Reply::Registers((block.addr..).take(usize::from(block.count)).map(read).collect())
    }

    /// Reads everything as a driver does: the facts first, then by what they say.
    fn poll(&self, profile: &Profile, image: &mut Image) -> Vec<Observation> {
        let mut observations = Vec::new();
        for turn in [[Cadence::Once, Cadence::Once], [Cadence::Fast, Cadence::Slow]] {
            let plan = profile.plan(WIRE, 1, image, Caution::Normal);
            for block in plan.iter().filter(|block| turn.contains(&block.cadence)) {
                assert!(block.count <= profile.link().max_read_regs);
                let reply = self.answer(profile, block);
                let electrical = Electrical::default();
                observations.extend(
                    profile
                        .decode(block, &reply, 1, electrical, image, Mono(7))
                        .unwrap(),
                );
            }
        }
        observations
    }
}

fn milli(observations: &[Observation], quantity: Quantity, phase: Phase) -> Vec<i64> {
    let value = |observation: &Observation| match observation {
        Observation::Reading(reading) if (reading.quantity, reading.phase) == (quantity, phase) => {
            Some(reading.milli)
        }
        _ => None,
    };
    observations.iter().filter_map(value).collect()
}

fn vehicle(observations: &[Observation]) -> Option<VehicleState> {
    observations
        .iter()
        .rev()
        .find_map(|observation| match observation {
            Observation::Vehicle { state, .. } => Some(*state),
            _ => None,
        })
}

fn fact(observations: &[Observation], wanted: DeviceFact) -> Option<&str> {
    observations.iter().find_map(|observation| match observation {
        Observation::Fact(fact, text) if *fact == wanted => Some(text.as_str()),
        _ => None,
    })
}

/// The requests of a recipe with what they expect to read back: `w6 261=130 (r3 261=130)`.
fn script(steps: &[Step]) -> Vec<String> {
    use super::{Pdu, Raw};
    let pdu = |pdu: &Pdu| match pdu {
        Pdu::Read { fc, addr, .. } => format!("r{} {addr}", fc.code()),
        Pdu::WriteSingle { addr, value } => format!("w6 {addr}={value}"),
        Pdu::WriteMulti { addr, values } => format!("w16 {addr}={values:04X?}"),
        Pdu::WriteCoil { addr, on } => format!("w5 {addr}={on}"),
        Pdu::WriteCoils { addr, values } => format!("w15 {addr}={values:?}"),
    };
    let step = |step: &Step| match step {
        Step::Wait(time) => format!("wait {time:?}"),
        Step::Write {
            pdu: write,
            unless_equal,
            after_write,
            verify,
            ..
        } => {
            let mut text = pdu(write);
            if let Some(check) = verify {
                let expected = match &check.expected {
                    Raw::Int(value) => value.to_string(),
                    other => format!("{other:?}"),
                };
                text.push_str(&format!(" ({}={expected})", pdu(&check.read)));
            }
            text.push_str(if *unless_equal { " unless equal" } else { "" });
            text.push_str(if *after_write { " after a write" } else { "" });
            text
        }
    };
    steps.iter().map(step).collect()
}

/// A profile from the parts a test cares about.
fn charger(points: &str, rest: &str) -> Result<Profile, Vec<super::ProfileError>> {
    let text = format!(
        r#"format = 1
id = "made-up"
kind = "charger"
vendor = "Nobody"
models = ["None"]
source = ["this test"]
link = {{ tcp_port = 502, unit = 1, poll_ms = 1000 }}
defaults = {{ fc = 3, write_fc = [6, 16] }}
[points]
status = {{ at = 0, type = "u16" }}
{points}
[state]
point = "status"
map = [{{ raw = 1, iec = "A" }}]
{rest}"#
    );
    Profile::parse("made-up.toml", &text)
}

fn context(image: &Image) -> RecipeContext<'_> {
    RecipeContext::new(image)
}

#[test]
fn a_scan_knows_a_shipped_device_by_its_fingerprint() {
    let heidelberg = shipped("heidelberg-energy-control");
    let reads: Vec<(ReadFc, u16, u16)> = heidelberg
        .identify_reads()
        .iter()
        .map(|block| (block.fc, block.addr, block.count))
        .collect();
    let fc = ReadFc::InputRegisters;
    assert_eq!(reads, [(fc, 4, 1), (fc, 5, 1), (fc, 100, 1), (fc, 101, 1)]);

    let registers = Registers::default().set(4, 4, &[0x0108, 2]).set(4, 100, &[16, 6]);
    let mut image = Image::new();
    let mut verdicts = vec![heidelberg.matches(&image)];
    for block in heidelberg.identify_reads() {
        let reply = registers.answer(&heidelberg, &block);
        heidelberg
            .decode(&block, &reply, 1, Electrical::default(), &mut image, Mono(0))
            .unwrap();
        verdicts.push(heidelberg.matches(&image));
    }
    assert_eq!(verdicts, [None, None, None, None, Some(true)]);
    image.set(heidelberg.find("status").unwrap(), super::Raw::Int(77));
    assert_eq!(heidelberg.matches(&image), Some(false));
}

#[test]
fn every_shipped_profile_has_a_fingerprint_and_a_plan() {
    let library = Library::builtin();
    for (id, profile) in library.speaking(Protocol::Modbus) {
        assert!(!profile.identify_reads().is_empty(), "{id}");
        assert!(
            !profile.plan(WIRE, 1, &Image::new(), Caution::Normal).is_empty(),
            "{id}"
        );
        assert!(!profile.about().source.is_empty(), "{id}");
    }
}
