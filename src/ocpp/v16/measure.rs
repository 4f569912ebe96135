//! Measurands, phases, units and sampled values of 1.6 (sections 7.21, 7.31, 7.33, 7.43, 7.45).

use super::super::measurands;
use crate::domain::{Measurand, Phase, Quantity, SampleContext, SamplePoint, write_milli};
use ocpp_kit::v1_6::{self as wire, Location, ReadingContext, SampledValue, UnitOfMeasure, ValueFormat};

/// Phase suffixes a measurand list may carry.
const PHASES: [(Phase, &str); 7] = [
    (Phase::L1, "L1"),
    (Phase::L2, "L2"),
    (Phase::L3, "L3"),
    (Phase::N, "N"),
    (Phase::L1, "L1-N"),
    (Phase::L2, "L2-N"),
    (Phase::L3, "L3-N"),
];

/// Reads a comma separated list of measurands with optional phase, e.g. `Voltage.L1,Current.Import`.
pub(super) fn parse_list(text: &str, most: usize) -> Result<Vec<Measurand>, &'static str> {
    let mut list = Vec::new();
    for item in measurands::items(text) {
        let measurand = parse_one(item).ok_or("a measurand this charge point does not have")?;
        if !list.contains(&measurand) {
            list.push(measurand);
        }
    }
    if list.len() > most {
        return Err("more measurands than allowed");
    }
    Ok(list)
}

fn parse_one(item: &str) -> Option<Measurand> {
    if let Some(quantity) = measurands::named(item) {
        return Some(Measurand::all(quantity));
    }
    let (name, suffix) = item.rsplit_once('.')?;
    let (phase, _) = PHASES.iter().find(|(_, known)| *known == suffix)?;
    Some(Measurand {
        quantity: measurands::named(name)?,
        phase: Some(*phase),
    })
}

/// A list as [`parse_list`] reads it.
pub(super) fn write_list(list: &[Measurand]) -> String {
    measurands::write_list(list, |measurand| {
        let name = measurands::name(measurand.quantity)?;
        let Some(phase) = measurand.phase else {
            return Some(name.to_owned());
        };
        let (_, suffix) = PHASES.iter().find(|(known, _)| *known == phase)?;
        Some(format!("{name}.{suffix}"))
    })
}

/// Sampled values of one instant; what 1.6 has no name for is left out.
pub(super) fn sampled_values(
    points: &[SamplePoint],
    context: SampleContext,
    inlet: bool,
) -> Vec<SampledValue> {
    points
        .iter()
        .filter_map(|point| sampled_value(point, context, inlet))
        .collect()
}

fn sampled_value(point: &SamplePoint, context: SampleContext, inlet: bool) -> Option<SampledValue> {
    let name = measurands::name(point.quantity)?;
    let mut value = String::new();
    write_milli(&mut value, point.milli).ok()?;
    let mut sampled = SampledValue::new(value)
        .with_context(reading_context(context))
        .with_format(ValueFormat::Raw)
        .with_measurand(wire::Measurand::from_wire(name))
        .with_location(location(point.quantity, inlet));
    sampled.phase = phase(point.quantity, point.phase);
    sampled.unit = unit(point.quantity);
    Some(sampled)
}

fn reading_context(context: SampleContext) -> ReadingContext {
    match context {
        SampleContext::TransactionBegin => ReadingContext::TransactionBegin,
        SampleContext::TransactionEnd => ReadingContext::TransactionEnd,
        SampleContext::Periodic => ReadingContext::SamplePeriodic,
        SampleContext::Clock => ReadingContext::SampleClock,
        SampleContext::Trigger => ReadingContext::Trigger,
    }
}

fn location(quantity: Quantity, inlet: bool) -> Location {
    match quantity {
        Quantity::Soc => Location::EV,
        Quantity::Temperature => Location::Body,
        _ if inlet => Location::Inlet,
        _ => Location::Outlet,
    }
}

/// Voltages are phase to neutral; the total carries no phase.
fn phase(quantity: Quantity, phase: Phase) -> Option<wire::Phase> {
    let to_neutral = quantity == Quantity::Voltage;
    match phase {
        Phase::Total => None,
        Phase::L1 if to_neutral => Some(wire::Phase::L1N),
        Phase::L2 if to_neutral => Some(wire::Phase::L2N),
        Phase::L3 if to_neutral => Some(wire::Phase::L3N),
        Phase::L1 => Some(wire::Phase::L1),
        Phase::L2 => Some(wire::Phase::L2),
        Phase::L3 => Some(wire::Phase::L3),
        Phase::N => Some(wire::Phase::N),
    }
}

/// Frequency has no unit in 1.6 (errata 3.86), a power factor has none at all.
fn unit(quantity: Quantity) -> Option<UnitOfMeasure> {
    match quantity {
        Quantity::EnergyImport | Quantity::EnergyExport => Some(UnitOfMeasure::Wh),
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport => Some(UnitOfMeasure::Varh),
        Quantity::Power => Some(UnitOfMeasure::W),
        Quantity::ReactivePower => Some(UnitOfMeasure::Var),
        Quantity::ApparentPower => Some(UnitOfMeasure::VA),
        Quantity::Current | Quantity::CurrentOffered => Some(UnitOfMeasure::A),
        Quantity::Voltage => Some(UnitOfMeasure::V),
        Quantity::Temperature => Some(UnitOfMeasure::Celsius),
        Quantity::Soc => Some(UnitOfMeasure::Percent),
        Quantity::Frequency | Quantity::PowerFactor => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Quality;

    #[test]
    fn a_voltage_is_phase_to_neutral_and_exact() {
        let point = SamplePoint {
            quantity: Quantity::Voltage,
            phase: Phase::L2,
            milli: 230_450,
            quality: Quality::Good,
        };
        let value = sampled_value(&point, SampleContext::Clock, false).expect("known");
        assert_eq!(
            serde_json::to_value(value).expect("json"),
            serde_json::json!({"value": "230.45", "context": "Sample.Clock", "format": "Raw",
                "measurand": "Voltage", "phase": "L2-N", "location": "Outlet", "unit": "V"})
        );
    }

    #[test]
    fn lists_name_phases_and_drop_repeats() {
        let list = parse_list("Voltage.L1-N,Current.Import , Current.Import", 20).expect("good");
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].phase, Some(Phase::L1));
        assert!(parse_list("Power.Offered", 20).is_err());
        assert_eq!(parse_list("", 20), Ok(Vec::new()));
    }
}
