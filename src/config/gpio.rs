//! Buses that are a GPIO chip, and devices wired to its lines.

use super::context::Context;
use super::issue::{Issues, Told};
use super::keys::{BusKeys, EvseKeys, GpioKeys, LineKeys};
use super::nearest::did_you_mean;
use super::place::Place;
use super::profiles::kind_name;
use super::setting::{Given, Section};
use super::south::{Bus, Device};
use super::tree::show_text;
use crate::device::Kind;
use crate::domain::{
    Bias, BusSetup, DeviceId, GpioDevice, GpioLine, GpioLink, GpioSignal, LineName, Link, MilliAmps,
    MilliWattHours, Protocol, PulseSetup, RelaySetup,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every word of `device.line.signal`.
pub(super) const SIGNALS: &[&str] = &[
    "relay",
    "vehicle",
    "charging",
    "feedback",
    "fault",
    "emergency_stop",
    "tamper",
    "dimming",
    "pulse",
];
/// Every word of `device.line.bias`.
pub(super) const BIASES: &[&str] = &[
    Bias::AsIs.word(),
    Bias::Disabled.word(),
    Bias::PullUp.word(),
    Bias::PullDown.word(),
];
/// What a contact must keep unless written.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// What a device table says about lines.
pub(super) struct Wiring {
    /// `[device.gpio]`.
    pub keys: GpioKeys,
    /// Whether it is there.
    pub written: bool,
    /// `[[device.line]]`.
    pub lines: Vec<LineKeys>,
    /// The device's header.
    at: Place,
}

impl Wiring {
    /// Reads the tables below a device.
    pub fn read(device: &Section<'_>, found: &mut Issues) -> Self {
        let own = device.tables(GpioKeys::TABLE, found);
        let nothing = Section::empty(GpioKeys::TABLE, device.at);
        let lines = device.tables(LineKeys::TABLE, found);
        Self {
            keys: GpioKeys::read(own.first().unwrap_or(&nothing), found),
            written: !own.is_empty(),
            lines: lines
                .iter()
                .map(|section| LineKeys::read(section, found))
                .collect(),
            at: device.at,
        }
    }
}

/// The link of a bus with `gpio`; its devices come later.
pub(super) fn link(keys: &BusKeys, context: &mut Context<'_>) -> Option<Link> {
    let word = keys.protocol.value.as_deref();
    if keys.protocol.written && word.is_some_and(|word| word != Protocol::Gpio.word()) {
        keys.protocol.error(
            &mut context.found,
            "does not go with `gpio`",
            "no `protocol`, or \"gpio\"",
            "remove the line",
        );
    }
    Some(Link::Gpio(GpioLink {
        chip: keys.gpio.value.clone()?,
        counts: PathBuf::new(),
        devices: BTreeMap::new(),
    }))
}

/// Devices that are wired must be on a bus that is a chip.
pub(super) fn misplaced(device: &Device, context: &mut Context<'_>) {
    let wiring = &device.wiring;
    let line = wiring.lines.first().map(|line| (line.signal.at, "device.line"));
    let own = wiring
        .written
        .then_some((wiring.keys.rated_current.at, "device.gpio"));
    if let Some((at, path)) = line.or(own) {
        let told = Told::new(
            path,
            "belongs to a device on a bus with `gpio`",
            "it on such devices only",
            "remove the table, or put the device on a [[bus]] with gpio = \"...\"",
        );
        context.found.error(at, told);
    }
}

/// Reads what is wired to a chip and checks it; sound devices are put into the link.
pub(super) fn settle(bus: &mut Bus, here: &[&Device], context: &mut Context<'_>) {
    let mut taken = BTreeMap::new();
    let mut sound = BTreeMap::new();
    for device in here {
        let lines = lines(device, &mut taken, context);
        fitting(device, &lines, context);
        let relay = relay(device, context);
        let pulses = pulses(device, lines.contains_key(&GpioSignal::Pulse), context);
        if let (Some(relay), Some(pulses), Some(id)) = (relay, pulses, &device.keys.id.value) {
            let lines = lines
                .into_iter()
                .filter_map(|(signal, (_, line))| Some((signal, line?)))
                .collect();
            let device = GpioDevice { lines, relay, pulses };
            sound.insert(DeviceId::new(id.as_str()), device);
        }
    }
    if let Some(Link::Gpio(link)) = &mut bus.link {
        link.devices = sound;
    }
}

type Lines = BTreeMap<GpioSignal, (Place, Option<GpioLine>)>;

/// The lines of a device; each signal and each line is there once.
fn lines(device: &Device, taken: &mut BTreeMap<LineName, Place>, context: &mut Context<'_>) -> Lines {
    let mut lines = Lines::new();
    for keys in &device.wiring.lines {
        let at = line_name(keys, context);
        if let Some(name) = &at {
            once(keys, name, taken, context);
        }
        let Some(signal) = keys.signal.value.as_deref().and_then(GpioSignal::of) else {
            continue;
        };
        if let Some((first, _)) = lines.get(&signal) {
            let first = context.line_of(*first);
            keys.signal.error(
                &mut context.found,
                format!("'{}' is there already, in {first}", signal.word()),
                "each signal once in a device",
                "remove one of them",
            );
            continue;
        }
        lines.insert(signal, (keys.signal.at, line(keys, signal, at, context)));
    }
    lines
}

fn line(
    keys: &LineKeys,
    signal: GpioSignal,
    at: Option<LineName>,
    context: &mut Context<'_>,
) -> Option<GpioLine> {
    if signal == GpioSignal::Relay && keys.debounce.written {
        keys.debounce.warning(
            &mut context.found,
            "has no effect on an output",
            "it on inputs only",
            "remove it",
        );
    }
    let usual = match signal {
        GpioSignal::Relay | GpioSignal::Pulse => Duration::ZERO,
        _ => DEBOUNCE,
    };
    Some(GpioLine {
        at: at?,
        active_low: keys.active_low.value?,
        bias: Bias::of(keys.bias.value.as_deref()?)?,
        debounce: keys.debounce.value.unwrap_or(usual),
    })
}

fn line_name(keys: &LineKeys, context: &mut Context<'_>) -> Option<LineName> {
    match (keys.line.written, keys.offset.written) {
        (true, true) => {
            keys.offset.error(
                &mut context.found,
                "says the same as `line`, which is there too",
                "one of the two",
                "remove this line",
            );
            None
        }
        (false, false) => {
            let told = Told::new(
                "device.line.line",
                "is missing, and `offset` too",
                "the name of the line, or its offset on the chip",
                "add line = \"GPIO17\"; `gpioinfo` lists them",
            );
            context.found.error(keys.line.at, told);
            None
        }
        (true, false) => keys.line.value.clone().map(LineName::Name),
        (false, true) => keys.offset.value.map(LineName::Offset),
    }
}

/// A line can serve one signal of one device.
fn once(keys: &LineKeys, name: &LineName, taken: &mut BTreeMap<LineName, Place>, context: &mut Context<'_>) {
    let given = if keys.line.written {
        keys.line.at
    } else {
        keys.offset.at
    };
    let Some(first) = taken.get(name) else {
        taken.insert(name.clone(), given);
        return;
    };
    let told = Told::new(
        if keys.line.written {
            "device.line.line"
        } else {
            "device.line.offset"
        },
        format!(
            "line {} is used already, in {}",
            show_text(&name.to_string()),
            context.line_of(*first)
        ),
        "a line of its own for each signal",
        "write the line it is wired to",
    );
    context.found.error(given, told);
}

/// Tells where the signals do not go with the kind of device.
fn fitting(device: &Device, lines: &Lines, context: &mut Context<'_>) {
    let Some(profile) = &device.profile else { return };
    let kind = kind_name(profile.kind());
    let (needed, allowed): (&[GpioSignal], &str) = match profile.kind() {
        Kind::Charger => (&[GpioSignal::Relay], ""),
        Kind::Meter | Kind::Reader => (&[GpioSignal::Pulse], "pulse, emergency_stop, tamper or dimming"),
        Kind::Contacts => (&GpioSignal::CONTACTS, "emergency_stop, tamper or dimming"),
    };
    let unread = device.wiring.lines.iter().any(|line| line.signal.value.is_none());
    if !needed.iter().any(|signal| lines.contains_key(signal)) && !unread {
        let words: Vec<String> = needed
            .iter()
            .map(|signal| format!("\"{}\"", signal.word()))
            .collect();
        let told = Told::new(
            "device.line",
            format!("no line has the signal {}", words.join(" or ")),
            format!("a {kind} has one"),
            format!("add [[device.line]] with signal = {} below the device", words[0]),
        );
        context.found.error(device.wiring.at, told);
    }
    if profile.kind() != Kind::Charger {
        let fits = |signal| needed.contains(signal) || GpioSignal::CONTACTS.contains(signal);
        for (signal, (at, _)) in lines.iter().filter(|(signal, _)| !fits(signal)) {
            let told = Told::new(
                "device.line.signal",
                format!("a {kind} has no \"{}\"", signal.word()),
                allowed,
                did_you_mean(signal.word(), ["pulse"], || {
                    "move it to the charger's [[device]]".to_owned()
                }),
            );
            context.found.error(*at, told);
        }
    }
}

/// `None`: something is wrong. `Some(None)`: it has no relay.
#[allow(clippy::option_option, reason = "wrong, absent, there")]
fn relay(device: &Device, context: &mut Context<'_>) -> Option<Option<RelaySetup>> {
    let keys = &device.wiring.keys;
    if device.profile.as_ref()?.kind() != Kind::Charger {
        for given in [mark(&keys.rated_current), mark(&keys.min_on), mark(&keys.min_off)] {
            idle(given, "without a relay", context);
        }
        return Some(None);
    }
    if !keys.rated_current.written {
        let told = Told::new(
            "device.gpio.rated_current",
            "is missing",
            "the current the wallbox offers once it is released, per phase",
            "add [device.gpio] with rated_current = \"16A\" below the device",
        );
        context.found.error(device.wiring.at, told);
    }
    Some(Some(RelaySetup {
        rated: keys.rated_current.value?,
        min_on: keys.min_on.value?,
        min_off: keys.min_off.value?,
    }))
}

/// As [`relay`].
#[allow(clippy::option_option, reason = "wrong, absent, there")]
fn pulses(device: &Device, there: bool, context: &mut Context<'_>) -> Option<Option<PulseSetup>> {
    let keys = &device.wiring.keys;
    if !there {
        let marks = [
            mark(&keys.pulses_per_kwh),
            mark(&keys.meter_start_wh),
            mark(&keys.pulse_width),
        ];
        for given in marks {
            idle(given, "without a line with signal = \"pulse\"", context);
        }
        return Some(None);
    }
    if !keys.pulses_per_kwh.written {
        let told = Told::new(
            "device.gpio.pulses_per_kwh",
            "is missing",
            "the constant printed on the meter (imp/kWh)",
            "add [device.gpio] with pulses_per_kwh = 1000 below the device",
        );
        context.found.error(device.wiring.at, told);
    }
    Some(Some(PulseSetup {
        per_kwh: keys.pulses_per_kwh.value?,
        start: MilliWattHours::from_base(keys.meter_start_wh.value?),
        width: keys.pulse_width.value?,
    }))
}

fn mark<T>(given: &Given<T>) -> (bool, Place, &str) {
    (given.written, given.at, &given.path)
}

fn idle((written, at, path): (bool, Place, &str), why: &str, context: &mut Context<'_>) {
    if written {
        let told = Told::new(
            path,
            format!("has no effect {why}"),
            "it where it means something",
            "remove it",
        );
        context.found.warning(at, told);
    }
}

/// A relay cannot offer less than its wallbox does, and a session needs a register.
pub(super) fn serves(evse: &EvseKeys, device: &Device, max: MilliAmps, context: &mut Context<'_>) {
    let profile = device.profile.as_deref();
    if profile.is_none_or(|profile| profile.protocol() != Protocol::Gpio) {
        return;
    }
    let keys = &device.wiring.keys;
    if let Some(rated) = keys.rated_current.value.filter(|rated| *rated > max) {
        keys.rated_current.error(
            &mut context.found,
            format!("{rated} is more than the {max} of the EVSE it charges, and a relay cannot offer less"),
            format!("at most {max}"),
            "set the wallbox to less, or correct charge_point.evse.max_current",
        );
    }
    let pulses = device
        .wiring
        .lines
        .iter()
        .any(|line| line.signal.value.as_deref() == Some("pulse"));
    if !pulses && !evse.meter.written {
        let told = Told::new(
            "charge_point.evse.meter",
            "is missing, and the charger counts no pulses: no session could begin",
            "a register to bill by",
            "add meter = \"...\", or a [[device.line]] with signal = \"pulse\" to the charger",
        );
        context.found.error(evse.charger.at, told);
    }
}

/// Where counts are kept: with everything else that must survive.
pub(super) fn place(buses: &mut [BusSetup], state_dir: &Path) {
    for bus in buses {
        if let Link::Gpio(link) = &mut bus.link {
            link.counts = state_dir.join("counts");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_signals() {
        let words: Vec<&str> = GpioSignal::ALL.iter().map(|signal| signal.word()).collect();
        assert_eq!(SIGNALS, words);
    }
}
