//! What a parser made of its bytes, as text: the corpora keep inputs that differ in it, and the replay holds them to it.

use retrovolt::device::StreamEffect;
use retrovolt::domain::Observation;
use std::fmt::{Debug, Display, Formatter, Result as FmtResult};

/// One thing a parser did.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Without the numbers in it: what the growth of a corpus counts.
    kind: String,
    /// The numbers.
    detail: String,
}

/// All a parser did, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome(Vec<Step>);

impl Outcome {
    /// Adds a step.
    pub fn step(&mut self, kind: impl Display, detail: impl Display) {
        self.0.push(Step {
            kind: kind.to_string(),
            detail: detail.to_string(),
        });
    }

    /// Adds the steps of another outcome.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The kinds of its steps, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|step| step.kind.as_str())
    }
}

/// One line; a step that repeats is told once with its number.
impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let mut rest = self.0.as_slice();
        let mut between = "";
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|step| *step == first).count();
            write!(f, "{between}{}", first.kind)?;
            if !first.detail.is_empty() {
                write!(f, " {}", first.detail)?;
            }
            if same > 1 {
                write!(f, " ×{same}")?;
            }
            between = "; ";
            rest = &rest[same..];
        }
        Ok(())
    }
}

/// The name of an enum's variant.
pub fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}

/// Bits of a number: its order of magnitude.
pub fn bits(number: impl TryInto<u64>) -> u32 {
    number
        .try_into()
        .map_or(0, |number| u64::BITS - number.leading_zeros())
}

/// Adds what a machine of a byte stream wants done.
pub fn effect(outcome: &mut Outcome, effect: &StreamEffect) {
    match effect {
        StreamEffect::Write(bytes) => match bytes.as_slice() {
            // The load-sharing line: two bytes say what a frame is.
            [0xC0, _, kind, ..] => outcome.step(format!("write {kind:02X}"), bytes.len()),
            text => outcome.step(format!("write {}", text.escape_ascii()), ""),
        },
        StreamEffect::Settings(serial) => outcome.step("settings", serial.baud),
        StreamEffect::Observed { slot, observations } => {
            outcome.step(format!("observed {slot}"), observations.len());
            for one in observations {
                observation(outcome, one);
            }
        }
        StreamEffect::Done { slot, result, .. } => outcome.step(
            format!(
                "done {slot} {}",
                result.as_ref().map_or_else(variant, |()| "well".into())
            ),
            "",
        ),
        StreamEffect::Link { slot, up, cause } => {
            let cause = cause.as_ref().map(variant).unwrap_or_default();
            outcome.step(format!("link {slot} {up} {cause}"), "");
        }
        StreamEffect::Failsafe { slot, report } => {
            outcome.step(format!("failsafe {slot} {} {}", report.armed, report.safe), "");
        }
    }
}

fn observation(outcome: &mut Outcome, observation: &Observation) {
    match observation {
        Observation::Reading(reading) => outcome.step(
            format!(
                "{:?} {:?} {}{} {:?}",
                reading.quantity,
                reading.phase,
                if reading.milli < 0 { "-" } else { "" },
                bits(reading.milli.unsigned_abs()) / 4,
                reading.quality
            ),
            reading.milli,
        ),
        Observation::Vehicle { state, raw } => outcome.step(format!("vehicle {state:?}"), raw),
        Observation::Fault(fault) => {
            let kind = fault.as_ref().map(|fault| variant(&fault.kind));
            let code = fault.as_ref().map(|fault| fault.code.as_str());
            outcome.step(
                format!("fault {}", kind.unwrap_or_default()),
                code.unwrap_or_default(),
            );
        }
        Observation::Token(token) => {
            let text = token.as_ref().map(|token| format!("{token:?}"));
            outcome.step(
                format!("token {}", text.as_ref().map_or(0, String::len)),
                text.unwrap_or_default(),
            );
        }
        Observation::HardwareLimit(limit) => outcome.step("hardware limit", limit.0),
        Observation::LimitReadBack(limit) => outcome.step("limit", limit.0),
        Observation::Fact(fact, text) => {
            outcome.step(format!("{fact:?} {}", bits(text.len())), text.escape_debug());
        }
        Observation::Contact { contact, active } => outcome.step(format!("{contact:?} {active}"), ""),
        Observation::Pulses(count) => outcome.step("pulses", count),
    }
}
