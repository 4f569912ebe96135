//! Sampled values of 2.0.1 (part 2, 2.46 `SampledValueType`, 3.50 `MeasurandEnumType`).

use super::super::measurands::{self, MAX_MEASURANDS};
use crate::domain::{Measurand, Phase, Quantity, SampleContext, SamplePoint};
use ocpp_kit::types::{DateTime, Decimal};
use ocpp_kit::v2_0_1::{self as wire, Location, MeterValue, ReadingContext, SampledValue, UnitOfMeasure};

/// The name of a quantity; 2.0.1 has none for temperature.
fn name(quantity: Quantity) -> Option<&'static str> {
    measurands::name(quantity).filter(|_| quantity != Quantity::Temperature)
}

/// Reads a `MemberList` of measurands.
pub(super) fn parse_list(text: &str) -> Result<Vec<Measurand>, &'static str> {
    let mut list = Vec::new();
    for item in measurands::items(text) {
        let quantity = measurands::named(item).filter(|quantity| name(*quantity).is_some());
        let measurand = Measurand::all(quantity.ok_or("a measurand this charging station does not have")?);
        if !list.contains(&measurand) {
            list.push(measurand);
        }
    }
    if list.len() > MAX_MEASURANDS {
        return Err("more measurands than allowed");
    }
    Ok(list)
}

/// A list as [`parse_list`] reads it: a measurand of one phase becomes that of all.
pub(super) fn write_list(list: &[Measurand]) -> String {
    measurands::write_list(list, |measurand| name(measurand.quantity).map(str::to_owned))
}

/// Every measurand there is, for the characteristics of a list.
pub(super) fn known() -> Vec<&'static str> {
    measurands::all().filter_map(name).collect()
}

/// The values of one instant; `None` when 2.0.1 has no name for any of them.
pub(super) fn meter_value(
    points: &[SamplePoint],
    context: SampleContext,
    inlet: bool,
    at: DateTime,
) -> Option<MeterValue> {
    let values: Vec<SampledValue> = points
        .iter()
        .filter_map(|point| sampled_value(point, context, inlet))
        .collect();
    (!values.is_empty()).then(|| MeterValue::new(values, at))
}

fn sampled_value(point: &SamplePoint, context: SampleContext, inlet: bool) -> Option<SampledValue> {
    let name = name(point.quantity)?;
    let mut value = SampledValue::new(Decimal::new(point.milli, 3).normalized());
    value.context = Some(reading_context(context));
    value.measurand = Some(wire::Measurand::from_wire(name));
    value.phase = phase(point.quantity, point.phase);
    value.location = Some(match point.quantity {
        Quantity::Soc => Location::EV,
        _ if inlet => Location::Inlet,
        _ => Location::Outlet,
    });
    value.unit_of_measure = unit(point.quantity).map(|unit| UnitOfMeasure::new().with_unit(unit));
    Some(value)
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

/// Voltages are phase to neutral; the total carries no phase.
fn phase(quantity: Quantity, phase: Phase) -> Option<wire::Phase> {
    match (quantity == Quantity::Voltage, phase) {
        (_, Phase::Total) => None,
        (true, Phase::L1) => Some(wire::Phase::L1N),
        (true, Phase::L2) => Some(wire::Phase::L2N),
        (true, Phase::L3) => Some(wire::Phase::L3N),
        (false, Phase::L1) => Some(wire::Phase::L1),
        (false, Phase::L2) => Some(wire::Phase::L2),
        (false, Phase::L3) => Some(wire::Phase::L3),
        (_, Phase::N) => Some(wire::Phase::N),
    }
}

/// Units of the appendix; watt-hours are the default and need not be told, a power factor has none.
fn unit(quantity: Quantity) -> Option<&'static str> {
    match quantity {
        Quantity::EnergyImport | Quantity::EnergyExport | Quantity::PowerFactor => None,
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport => Some("varh"),
        Quantity::Power => Some("W"),
        Quantity::ReactivePower => Some("var"),
        Quantity::ApparentPower => Some("VA"),
        Quantity::Current | Quantity::CurrentOffered => Some("A"),
        Quantity::Voltage => Some("V"),
        Quantity::Frequency => Some("Hz"),
        Quantity::Temperature => Some("Celsius"),
        Quantity::Soc => Some("Percent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Quality;

    fn point(quantity: Quantity, phase: Phase, milli: i64) -> SamplePoint {
        SamplePoint {
            quantity,
            phase,
            milli,
            quality: Quality::Good,
        }
    }

    #[test]
    fn values_are_numbers_and_exact() {
        let at = super::super::super::wallclock::date_time(1_790_000_000_000);
        let points = [
            point(Quantity::EnergyImport, Phase::Total, 12_345_678),
            point(Quantity::Voltage, Phase::L2, 230_450),
            point(Quantity::Temperature, Phase::Total, 30_000),
        ];
        let value = meter_value(&points, SampleContext::Clock, false, at).expect("named");
        assert_eq!(
            serde_json::to_value(value.sampled_value).expect("json"),
            serde_json::json!([
                {"value": 12345.678, "context": "Sample.Clock", "measurand": "Energy.Active.Import.Register", "location": "Outlet"},
                {"value": 230.45, "context": "Sample.Clock", "measurand": "Voltage", "phase": "L2-N",
                 "location": "Outlet", "unitOfMeasure": {"unit": "V"}},
            ])
        );
        let nameless = [point(Quantity::Temperature, Phase::Total, 1)];
        assert!(meter_value(&nameless, SampleContext::Clock, false, at).is_none());
    }

    #[test]
    fn a_list_names_what_2_0_1_has_and_no_phases() {
        assert_eq!(parse_list("Voltage, Voltage,SoC").map(|list| list.len()), Ok(2));
        assert_eq!(parse_list(""), Ok(Vec::new()));
        for bad in ["Temperature", "Voltage.L1", "RPM"] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
        assert!(!known().contains(&"Temperature") && known().len() == 12);
    }
}
