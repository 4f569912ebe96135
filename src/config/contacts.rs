//! Which contacts of the site an EVSE heeds.

use super::context::{Context, Names};
use super::issue::Told;
use super::keys::EvseKeys;
use super::nearest::did_you_mean;
use super::north::find;
use super::place::Place;
use super::setting::Given;
use super::south::Device;
use super::tree::show_text;
use crate::domain::{ContactSetup, DeviceId, GpioSignal, MilliAmps, Protocol};
use std::collections::BTreeSet;

/// The contacts of an EVSE: those of its own devices first, then those it names.
pub(super) fn of(evse: &EvseKeys, devices: &[Device], context: &mut Context<'_>) -> Vec<ContactSetup> {
    let own = [&evse.charger, &evse.meter, &evse.reader];
    let mut heeded: Vec<ContactSetup> = Vec::new();
    for device in own.iter().filter_map(|given| find(devices, given)) {
        heed(device, &mut heeded);
    }
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for (name, at) in evse.contacts.value.iter().flatten() {
        let Some(device) = refers(name, *at, evse, devices, context) else {
            continue;
        };
        let is_own = own.iter().any(|given| given.value.as_ref() == Some(name));
        if is_own || !named.insert(name) {
            let (problem, next) = if is_own {
                (
                    "is a device of this EVSE: its contacts count already",
                    "remove it",
                )
            } else {
                ("is there twice", "remove one")
            };
            let told = Told::new(
                &evse.contacts.path,
                format!("'{name}' {problem}"),
                "each further device once",
                next,
            );
            context.found.warning(*at, told);
        }
        heed(device, &mut heeded);
    }
    dimmed(evse, &heeded, context);
    heeded
}

/// Adds the contacts of a device, unless they are there.
fn heed(device: &Device, heeded: &mut Vec<ContactSetup>) {
    let signals = signals(device);
    let Some(id) = device.keys.id.value.as_deref().filter(|_| !signals.is_empty()) else {
        return;
    };
    let device = DeviceId::new(id);
    if heeded.iter().all(|other| other.device != device) {
        heeded.push(ContactSetup { device, signals });
    }
}

fn signals(device: &Device) -> BTreeSet<GpioSignal> {
    let words = device.wiring.lines.iter();
    words
        .filter_map(|line| GpioSignal::of(line.signal.value.as_deref()?))
        .filter(|signal| GpioSignal::CONTACTS.contains(signal))
        .collect()
}

/// The device of a name, if it has contacts at all.
fn refers<'d>(
    name: &str,
    at: Place,
    evse: &EvseKeys,
    devices: &'d [Device],
    context: &mut Context<'_>,
) -> Option<&'d Device> {
    let ids = Names::of(devices.iter().map(|device| &device.keys.id));
    let found = devices
        .iter()
        .find(|device| device.keys.id.value.as_deref() == Some(name));
    let with: Vec<&str> = devices
        .iter()
        .filter(|device| !signals(device).is_empty())
        .filter_map(|device| device.keys.id.value.as_deref())
        .collect();
    let expected = if with.is_empty() {
        "the id of a [[device]] with such lines, but there is none".to_owned()
    } else {
        format!("the id of a [[device]] with such lines: {}", with.join(", "))
    };
    let Some(device) = found else {
        if ids.sure {
            let told = Told::new(
                &evse.contacts.path,
                format!("there is no device {}", show_text(name)),
                expected,
                did_you_mean(name, with.iter().copied(), || {
                    format!("add a [[device]] with id = \"{name}\" and profile = \"gpio-contacts\"")
                }),
            );
            context.found.error(at, told);
        }
        return None;
    };
    let unread = device.wiring.lines.iter().any(|line| line.signal.value.is_none());
    let unknown = device.profile.is_none();
    if signals(device).is_empty() && !unread && !unknown {
        let gpio = device
            .profile
            .as_ref()
            .is_some_and(|profile| profile.protocol() == Protocol::Gpio);
        let next = if gpio {
            "add [[device.line]] with signal = \"emergency_stop\", \"tamper\" or \"dimming\" to it, or remove it here"
        } else {
            "wire the contacts to a GPIO chip: a [[device]] with profile = \"gpio-contacts\""
        };
        let told = Told::new(
            &evse.contacts.path,
            format!("'{name}' has no emergency_stop, tamper or dimming line"),
            expected,
            next,
        );
        context.found.error(at, told);
        return None;
    }
    Some(device)
}

/// What is left of the current while it is dimmed must be something the EVSE can offer.
fn dimmed(evse: &EvseKeys, heeded: &[ContactSetup], context: &mut Context<'_>) {
    let given: &Given<MilliAmps> = &evse.dimmed_current;
    let Some(dimmed) = given.value.filter(|_| given.written) else {
        return;
    };
    let unsure = evse.contacts.is_bad();
    let dims = heeded.iter().any(|c| c.signals.contains(&GpioSignal::Dimming));
    if let Some(max) = evse.max_current.value.filter(|max| dimmed > *max) {
        given.error(
            &mut context.found,
            format!("{dimmed} is more than the max_current of {max}"),
            format!("at most {max}"),
            "write less, or leave it out",
        );
    } else if let Some(min) = evse.min_current.value.filter(|min| dimmed.0 > 0 && dimmed < *min) {
        given.error(
            &mut context.found,
            format!("{dimmed} is less than the min_current of {min}: charging would pause"),
            format!("0, which says so, or at least {min}"),
            "write dimmed_current = \"0A\", or leave it out",
        );
    } else if !dims && !unsure {
        given.warning(
            &mut context.found,
            "has no effect: no dimming contact concerns the EVSE",
            "it beside a device with a line with signal = \"dimming\"",
            "remove it, or name the device in charge_point.evse.contacts",
        );
    }
}
