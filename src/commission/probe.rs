//! Every point of a profile, raw and decoded, with a mark where a value cannot be right.

use super::judge::Verdict;
use super::medium::Medium;
use super::talk::Talk;
use crate::device::{Block, Electrical, Image, Point, PointId, Profile, Raw, Reply, Role, all_hold};
use crate::domain::{Mono, Observation, Quantity, Reading};
use std::io;

/// What a point came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Function and address as asked; `None`: write-only.
    pub asked: Option<(u8, u16)>,
    /// The outcome.
    pub outcome: Outcome,
}

/// How reading a point ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Read and decoded.
    Value {
        /// Registers as received.
        registers: Vec<u16>,
        /// In words, with its unit.
        text: String,
        /// Why it cannot be right; `None`: it can.
        doubt: Option<String>,
    },
    /// It does not exist in this firmware or set-up.
    NotHere,
    /// It can only be written.
    WriteOnly,
    /// It was not told.
    Failed(String),
}

/// Reads all points. Those that conditions speak of come first, so that what a firmware lacks is not asked for.
///
/// # Errors
/// The port is gone.
pub async fn probe<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    connector: u16,
    profile: &Profile,
) -> io::Result<Vec<Row>> {
    let mut image = Image::new();
    let mut order: Vec<(PointId, &Point)> = profile.numbered().collect();
    let mut needed: Vec<PointId> = Vec::new();
    for (_, point) in &order {
        needed.extend(point.when.iter().map(|condition| condition.point));
    }
    order.sort_by_key(|(id, _)| !needed.contains(id));
    let mut rows = Vec::new();
    for (id, point) in order {
        let asked = point.fc.map(|fc| (fc.code(), point.addr_for(connector)));
        let outcome = match profile.block_of(id, connector) {
            None => Outcome::WriteOnly,
            Some(_) if !all_hold(&point.when, &image) => Outcome::NotHere,
            Some(block) => one(talk, (unit, connector), profile, id, &block, &mut image).await?,
        };
        rows.push((
            id,
            Row {
                name: point.name.clone(),
                asked,
                outcome,
            },
        ));
    }
    rows.sort_by_key(|(id, _)| *id);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

async fn one<M: Medium>(
    talk: &mut Talk<'_, M>,
    (unit, connector): (u8, u16),
    profile: &Profile,
    id: PointId,
    block: &Block,
    image: &mut Image,
) -> io::Result<Outcome> {
    let told = talk.ask(unit, &block.pdu()).await?;
    let reply = match told.judged.verdict {
        Verdict::Reply(reply) => reply,
        Verdict::Exception(code) => {
            return Ok(Outcome::Failed(format!("refused with exception {code:#04x}")));
        }
        Verdict::Silence => return Ok(Outcome::Failed("no answer".to_owned())),
        Verdict::OnlyEcho => return Ok(Outcome::Failed("only the echo of the request".to_owned())),
        Verdict::Foreign(error) | Verdict::Damaged(error) => return Ok(Outcome::Failed(error.to_string())),
    };
    let registers = match &reply {
        Reply::Registers(registers) => registers.clone(),
        Reply::Bits(bits) => bits.iter().map(|bit| u16::from(*bit)).collect(),
        Reply::Written => Vec::new(),
    };
    let seen = profile.decode(block, &reply, connector, Electrical::default(), image, Mono(0));
    let point = profile.point(id);
    let (text, doubt) = match seen {
        Err(error) => return Ok(Outcome::Failed(error.to_string())),
        Ok(observations) => describe(point, image.get(id), &observations),
    };
    Ok(Outcome::Value {
        registers,
        text,
        doubt,
    })
}

fn describe(point: &Point, raw: Option<&Raw>, seen: &[Observation]) -> (String, Option<String>) {
    let raw_text = match raw {
        Some(Raw::Int(value)) => value.to_string(),
        Some(Raw::Float(value)) => value.to_string(),
        Some(Raw::Text(text)) => format!("{text:?}"),
        Some(Raw::Bytes(bytes)) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        None => String::new(),
    };
    let own = seen
        .iter()
        .find(|o| !matches!(o, Observation::Vehicle { .. }) || point.role == Role::Status);
    match own {
        Some(Observation::Reading(reading)) => (in_unit(reading), doubt(reading)),
        Some(Observation::Vehicle { state, .. }) => (format!("{raw_text} = {state:?}"), None),
        Some(Observation::Fault(Some(fault))) => {
            (format!("{raw_text} = {:?} ({})", fault.kind, fault.code), None)
        }
        Some(Observation::Fault(None)) => (format!("{raw_text} = no fault"), None),
        Some(Observation::Token(Some(token))) => (format!("card {}", token.text), None),
        Some(Observation::Token(None)) => ("no card".to_owned(), None),
        Some(Observation::HardwareLimit(amps) | Observation::LimitReadBack(amps)) => (amps.to_string(), None),
        Some(Observation::Fact(_, text)) => (text.clone(), None),
        Some(Observation::Contact { .. } | Observation::Pulses(_)) => (raw_text, None),
        None if matches!(point.role, Role::Reading { .. }) => (format!("{raw_text} = not available"), None),
        None => (raw_text, None),
    }
}

fn in_unit(reading: &Reading) -> String {
    let unit = match reading.quantity {
        Quantity::Voltage => "V",
        Quantity::Current | Quantity::CurrentOffered => "A",
        Quantity::Power => "W",
        Quantity::ApparentPower => "VA",
        Quantity::ReactivePower => "var",
        Quantity::EnergyImport | Quantity::EnergyExport => "Wh",
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport => "varh",
        Quantity::PowerFactor => "",
        Quantity::Frequency => "Hz",
        Quantity::Temperature => "°C",
        Quantity::Soc => "%",
    };
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = crate::domain::write_milli(&mut text, reading.milli);
    format!("{text} {unit}").trim_end().to_owned()
}

/// What a low-voltage installation can have, least and most in milli-units.
pub(super) fn possible(quantity: Quantity) -> (i64, i64) {
    match quantity {
        Quantity::Voltage => (0, 480_000),
        Quantity::Current | Quantity::CurrentOffered => (-200_000, 200_000),
        Quantity::Power | Quantity::ApparentPower | Quantity::ReactivePower => (-150_000_000, 150_000_000),
        Quantity::EnergyImport | Quantity::EnergyExport => (0, 10_000_000_000_000),
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport => (0, 10_000_000_000_000),
        Quantity::PowerFactor => (-1_000, 1_000),
        Quantity::Frequency => (45_000, 65_000),
        Quantity::Temperature => (-40_000, 125_000),
        Quantity::Soc => (0, 100_000),
    }
}

/// Why a value cannot be right.
fn doubt(reading: &Reading) -> Option<String> {
    let (least, most) = possible(reading.quantity);
    // A meter without supply on its terminals tells 0 Hz.
    let dead = reading.quantity == Quantity::Frequency && reading.milli == 0;
    (!dead && !(least..=most).contains(&reading.milli))
        .then(|| "not possible here: offset by one register, or the other word order?".to_owned())
}
