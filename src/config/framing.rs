//! How Modbus frames are wrapped on a bus.

use super::context::Context;
use super::keys::BusKeys;
use super::protocol;
use super::south::{Bus, Device};
use crate::device::SerialFraming;
use crate::domain::{Framing, Protocol};

/// The framing of a bus: as written, or what is usual for the kind of bus.
pub(super) fn of(keys: &BusKeys) -> Framing {
    let usual = if keys.host.written {
        Framing::Tcp
    } else {
        Framing::Rtu
    };
    keys.framing
        .value
        .as_deref()
        .and_then(Framing::of)
        .unwrap_or(usual)
}

/// Checks what is written against the kind of bus; `right` is what goes with it.
pub(super) fn check(keys: &BusKeys, right: &[&str], context: &mut Context<'_>) {
    let protocol = protocol::of(keys);
    if protocol != Protocol::Modbus {
        if keys.framing.written {
            keys.framing.error(
                &mut context.found,
                format!("has no meaning with {protocol}"),
                "it on buses with protocol = \"modbus\" only",
                "remove it",
            );
        }
        return;
    }
    if let Some(framing) = keys
        .framing
        .value
        .as_deref()
        .filter(|framing| !right.contains(framing))
    {
        keys.framing.error(
            &mut context.found,
            format!("'{framing}' does not go with this kind of bus"),
            format!("\"{}\"", right.join("\" or \"")),
            format!("did you mean '{}', or remove the line", right[0]),
        );
    }
}

/// A serial bus takes the framing of its devices where none is written; a device that frames otherwise is never heard.
pub(super) fn settle(bus: &mut Bus, devices: &[&Device], context: &mut Context<'_>) {
    if !bus.keys.port.written || bus.keys.framing.is_bad() {
        return;
    }
    let framed = |device: &Device| Some(framing_of(device.profile.as_ref()?.link().serial?.framing));
    if !bus.keys.framing.written
        && let Some(usual) = devices.iter().find_map(|device| framed(device))
    {
        bus.keys.framing.value = Some(usual.word().to_owned());
    }
    let here = of(&bus.keys);
    let place = context.line_of(if bus.keys.framing.written {
        bus.keys.framing.at
    } else {
        bus.keys.id.at
    });
    let name = bus.keys.id.value.as_deref().unwrap_or("");
    for device in devices {
        let Some(speaks) = framed(device).filter(|speaks| *speaks != here) else {
            continue;
        };
        let (speaks, here) = (speaks.word(), here.word());
        let problem =
            format!("this device frames Modbus as {speaks}, but the bus '{name}' as {here}, in {place}");
        let profile = &device.keys.profile;
        if bus.keys.framing.written {
            profile.warning(
                &mut context.found,
                problem,
                format!("framing = \"{speaks}\""),
                "change it, unless the device was changed",
            );
        } else {
            profile.error(
                &mut context.found,
                problem,
                format!("only devices that speak Modbus {here} on such a line"),
                "put one of them on another bus",
            );
        }
    }
}

const fn framing_of(serial: SerialFraming) -> Framing {
    match serial {
        SerialFraming::Rtu => Framing::Rtu,
        SerialFraming::Ascii | SerialFraming::Abl => Framing::Ascii,
    }
}
