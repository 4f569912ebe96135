//! Scans: what is found, in which order, with which questions (U1, U2).

use crate::line::{Fault, SimLine};
use retrovolt::commission::medium::{Real, Target};
use retrovolt::commission::scan::{Depth, Event, LISTEN, serial};
use retrovolt::commission::stanza::{Finding, Stanza};
use retrovolt::commission::{LIKELY_UNITS, Settings, identify};
use retrovolt::config::{self, LoadOptions};
use retrovolt::device::{Library, Profile};
use retrovolt::domain::{Link, Parity};
use retrovolt::sim::clock::RealClock;
use retrovolt::sim::{DeviceSpec, Format, LineSetup, World, WorldSpec};
use std::sync::Arc;
use std::time::Duration;

fn shipped(id: &str) -> Arc<Profile> {
    Library::builtin().get(id).expect("a shipped profile")
}

fn at(profile: &Profile) -> Settings {
    profile.link().serial.expect("a serial device").into()
}

async fn scanned(line: &mut SimLine, depth: Depth) -> (Vec<Event>, u32) {
    let profiles = identify::order(&Library::builtin(), true);
    let mut events = Vec::new();
    let tally = serial(line, depth, &profiles, &mut |event| events.push(event))
        .await
        .expect("the port stays");
    (events, tally.knocks)
}

fn identified(events: &[Event]) -> Vec<(Settings, u8, Vec<String>)> {
    let found = events.iter().filter_map(|event| match event {
        Event::Identified {
            settings: Some(settings),
            unit,
            matches,
        } => {
            let ids = matches.iter().map(|m| m.profile.id().to_owned()).collect();
            Some((*settings, *unit, ids))
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
    assert!(line.requests.iter().all(|request| matches!(request[1], 1..=4)));
    let mut line = SimLine::new(at(&profile), Fault::SecondMaster).with(&profile, 1);
    let (events, _) = scanned(&mut line, Depth::Likely).await;
    assert!(
        matches!(events[0], Event::Traffic { bytes: 51, frames: 6 }),
        "{:?}",
        events[0]
    );
}

#[tokio::test(start_paused = true)]
async fn u2_common_settings_take_seconds_and_a_full_scan_little_more_than_a_minute() {
    let profile = shipped("heidelberg-energy-control");
    let mut line = SimLine::new(at(&profile), Fault::Nothing).with(&profile, 1);
    let (events, _) = scanned(&mut line, Depth::Likely).await;
    assert_eq!(identified(&events).len(), 1, "{events:?}");
    let took = Duration::from_millis(line.now.0);
    assert!(took < Duration::from_secs(30), "{took:?}");
    let empty = |depth| async move {
        let mut line = SimLine::new(Settings::new(4_800, Parity::Odd), Fault::Nothing);
        let (_, knocks) = scanned(&mut line, depth).await;
        (Duration::from_millis(line.now.0), knocks)
    };
    let (likely, knocks) = empty(Depth::Likely).await;
    assert_eq!(knocks, 11 * 18);
    assert!(likely < Duration::from_secs(30), "{likely:?}");
    let (full, knocks) = empty(Depth::Full).await;
    let units = 247 - LIKELY_UNITS.iter().filter(|unit| **unit <= 247).count();
    assert_eq!(knocks as usize, 11 * 18 + 4 * units);
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
            Event::Identified {
                settings,
                unit,
                matches,
            } => Some(Finding {
                settings,
                unit,
                matches,
            }),
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
    let behind = Finding {
        settings: None,
        ..findings[0].clone()
    };
    let mut stanza = Stanza::default();
    stanza.add(&target, &findings);
    stanza.add(&far, &[behind]);
    let text = stanza.text();
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("found.toml");
    std::fs::write(&file, format!("[gateway]\n\n{text}")).expect("a file");
    let loaded = config::load(&file, &LoadOptions::for_file(&file))
        .unwrap_or_else(|report| panic!("{report}\n{text}"));
    let [serial, net] = &loaded.setup.buses[..] else {
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
        if let Event::Identified {
            settings,
            unit,
            matches,
        } = event
        {
            found = Some((settings, unit, matches));
            break;
        }
    }
    scan.abort();
    let (settings, unit, matches) = found.expect("the meter is found");
    // A pseudo-terminal drops parity, so the first settings of this speed are taken for the right ones.
    assert_eq!((settings.map(|s| s.baud), unit), (Some(19_200), 5));
    assert!(
        matches.iter().any(|m| m.profile.id() == "eastron-sdm630"),
        "{matches:?}"
    );
    drop(world);
}
