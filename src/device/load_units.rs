//! Units and scales of the file: factors to milli-units, and which unit fits which meaning.

use super::decimal::Decimal;
use super::error::Path;
use super::file::{Access, PointTable, Unit};
use super::load::Loader;
use super::load_points::phase_name;
use super::profile::{Cadence, Dimension, PointId, Role};
use crate::domain::{MilliAmps, Phase, Quality, Quantity};

impl Loader<'_> {
    /// Factor to milli-units and what the number means.
    pub fn scale(&mut self, raw: &PointTable, role: &Role, path: &Path) -> (Decimal, Dimension) {
        if let Some(unit) = raw.unit {
            self.judge_unit(unit, role, path);
        }
        let full = raw
            .full_a
            .and_then(|full| milli(full, None))
            .filter(|full| *full > 0);
        if raw.full_a.is_some() && (raw.unit != Some(Unit::Percent) || full.is_none()) {
            self.wrong(
                &path.key("full_a"),
                "expected a current above 0 together with `unit = \"%\"`",
            );
        }
        let currents = matches!(role, Role::HardwareLimit | Role::LimitReadBack);
        if currents && raw.unit == Some(Unit::Percent) && full.is_none() {
            self.wrong(
                &path.key("full_a"),
                "missing; expected the current that 100 % stands for",
            );
        }
        let dimension = match raw.unit.map(family) {
            Some(Family::Current) => Dimension::Current,
            Some(Family::Power) => Dimension::Power,
            Some(Family::Duty) => Dimension::Duty,
            Some(Family::Time) => Dimension::Time,
            Some(Family::Percent) => {
                full.map_or(Dimension::Plain, |full| Dimension::PercentOf(MilliAmps(full)))
            }
            None if currents => Dimension::Current,
            _ => Dimension::Plain,
        };
        let scale = Decimal::of(raw.scale.unwrap_or(1.0)).filter(|scale| scale.mantissa != 0);
        let factor = scale.and_then(|scale| scale.times(unit_factor(raw.unit))?.times(Decimal::new(1, 3)));
        let sane = factor.filter(|factor| factor.exponent.abs() <= 18 && factor.mantissa.abs() < 1 << 40);
        if sane.is_none() {
            self.wrong(
                &path.key("scale"),
                "expected a factor that is not 0, with at most 12 digits",
            );
        }
        (sane.unwrap_or(Decimal::ONE), dimension)
    }

    fn judge_unit(&mut self, unit: Unit, role: &Role, path: &Path) {
        let expected: &[Family] = match role {
            Role::Reading {
                quantity, quality, ..
            } => &families(*quantity, *quality),
            Role::HardwareLimit | Role::LimitReadBack => {
                &[Family::Current, Family::Power, Family::Percent, Family::Duty]
            }
            Role::Helper => return,
            Role::Status | Role::Error(_) | Role::Token | Role::Fact(..) => &[],
        };
        if !expected.contains(&family(unit)) {
            let apparent = matches!(family(unit), Family::Apparent | Family::ApparentEnergy);
            self.wrong(
                &path.key("unit"),
                match role {
                    Role::Reading { .. } if apparent => {
                        "apparent power is not real power: give `quality = \"uncalibrated\"` if it is taken for it"
                    }
                    _ => "does not fit what the point means",
                },
            );
        }
    }

    /// Points whose values scale this one: it says nothing until they are known. Ratios are read once; a power of
    /// ten may change while the device runs and is read together with its value.
    pub fn factors(&mut self, raw: &PointTable, of: usize, path: &Path) -> (Vec<PointId>, Option<PointId>) {
        let written = raw.access.unwrap_or_default() != Access::R;
        if written && !(raw.times.is_empty() && raw.exponent.is_none()) {
            self.wrong(path, "`times` and `exponent` are for points that are only read");
        }
        let mut times = Vec::new();
        for (index, name) in raw.times.iter().enumerate() {
            times.extend(self.factor(name, &path.key("times").index(index)));
        }
        let name = raw.exponent.as_deref();
        let exponent = name.and_then(|name| self.factor(name, &path.key("exponent")));
        if let Some(id) = exponent {
            let cadence = self.points[of].cadence;
            let point = &mut self.points[usize::from(id.0)];
            point.cadence = point.cadence.min(cadence);
            if point.cadence == Cadence::Once {
                point.cadence = cadence;
            }
        }
        if let Some(id) = exponent
            && !self.points[usize::from(id.0)].layout.kind.is_integer()
        {
            self.wrong(&path.key("exponent"), "expected a point of an integer type");
        }
        (times, exponent)
    }

    /// Bounds of what is taken for a reading.
    pub fn valid(&mut self, raw: &PointTable, path: &Path) -> Option<(i64, i64)> {
        let (least, most) = raw.valid?;
        let bounds = milli(least, raw.unit)
            .zip(milli(most, raw.unit))
            .filter(|(least, most)| least < most);
        if bounds.is_none() || raw.quantity.is_none() {
            self.wrong(
                &path.key("valid"),
                "expected the least and the largest value of a point with a `quantity`",
            );
        }
        bounds
    }

    /// Points added to, or taken off, the point of this index. A name with `phases` means its point of this phase.
    pub fn terms(&mut self, names: &[String], phase: Option<Phase>, of: usize, path: &Path) -> Vec<PointId> {
        let mut terms = Vec::new();
        if !names.is_empty() && !matches!(self.points[of].role, Role::Reading { .. }) {
            self.wrong(path, "only a point with a `quantity` is a sum");
        }
        for (index, name) in names.iter().enumerate() {
            let path = path.index(index);
            let paired = phase.map(|phase| format!("{name}_{}", phase_name(phase)));
            let name = paired.filter(|name| self.names.contains_key(name));
            let name = name.unwrap_or_else(|| names[index].clone());
            let Some(id) = self.named(&name, &path) else {
                continue;
            };
            let nested = self
                .table_of(&name)
                .is_some_and(|table| !(table.plus.is_empty() && table.minus.is_empty()));
            let cadence = self.points[of].cadence;
            let term = &mut self.points[usize::from(id.0)];
            if term.fc.is_none() || term.layout.kind.width().is_none() || nested || usize::from(id.0) == of {
                self.wrong(&path, "expected a readable number that is not a sum itself");
                continue;
            }
            // A sum of values from different polls would be none, so all its terms are read together.
            term.cadence = if term.polled {
                term.cadence.min(cadence)
            } else {
                cadence
            };
            term.polled = true;
            terms.push(id);
        }
        terms
    }

    fn factor(&mut self, name: &str, path: &Path) -> Option<PointId> {
        let id = self.named(name, path)?;
        let point = &mut self.points[usize::from(id.0)];
        if point.fc.is_none() || point.layout.kind.width().is_none() || point.role != Role::Helper {
            self.wrong(
                path,
                "expected a readable number without `quantity`, `role` and `fact`",
            );
            return None;
        }
        if !point.polled {
            point.polled = true;
            point.cadence = Cadence::Once;
        }
        Some(id)
    }
}

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Voltage,
    Current,
    Power,
    Apparent,
    Reactive,
    Energy,
    ApparentEnergy,
    ReactiveEnergy,
    Frequency,
    Temperature,
    Percent,
    Duty,
    Time,
}

fn family(unit: Unit) -> Family {
    match unit {
        Unit::MilliVolt | Unit::V => Family::Voltage,
        Unit::MilliAmpere | Unit::A => Family::Current,
        Unit::MilliWatt | Unit::W | Unit::KiloWatt => Family::Power,
        Unit::VoltAmpere | Unit::KiloVoltAmpere => Family::Apparent,
        Unit::Var | Unit::KiloVar => Family::Reactive,
        Unit::Wh | Unit::KiloWattHour | Unit::MegaWattHour => Family::Energy,
        Unit::VoltAmpereHour | Unit::KiloVoltAmpereHour => Family::ApparentEnergy,
        Unit::VarHour | Unit::KiloVarHour => Family::ReactiveEnergy,
        Unit::Hz => Family::Frequency,
        Unit::Celsius => Family::Temperature,
        Unit::Percent => Family::Percent,
        Unit::Duty => Family::Duty,
        Unit::MilliSecond | Unit::Second | Unit::Minute => Family::Time,
    }
}

/// Factor to the base unit.
fn unit_factor(unit: Option<Unit>) -> Decimal {
    match unit {
        Some(Unit::MilliVolt | Unit::MilliAmpere | Unit::MilliWatt | Unit::MilliSecond) => {
            Decimal::new(1, -3)
        }
        Some(
            Unit::KiloWatt
            | Unit::KiloVoltAmpere
            | Unit::KiloVar
            | Unit::KiloWattHour
            | Unit::KiloVoltAmpereHour
            | Unit::KiloVarHour,
        ) => Decimal::new(1, 3),
        Some(Unit::MegaWattHour) => Decimal::new(1, 6),
        Some(Unit::Minute) => Decimal::new(60, 0),
        _ => Decimal::ONE,
    }
}

/// Families a quantity may be given in.
fn families(quantity: Quantity, quality: Quality) -> Vec<Family> {
    let mut families = vec![match quantity {
        Quantity::Voltage => Family::Voltage,
        Quantity::Current | Quantity::CurrentOffered => Family::Current,
        Quantity::Power => Family::Power,
        Quantity::ApparentPower => Family::Apparent,
        Quantity::ReactivePower => Family::Reactive,
        Quantity::EnergyImport | Quantity::EnergyExport => Family::Energy,
        Quantity::ReactiveEnergyImport | Quantity::ReactiveEnergyExport => Family::ReactiveEnergy,
        Quantity::Frequency => Family::Frequency,
        Quantity::Temperature => Family::Temperature,
        Quantity::Soc => Family::Percent,
        Quantity::PowerFactor => return Vec::new(),
    }];
    if quality != Quality::Good {
        match families[0] {
            Family::Power => families.push(Family::Apparent),
            Family::Energy => families.push(Family::ApparentEnergy),
            _ => {}
        }
    }
    families
}

/// A number of the file in milli-units of the base unit.
pub(super) fn milli(value: f64, unit: Option<Unit>) -> Option<i64> {
    Decimal::of(value)?
        .times(unit_factor(unit))?
        .times(Decimal::new(1, 3))?
        .scale(1)
}
