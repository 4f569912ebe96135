//! The names of what is measured, as every version spells them (1.6 section 7.31, 2.0.1 `MeasurandEnumType`).

use crate::domain::{Measurand, Quantity};

/// Most items of a measurand list.
pub(super) const MAX_MEASURANDS: usize = 20;

/// What a meter may keep of the sum alone, whatever the version: the billing register.
pub(super) const ENERGY: &str = "Energy.Active.Import.Register";

/// What is sampled unless somebody says otherwise.
pub(super) const USUAL: &str = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage";

/// Our quantities with their names. Apparent power has none; temperature has one in 1.6 only.
const NAMES: [(Quantity, &str); 13] = [
    (Quantity::EnergyImport, ENERGY),
    (Quantity::EnergyExport, "Energy.Active.Export.Register"),
    (Quantity::ReactiveEnergyImport, "Energy.Reactive.Import.Register"),
    (Quantity::ReactiveEnergyExport, "Energy.Reactive.Export.Register"),
    (Quantity::Power, "Power.Active.Import"),
    (Quantity::ReactivePower, "Power.Reactive.Import"),
    (Quantity::PowerFactor, "Power.Factor"),
    (Quantity::Current, "Current.Import"),
    (Quantity::CurrentOffered, "Current.Offered"),
    (Quantity::Voltage, "Voltage"),
    (Quantity::Frequency, "Frequency"),
    (Quantity::Temperature, "Temperature"),
    (Quantity::Soc, "SoC"),
];

/// The quantity of a name.
pub(super) fn named(name: &str) -> Option<Quantity> {
    let found = NAMES.iter().find(|(_, known)| *known == name);
    found.map(|(quantity, _)| *quantity)
}

/// The name of a quantity.
pub(super) fn name(quantity: Quantity) -> Option<&'static str> {
    let found = NAMES.iter().find(|(known, _)| *known == quantity);
    found.map(|(_, name)| *name)
}

/// A list of measurands as it is written, as far as `spell` has words for them.
pub(super) fn write_list(list: &[Measurand], spell: impl Fn(&Measurand) -> Option<String>) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in list.iter().filter_map(spell) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(",")
}

/// The items of a comma separated list.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Every quantity with a name.
pub(super) fn all() -> impl Iterator<Item = Quantity> {
    NAMES.iter().map(|(quantity, _)| *quantity)
}
