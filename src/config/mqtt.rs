//! The broker, and who may send commands over it.

use super::broker::{self, keys_of};
use super::context::Context;
use super::issue::Told;
use super::keys::{MqttAllowKeys, MqttKeys};
use super::nearest::did_you_mean;
use super::north::ChargePoint;
use super::place::Place;
use super::setting::{Given, Section};
use super::south::{Bus, Device};
use super::tree::show_text;
use crate::domain::{CommandRights, HaForm, HaSetup, MqttSetup, Slug};
use std::collections::{BTreeMap, BTreeSet};

/// What a user may set.
const KEYS: [&str; 9] = [
    "enabled",
    "limit_a",
    "mode",
    "phases",
    "priority",
    "departure",
    "unlock",
    "authorize",
    "reset",
];
/// What a user may request.
const OPERATIONS: [&str; 4] = ["info", "status", "sessions", "refresh"];

/// What became of the table.
pub(super) enum Read {
    /// It is not there.
    Absent,
    /// Something in it is wrong, and told.
    Bad,
    /// It is good; and what the broker may cost in a month.
    Good(Box<MqttSetup>, Option<u64>),
}

impl Read {
    /// `None`: something is wrong.
    pub fn value(self) -> Option<Option<MqttSetup>> {
        match self {
            Self::Absent => Some(None),
            Self::Bad => None,
            Self::Good(setup, _) => Some(Some(*setup)),
        }
    }

    /// What the broker may cost in a month, bytes.
    pub fn budget(&self) -> Option<u64> {
        match self {
            Self::Good(_, budget) => *budget,
            Self::Absent | Self::Bad => None,
        }
    }
}

/// Reads the table, and looks whether everything can have a topic of its own.
pub(super) fn read(
    root: &Section<'_>,
    buses: &[Bus],
    devices: &[Device],
    points: &[ChargePoint],
    context: &mut Context<'_>,
) -> Read {
    let sections = root.tables(MqttKeys::TABLE, &mut context.found);
    let Some(section) = sections.first() else {
        return Read::Absent;
    };
    let keys = MqttKeys::read(section, &mut context.found);
    let users: Vec<MqttAllowKeys> = section
        .tables(MqttAllowKeys::TABLE, &mut context.found)
        .iter()
        .map(|user| MqttAllowKeys::read(user, &mut context.found))
        .collect();
    context.unique("allow", users.iter().map(|user| &user.name));
    topics(buses, devices, points, context);
    let broker = broker::read(&keys_of!("mqtt", keys), context);
    let commands = commands(&keys, &users, context);
    let gateway = gateway(&keys, context);
    let ha = home_assistant(&keys, &users, context);
    let prefix = slug(&keys.prefix, context);
    let setup = (|| {
        let (mut broker, gateway) = (broker?, gateway?);
        if broker.client_id.is_empty() {
            broker.client_id = format!("retrovolt-{gateway}");
        }
        Some(MqttSetup {
            broker,
            prefix: prefix?,
            gateway,
            refresh: keys.refresh.value?,
            flat: keys.flat.value?,
            keep_records: keys.keep_records.value?,
            commands: commands?,
            ha: ha?,
        })
    })();
    setup.map_or(Read::Bad, |setup| {
        Read::Good(Box::new(setup), keys.monthly_budget.value)
    })
}

/// What Home Assistant is told, and as whom it may send commands.
fn home_assistant(keys: &MqttKeys, users: &[MqttAllowKeys], context: &mut Context<'_>) -> Option<HaSetup> {
    let prefix = keys.ha_prefix.value.clone()?;
    let level = |level: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !level.is_empty() && level.chars().all(fits)
    };
    if !prefix.split('/').all(level) {
        keys.ha_prefix.error(
            &mut context.found,
            format!("{} cannot stand in a topic", show_text(&prefix)),
            "letters, digits, _ and -, levels divided by /",
            "write what Home Assistant shows under MQTT, Options, Discovery prefix",
        );
        return None;
    }
    let form = HaForm::of(keys.ha_discovery.value.as_deref()?)?;
    if let Some(user) = &keys.ha_user.value {
        let known: Vec<&str> = users
            .iter()
            .filter_map(|user| user.name.value.as_deref())
            .collect();
        if form == HaForm::Off {
            keys.ha_user.warning(
                &mut context.found,
                "has no effect with ha_discovery = \"off\"",
                "it with ha_discovery = \"device\" or \"entity\"",
                "write ha_discovery = \"device\", or remove ha_user",
            );
        } else if !known.contains(&user.as_str()) {
            keys.ha_user.error(
                &mut context.found,
                format!("{} may send nothing", show_text(user)),
                "the name of a [[mqtt.allow]]",
                format!("add [[mqtt.allow]] with name = \"{user}\", or remove ha_user"),
            );
            return None;
        }
    }
    Some(HaSetup {
        form,
        prefix,
        user: keys.ha_user.value.clone(),
    })
}

/// An id as it must stand in a topic.
fn slug(given: &Given<String>, context: &mut Context<'_>) -> Option<String> {
    let text = given.value.as_deref()?;
    let fit = Slug::of(text);
    if fit.as_str() != text {
        given.error(
            &mut context.found,
            format!("{} cannot stand in a topic everywhere", show_text(text)),
            "1 to 32 of a-z 0-9 _ -, a letter or digit first",
            format!("write \"{fit}\""),
        );
        return None;
    }
    Some(text.to_owned())
}

fn gateway(keys: &MqttKeys, context: &mut Context<'_>) -> Option<String> {
    if keys.gateway_id.written {
        return slug(&keys.gateway_id, context);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let first = host.split('.').next().unwrap_or_default();
    Some(Slug::of(first).to_string())
}

fn commands(
    keys: &MqttKeys,
    users: &[MqttAllowKeys],
    context: &mut Context<'_>,
) -> Option<Option<BTreeMap<String, CommandRights>>> {
    let on = keys.commands.value.as_deref()? == "allow-list";
    if on && users.is_empty() {
        keys.commands.warning(
            &mut context.found,
            "nobody may send commands",
            "at least one [[mqtt.allow]]",
            "add [[mqtt.allow]] with name and set, or write commands = \"off\"",
        );
    }
    let mut rights = BTreeMap::new();
    let mut good = true;
    for user in users {
        if !on {
            user.name.warning(
                &mut context.found,
                "may send nothing with commands = \"off\"",
                "it with commands = \"allow-list\"",
                "write commands = \"allow-list\", or remove the user",
            );
        }
        let name = user.name.value.as_deref().unwrap_or_default();
        if name.contains(['/', '+', '#']) {
            user.name.error(
                &mut context.found,
                "cannot stand in a topic",
                "a name without / + #",
                "give the account another name on the broker",
            );
            good = false;
        }
        let set = words(&user.set, &KEYS, context);
        let request = words(&user.request, &OPERATIONS, context);
        match (user.name.value.clone(), set, request, user.spacing.value) {
            (Some(name), Some(keys), Some(operations), Some(spacing)) => {
                rights.insert(
                    name,
                    CommandRights {
                        keys,
                        operations,
                        spacing,
                    },
                );
            }
            _ => good = false,
        }
    }
    good.then(|| on.then_some(rights))
}

fn words(
    given: &Given<Vec<(String, Place)>>,
    known: &[&str],
    context: &mut Context<'_>,
) -> Option<BTreeSet<String>> {
    let mut chosen = BTreeSet::new();
    let mut good = !given.is_bad();
    for (word, at) in given.value.iter().flatten() {
        if known.contains(&word.as_str()) {
            chosen.insert(word.clone());
        } else {
            let told = Told::new(
                &given.path,
                format!("there is no {}", show_text(word)),
                format!("some of {}", known.join(", ")),
                did_you_mean(word, known.iter().copied(), || "remove it".to_owned()),
            );
            context.found.error(*at, told);
            good = false;
        }
    }
    good.then_some(chosen)
}

/// Two ids that differ only in what a topic cannot show would be one.
fn topics(buses: &[Bus], devices: &[Device], points: &[ChargePoint], context: &mut Context<'_>) {
    let id = |given: &Given<String>| {
        given
            .value
            .clone()
            .map(|text| (text, given.at, given.path.clone()))
    };
    let bus_ids = buses.iter().filter_map(|bus| id(&bus.keys.id)).collect();
    distinct(bus_ids, context);
    let device_ids = devices.iter().filter_map(|device| id(&device.keys.id)).collect();
    distinct(device_ids, context);
    let evses = points.iter().flat_map(|point| {
        let own = id(&point.keys.id);
        (1..=point.evses.len()).filter_map(move |number| {
            let (text, at, path) = own.clone()?;
            let text = if number == 1 {
                text
            } else {
                format!("{text}-{number}")
            };
            Some((text, at, path))
        })
    });
    distinct(evses.collect(), context);
}

fn distinct(ids: Vec<(String, Place, String)>, context: &mut Context<'_>) {
    let mut seen: BTreeMap<Slug, (String, Place)> = BTreeMap::new();
    for (text, at, path) in ids {
        let slug = Slug::of(&text);
        match seen.get(&slug) {
            // The same name twice is told elsewhere.
            Some((other, first)) if *other != text => {
                let told = Told::new(
                    &path,
                    format!(
                        "'{text}' and '{other}' (in {}) would both be '{slug}' in MQTT topics",
                        context.line_of(*first)
                    ),
                    "ids that still differ in small letters, with at most 32 characters",
                    "rename one of them",
                );
                context.found.error(at, told);
            }
            Some(_) => {}
            None => {
                seen.insert(slug, (text, at));
            }
        }
    }
}
