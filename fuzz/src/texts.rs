//! Texts: profiles, configurations, OCPP messages.

use super::outcome::{Outcome, bits, variant};
use retrovolt::config::{self, LoadOptions};
use retrovolt::device::{Caution, Image, LinkCost, Profile};
use retrovolt::domain::{
    AuthMode, CpId, CpSetup, CsmsSetup, DeviceId, EvseId, EvseSetup, MilliAmps, Mono, Now, OcppVersion,
    Phase, ReaderId, Security, TagRule,
};
use retrovolt::ocpp::{Effect, Input, Machine};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a message says, without what it says it of: quoted words and numbers are as many as there are names.
fn generic(message: &str) -> String {
    let mut out = String::new();
    for (index, part) in message.split(['`', '\'']).enumerate() {
        if index % 2 == 0 {
            out.extend(part.chars().filter(|c| !c.is_ascii_digit()));
        } else {
            out.push('`');
        }
    }
    out
}

/// The reads of a good profile: they stay within what the device allows, and what is not read alone is read once.
fn planned(outcome: &mut Outcome, profile: &Profile) {
    let cost = LinkCost {
        char_us: 1146,
        silence_us: 4010,
        think_us: 20_000,
    };
    for caution in [Caution::Normal, Caution::Small, Caution::Single] {
        let blocks = profile.plan(cost, 1, &Image::default(), caution);
        let mut read = BTreeSet::new();
        for block in &blocks {
            let most = if block.fc.is_bits() { 2000 } else { 125 };
            assert!((1..=most).contains(&block.count), "{block:?}");
            assert!(
                block.points.iter().all(|point| read.insert(*point)),
                "{block:?} reads twice"
            );
        }
        outcome.step(
            format!("{caution:?} {}", bits(blocks.len() as u64)),
            format!("{} of {}", read.len(), blocks.len()),
        );
    }
}

/// A device profile of either form. Every mistake has a place in the text.
pub fn profile(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(text) = std::str::from_utf8(data) else {
        return outcome;
    };
    match Profile::parse("profile.toml", text) {
        Ok(profile) => {
            assert!(!profile.id().is_empty());
            outcome.step(format!("good {:?} {:?}", profile.kind(), profile.protocol()), "");
            planned(&mut outcome, &profile);
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text.lines().count().max(1) + 1;
            // A mistake has a name of the format in it, or none: as many kinds as the format has rules.
            let rules: BTreeSet<String> = errors.iter().map(|error| generic(&error.message)).collect();
            assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)));
            for rule in rules {
                outcome.step(rule, "");
            }
            outcome.step(format!("mistakes {}", bits(errors.len() as u64)), errors.len());
        }
    }
    outcome
}

/// A configuration file.
pub fn config(data: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("retrovolt.toml");
    std::fs::write(&path, data).expect("written");
    let mut outcome = Outcome::default();
    let issues = match config::load(&path, &LoadOptions::default()) {
        Ok(loaded) => {
            let text = config::effective(&loaded.setup);
            assert!(text.parse::<toml::Table>().is_ok(), "what is in force is TOML");
            outcome.step(
                format!("good {}", bits(loaded.setup.buses.len() as u64)),
                loaded.setup.charge_points.len(),
            );
            loaded.warnings
        }
        Err(report) => {
            assert!(report.errors() > 0 && !report.human().is_empty());
            report.issues
        }
    };
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 2;
    let mut rules = BTreeSet::new();
    for issue in &issues {
        assert!((1..=lines).contains(&issue.line) && issue.column > 0, "{issue}");
        assert!(
            !issue.expected.is_empty() && !issue.suggestion.is_empty(),
            "{issue}"
        );
        // Where the file lies and which ports there are is the machine's business.
        let problem = issue.problem.replace(&*folder.path().to_string_lossy(), "");
        if !problem.contains("there is no such port now") {
            rules.insert(format!("{:?} {}", issue.severity, generic(&problem)));
        }
    }
    for rule in rules {
        outcome.step(rule, "");
    }
    outcome
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn csms(version: OcppVersion) -> CsmsSetup {
    CsmsSetup {
        name: "main".into(),
        url: "ws://localhost/CP1".into(),
        secure_url: None,
        version,
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

fn charge_point(csms: CsmsSetup) -> CpSetup {
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
            has_lock: true,
            switches_phases: false,
        }],
        csms: vec![csms],
        keys: BTreeMap::new(),
        firmware: None,
        variables: BTreeMap::new(),
    }
}

/// Text messages of a CSMS, one a line, to a charge point that is booting, in each version; `$` stands for the id of
/// its last CALL.
pub fn ocpp(data: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(text) = std::str::from_utf8(data) else {
        return outcome;
    };
    for version in [OcppVersion::V16, OcppVersion::V201] {
        outcome.step(format!("{version:?}"), "");
        let mut talk = Talk::new(version);
        talk.say(Input::Connected, &mut outcome);
        for line in text.lines() {
            talk.now.mono = Mono(talk.now.mono.0 + 100);
            let message = line.replace('$', &talk.last);
            talk.heard(&message);
            talk.say(Input::Text(message), &mut outcome);
        }
        talk.say(Input::Disconnected, &mut outcome);
    }
    outcome
}

/// A charge point and what was said to and by it.
struct Talk {
    machine: Machine,
    now: Now,
    /// Id of its last CALL.
    last: String,
    /// Answers that are owed, by id.
    owed: BTreeMap<String, usize>,
    /// Its CALL waits for an answer.
    waiting: bool,
}

impl Talk {
    fn new(version: OcppVersion) -> Self {
        let csms = csms(version);
        let reader = ReaderId::new("CP1/main");
        Self {
            machine: Machine::new(&charge_point(csms.clone()), &csms, reader, "1.0", 1, 0, &[]),
            now: Now::default(),
            last: String::new(),
            owed: BTreeMap::new(),
            waiting: false,
        }
    }

    /// Each CALL may be answered once, and an answer to ours makes room for the next one.
    fn heard(&mut self, message: &str) {
        // What is no JSON may have an id as well, which a CALLERROR then repeats; it is not checked here.
        let Ok(serde_json::Value::Array(parts)) = serde_json::from_str(message) else {
            return;
        };
        let kind = parts.first().and_then(serde_json::Value::as_u64);
        let Some(id) = parts.get(1).and_then(serde_json::Value::as_str) else {
            return;
        };
        if matches!(kind, Some(3 | 4)) && id == self.last {
            self.waiting = false;
        } else {
            *self.owed.entry(id.to_owned()).or_default() += 1;
        }
    }

    fn say(&mut self, input: Input, outcome: &mut Outcome) {
        if matches!(input, Input::Connected | Input::Disconnected) {
            self.waiting = false;
        }
        self.machine.handle(self.now, input);
        let mut effects = 0;
        while let Some(effect) = self.machine.poll() {
            effects += 1;
            assert!(effects <= 64, "no end of what one message does");
            match effect {
                Effect::Send(text) => self.sent(&text, outcome),
                Effect::Commit { id, batch } => {
                    outcome.step("commit", batch.puts.len());
                    self.machine.handle(self.now, Input::Committed(id));
                }
                Effect::Close { code, .. } => outcome.step(format!("close {code}"), ""),
                Effect::Command { command, .. } => outcome.step(format!("command {}", variant(&command)), ""),
                Effect::Misbehaviour(what) => outcome.step(what.kind(), generic(&what.to_string())),
                other => outcome.step(variant(&other), ""),
            }
        }
    }

    fn sent(&mut self, text: &str, outcome: &mut Outcome) {
        let message: serde_json::Value = serde_json::from_str(text).expect("what is sent is JSON");
        let id = message[1].as_str().expect("an id");
        match message[0].as_u64() {
            Some(2) => {
                assert!(!self.waiting, "a second CALL before the first was answered");
                self.waiting = true;
                id.clone_into(&mut self.last);
                outcome.step(format!("call {}", message[2]), "");
            }
            Some(3) => {
                let owed = self.owed.get_mut(id).filter(|count| **count > 0);
                *owed.expect("an answer to a CALL that was not answered yet") -= 1;
                let keys: Vec<&String> = message[2].as_object().expect("a payload").keys().collect();
                outcome.step(
                    format!("result {keys:?} {}", message[2]["status"]),
                    bits(text.len() as u64),
                );
            }
            Some(4) => outcome.step(format!("error {}", message[2]), ""),
            other => panic!("a message of type {other:?} was sent"),
        }
    }
}
