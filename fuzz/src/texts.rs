//! Texts: profiles, configurations, OCPP messages.

use retrovolt::config::{self, LoadOptions};
use retrovolt::device::Profile;
use retrovolt::domain::{
    AuthMode, CpId, CpSetup, CsmsSetup, DeviceId, EvseId, EvseSetup, MilliAmps, Mono, Now, OcppVersion,
    Phase, ReaderId, Security, TagRule,
};
use retrovolt::ocpp::{Effect, Input, Machine};
use std::collections::BTreeMap;
use std::time::Duration;

/// A device profile of either form. Every mistake has a place in the text.
pub fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Profile::parse("profile.toml", text) {
        Ok(profile) => assert!(!profile.id().is_empty()),
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text.lines().count().max(1) + 1;
            assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)));
        }
    }
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("retrovolt.toml");
    std::fs::write(&path, data).expect("written");
    match config::load(&path, &LoadOptions::default()) {
        Ok(loaded) => drop(config::effective(&loaded.setup)),
        Err(report) => assert!(!report.issues.is_empty() && !report.human().is_empty()),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn csms() -> CsmsSetup {
    CsmsSetup {
        name: "main".into(),
        url: "ws://localhost/CP1".into(),
        version: OcppVersion::V16,
        security: Security::None,
        reconnect_min: seconds(1),
        reconnect_max: seconds(60),
        message_timeout: seconds(30),
        connect_timeout: seconds(10),
        ping: seconds(60),
        boot_retry: seconds(20),
        tags: TagRule::default(),
    }
}

fn charge_point() -> CpSetup {
    CpSetup {
        id: CpId::new("CP1"),
        vendor: "Retrovolt".into(),
        model: "Gateway".into(),
        serial: None,
        evses: vec![EvseSetup {
            id: EvseId(1),
            charger: DeviceId::new("wallbox"),
            meter: None,
            reader: None,
            contacts: Vec::new(),
            phases: 3,
            first_phase: Phase::L1,
            max_current: MilliAmps(16_000),
            min_current: MilliAmps(6_000),
            dimmed_current: MilliAmps(6_000),
            nominal_voltage: 230,
            auth: AuthMode::Reader,
            meter_stale_after: seconds(30),
        }],
        csms: vec![csms()],
        keys: BTreeMap::new(),
        variables: BTreeMap::new(),
    }
}

/// Text messages of a CSMS, one a line, to a charge point that is booting; `$` stands for the id of its last CALL.
pub fn ocpp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let reader = ReaderId::new("CP1/main");
    let mut machine = Machine::new(&charge_point(), &csms(), reader, "1.0", 1, 0, &[]);
    let mut now = Now::default();
    let mut last = String::new();
    let mut say = |now: Now, input, last: &mut String| {
        machine.handle(now, input);
        while let Some(effect) = machine.poll() {
            match effect {
                Effect::Send(text) => {
                    let message: serde_json::Value =
                        serde_json::from_str(&text).expect("what is sent is JSON");
                    if message[0] == 2 {
                        *last = message[1].as_str().unwrap_or_default().to_owned();
                    }
                }
                Effect::Commit { id, .. } => machine.handle(now, Input::Committed(id)),
                _ => {}
            }
        }
    };
    say(now, Input::Connected, &mut last);
    for line in text.lines() {
        now.mono = Mono(now.mono.0 + 100);
        let message = line.replace('$', &last);
        say(now, Input::Text(message), &mut last);
    }
    say(now, Input::Disconnected, &mut last);
}
