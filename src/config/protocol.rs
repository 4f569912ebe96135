//! What is spoken on a bus, and what follows from it for the devices on it.

use super::context::Context;
use super::framing;
use super::gpio;
use super::issue::Told;
use super::keys::{BusKeys, EvseKeys};
use super::quantity::duration;
use super::setting::Given;
use super::south::{Bus, Device};
use crate::device::{Serial, TwcLine, TwcUnit};
use crate::domain::{Link, Parity, Protocol};

/// Every word of `bus.protocol`.
pub(super) const WORDS: [&str; Protocol::ALL.len()] = {
    let mut words = [""; Protocol::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Protocol::ALL[at].word();
        at += 1;
    }
    words
};

/// Every word of `bus.parity`.
pub(super) const PARITIES: &[&str] = &[Parity::None.word(), Parity::Even.word(), Parity::Odd.word()];

/// The protocol of a bus; Modbus where nothing sensible is written.
pub(super) fn of(keys: &BusKeys) -> Protocol {
    if keys.gpio.written {
        return Protocol::Gpio;
    }
    let word = keys.protocol.value.as_deref();
    word.and_then(Protocol::of).unwrap_or_default()
}

/// Whether a device speaks Modbus, as far as it is known.
pub(super) fn is_modbus(device: &Device) -> bool {
    let profile = device.profile.as_deref();
    profile.is_none_or(|profile| profile.protocol() == Protocol::Modbus)
}

/// Checks buses and their devices against each other. A bus that is not Modbus takes what is not written about its
/// port from the profile of its device.
pub(super) fn settle(buses: &mut [Bus], devices: &[Device], context: &mut Context<'_>) {
    for bus in buses.iter_mut() {
        let Some(id) = bus.keys.id.value.clone() else {
            continue;
        };
        let here: Vec<&Device> = devices
            .iter()
            .filter(|device| device.keys.bus.value.as_ref() == Some(&id))
            .collect();
        let protocol = of(&bus.keys);
        for device in &here {
            spoken(bus, protocol, device, context);
            addressing(protocol, device, context);
        }
        if protocol == Protocol::Gpio {
            gpio::settle(bus, &here, context);
            continue;
        }
        for device in &here {
            gpio::misplaced(device, context);
        }
        if protocol == Protocol::Modbus {
            framing::settle(bus, &here, context);
            continue;
        }
        alone(protocol, &here, context);
        let profiles = here.iter().filter_map(|device| device.profile.as_deref());
        let mut fitting = profiles.filter(|profile| profile.protocol() == protocol);
        if let Some(profile) = fitting.next() {
            let link = profile.link();
            port(bus, link.serial, link.tcp_port, context);
        }
    }
}

/// A device on a bus that speaks another protocol can never be heard.
fn spoken(bus: &Bus, protocol: Protocol, device: &Device, context: &mut Context<'_>) {
    let Some(profile) = &device.profile else { return };
    let speaks = profile.protocol();
    if speaks == protocol || bus.keys.protocol.is_bad() {
        return;
    }
    let place = context.line_of(if bus.keys.protocol.written {
        bus.keys.protocol.at
    } else {
        bus.keys.id.at
    });
    let name = bus.keys.id.value.as_deref().unwrap_or("");
    device.keys.profile.error(
        &mut context.found,
        format!(
            "'{}' speaks {speaks}, but the bus '{name}' is {protocol}, in {place}",
            profile.id()
        ),
        format!("a profile that speaks {protocol}, or a bus that speaks {speaks}"),
        format!("write protocol = \"{speaks}\" in the [[bus]] '{name}', or put the device on another"),
    );
}

/// Modbus devices have a unit id, others an address at most.
fn addressing(protocol: Protocol, device: &Device, context: &mut Context<'_>) {
    let keys = &device.keys;
    if protocol == Protocol::Modbus {
        no_effect(&keys.address, "on a Modbus device; it has a `unit`", context);
        return;
    }
    no_effect(&keys.unit, &format!("with {protocol}"), context);
    if !protocol.shares_its_port() {
        no_effect(&keys.address, &format!("with {protocol}"), context);
    }
    if protocol == Protocol::Twc
        && let Some(address) = keys.address.value.as_deref()
        && TwcUnit::address(address).is_none()
    {
        keys.address.error(
            &mut context.found,
            format!("'{address}' is not the id of a Wall Connector"),
            "its two bytes in hexadecimal, four digits",
            "write it as `retrovolt scan` shows it, e.g. \"1A2B\"",
        );
    }
}

fn no_effect<T>(given: &Given<T>, why: &str, context: &mut Context<'_>) {
    if given.written {
        given.warning(
            &mut context.found,
            format!("has no effect {why}"),
            "it where the protocol knows it",
            "remove it",
        );
    }
}

/// Where nothing in the bytes tells devices apart there can be only one; elsewhere each has its own address.
fn alone(protocol: Protocol, here: &[&Device], context: &mut Context<'_>) {
    if protocol == Protocol::Twc
        && let Some(fourth) = here.get(TwcLine::MOST)
    {
        fourth.keys.bus.error(
            &mut context.found,
            format!("has {} Wall Connectors, and a line takes three", here.len()),
            "three at most",
            "put the others on a [[bus]] of their own",
        );
    }
    for (index, device) in here.iter().enumerate() {
        let earlier = &here[..index];
        if !protocol.shares_its_port() {
            if let Some(first) = earlier.first() {
                let other = first.keys.id.value.as_deref().unwrap_or("another device");
                device.keys.bus.error(
                    &mut context.found,
                    format!("'{other}' is on this bus already, and {protocol} serves one device on a port"),
                    "one device on this bus",
                    "give it a [[bus]] of its own",
                );
            }
            continue;
        }
        let address = device.keys.address.value.as_deref();
        let clash = earlier
            .iter()
            .find(|other| other.keys.address.value.as_deref() == address);
        if let Some(other) = clash {
            let name = other.keys.id.value.as_deref().unwrap_or("another device");
            let problem = match address {
                Some(address) => format!("'{address}' is the address of '{name}' already"),
                None => format!("is missing, and so it is for '{name}' on the same bus"),
            };
            let told = Told::new(
                "device.address",
                problem,
                "an address of its own for each device on the bus",
                "write each device's address",
            );
            let at = if device.keys.address.written {
                device.keys.address.at
            } else {
                device.keys.id.at
            };
            context.found.error(at, told);
        }
    }
}

/// A keyboard's event device.
pub(super) fn input(keys: &BusKeys, context: &mut Context<'_>) -> Option<Link> {
    let path = keys.port.value.clone()?;
    let shown = path.display().to_string();
    if !path.is_absolute() {
        keys.port.error(
            &mut context.found,
            format!("'{shown}' is not the path of an event device"),
            "an absolute path such as /dev/input/by-id/...-event-kbd",
            "look it up with ls /dev/input/by-id",
        );
        return None;
    }
    if shown.starts_with("/dev/input/event") {
        keys.port.warning(
            &mut context.found,
            format!("{shown} may be another keyboard after the next start"),
            "a stable path in /dev/input/by-id or /dev/input/by-path",
            "look it up with ls -l /dev/input/by-id",
        );
    }
    if !path.exists() {
        keys.port.warning(
            &mut context.found,
            "there is no such device now",
            "a reader that is plugged in",
            "plug it in, or see /dev/input/by-id; the gateway waits for it",
        );
    }
    Some(Link::Input { path })
}

/// Fills in what the profile knows about the port, and tells where what is written differs.
fn port(bus: &mut Bus, usual: Option<Serial>, usual_port: Option<u16>, context: &mut Context<'_>) {
    let keys = &bus.keys;
    match (&mut bus.link, usual) {
        (
            Some(Link::Serial {
                baud,
                parity,
                data_bits,
                stop_bits,
                ..
            }),
            Some(usual),
        ) => {
            fill(&keys.baud, baud, usual.baud, |n| n.to_string(), context);
            let quoted = |parity: Parity| format!("\"{}\"", parity.word());
            fill(&keys.parity, parity, usual.parity, quoted, context);
            fill(
                &keys.data_bits,
                data_bits,
                usual.data_bits,
                |n| n.to_string(),
                context,
            );
            fill(
                &keys.stop_bits,
                stop_bits,
                usual.stop_bits,
                |n| n.to_string(),
                context,
            );
        }
        (Some(Link::Tcp { port, .. }), _) if !keys.tcp_port.written => match usual_port {
            Some(usual) => *port = usual,
            None => {
                let told = Told::new(
                    "bus.tcp_port",
                    "is missing",
                    "the TCP port of the serial device server",
                    "add tcp_port = ...; the server's manual names it",
                );
                context.found.error(keys.host.at, told);
            }
        },
        _ => {}
    }
}

fn fill<T, U: PartialEq + Copy>(
    given: &Given<T>,
    value: &mut U,
    usual: U,
    show: impl Fn(U) -> String,
    context: &mut Context<'_>,
) {
    if !given.written {
        *value = usual;
    } else if *value != usual {
        let (found, usual) = (show(*value), show(usual));
        given.warning(
            &mut context.found,
            format!("{found} is not what the device's profile says"),
            usual.clone(),
            format!("did you mean {usual}, or remove the line: the profile knows it"),
        );
    }
}

/// A meter that speaks seldom makes its readings old by itself: what is not written allows for two and a half of its
/// periods.
pub(super) fn freshness(evse: &mut EvseKeys, devices: &[Device], context: &mut Context<'_>) {
    let metered = evse.meter.value.as_ref().or(evse.charger.value.as_ref());
    let meter = devices
        .iter()
        .find(|device| metered.is_some() && device.keys.id.value.as_ref() == metered);
    let Some((meter, profile)) = meter.and_then(|meter| Some((meter, meter.profile.as_deref()?))) else {
        return;
    };
    let period = meter.keys.poll.value.unwrap_or(profile.link().poll);
    let (needed, stale) = (period * 5 / 2, &mut evse.meter_stale_after);
    if profile.protocol() == Protocol::Modbus || stale.value.is_none_or(|stale| stale >= needed) {
        return;
    }
    if !stale.written {
        stale.value = Some(needed);
        return;
    }
    stale.warning(
        &mut context.found,
        format!(
            "'{}' tells its values every {} only",
            profile.id(),
            duration(period)
        ),
        format!("at least {}", duration(needed)),
        format!(
            "write meter_stale_after = \"{}\", or remove the line",
            duration(needed)
        ),
    );
}
