//! From the values of a telegram to observations.

use super::code::ObisCode;
use super::item::Item;
use super::unit::Unit;
use crate::device::Decimal;
use crate::domain::{DeviceFact, Mono, Observation, Phase, Quality, Quantity, Reading};
use std::collections::BTreeMap;

/// A code that is added or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Which.
    pub code: ObisCode,
    /// Whether it is taken away.
    pub minus: bool,
}

/// One line of a profile's `values`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObisPoint {
    /// Its name, unique within the profile.
    pub name: String,
    /// Sums of codes; the first that the telegram has in full counts.
    pub sums: Vec<Vec<Term>>,
    /// What it is.
    pub meaning: ObisMeaning,
}

/// What a value means.
#[derive(Clone, Debug, PartialEq)]
pub enum ObisMeaning {
    /// A measured value.
    Reading {
        /// What.
        quantity: Quantity,
        /// Where.
        phase: Phase,
        /// How good at best.
        quality: Quality,
        /// The unit where the telegram names none.
        unit: Option<Unit>,
        /// Factor.
        scale: Decimal,
    },
    /// A fact that seldom changes.
    Fact(DeviceFact),
}

/// Facts told already.
pub(in crate::device) type Facts = BTreeMap<DeviceFact, String>;

/// What a telegram says by a profile. Facts are told once.
pub(in crate::device) fn observe(
    points: &[ObisPoint],
    items: &[Item],
    facts: &mut Facts,
    taken_at: Mono,
) -> Vec<Observation> {
    let mut observations = Vec::new();
    for point in points {
        match point.meaning {
            ObisMeaning::Reading {
                quantity,
                phase,
                quality,
                unit,
                scale,
            } => {
                let one = |term: &Term| {
                    let (number, named) = find(items, term.code)?.number()?;
                    let milli = named.or(unit)?.milli(number.times(scale)?, quantity)?;
                    Some(if term.minus { -milli } else { milli })
                };
                let sum = |terms: &Vec<Term>| {
                    terms
                        .iter()
                        .try_fold(0_i64, |sum, term| sum.checked_add(one(term)?))
                };
                if let Some(milli) = point.sums.iter().find_map(sum) {
                    observations.push(Observation::Reading(Reading {
                        quantity,
                        phase,
                        milli,
                        quality,
                        taken_at,
                    }));
                }
            }
            ObisMeaning::Fact(fact) => {
                let text = point
                    .sums
                    .iter()
                    .filter_map(|terms| terms.first())
                    .find_map(|term| find(items, term.code)?.text());
                if let Some(text) = text
                    && facts.get(&fact) != Some(&text)
                {
                    facts.insert(fact, text.clone());
                    observations.push(Observation::Fact(fact, text));
                }
            }
        }
    }
    observations
}

fn find(items: &[Item], code: ObisCode) -> Option<&Item> {
    items.iter().find(|item| item.code.matches(code))
}

impl ObisPoint {
    /// Sums as a profile writes them: `1-0:1.8.1 + 1-0:1.8.2`, `1-0:1.7.0 - 1-0:2.7.0`; the first part that is none.
    pub(in crate::device) fn terms(text: &str) -> Result<Vec<Term>, &str> {
        let mut terms = Vec::new();
        let mut minus = false;
        let mut wants_code = true;
        for word in text.split_whitespace() {
            if wants_code {
                let code = ObisCode::parse(word).ok_or(word)?;
                terms.push(Term { code, minus });
            } else {
                minus = match word {
                    "+" => false,
                    "-" => true,
                    _ => return Err(word),
                };
            }
            wants_code = !wants_code;
        }
        if wants_code { Err(text) } else { Ok(terms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::obis::item::Content;

    fn reading(sums: &[&str], quantity: Quantity) -> ObisPoint {
        ObisPoint {
            name: "x".into(),
            sums: sums.iter().map(|sum| ObisPoint::terms(sum).unwrap()).collect(),
            meaning: ObisMeaning::Reading {
                quantity,
                phase: Phase::Total,
                quality: Quality::Good,
                unit: None,
                scale: Decimal::ONE,
            },
        }
    }

    fn item(code: &str, text: &str) -> Item {
        Item {
            code: ObisCode::parse(code).unwrap(),
            content: Content::Texts(vec![text.to_owned()]),
        }
    }

    fn milli(point: ObisPoint, items: &[Item]) -> Vec<i64> {
        let seen = observe(&[point], items, &mut Facts::new(), Mono(7));
        seen.iter()
            .map(|observation| match observation {
                Observation::Reading(reading) => {
                    assert_eq!(reading.taken_at, Mono(7));
                    reading.milli
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn tariffs_are_summed_unless_the_meter_sums_by_itself() {
        let point = || reading(&["1-0:1.8.0", "1-0:1.8.1 + 1-0:1.8.2"], Quantity::EnergyImport);
        let (low, high) = (
            item("1-0:1.8.1", "000001.500*kWh"),
            item("1-0:1.8.2", "000002.250*kWh"),
        );
        assert_eq!(milli(point(), &[low.clone(), high.clone()]), [3_750_000]);
        assert_eq!(
            milli(point(), &[high.clone(), item("1.8.0", "4*kWh"), low.clone()]),
            [4_000_000]
        );
        assert!(milli(point(), &[low]).is_empty(), "half a sum is no reading");
    }

    #[test]
    fn export_is_taken_from_import() {
        let point = || reading(&["1-0:1.7.0 - 1-0:2.7.0"], Quantity::Power);
        let items = [item("1-0:1.7.0", "00.100*kW"), item("1-0:2.7.0", "01.193*kW")];
        assert_eq!(milli(point(), &items), [-1_093_000]);
    }

    #[test]
    fn a_unit_that_is_missing_or_strange_makes_no_reading() {
        let point = || reading(&["1.8.0"], Quantity::EnergyImport);
        assert!(milli(point(), &[item("1.8.0", "12.5")]).is_empty());
        assert!(milli(point(), &[item("1.8.0", "12.5*m3")]).is_empty());
        assert!(milli(point(), &[item("1.8.0", "12.5*kW")]).is_empty());
        let mut told = point();
        if let ObisMeaning::Reading { unit, scale, .. } = &mut told.meaning {
            *unit = Some(Unit::KiloWattHour);
            *scale = Decimal::new(2, 0);
        }
        assert_eq!(milli(told.clone(), &[item("1.8.0", "12.5")]), [25_000_000]);
        assert_eq!(milli(told, &[item("1.8.0", "12.5*Wh")]), [25_000]);
    }

    #[test]
    fn a_fact_is_told_once_and_when_it_changes() {
        let point = ObisPoint {
            name: "serial".into(),
            sums: vec![ObisPoint::terms("0-0:96.1.0").unwrap()],
            meaning: ObisMeaning::Fact(DeviceFact::SerialNumber),
        };
        let mut facts = Facts::new();
        let mut told = |text: &str| {
            observe(
                std::slice::from_ref(&point),
                &[item("C.1.0", text)],
                &mut facts,
                Mono(0),
            )
            .len()
        };
        assert_eq!([told("123"), told("123"), told("124"), told("")], [1, 0, 1, 0]);
    }

    #[test]
    fn a_sum_that_is_none_names_its_mistake() {
        assert_eq!(ObisPoint::terms("1.8.0 +"), Err("1.8.0 +"));
        assert_eq!(ObisPoint::terms("1.8.0 1.8.1"), Err("1.8.1"));
        assert_eq!(ObisPoint::terms("1.8.0 + x"), Err("x"));
        assert_eq!(ObisPoint::terms(""), Err(""));
    }
}
