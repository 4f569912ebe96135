//! Charge points with their EVSEs and back ends.

use super::context::{Context, Names};
use super::csms::{self, Csms};
use super::issue::Told;
use super::keys::{ChargePointKeys, CsmsKeys, EvseKeys};
use super::nearest::nearest;
use super::place::Place;
use super::profiles::{kind_name, most};
use super::protocol;
use super::setting::{Given, Section};
use super::south::{Device, failsafe_within};
use super::{contacts, gpio, ocpp16, ocpp201};
use crate::device::{Kind, Profile};
use crate::domain::{
    AuthMode, ContactSetup, CpId, CpSetup, DeviceId, EvseId, EvseSetup, FirmwareSetup, IdToken, MilliAmps,
    OcppVersion, Phase, SiteSetup, TokenKind,
};
use std::collections::BTreeMap;

/// A charge point as read.
pub(super) struct ChargePoint {
    /// Its own settings.
    pub keys: ChargePointKeys,
    /// Its EVSEs; the index is the number less one.
    pub evses: Vec<EvseKeys>,
    /// The contacts each of them heeds.
    contacts: Vec<Vec<ContactSetup>>,
    csms: Vec<Csms>,
}

/// Reads all charge points and checks them against the devices.
pub(super) fn read(root: &Section<'_>, devices: &[Device], context: &mut Context<'_>) -> Vec<ChargePoint> {
    let mut points: Vec<ChargePoint> = root
        .tables(ChargePointKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| charge_point(section, context))
        .collect();
    context.unique("charge point", points.iter().map(|point| &point.keys.id));
    for evse in points.iter_mut().flat_map(|point| &mut point.evses) {
        protocol::freshness(evse, devices, context);
    }
    for point in &mut points {
        let heeded = point
            .evses
            .iter()
            .map(|evse| contacts::of(evse, devices, context));
        point.contacts = heeded.collect();
    }
    for point in &points {
        for evse in &point.evses {
            evse_devices(evse, devices, context);
            authorisation(evse, point, devices, context);
        }
        let fixed = |evse: &EvseKeys| profile_of(evse, devices).is_some_and(|profile| !profile.has_lock());
        if point.evses.iter().all(fixed) {
            ocpp16::without_locks(&point.keys.ocpp16, context);
        }
    }
    shared_devices(&points, context);
    unused_devices(&points, devices, context);
    if points.is_empty() {
        let told = Told::new(
            "charge_point",
            "there is no charge point, so there is nothing to serve",
            "at least one [[charge_point]]",
            "add a [[charge_point]] with a [[charge_point.evse]] and a [[charge_point.csms]]",
        );
        context.found.warning(root.at, told);
    }
    points
}

fn charge_point(section: &Section<'_>, context: &mut Context<'_>) -> ChargePoint {
    let keys = ChargePointKeys::read(section, &mut context.found);
    let evses: Vec<EvseKeys> = section
        .tables(EvseKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| EvseKeys::read(section, &mut context.found))
        .collect();
    if evses.is_empty() {
        let told = Told::new(
            "charge_point.evse",
            "the charge point has no EVSE",
            "at least one [[charge_point.evse]]",
            "add a [[charge_point.evse]] with charger, max_current and auth",
        );
        context.found.error(section.at, told);
    }
    let id = keys.id.value.as_deref();
    let csms: Vec<Csms> = section
        .tables(CsmsKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| csms::read(section, id, context))
        .collect();
    if csms.is_empty() {
        let told = Told::new(
            "charge_point.csms",
            "the charge point has no back end",
            "at least one [[charge_point.csms]]",
            "add a [[charge_point.csms]] with url = \"wss://.../{id}\"",
        );
        context.found.error(section.at, told);
    }
    context.unique("back end", csms.iter().map(|csms| &csms.keys.name));
    told_to_nobody(&csms, context);
    let point = ChargePoint {
        keys,
        evses,
        contacts: Vec::new(),
        csms,
    };
    for evse in &point.evses {
        currents(evse, context);
    }
    ocpp16::check(&point.keys.ocpp16, point.speaks(OcppVersion::V16), context);
    ocpp201::check(&point.keys.ocpp201, point.speaks(OcppVersion::V201), context);
    point
}

/// A token that no back end wants leaves no trace anywhere; that is seldom meant.
fn told_to_nobody(csms: &[Csms], context: &mut Context<'_>) {
    let picks = |csms: &Csms| csms.setup.as_ref().is_some_and(|setup| setup.tags.picks());
    if let Some(first) = csms.first().filter(|_| csms.iter().all(picks)) {
        let keys = &first.keys;
        let at = if keys.tags.written {
            keys.tags.at
        } else {
            keys.tags_file.at
        };
        let told = Told::new(
            "charge_point.csms.tags",
            "every back end picks its tokens: a session with any other is reported to nobody",
            "one back end that takes the rest",
            "leave the rule of one back end out, or write what the others take with ! before it",
        );
        context.found.warning(at, told);
    }
}

impl ChargePoint {
    fn speaks(&self, version: OcppVersion) -> bool {
        self.csms.iter().any(|csms| csms.version() == Some(version))
    }

    fn setup(&self, devices: &[Device], firmware: Option<&FirmwareSetup>) -> Option<CpSetup> {
        let mut evses = Vec::with_capacity(self.evses.len());
        for (index, keys) in self.evses.iter().enumerate() {
            let contacts = self.contacts.get(index)?.clone();
            let number = u16::try_from(index + 1).ok()?;
            evses.push(evse_setup(number, keys, devices, contacts)?);
        }
        Some(CpSetup {
            id: CpId::new(self.keys.id.value.as_deref()?),
            vendor: self.keys.vendor.value.clone()?,
            model: self.keys.model.value.clone()?,
            serial: self.keys.serial.value.clone(),
            evses,
            csms: self
                .csms
                .iter()
                .map(|csms| csms.setup.clone())
                .collect::<Option<_>>()?,
            keys: plain(&self.keys.ocpp16, ocpp16::spelled),
            firmware: firmware.cloned(),
            variables: plain(&self.keys.ocpp201, str::to_owned),
        })
    }
}

fn plain(
    given: &Given<BTreeMap<String, (String, Place)>>,
    spell: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    given
        .value
        .iter()
        .flatten()
        .map(|(name, (value, _))| (spell(name), value.clone()))
        .collect()
}

fn evse_setup(
    number: u16,
    keys: &EvseKeys,
    devices: &[Device],
    contacts: Vec<ContactSetup>,
) -> Option<EvseSetup> {
    let device = |given: &Given<String>| given.value.as_deref().map(DeviceId::new);
    let token = || {
        keys.id_token
            .value
            .as_deref()
            .map(|text| IdToken::new(text, TokenKind::Local))
    };
    Some(EvseSetup {
        id: EvseId(number),
        charger: device(&keys.charger)?,
        meter: device(&keys.meter),
        reader: device(&keys.reader),
        contacts,
        phases: keys.phases.value?,
        first_phase: match keys.first_phase.value.as_deref()? {
            "L2" => Phase::L2,
            "L3" => Phase::L3,
            _ => Phase::L1,
        },
        max_current: keys.max_current.value?,
        min_current: keys.min_current.value?,
        dimmed_current: keys.dimmed_current.value.or(keys.min_current.value)?,
        nominal_voltage: u32::try_from(keys.nominal_voltage.value?.base()).ok()?,
        auth: match keys.auth.value.as_deref()? {
            "free" => AuthMode::Free(token()?),
            "reader" => AuthMode::Reader,
            "charger" => AuthMode::Charger(token()),
            _ => AuthMode::Remote,
        },
        meter_stale_after: keys.meter_stale_after.value?,
        has_lock: profile_of(keys, devices).is_some_and(Profile::has_lock),
        switches_phases: keys.phases.value == Some(3)
            && profile_of(keys, devices).is_some_and(Profile::switches_phases),
    })
}

/// Puts the parts together; `None` where something was wrong.
pub(super) fn build(
    points: &[ChargePoint],
    devices: &[Device],
    firmware: Option<&FirmwareSetup>,
) -> Option<Vec<CpSetup>> {
    points
        .iter()
        .map(|point| point.setup(devices, firmware))
        .collect()
}

/// What back ends may cost in a month, by their readers, and the brokers by their names.
pub(super) fn budgets(
    points: &[ChargePoint],
    mqtt: Option<u64>,
    sparkplug: Option<u64>,
) -> BTreeMap<String, u64> {
    let brokers = [(SiteSetup::BROKER, mqtt), (SiteSetup::SPARKPLUG, sparkplug)];
    let mut budgets: BTreeMap<String, u64> = brokers
        .into_iter()
        .filter_map(|(name, budget)| Some((name.to_owned(), budget?)))
        .collect();
    for point in points {
        for csms in &point.csms {
            let names = point.keys.id.value.as_ref().zip(csms.keys.name.value.as_ref());
            if let (Some((cp, name)), Some(budget)) = (names, csms.keys.monthly_budget.value) {
                budgets.insert(format!("{cp}/{name}"), budget);
            }
        }
    }
    budgets
}

fn currents(evse: &EvseKeys, context: &mut Context<'_>) {
    if let (Some(min), Some(max)) = (evse.min_current.value, evse.max_current.value)
        && min > max
    {
        let at = if evse.min_current.written {
            &evse.min_current
        } else {
            &evse.max_current
        };
        at.error(
            &mut context.found,
            format!("min_current of {min} is more than max_current of {max}"),
            "min_current at or below max_current",
            "write min_current = \"6A\"",
        );
    }
}

fn evse_devices(evse: &EvseKeys, devices: &[Device], context: &mut Context<'_>) {
    let ids = Names::of(devices.iter().map(|device| &device.keys.id));
    let jobs: [(&Given<String>, &str, &[Kind]); 3] = [
        (&evse.charger, "charger", &[Kind::Charger]),
        (&evse.meter, "meter", &[Kind::Meter, Kind::Charger]),
        (&evse.reader, "reader", &[Kind::Reader, Kind::Charger]),
    ];
    for (given, job, fitting) in jobs {
        if given.value.is_none() || !context.refers(given, "device", "[[device]]", &ids) {
            continue;
        }
        let Some(device) = find(devices, given) else {
            continue;
        };
        if let Some(profile) = &device.profile
            && !fitting.contains(&profile.kind())
        {
            let others = devices.iter().filter(|other| {
                other
                    .profile
                    .as_ref()
                    .is_some_and(|profile| profile.kind() == fitting[0])
            });
            let names: Vec<&str> = others
                .filter_map(|other| other.keys.id.value.as_deref())
                .collect();
            let name = given.value.as_deref().unwrap_or("");
            let suggestion = match (names.as_slice(), nearest(name, names.iter().copied())) {
                ([], _) => format!("add a [[device]] with the profile of a {job}"),
                (&[only], _) | (_, Some(only)) => format!("did you mean '{only}'"),
                (many, None) => format!("choose one of {}", many.join(", ")),
            };
            given.error(
                &mut context.found,
                format!(
                    "'{name}' is a {} and cannot be the {job}",
                    kind_name(profile.kind())
                ),
                format!("the id of a {job}"),
                suggestion,
            );
        }
        if job == "charger"
            && let Some(max) = evse.max_current.value
        {
            failsafe_within(device, max, context);
            within_charger(evse, device, max, context);
            gpio::serves(evse, device, max, context);
        }
    }
}

/// More than the charger can give is not dangerous, but somebody believes something that is not so.
fn within_charger(evse: &EvseKeys, device: &Device, max: MilliAmps, context: &mut Context<'_>) {
    if let Some(most) = device
        .profile
        .as_deref()
        .and_then(most)
        .filter(|most| *most < max)
    {
        evse.max_current.warning(
            &mut context.found,
            format!("{max} is more than the {most} that the charger can be told"),
            format!("at most {most}"),
            format!("write max_current = \"{}\"", most.to_string().replace(' ', "")),
        );
    }
}

pub(super) fn find<'d>(devices: &'d [Device], given: &Given<String>) -> Option<&'d Device> {
    given.value.as_ref()?;
    devices.iter().find(|device| device.keys.id.value == given.value)
}

/// The profile of the charger of an EVSE.
fn profile_of<'d>(evse: &EvseKeys, devices: &'d [Device]) -> Option<&'d Profile> {
    find(devices, &evse.charger)?.profile.as_deref()
}

fn authorisation(evse: &EvseKeys, point: &ChargePoint, devices: &[Device], context: &mut Context<'_>) {
    let mode = evse.auth.value.as_deref().unwrap_or("");
    if mode == "free" && !evse.id_token.written {
        let told = Told::new(
            "charge_point.evse.id_token",
            "is missing",
            "with auth = \"free\" a token for the records",
            "add id_token = \"FREE\"",
        );
        context.found.error(evse.auth.at, told);
    }
    if matches!(mode, "remote" | "reader") && evse.id_token.written {
        evse.id_token.warning(
            &mut context.found,
            format!("has no effect with auth = \"{mode}\""),
            "it with \"free\" or \"charger\" only",
            "remove it",
        );
    }
    if let Some(token) = evse.id_token.value.as_deref()
        && token.chars().count() > 20
        && point.speaks(OcppVersion::V16)
    {
        let cut: String = token.chars().take(20).collect();
        evse.id_token.error(
            &mut context.found,
            format!("{} characters are too many for OCPP 1.6", token.chars().count()),
            "at most 20 characters",
            format!("shorten it, for example to '{cut}'"),
        );
    }
    let charger_reads_cards = find(devices, &evse.charger)
        .is_none_or(|device| device.profile.as_ref().is_none_or(|profile| profile.has_token()));
    if mode == "reader" && evse.reader.value.is_none() && !evse.reader.is_bad() && !charger_reads_cards {
        let told = Told::new(
            "charge_point.evse.reader",
            "is missing, and the charger reads no cards",
            "the id of a card reader's [[device]]",
            "add reader = \"...\", or choose auth = \"remote\"",
        );
        context.found.error(evse.auth.at, told);
    }
}

/// One charger cannot be two EVSEs, and one meter should not bill two.
fn shared_devices(points: &[ChargePoint], context: &mut Context<'_>) {
    let mut chargers: BTreeMap<&str, Place> = BTreeMap::new();
    let mut meters: BTreeMap<&str, Place> = BTreeMap::new();
    for evse in points.iter().flat_map(|point| &point.evses) {
        if let Some(name) = evse.charger.value.as_deref() {
            if let Some(first) = chargers.get(name) {
                let first = context.line_of(*first);
                evse.charger.error(
                    &mut context.found,
                    format!("'{name}' is the charger of another EVSE, in {first}"),
                    "a charger of its own for each EVSE",
                    "give each connector of the charger a [[device]] with its own `connector`",
                );
            }
            chargers.entry(name).or_insert(evse.charger.at);
        }
        if let Some(name) = evse.meter.value.as_deref() {
            if let Some(first) = meters.get(name) {
                let first = context.line_of(*first);
                evse.meter.warning(
                    &mut context.found,
                    format!("'{name}' bills another EVSE too, in {first}"),
                    "a meter of its own for each EVSE",
                    "both EVSEs would be billed the sum; give each its own meter",
                );
            }
            meters.entry(name).or_insert(evse.meter.at);
        }
    }
}

fn unused_devices(points: &[ChargePoint], devices: &[Device], context: &mut Context<'_>) {
    for device in devices {
        let Some(id) = device.keys.id.value.as_deref() else {
            continue;
        };
        let used = points.iter().flat_map(|point| &point.evses).any(|evse| {
            let jobs = [&evse.charger, &evse.meter, &evse.reader];
            let named = evse.contacts.value.iter().flatten();
            jobs.iter().any(|given| given.value.as_deref() == Some(id))
                || named.into_iter().any(|(name, _)| name == id)
        });
        if !used && !points.is_empty() {
            device.keys.id.warning(
                &mut context.found,
                format!("no EVSE uses '{id}'"),
                "it as charger, meter or reader of an EVSE, or among its contacts",
                "name it in a [[charge_point.evse]], or remove it",
            );
        }
    }
}
