//! What the devices on a line ask of its settings.

use super::context::Context;
use super::protocol;
use super::south::{Bus, Device};
use crate::domain::{Link, Parity, Protocol};

/// What the profiles of a line's devices say about its settings.
pub(super) fn check(bus: &Bus, devices: &[Device], context: &mut Context<'_>) {
    let Some(id) = bus.keys.id.value.as_deref() else {
        return;
    };
    let here: Vec<&Device> = devices
        .iter()
        .filter(|device| device.keys.bus.value.as_deref() == Some(id))
        .collect();
    if here.is_empty() {
        bus.keys.id.warning(
            &mut context.found,
            "no device is on this bus",
            "at least one [[device]]",
            format!("add a [[device]] with bus = \"{id}\", or remove the bus"),
        );
    }
    if let Some(Link::Serial { baud, parity, .. }) = bus.link {
        if protocol::of(&bus.keys) != Protocol::Modbus {
            return;
        }
        for device in &here {
            reserved_unit(device, context);
            network_only(device, context);
        }
        factory_settings(bus, (baud, parity), &here, context);
    }
}

fn reserved_unit(device: &Device, context: &mut Context<'_>) {
    if let Some(unit) = device.keys.unit.value.filter(|unit| *unit > 247 || *unit == 0) {
        device.keys.unit.warning(
            &mut context.found,
            format!("{unit} is reserved on a serial line"),
            "1 to 247",
            "look up the unit id in the device's manual",
        );
    }
}

fn network_only(device: &Device, context: &mut Context<'_>) {
    let Some(profile) = device
        .profile
        .as_deref()
        .filter(|profile| profile.link().serial.is_none())
    else {
        return;
    };
    let next = match profile.link().tcp_port {
        Some(port) => format!("put it on a [[bus]] with host = \"...\" and tcp_port = {port}"),
        None => "put it on a [[bus]] with host = \"...\"".to_owned(),
    };
    device.keys.bus.warning(
        &mut context.found,
        format!("'{}' is not known to have a serial port", profile.id()),
        "a [[bus]] with `host`",
        next,
    );
}

/// Devices on one line must agree, so most have been changed; but one that cannot be changed, or was not, agrees
/// with the line as it left the factory. Where none does, somebody mistyped.
fn factory_settings(bus: &Bus, (baud, parity): (u32, Parity), here: &[&Device], context: &mut Context<'_>) {
    let usual: Vec<(&str, u32, Parity)> = here
        .iter()
        .filter_map(|device| device.profile.as_deref())
        .filter_map(|profile| {
            profile
                .link()
                .serial
                .map(|serial| (profile.id(), serial.baud, serial.parity))
        })
        .collect();
    if usual
        .iter()
        .any(|(_, usual_baud, usual_parity)| (*usual_baud, *usual_parity) == (baud, parity))
    {
        return;
    }
    let Some((name, usual_baud, usual_parity)) = usual.first().copied() else {
        return;
    };
    if baud != usual_baud {
        bus.keys.baud.warning(
            &mut context.found,
            format!("{baud} is not what '{name}' leaves the factory with"),
            format!("for this profile {usual_baud}"),
            format!("did you mean baud = {usual_baud}, unless the device was changed"),
        );
    }
    if parity != usual_parity {
        let (word, usual) = (parity.word(), usual_parity.word());
        bus.keys.parity.warning(
            &mut context.found,
            format!("'{word}' is not what '{name}' leaves the factory with"),
            format!("for this profile \"{usual}\""),
            format!("did you mean parity = \"{usual}\", unless the device was changed"),
        );
    }
}
