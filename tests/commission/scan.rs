//! Scans: what is found, in which order, with which questions (U1, U2).

use crate::line::{Fault, SimLine};
use retrovolt::commission::medium::{Real, Target};
use retrovolt::commission::scan::{Attempt, Depth, Event, LISTEN, Speech, Spot, Who, endpoint, serial};
use retrovolt::commission::stanza::{Finding, Stanza};
use retrovolt::commission::{LIKELY_UNITS, Settings, identify};
use retrovolt::config::{self, LoadOptions, Loaded};
use retrovolt::device::{Library, Profile};
use retrovolt::domain::{Framing, Link, Parity, Protocol};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::slave::open_rtu;
use retrovolt::sim::telegram::{SmlValue, sml};
use retrovolt::sim::{DeviceSpec, Format, LineSetup, World, WorldSpec};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn shipped(id: &str) -> Arc<Profile> {
    Library::builtin().get(id).expect("a shipped profile")
}

fn at(profile: &Profile) -> Settings {
    profile.link().serial.expect("a serial device").into()
}

async fn scanned(line: &mut SimLine, depth: Depth) -> (Vec<Event>, u32) {
    scanned_for(line, depth, |_| true).await
}

/// Only what these profiles speak is looked for.
async fn scanned_for(
    line: &mut SimLine,
    depth: Depth,
    wanted: impl Fn(&Profile) -> bool,
) -> (Vec<Event>, u32) {
    let mut profiles = identify::order(&Library::builtin(), true);
    profiles.retain(|profile| wanted(profile));
    let mut events = Vec::new();
    let tally = serial(line, depth, &profiles, &mut |event| events.push(event))
        .await
        .expect("the port stays");
    (events, tally.knocks)
}

fn identified(events: &[Event]) -> Vec<(Settings, u8, Vec<String>)> {
    let found = events.iter().filter_map(|event| match event {
        Event::Identified { spot, matches, .. } => {
            let Who::Unit(unit) = spot.who else { return None };
            let ids = matches.iter().map(|m| m.profile.id().to_owned()).collect();
            Some((spot.settings?, unit, ids))
        }
        _ => None,
    });
    found.collect()
}

#[tokio::test(start_paused = true)]
async fn devices_as_delivered_are_found_and_recognised() {
    for (id, unit) in [
        ("eastron-sdm630", 1),
        ("heidelberg-energy-control", 1),
        ("eastron-sdm120", 1),
        ("evse-wb-din", 1),
        ("abb-b23-b24", 3),
        ("carlo-gavazzi-em340", 5),
    ] {
        let profile = shipped(id);
        let settings = at(&profile);
        let mut line = SimLine::new(settings, Fault::Nothing).with(&profile, unit);
        let (events, _) = scanned(&mut line, Depth::Likely).await;
        let found = identified(&events);
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        assert_eq!((found[0].0, found[0].1), (settings, unit), "{id}");
        assert!(
            found[0].2.iter().take(4).any(|name| name == id),
            "{id} is not among {:?}",
            found[0].2
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_only_reads_and_listens_first() {
    let profile = shipped("eastron-sdm630");
    let mut line = SimLine::new(at(&profile), Fault::Nothing).with(&profile, 1);
    scanned(&mut line, Depth::Full).await;
    assert!(line.requests.iter().all(|request| is_harmless(request)));
    let mut empty = SimLine::new(Settings::new(4_800, Parity::Odd), Fault::Nothing);
    scanned(&mut empty, Depth::Full).await;
    assert!(empty.requests.iter().all(|request| is_harmless(request)));
    let mut line = SimLine::new(at(&profile), Fault::SecondMaster).with(&profile, 1);
    let (events, _) = scanned(&mut line, Depth::Likely).await;
    assert!(
        matches!(events[0], Event::Traffic { bytes: 51, frames: 6 }),
        "{:?}",
        events[0]
    );
}

/// A read in RTU or ASCII, or one of the two other questions.
fn is_harmless(request: &[u8]) -> bool {
    match (open_rtu(request), request) {
        (Some((_, pdu)), _) => matches!(pdu, [1..=4, ..]),
        (None, b"$GV^35\r" | b"/?!\r\n") => true,
        (None, [b':', _, _, b'0', function, ..]) => matches!(function, b'3' | b'4'),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_likely_comes_first_and_other_protocols_only_where_nobody_answers() {
    let kind = |request: &[u8]| match request {
        frame if open_rtu(frame).is_some() => "RTU",
        [b':', ..] => "ASCII",
        [b'$', ..] => "RAPI",
        [b'/', ..] => "mode C",
        _ => "nothing known",
    };
    let mut empty = SimLine::new(Settings::new(4_800, Parity::Odd), Fault::Nothing);
    let (events, _) = scanned(&mut empty, Depth::Full).await;
    let mut order: Vec<&str> = empty.requests.iter().map(|request| kind(request)).collect();
    order.dedup();
    assert_eq!(
        order,
        ["RTU", "ASCII", "RAPI", "mode C", "RTU"],
        "the last: all ids"
    );
    let listened: Vec<Settings> = events
        .iter()
        .filter_map(|event| match event {
            Event::Trying {
                settings,
                attempt: Attempt::Listen,
            } => *settings,
            _ => None,
        })
        .collect();
    let plain = |baud| Settings::new(baud, Parity::None);
    assert_eq!(listened, [plain(9_600), plain(115_200)]);
    // Whoever hears bytes at another speed looks for the one who speaks before he asks.
    let mut noise = SimLine::new(plain(300), Fault::SecondMaster);
    let (events, _) = scanned(&mut noise, Depth::Likely).await;
    let attempts = events.iter().filter_map(|event| match event {
        Event::Trying { settings, attempt } => Some((settings.map(|s| s.baud), *attempt == Attempt::Listen)),
        _ => None,
    });
    let attempts: Vec<_> = attempts.take(3).collect();
    assert_eq!(
        attempts,
        [(Some(9_600), true), (Some(115_200), true), (Some(9_600), false)]
    );

    let meter = shipped("eastron-sdm630");
    let mut line = SimLine::new(at(&meter), Fault::Nothing).with(&meter, 1);
    scanned(&mut line, Depth::Full).await;
    assert!(line.requests.iter().all(|request| kind(request) == "RTU"));
}

#[tokio::test(start_paused = true)]
async fn u2_common_settings_take_seconds_and_a_full_scan_little_more_than_a_minute() {
    let profile = shipped("heidelberg-energy-control");
    let mut line = SimLine::new(at(&profile), Fault::Nothing).with(&profile, 1);
    let (events, _) = scanned(&mut line, Depth::Likely).await;
    assert_eq!(identified(&events).len(), 1, "{events:?}");
    let took = Duration::from_millis(line.now.0);
    assert!(took < Duration::from_secs(30), "{took:?}");
    let empty = |depth, modbus_only: bool| async move {
        let mut line = SimLine::new(Settings::new(4_800, Parity::Odd), Fault::Nothing);
        let wanted = move |profile: &Profile| !modbus_only || profile.protocol() == Protocol::Modbus;
        let (_, knocks) = scanned_for(&mut line, depth, wanted).await;
        (Duration::from_millis(line.now.0), knocks)
    };
    let (likely, knocks) = empty(Depth::Likely, true).await;
    assert_eq!(knocks, 11 * 18 + 16, "ABL's ids last");
    assert!(likely < Duration::from_secs(30), "{likely:?}");
    let (all, _) = empty(Depth::Likely, false).await;
    assert!(all < Duration::from_secs(60), "{all:?} with every other protocol");
    let (full, knocks) = empty(Depth::Full, true).await;
    let units = 247 - LIKELY_UNITS.iter().filter(|unit| **unit <= 247).count();
    assert_eq!(knocks as usize, 11 * 18 + 16 + 4 * units);
    let waits = full - likely;
    assert!(
        waits <= Duration::from_secs(60),
        "{units} ids at four settings: {waits:?}"
    );
    assert!(LISTEN <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_a_configuration() {
    let meter = shipped("eastron-sdm630");
    let settings = at(&meter);
    let mut line = SimLine::new(settings, Fault::Nothing)
        .with(&meter, 1)
        .with(&meter, 2);
    let (events, _) = scanned(&mut line, Depth::Likely).await;
    let findings: Vec<Finding> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Identified { spot, matches, .. } => Some(Finding { spot, matches }),
            _ => None,
        })
        .collect();
    let target = Target::Serial {
        path: "/dev/serial/by-id/usb-FTDI".into(),
    };
    let far = Target::Tcp {
        host: "10.0.0.7".into(),
        port: 502,
    };
    let mut behind = findings[0].clone();
    behind.spot.settings = None;
    behind.spot.speech = Speech::Modbus(Framing::Tcp);
    let mut server = behind.clone();
    server.spot.speech = Speech::Modbus(Framing::Rtu);
    let mut stanza = Stanza::default();
    stanza.add(&target, &findings);
    stanza.add(&far, &[behind]);
    stanza.add(
        &Target::Tcp {
            host: "10.0.0.8".into(),
            port: 4_001,
        },
        &[server],
    );
    let text = stanza.text();
    let loaded = read_back(text);
    let [serial, net, device_server] = &loaded.setup.buses[..] else {
        panic!("{text}")
    };
    assert!(matches!(serial.link, Link::Serial { baud: 9_600, .. }), "{text}");
    let units: Vec<u8> = serial.devices.iter().map(|device| device.unit).collect();
    assert_eq!(units, [1, 2], "{text}");
    assert!(
        matches!(&net.link, Link::Tcp { host, port: 502 } if host == "10.0.0.7"),
        "{text}"
    );
    assert_eq!(net.devices.len(), 1, "{text}");
    let framings = [serial, net, device_server].map(|bus| bus.framing);
    assert_eq!(framings, [Framing::Rtu, Framing::Tcp, Framing::Rtu], "{text}");
}

/// The configuration, as the gateway reads it.
fn read_back(text: &str) -> Loaded {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("found.toml");
    std::fs::write(&file, format!("[gateway]\n\n{text}")).expect("a file");
    config::load(&file, &LoadOptions::for_file(&file)).unwrap_or_else(|report| panic!("{report}\n{text}"))
}

/// U1 on a pseudo-terminal at its real speed: from unknown settings to the first reading with one command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn u1_a_meter_with_unknown_settings_is_found_on_a_real_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let meter = shipped("eastron-sdm630");
    let path = dir.path().join("line.tty");
    let format = Format {
        parity: Parity::None,
        ..Format::even(19_200)
    };
    let mut setup = LineSetup::new(&path, format).strict();
    setup.check_speed = true;
    let spec = WorldSpec {
        lines: vec![("line".into(), setup, vec![DeviceSpec::new("meter", meter, 5)])],
        servers: Vec::new(),
    };
    let world = World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware");
    let profiles = identify::order(&Library::builtin(), true);
    let mut line = Real::new(Target::Serial { path }, Duration::ZERO);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let scan = tokio::spawn(async move {
        serial(&mut line, Depth::Likely, &profiles, &mut |event| {
            drop(tell.send(event));
        })
        .await
    });
    let mut found = None;
    while let Some(event) = told.recv().await {
        if let Event::Identified { spot, matches, .. } = event {
            found = Some((spot, matches));
            break;
        }
    }
    scan.abort();
    let (spot, matches) = found.expect("the meter is found");
    // A pseudo-terminal drops parity, so the first settings of this speed are taken for the right ones.
    assert_eq!(
        (spot.settings.map(|s| s.baud), spot.who),
        (Some(19_200), Who::Unit(5))
    );
    assert!(
        matches.iter().any(|m| m.profile.id() == "eastron-sdm630"),
        "{matches:?}"
    );
    drop(world);
}

/// What of its protocol is found on a pseudo-terminal at its real speed, with these devices on it, the configuration, and
/// how many requests were sent.
async fn found_on_a_real_line(id: &str, units: &[u8], format: Format) -> (Vec<(Spot, String)>, Loaded, u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("line.tty");
    let profile = shipped(id);
    let mut setup = LineSetup::new(&path, format);
    setup.check_speed = true;
    let device = |unit: &u8| DeviceSpec::new(format!("unit{unit}"), Arc::clone(&profile), *unit);
    let spec = WorldSpec {
        lines: vec![("line".into(), setup, units.iter().map(device).collect())],
        servers: Vec::new(),
    };
    let world = World::start(spec, Arc::new(RealClock::start()))
        .await
        .expect("the hardware");
    let mut profiles = identify::order(&Library::builtin(), true);
    let alike = |other: &Profile| match profile.protocol() {
        Protocol::Modbus => {
            identify::framed(other, Framing::Ascii) == identify::framed(&profile, Framing::Ascii)
        }
        protocol => other.protocol() == protocol,
    };
    profiles.retain(|other| other.protocol() == profile.protocol() && alike(other));
    let target = Target::Serial { path };
    let mut line = Real::new(target.clone(), Duration::ZERO);
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    let mut tell = |event: Event| {
        if let Event::Identified { spot, matches, .. } = event {
            found.push((spot.clone(), matches[0].profile.id().to_owned()));
            findings.push(Finding { spot, matches });
        }
    };
    serial(&mut line, Depth::Likely, &profiles, &mut tell)
        .await
        .expect("the port stays");
    let requests = world.line("line").expect("a line").stats().requests;
    let mut stanza = Stanza::default();
    stanza.add(&target, &findings);
    // Where a device does not protect itself the operator has to say that he accepts that.
    let text = stanza
        .text()
        .replace("# accept_no_failsafe", "accept_no_failsafe");
    (found, read_back(&text), requests)
}

/// One device is found as what it is, and its configuration leads to it.
async fn is_found(id: &str, format: Format, spoken: Speech, who: Who) {
    let unit = match who {
        Who::Unit(unit) => unit,
        Who::Address(_) | Who::Alone => 1,
    };
    let (found, loaded, _) = found_on_a_real_line(id, &[unit], format).await;
    let [(spot, name)] = &found[..] else {
        panic!("{id}: {found:?}")
    };
    assert_eq!((spot.speech, &spot.who, name.as_str()), (spoken, &who, id));
    assert_eq!(spot.settings.map(|settings| settings.baud), Some(format.baud));
    let bus = &loaded.setup.buses[0];
    assert_eq!(bus.protocol, spoken.protocol());
    assert!(spoken.framing().is_none_or(|framing| framing == bus.framing));
    assert!(matches!(bus.link, Link::Serial { baud, .. } if baud == format.baud));
    assert_eq!(bus.devices[0].profile, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_box_of_abl_is_found_on_a_real_line() {
    let spoken = Speech::Modbus(Framing::Ascii);
    is_found("abl-emh1", Format::even(38_400), spoken, Who::Unit(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wall_connectors_are_heard_on_a_real_line_and_nothing_is_sent() {
    let id = "tesla-wall-connector-gen2";
    let (found, loaded, requests) = found_on_a_real_line(id, &[0x34, 0xAB], Format::none(9_600)).await;
    assert_eq!(requests, 0);
    let mut who: Vec<&Who> = found.iter().map(|(spot, _)| &spot.who).collect();
    who.sort_by_key(|who| who.to_string());
    let address = |text: &str| Who::Address(text.to_owned());
    assert_eq!(who, [&address("1234"), &address("12AB")]);
    let mut addresses: Vec<Option<&str>> = loaded.setup.buses[0]
        .devices
        .iter()
        .map(|device| device.address.as_deref())
        .collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [Some("1234"), Some("12AB")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_evse_is_found_on_a_real_line() {
    is_found(
        "openevse",
        Format::none(115_200),
        Speech::Other(Protocol::Rapi),
        Who::Alone,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sml_meter_is_heard_on_a_real_line() {
    is_found(
        "sml-meter",
        Format::none(9_600),
        Speech::Other(Protocol::Sml),
        Who::Alone,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_ports_are_heard_on_real_lines() {
    let spoken = Speech::Other(Protocol::DsmrP1);
    let old = Format {
        data_bits: 7,
        ..Format::even(9_600)
    };
    tokio::join!(
        is_found("dsmr-p1", Format::none(115_200), spoken, Who::Alone),
        is_found("dsmr-p1-v2", old, spoken, Who::Alone),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iec_62056_21_meters_are_heard_or_called_on_real_lines() {
    let spoken = Speech::Other(Protocol::Iec62056);
    let seven = |baud| Format {
        data_bits: 7,
        ..Format::even(baud)
    };
    tokio::join!(
        is_found("iec62056-push-meter", seven(9_600), spoken, Who::Alone),
        is_found("iec62056-meter", seven(300), spoken, Who::Alone),
    );
}

/// What a serial device server hands on needs no settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_behind_a_device_server_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let telegram = sml(
        b"meter",
        &[SmlValue::signed([1, 0, 1, 8, 0, 255], 30, 0, 1_234_567)],
    );
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut pace = tokio::time::interval(Duration::from_millis(200));
            while stream.write_all(&telegram).await.is_ok() {
                pace.tick().await;
            }
        }
    });
    let mut profiles = identify::order(&Library::builtin(), false);
    profiles.retain(|profile| profile.protocol() == Protocol::Sml);
    let target = Target::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    let mut line = Real::new(target.clone(), Duration::ZERO);
    let mut findings = Vec::new();
    let mut tell = |event: Event| {
        if let Event::Identified { spot, matches, .. } = event {
            findings.push(Finding { spot, matches });
        }
    };
    let tally = endpoint(&mut line, Depth::Likely, &profiles, &mut tell).await;
    assert_eq!(tally.expect("a connection").found, 1);
    server.abort();
    let spot = Spot {
        settings: None,
        speech: Speech::Other(Protocol::Sml),
        who: Who::Alone,
    };
    assert_eq!(findings[0].spot, spot);
    let mut stanza = Stanza::default();
    stanza.add(&target, &findings);
    let bus = read_back(stanza.text()).setup.buses.remove(0);
    assert_eq!(bus.protocol, Protocol::Sml);
    assert!(matches!(bus.link, Link::Tcp { port: there, .. } if there == port));
    assert_eq!(bus.devices[0].profile, "sml-meter");
}
