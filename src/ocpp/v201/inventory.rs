//! Get, set and report of variables (B05, B06, B07): the controllers, and the physical components as the configuration
//! and the last statuses have them.

use super::super::dialect::{Call, KeyPut, Triggered};
use super::super::wallclock::{date_time, format_utc};
use super::V201;
use super::project::{CONNECTOR, connector_status};
use super::variables::{Entry, Kind, Refusal, TABLE, find, parts};
use super::{measure, variables};
use crate::domain::{ConnectorStatus, EvseId, EvseSetup, Now, OTHER_IN_CONTROL};
use ocpp_kit::types::Decimal;
use ocpp_kit::v2_0_1::{
    Attribute, Component, Data, EVSE, GetVariableData, GetVariableResult, GetVariableStatus, Mutability,
    NotifyReportRequest, ReportBase, ReportData, SetVariableData, SetVariableResult, SetVariableStatus,
    StatusInfo, Variable, VariableAttribute, VariableCharacteristics,
};

/// Variables in one NotifyReport; keeps the message well under every limit seen in the field.
const A_PART: usize = 20;

/// A physical component: what it is called and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Station,
    Evse(EvseId),
    Connector(EvseId),
}

/// A variable as it is found.
enum Found {
    /// Of a controller.
    Ours(&'static Entry),
    /// Of a physical component, told only.
    Told(String),
    NoComponent,
    NoVariable,
}

/// A variable of a physical component with its present value and what is known of its range.
struct Physical {
    name: &'static str,
    value: Option<String>,
    characteristics: VariableCharacteristics,
}

impl V201 {
    /// GetVariables (B06): one answer per question, in order.
    pub(super) fn get_variable(&self, asked: GetVariableData, now: Now) -> GetVariableResult {
        let attribute = asked.attribute_type.clone();
        let actual = attribute.as_ref().is_none_or(|kind| *kind == Attribute::Actual);
        let (status, value) = match self.find(&asked.component, &asked.variable) {
            Found::NoComponent => (GetVariableStatus::UnknownComponent, None),
            Found::NoVariable => (GetVariableStatus::UnknownVariable, None),
            Found::Ours(_) | Found::Told(_) if !actual => {
                (GetVariableStatus::NotSupportedAttributeType, None)
            }
            Found::Ours(entry) => (GetVariableStatus::Accepted, Some(self.value(entry, now))),
            Found::Told(value) => (GetVariableStatus::Accepted, Some(value)),
        };
        let mut result = GetVariableResult::new(status, asked.component, asked.variable);
        result.attribute_type = attribute;
        result.attribute_value = value;
        result
    }

    /// SetVariables (B05): the answer, and what to keep.
    pub(super) fn set_variable(&mut self, asked: SetVariableData) -> (SetVariableResult, Option<KeyPut>) {
        let attribute = asked.attribute_type.clone();
        let actual = attribute.as_ref().is_none_or(|kind| *kind == Attribute::Actual);
        let mut put = None;
        let (status, refusal) = match self.find(&asked.component, &asked.variable) {
            Found::NoComponent => (SetVariableStatus::UnknownComponent, None),
            Found::NoVariable => (SetVariableStatus::UnknownVariable, None),
            Found::Ours(_) | Found::Told(_) if !actual => {
                (SetVariableStatus::NotSupportedAttributeType, None)
            }
            Found::Ours(entry) if self.model.may_set(entry) => {
                match self.model.set(entry, &asked.attribute_value) {
                    Ok(kept) => {
                        put = kept;
                        (SetVariableStatus::Accepted, None)
                    }
                    Err(refusal) => (SetVariableStatus::Rejected, Some(refusal)),
                }
            }
            Found::Ours(entry) if entry.writable => {
                (SetVariableStatus::Rejected, Some(("ReadOnly", OTHER_IN_CONTROL)))
            }
            Found::Ours(_) | Found::Told(_) => {
                let read_only: Refusal = ("ReadOnly", "told by the gateway");
                (SetVariableStatus::Rejected, Some(read_only))
            }
        };
        let mut result = SetVariableResult::new(status, asked.component, asked.variable);
        result.attribute_type = attribute;
        result.attribute_status_info =
            refusal.map(|(code, words)| StatusInfo::new(code).with_additional_info(words));
        (result, put)
    }

    /// GetBaseReport (B07): the NotifyReports, in parts.
    pub(super) fn report(&self, request_id: i32, base: &ReportBase, now: Now) -> Vec<Triggered> {
        let data = self.report_data(base, now);
        let parts = data.chunks(A_PART).count();
        let generated = date_time(now.wall.unix_ms);
        let part = |(index, chunk): (usize, &[ReportData])| {
            let number = i32::try_from(index).unwrap_or(i32::MAX);
            let mut notify = NotifyReportRequest::new(request_id, generated, number);
            notify.report_data = Some(chunk.to_vec());
            notify.tbc = (index + 1 < parts).then_some(true);
            Triggered::Call(Call::new("NotifyReport", &notify))
        };
        data.chunks(A_PART).enumerate().map(part).collect()
    }

    fn report_data(&self, base: &ReportBase, now: Now) -> Vec<ReportData> {
        let mut data = Vec::new();
        if *base != ReportBase::SummaryInventory {
            let wanted = |entry: &&Entry| self.model.may_set(entry) || *base == ReportBase::FullInventory;
            data.extend(
                TABLE
                    .iter()
                    .filter(wanted)
                    .map(|entry| self.entry_report(entry, now)),
            );
        }
        if *base != ReportBase::ConfigurationInventory {
            for place in self.places() {
                let summary = *base == ReportBase::SummaryInventory;
                let told = self.physical(place).into_iter();
                data.extend(
                    told.filter(|p| !summary || p.name == "AvailabilityState")
                        .map(|p| physical_report(place, p)),
                );
            }
        }
        data
    }

    fn entry_report(&self, entry: &Entry, now: Now) -> ReportData {
        let (component, variable, instance) = parts(entry.name);
        let mut named = Variable::new(variable);
        named.instance = instance.map(str::to_owned);
        let mut attribute = VariableAttribute::new();
        attribute.value = Some(self.value(entry, now));
        attribute.mutability = Some(if self.model.may_set(entry) {
            Mutability::ReadWrite
        } else {
            Mutability::ReadOnly
        });
        attribute.persistent = Some(entry.writable);
        let mut report = ReportData::new(Component::new(component), named, vec![attribute]);
        report.variable_characteristics = Some(characteristics(entry));
        report
    }

    /// The clock is the one value that nobody sets.
    fn value(&self, entry: &Entry, now: Now) -> String {
        if entry.kind == Kind::DateTime {
            format_utc(now.wall.unix_ms)
        } else {
            self.model.text(entry.name).to_owned()
        }
    }

    fn find(&self, component: &Component, variable: &Variable) -> Found {
        if let Some(place) = self.place(component) {
            let named =
                |p: &Physical| p.name.eq_ignore_ascii_case(&variable.name) && variable.instance.is_none();
            let told = self.physical(place).into_iter().find(named);
            return told.map_or(Found::NoVariable, |p| Found::Told(p.value.unwrap_or_default()));
        }
        let of_component = |entry: &&Entry| parts(entry.name).0.eq_ignore_ascii_case(&component.name);
        let bare = component.evse.is_none() && component.instance.is_none();
        if !bare || !TABLE.iter().any(|entry| of_component(&entry)) {
            return Found::NoComponent;
        }
        let name = match &variable.instance {
            Some(instance) => format!("{}.{}[{instance}]", component.name, variable.name),
            None => format!("{}.{}", component.name, variable.name),
        };
        find(&name).map_or(Found::NoVariable, Found::Ours)
    }

    fn place(&self, component: &Component) -> Option<Place> {
        if component.instance.is_some() {
            return None;
        }
        let named = |name: &str| component.name.eq_ignore_ascii_case(name);
        let evse = component.evse.as_ref();
        let known = evse.and_then(|evse| self.evse(evse.id));
        let connector = evse.and_then(|evse| evse.connector_id);
        match connector {
            None if named("ChargingStation") && evse.is_none() => Some(Place::Station),
            None if named("EVSE") => known.map(Place::Evse),
            Some(CONNECTOR) if named("Connector") => known.map(Place::Connector),
            _ => None,
        }
    }

    fn places(&self) -> Vec<Place> {
        let evses = self.cp.evses.iter().map(|evse| evse.id);
        let of = |id| [Place::Evse(id), Place::Connector(id)];
        std::iter::once(Place::Station)
            .chain(evses.flat_map(of))
            .collect()
    }

    fn physical(&self, place: Place) -> Vec<Physical> {
        let phases = |phases: u8| {
            let mut it = physical("SupplyPhases", Data::Integer, Some(phases.to_string()));
            it.characteristics.max_limit = Some(Decimal::from_i64(3));
            it
        };
        let setup = |id: EvseId| self.cp.evses.iter().find(|evse| evse.id == id);
        let mut told = vec![physical("Available", Data::Boolean, Some("true".to_owned()))];
        let key = match place {
            Place::Station => {
                let most = self.cp.evses.iter().map(|evse| evse.phases).max();
                told.push(phases(most.unwrap_or(1)));
                told.push(physical("Model", Data::String, Some(self.cp.model.clone())));
                told.push(physical("VendorName", Data::String, Some(self.cp.vendor.clone())));
                None
            }
            Place::Evse(id) => {
                told.extend(setup(id).map(|evse| phases(evse.phases)));
                told.extend(setup(id).map(power));
                Some(id)
            }
            Place::Connector(id) => {
                told.extend(setup(id).map(|evse| phases(evse.phases)));
                told.push(physical(
                    "ConnectorType",
                    Data::String,
                    Some("Unknown".to_owned()),
                ));
                Some(id)
            }
        };
        told.push(self.availability(key));
        told
    }

    fn availability(&self, key: Option<EvseId>) -> Physical {
        let shown = self
            .shown
            .get(&key)
            .copied()
            .unwrap_or(ConnectorStatus::Available);
        let value = connector_status(shown).as_str().to_owned();
        let mut it = physical("AvailabilityState", Data::OptionList, Some(value));
        it.characteristics.values_list = Some("Available,Occupied,Reserved,Unavailable,Faulted".to_owned());
        it
    }
}

fn physical(name: &'static str, data: Data, value: Option<String>) -> Physical {
    Physical {
        name,
        value,
        characteristics: VariableCharacteristics::new(data, false),
    }
}

/// The most an EVSE can deliver, as `maxLimit` of its power.
fn power(evse: &EvseSetup) -> Physical {
    let watts = evse.max_current.0 * i64::from(evse.nominal_voltage) * i64::from(evse.phases) / 1_000;
    let mut it = physical("Power", Data::Decimal, None);
    it.characteristics.unit = Some("W".to_owned());
    it.characteristics.max_limit = Some(Decimal::from_i64(watts));
    it
}

fn physical_report(place: Place, told: Physical) -> ReportData {
    let number = |id: EvseId| i32::from(id.0);
    let (name, evse) = match place {
        Place::Station => ("ChargingStation", None),
        Place::Evse(id) => ("EVSE", Some(EVSE::new(number(id)))),
        Place::Connector(id) => (
            "Connector",
            Some(EVSE::new(number(id)).with_connector_id(CONNECTOR)),
        ),
    };
    let mut component = Component::new(name);
    component.evse = evse;
    let mut attribute = VariableAttribute::new();
    attribute.value = told.value;
    attribute.mutability = Some(Mutability::ReadOnly);
    let mut report = ReportData::new(component, Variable::new(told.name), vec![attribute]);
    report.variable_characteristics = Some(told.characteristics);
    report
}

fn characteristics(entry: &Entry) -> VariableCharacteristics {
    let (data, values) = match entry.kind {
        Kind::Bool => (Data::Boolean, None),
        Kind::Int(..) => (Data::Integer, None),
        Kind::Text => (Data::String, None),
        Kind::DateTime => (Data::DateTime, None),
        Kind::Members(values) => (Data::MemberList, Some(values.to_owned())),
        Kind::Sequence(values) => (Data::SequenceList, Some(values.to_owned())),
        Kind::Measurands => (Data::MemberList, Some(measure::known().join(","))),
        Kind::Register => (Data::MemberList, Some(variables::REGISTER.to_owned())),
    };
    let mut told = VariableCharacteristics::new(data, false);
    told.values_list = values;
    told.unit = entry.unit.map(str::to_owned);
    if let Kind::Int(least, most) = entry.kind {
        told.min_limit = Some(Decimal::from_i64(least));
        told.max_limit = Some(Decimal::from_i64(most));
    }
    told
}
