//! Buses and devices.

use super::context::{Context, Names};
use super::framing;
use super::gpio::{self, Wiring};
use super::issue::Told;
use super::keys::{BusKeys, DeviceKeys};
use super::line;
use super::nearest::did_you_mean;
use super::place::Place;
use super::profiles::{kind_name, watchdog_times};
use super::protocol;
use super::quantity::duration;
use super::setting::{Given, Section};
use super::tree::show_text;
use crate::device::{Kind, Profile, SAFE_WITHIN};
use crate::domain::{BusId, BusSetup, DeviceId, DeviceSetup, Framing, Link, MilliAmps, Parity, Protocol};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A bus as read.
pub(super) struct Bus {
    /// Its settings.
    pub keys: BusKeys,
    /// How it is reached, where nothing was wrong.
    pub link: Option<Link>,
}

/// A device as read.
pub(super) struct Device {
    /// Its settings.
    pub keys: DeviceKeys,
    /// Its profile.
    pub profile: Option<Arc<Profile>>,
    /// What is wired to lines of a GPIO chip.
    pub wiring: Wiring,
}

/// Reads all buses and devices and checks them against each other.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> (Vec<Bus>, Vec<Device>) {
    let mut buses: Vec<Bus> = root
        .tables(BusKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| bus(section, context))
        .collect();
    let devices: Vec<Device> = root
        .tables(DeviceKeys::TABLE, &mut context.found)
        .iter()
        .map(|section| device(section, context))
        .collect();
    context.unique("bus", buses.iter().map(|bus| &bus.keys.id));
    context.unique("device", devices.iter().map(|device| &device.keys.id));
    same_port(&buses, context);
    let ids = Names::of(buses.iter().map(|bus| &bus.keys.id));
    for device in &devices {
        context.refers(&device.keys.bus, "bus", "[[bus]]", &ids);
    }
    same_unit(&devices, context);
    protocol::settle(&mut buses, &devices, context);
    for bus in &buses {
        line::check(bus, &devices, context);
    }
    (buses, devices)
}

/// Puts the parts together; `None` where something was wrong.
pub(super) fn build(buses: &[Bus], devices: &[Device]) -> Option<Vec<BusSetup>> {
    let mut setups = Vec::with_capacity(buses.len());
    for bus in buses {
        let id = bus.keys.id.value.as_deref()?;
        let mut on_it = Vec::new();
        for device in devices
            .iter()
            .filter(|device| device.keys.bus.value.as_deref() == Some(id))
        {
            on_it.push(device_setup(&device.keys)?);
        }
        setups.push(BusSetup {
            id: BusId::new(id),
            link: bus.link.clone()?,
            protocol: protocol::of(&bus.keys),
            framing: framing::of(&bus.keys),
            min_gap: bus.keys.min_gap.value?,
            timeout: bus.keys.timeout.value?,
            reopen_wait: bus.keys.reopen_wait.value?,
            devices: on_it,
        });
    }
    Some(setups)
}

fn device_setup(keys: &DeviceKeys) -> Option<DeviceSetup> {
    Some(DeviceSetup {
        id: DeviceId::new(keys.id.value.as_deref()?),
        profile: keys.profile.value.clone()?,
        unit: keys.unit.value?,
        address: keys.address.value.clone(),
        connector: keys.connector.value?,
        poll: keys.poll.value,
        timeout: keys.timeout.value,
        watchdog_timeout: keys.watchdog_timeout.value,
        watchdog_feed: keys.watchdog_feed.value,
        failsafe_current: keys.failsafe_current.value,
        accept_no_failsafe: keys.accept_no_failsafe.value?,
        supply: None,
    })
}

fn bus(section: &Section<'_>, context: &mut Context<'_>) -> Bus {
    let keys = BusKeys::read(section, &mut context.found);
    let link = match (keys.port.written, keys.host.written) {
        (false, false) if keys.gpio.written => chip(&keys, context),
        (port, host) if keys.gpio.written => {
            let word = if port || !host { "port" } else { "host" };
            keys.gpio.error(
                &mut context.found,
                format!("a bus cannot have both `{word}` and `gpio`"),
                "one of the two",
                "remove one, or make two [[bus]] tables of it",
            );
            None
        }
        (true, true) => {
            keys.host.error(
                &mut context.found,
                "a bus cannot have both `port` and `host`",
                "one of the two",
                "remove one, or make two [[bus]] tables of it",
            );
            None
        }
        (false, false) => {
            let told = Told::new(
                "bus.port",
                "is missing, and `host` too",
                "`port` for a serial line, `host` for Modbus TCP or `gpio` for a GPIO chip",
                "add port = \"/dev/serial/by-id/...\"; `retrovolt ports` lists them",
            );
            context.found.error(section.at, told);
            None
        }
        (true, false) if protocol::of(&keys) == Protocol::RfidHid => {
            let mut marks = vec![mark(&keys.tcp_port)];
            marks.extend(serial_marks(&keys));
            strangers("protocol = \"rfid-hid\"", "a keyboard", &marks, context);
            framing::check(&keys, &[], context);
            protocol::input(&keys, context)
        }
        (false, true) if protocol::of(&keys) == Protocol::RfidHid => {
            keys.host.error(
                &mut context.found,
                "a keyboard is not behind a host",
                "`port` with its event device",
                "write port = \"/dev/input/by-id/...-event-kbd\"",
            );
            None
        }
        (true, false) => serial(&keys, context),
        (false, true) => tcp(&keys, context),
    };
    Bus { keys, link }
}

fn chip(keys: &BusKeys, context: &mut Context<'_>) -> Option<Link> {
    let not_here = [
        mark(&keys.tcp_port),
        mark(&keys.framing),
        mark(&keys.baud),
        mark(&keys.parity),
        mark(&keys.data_bits),
        mark(&keys.stop_bits),
        mark(&keys.echo),
    ];
    strangers("gpio", "a GPIO chip", &not_here, context);
    gpio::link(keys, context)
}

fn serial(keys: &BusKeys, context: &mut Context<'_>) -> Option<Link> {
    strangers("port", "a serial port", &[mark(&keys.tcp_port)], context);
    framing::check(keys, &["rtu", "ascii"], context);
    let path = keys.port.value.clone()?;
    port_path(&keys.port, &path, context);
    if keys.data_bits.value == Some(7)
        && protocol::of(keys) == Protocol::Modbus
        && framing::of(keys) == Framing::Rtu
    {
        keys.data_bits.warning(
            &mut context.found,
            "Modbus RTU needs 8 data bits",
            "8",
            "use 7 only where the device's manual says so",
        );
    }
    Some(Link::Serial {
        path,
        baud: keys.baud.value?,
        parity: Parity::of(keys.parity.value.as_deref()?)?,
        data_bits: keys.data_bits.value?,
        stop_bits: keys.stop_bits.value?,
        echo: keys.echo.value?,
    })
}

fn tcp(keys: &BusKeys, context: &mut Context<'_>) -> Option<Link> {
    strangers("host", "Modbus TCP", &serial_marks(keys), context);
    framing::check(keys, &["tcp", "rtu", "ascii", "auto"], context);
    let host = keys.host.value.clone()?;
    let bad = |letter: char| letter.is_whitespace() || matches!(letter, '/' | '@' | '[' | ']');
    let port_in_it = host.matches(':').count() == 1;
    if host.contains(bad) || port_in_it {
        let bare = host.split("://").last().unwrap_or(&host);
        let (name, port) = bare.split_once([':', '/']).unwrap_or((bare, ""));
        let suggestion = match port.parse::<u16>() {
            Ok(port) => format!("write host = \"{}\" and tcp_port = {port}", name.trim()),
            Err(_) => format!("did you mean \"{}\"", name.trim()),
        };
        keys.host.error(
            &mut context.found,
            format!("{} is not a host", show_text(&host)),
            "a name or an address alone",
            suggestion,
        );
        return None;
    }
    Some(Link::Tcp {
        host,
        port: keys.tcp_port.value?,
    })
}

/// Whether a setting is there, where, and how it is called.
fn mark<T>(given: &Given<T>) -> (bool, Place, String) {
    (given.written, given.at, given.path.clone())
}

fn serial_marks(keys: &BusKeys) -> [(bool, Place, String); 5] {
    [
        mark(&keys.baud),
        mark(&keys.parity),
        mark(&keys.data_bits),
        mark(&keys.stop_bits),
        mark(&keys.echo),
    ]
}

/// Settings that belong to the other kind of bus.
fn strangers(link: &str, what: &str, marks: &[(bool, Place, String)], context: &mut Context<'_>) {
    for (_, at, path) in marks.iter().filter(|mark| mark.0) {
        let told = Told::new(
            path,
            format!("does not belong to a bus with `{link}`"),
            format!("only settings of {what}"),
            "remove it",
        );
        context.found.error(*at, told);
    }
}

fn port_path(given: &Given<PathBuf>, path: &Path, context: &mut Context<'_>) {
    let shown = path.display().to_string();
    if !path.is_absolute() {
        given.error(
            &mut context.found,
            format!("{} is not the path of a serial port", show_text(&shown)),
            "an absolute path such as /dev/serial/by-id/...",
            if shown.starts_with("tty") {
                format!("did you mean '/dev/{shown}'")
            } else {
                "`retrovolt ports` lists them".to_owned()
            },
        );
        return;
    }
    let name = shown.strip_prefix("/dev/").unwrap_or("");
    if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
        let stable = stable_path(path);
        given.warning(
            &mut context.found,
            format!("{shown} may be another adapter after the next start"),
            "a stable path in /dev/serial/by-id or /dev/serial/by-path",
            stable.map_or_else(
                || "`retrovolt ports` shows the stable path".to_owned(),
                |stable| format!("did you mean '{}'", stable.display()),
            ),
        );
    }
    if !path.exists() {
        given.warning(
            &mut context.found,
            "there is no such port now",
            "a port that is plugged in",
            "plug it in, or see `retrovolt ports`; the gateway waits for it",
        );
    }
}

/// The stable link that leads to a port.
fn stable_path(port: &Path) -> Option<PathBuf> {
    let target = port.canonicalize().ok()?;
    ["/dev/serial/by-id", "/dev/serial/by-path"]
        .iter()
        .find_map(|folder| {
            let links = std::fs::read_dir(folder).ok()?;
            links
                .flatten()
                .map(|link| link.path())
                .find(|link| link.canonicalize().is_ok_and(|leads_to| leads_to == target))
        })
}

fn device(section: &Section<'_>, context: &mut Context<'_>) -> Device {
    let mut keys = DeviceKeys::read(section, &mut context.found);
    let profile = keys.profile.value.as_deref().and_then(|id| {
        let profile = context.library.get(id);
        if profile.is_none() {
            let ids: Vec<&str> = context.library.ids().collect();
            let suggestion = did_you_mean(id, ids, || {
                "`retrovolt profile list` shows what there is".to_owned()
            });
            keys.profile.error(
                &mut context.found,
                format!("there is no profile {}", show_text(id)),
                "the id of a shipped profile or of one in gateway.device_dir",
                suggestion,
            );
        }
        profile
    });
    if let Some(profile) = &profile {
        if !keys.unit.is_bad() {
            keys.unit.value = keys.unit.value.or(Some(profile.link().unit));
        }
        experimental(&keys, profile, context);
        match profile.kind() {
            Kind::Charger => {
                consent(&keys, profile, context);
                watchdog(&keys, profile, context);
            }
            Kind::Meter | Kind::Reader | Kind::Contacts => {
                no_watchdog(&keys, kind_name(profile.kind()), context);
            }
        }
    }
    Device {
        wiring: Wiring::read(section, &mut context.found),
        keys,
        profile,
    }
}

/// A profile that is not proven is used knowingly.
fn experimental(keys: &DeviceKeys, profile: &Profile, context: &mut Context<'_>) {
    if let Some(why) = &profile.about().experimental {
        keys.profile.warning(
            &mut context.found,
            format!(
                "'{}' is experimental: {}",
                profile.id(),
                why.trim_end_matches('.')
            ),
            "a profile that was tried on the device",
            "watch it at first, and tell us whether it holds",
        );
    }
}

fn no_watchdog(keys: &DeviceKeys, what: &str, context: &mut Context<'_>) {
    let marks = [
        mark(&keys.watchdog_timeout),
        mark(&keys.watchdog_feed),
        mark(&keys.failsafe_current),
        mark(&keys.accept_no_failsafe),
    ];
    for (_, at, path) in marks.into_iter().filter(|mark| mark.0) {
        let told = Told::new(
            path,
            format!("has no effect on a {what}"),
            "it on chargers with a watchdog",
            "remove it",
        );
        context.found.warning(at, told);
    }
}

/// Promise S5: a charger that cannot protect the installation by itself runs only if the operator said so.
fn consent(keys: &DeviceKeys, profile: &Profile, context: &mut Context<'_>) {
    let consent = keys.accept_no_failsafe.value == Some(true);
    let found = &mut context.found;
    match profile.unsafe_because() {
        None if consent => keys.accept_no_failsafe.warning(
            found,
            format!(
                "'{}' falls to a safe current by itself, consent is not needed",
                profile.id()
            ),
            "it only on chargers without a safe fallback",
            "remove it, so that a later change of the charger is noticed",
        ),
        Some(why) if !consent && !keys.accept_no_failsafe.is_bad() => found.error(
            keys.profile.at,
            Told::new(
                "device.accept_no_failsafe",
                format!(
                    "'{}' does not fall to a safe current when the gateway dies: {why}",
                    profile.id()
                ),
                "your consent in writing",
                "add accept_no_failsafe = true if you accept that, or use a charger with a watchdog",
            ),
        ),
        None | Some(_) => {}
    }
}

fn watchdog(keys: &DeviceKeys, profile: &Profile, context: &mut Context<'_>) {
    let Some((least, most, usual)) = watchdog_times(profile) else {
        let marks = [
            mark(&keys.watchdog_timeout),
            mark(&keys.watchdog_feed),
            mark(&keys.failsafe_current),
        ];
        for (_, at, path) in marks.into_iter().filter(|mark| mark.0) {
            let problem = format!("has no effect: '{}' has no watchdog", profile.id());
            context.found.warning(
                at,
                Told::new(path, problem, "it on chargers with a watchdog", "remove it"),
            );
        }
        return;
    };
    fixed_fallback(keys, profile, context);
    let found = &mut context.found;
    if let Some(timeout) = keys.watchdog_timeout.value {
        if !(least..=most).contains(&timeout) {
            keys.watchdog_timeout.error(
                found,
                format!("{} is not possible with '{}'", duration(timeout), profile.id()),
                format!("a time from {} to {}", duration(least), duration(most)),
                format!(
                    "the nearest valid value is \"{}\"",
                    duration(timeout.clamp(least, most))
                ),
            );
        } else if timeout > SAFE_WITHIN {
            keys.watchdog_timeout.warning(
                found,
                format!(
                    "the charger would go on for {} without a gateway",
                    duration(timeout)
                ),
                "at most 60s",
                "write watchdog_timeout = \"60s\" or less",
            );
        }
    }
    let timeout = keys.watchdog_timeout.value.unwrap_or(usual);
    if let Some(feed) = keys
        .watchdog_feed
        .value
        .filter(|feed| feed.saturating_mul(2) > timeout)
    {
        keys.watchdog_feed.error(
            found,
            format!(
                "{} is too seldom for a watchdog of {}",
                duration(feed),
                duration(timeout)
            ),
            "at most half of the watchdog's time-out",
            format!("the nearest valid value is \"{}\"", duration(timeout / 2)),
        );
    }
}

/// What is written for a charger that decides for itself is not what will be.
fn fixed_fallback(keys: &DeviceKeys, profile: &Profile, context: &mut Context<'_>) {
    if keys.failsafe_current.value.is_some()
        && !profile.takes_fallback()
        && let Some(own) = profile.own_fallback(None)
    {
        keys.failsafe_current.warning(
            &mut context.found,
            format!(
                "'{}' falls back to {own} by itself and cannot be told another current",
                profile.id()
            ),
            "it only on chargers whose fallback can be set",
            "remove it",
        );
    }
}

/// The current a charger falls back to when the gateway dies; `None`: it has no watchdog.
pub(super) fn fallback(device: &Device) -> Option<MilliAmps> {
    let profile = device.profile.as_deref()?;
    profile.own_fallback(device.keys.failsafe_current.value)
}

/// The most a charger may fall to is what the EVSE allows.
pub(super) fn failsafe_within(device: &Device, max: MilliAmps, context: &mut Context<'_>) {
    if let Some(failsafe) = device
        .keys
        .failsafe_current
        .value
        .filter(|failsafe| *failsafe > max)
    {
        device.keys.failsafe_current.error(
            &mut context.found,
            format!("{failsafe} is more than the {max} of the EVSE it charges"),
            format!("at most {max}"),
            "write failsafe_current = \"6A\"",
        );
    }
}

fn same_port(buses: &[Bus], context: &mut Context<'_>) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for bus in buses {
        let (name, at, path) = match &bus.link {
            Some(Link::Serial { path, .. } | Link::Input { path }) => {
                (path.display().to_string(), bus.keys.port.at, "bus.port")
            }
            Some(Link::Tcp { host, port }) => (
                format!("{}:{port}", host.to_ascii_lowercase()),
                bus.keys.host.at,
                "bus.host",
            ),
            Some(Link::Gpio(link)) => (link.chip.clone(), bus.keys.gpio.at, "bus.gpio"),
            None => continue,
        };
        match seen.get(&name) {
            None => {
                seen.insert(name, at);
            }
            Some(first) => {
                let told = Told::new(
                    path,
                    format!(
                        "{} is used already, in {}",
                        show_text(&name),
                        context.line_of(*first)
                    ),
                    "each port in one [[bus]] only",
                    "put the devices of both on one [[bus]]",
                );
                context.found.error(at, told);
            }
        }
    }
}

fn same_unit(devices: &[Device], context: &mut Context<'_>) {
    let mut seen: BTreeMap<(&str, u8), Vec<&Device>> = BTreeMap::new();
    for device in devices.iter().filter(|device| protocol::is_modbus(device)) {
        let (Some(bus), Some(unit)) = (device.keys.bus.value.as_deref(), device.keys.unit.value) else {
            continue;
        };
        let others = seen.entry((bus, unit)).or_default();
        // One device may appear several times, once for each of its connectors.
        let clash = others.iter().find(|other| {
            let same_thing = other.keys.profile.value == device.keys.profile.value;
            !same_thing || other.keys.connector.value == device.keys.connector.value
        });
        if let Some(other) = clash {
            let free = (1..=247).find(|unit| {
                !devices.iter().any(|device| {
                    device.keys.bus.value.as_deref() == Some(bus) && device.keys.unit.value == Some(*unit)
                })
            });
            let name = other.keys.id.value.as_deref().unwrap_or("another device");
            let first = context.line_of(other.keys.unit.at);
            device.keys.unit.error(
                &mut context.found,
                format!("{unit} is the unit id of '{name}' already, in {first}"),
                "a unit id of its own for each device on a bus",
                format!(
                    "re-address one of them, {} is free; or give each a `connector`",
                    free.unwrap_or(1)
                ),
            );
        }
        others.push(device);
    }
}
