//! The configuration as an installer meets it: what is accepted, what is refused, and in which words (U5, X2).
#![allow(clippy::disallowed_methods, reason = "not a pure room")]

#[path = "config/credentials.rs"]
mod credentials;
#[path = "config/gpio.rs"]
mod gpio;
#[path = "config/home_assistant.rs"]
mod home_assistant;
#[path = "config/last_good.rs"]
mod last_good;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/mqtt.rs"]
mod mqtt;
#[path = "config/protocols.rs"]
mod protocols;

use mistakes::{GOOD, MISTAKES, Mistake};
use proptest::prelude::*;
use retrovolt::config::{self, Issue, LoadOptions, Loaded, Report, Severity};
use retrovolt::device::Library;
use retrovolt::domain::{
    AuthMode, EvseId, IdToken, Link, MilliAmps, OcppVersion, Parity, Phase, Security, Supply, TokenKind,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A folder with configuration files.
struct Site {
    dir: TempDir,
    options: LoadOptions,
}

impl Site {
    fn new(main: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Self {
            options: LoadOptions::default(),
            dir,
        };
        site.write("retrovolt.toml", main);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn dropin(mut self, name: &str, text: &str) -> Self {
        self.write(&format!("conf.d/{name}"), text);
        self.options.dropins = Some(self.path("conf.d"));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Loaded, Report> {
        config::load(&self.path("retrovolt.toml"), &self.options)
    }

    fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|report| panic!("{}", report.human()))
    }

    /// Everything that was told, errors and warnings.
    fn issues(&self) -> Vec<Issue> {
        match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(report) => report.issues,
        }
    }

    fn check(&self, json: bool, strict: bool) -> (String, i32) {
        config::check_with(&[self.path("retrovolt.toml")], json, strict, |_| {
            self.options.clone()
        })
    }
}

/// The good file with a text put in the place of another.
fn with(find: &str, put: &str) -> String {
    assert!(GOOD.contains(find), "{find:?} is not in the good file");
    GOOD.replacen(find, put, 1)
}

/// Line and column, from 1, of the mark, and the text without it.
fn unmarked(text: &str) -> (String, (usize, usize)) {
    let at = text.find('«').expect("a mark");
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (text.replacen('«', "", 1), (line, column))
}

fn applied(mistake: &Mistake, text: &str) -> String {
    assert!(
        text.contains(mistake.find),
        "{}: {:?} is not in the file",
        mistake.name,
        mistake.find
    );
    text.replacen(mistake.find, mistake.put, 1)
}

#[test]
fn the_good_file_is_good() {
    let loaded = Site::new(GOOD).good();
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    // The port of the good file is on no machine; that is all there is to say.
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("there is no such port now"), "{told:#?}");
}

#[test]
fn every_seeded_mistake_is_answered() {
    assert!(MISTAKES.len() >= 60, "only {} mistakes", MISTAKES.len());
    let mut wrong = Vec::new();
    for mistake in MISTAKES {
        let text = applied(mistake, GOOD);
        let text = match mistake.at {
            Some(at) => text.replacen(at, &format!("«{at}"), 1),
            None => text,
        };
        let (text, position) = unmarked(&text);
        let site = Site::new(&text);
        let severity = if mistake.warning {
            Severity::Warning
        } else {
            Severity::Error
        };
        let issues = site.issues();
        let hit = issues.iter().find(|issue| {
            issue.severity == severity
                && (issue.line, issue.column) == position
                && issue.key == mistake.key
                && issue.problem.contains(mistake.problem)
                && issue.expected.contains(mistake.expected)
                && issue.suggestion.contains(mistake.suggestion)
                && issue.file.ends_with("retrovolt.toml")
        });
        let errors = issues
            .iter()
            .filter(|issue| issue.severity == Severity::Error)
            .count();
        if hit.is_none() || errors != usize::from(!mistake.warning) {
            let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
            wrong.push(format!(
                "{} at {position:?}:\n    {}",
                mistake.name,
                told.join("\n    ")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        MISTAKES.len(),
        wrong.join("\n")
    );
}

#[test]
fn twelve_mistakes_are_told_at_once() {
    let names = [
        "a key misspelt",
        "a baud rate that is none",
        "a parity that is none",
        "a time without unit",
        "a poll below 100 ms",
        "an unknown profile",
        "a unit out of range",
        "a current with a foreign unit",
        "an unknown authorisation mode",
        "an http URL",
        "a version that is none",
        "a fuse member that is none",
    ];
    let chosen: Vec<&Mistake> = MISTAKES
        .iter()
        .filter(|mistake| names.contains(&mistake.name))
        .collect();
    assert_eq!(chosen.len(), 12);
    let text = chosen
        .iter()
        .fold(GOOD.to_owned(), |text, mistake| applied(mistake, &text))
        .replace('«', "");
    let report = Site::new(&text).load().expect_err("twelve mistakes");
    assert_eq!(report.errors(), 12, "{}", report.human());
    for mistake in chosen {
        assert!(
            report.issues.iter().any(|issue| issue.key == mistake.key),
            "{}: {}",
            mistake.name,
            report
        );
    }
    let lines: Vec<usize> = report.issues.iter().map(|issue| issue.line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn slips_against_toml_are_told_beside_the_others() {
    let text = with("baud = 19200", "baud = 19300").replacen("poll = \"1s\"", "poll = 1s", 1);
    let report = Site::new(&text).load().expect_err("two mistakes");
    let told = report.to_string();
    assert_eq!(report.errors(), 2, "{told}");
    assert!(
        told.contains("did you mean 19200") && told.contains("did you mean poll = \"1s\""),
        "{told}"
    );
}

#[test]
fn an_issue_reads_well() {
    let report = Site::new(&with("baud = 19200", "baud = 19300"))
        .load()
        .expect_err("a mistake");
    let text = report.human();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("warning")).collect();
    let error = lines
        .iter()
        .position(|line| line.contains("bus.baud"))
        .expect("the line");
    assert!(
        lines[error].ends_with(
            "retrovolt.toml:10:8: bus.baud: 19300 is not possible, expected one of 300, 600, 1200, 2400, 4800, 9600, 14400, \
             19200, 38400, 57600, 76800, 115200, 230400; did you mean 19200"
        ),
        "{text}"
    );
    assert_eq!(lines[error + 1], "  10 | baud = 19300");
    assert_eq!(lines[error + 2], "     |        ^^^^^");
}

#[test]
fn the_setup_is_what_was_written() {
    let loaded = Site::new(GOOD).good();
    let setup = &loaded.setup;
    assert_eq!(setup.state_dir, Path::new("/var/lib/retrovolt"));
    assert_eq!(loaded.log.level, "info");
    let [line, lan] = setup.buses.as_slice() else {
        panic!("two buses")
    };
    let Link::Serial {
        baud,
        parity,
        stop_bits,
        echo,
        ..
    } = &line.link
    else {
        panic!("a serial line")
    };
    assert_eq!(
        (*baud, *parity, *stop_bits, *echo),
        (19_200, Parity::Even, 1, false)
    );
    assert_eq!(
        lan.link,
        Link::Tcp {
            host: "192.168.1.50".to_owned(),
            port: 502
        }
    );
    let devices: Vec<(&str, u8)> = line
        .devices
        .iter()
        .map(|device| (device.id.as_str(), device.unit))
        .collect();
    assert_eq!(devices, [("wallbox", 1), ("meter", 2)]);
    assert_eq!(line.devices[0].watchdog_timeout, Some(Duration::from_secs(15)));
    assert_eq!(line.devices[1].poll, Some(Duration::from_secs(1)));
    let [first, second] = setup.charge_points.as_slice() else {
        panic!("two charge points")
    };
    assert_eq!(first.evses[0].id, EvseId(1));
    assert_eq!(first.evses[0].meter.as_ref().map(|id| id.as_str()), Some("meter"));
    assert_eq!(first.evses[0].max_current, MilliAmps(16_000));
    assert_eq!(first.evses[0].nominal_voltage, 230);
    assert!(matches!(&first.evses[0].auth, AuthMode::Free(token) if token.text == "FREE"));
    assert_eq!(first.csms[0].url, "ws://localhost:9000/ocpp/CP-1/");
    assert_eq!(first.csms[0].version, OcppVersion::V16);
    assert_eq!(first.csms[0].reconnect_min, Duration::from_secs(1));
    assert_eq!(first.keys["HeartbeatInterval"], "300");
    assert_eq!(first.keys["LocalPreAuthorize"], "true");
    assert_eq!(second.csms[0].version, OcppVersion::V201);
    assert_eq!(second.variables["OCPPCommCtrlr.HeartbeatInterval"], "60");
    assert_eq!(second.evses[0].first_phase, Phase::L2);
    // One has an unlock recipe in its profile, the other a fixed cable.
    assert!(second.evses[0].has_lock && !first.evses[0].has_lock);
    assert!(matches!(second.evses[0].auth, AuthMode::Remote));
    assert_eq!(setup.fuses[0].members.len(), 2);
}

#[test]
fn times_and_currents_are_taken_with_their_units() {
    for (written, ms) in [
        ("poll = \"500ms\"", 500),
        ("poll = \"0.5 s\"", 500),
        ("poll = \"2min\"", 120_000),
        ("poll_ms = 100", 100),
        ("poll_s = 2", 2000),
        ("poll_s = 0.25", 250),
    ] {
        let loaded = Site::new(&with("poll = \"1s\"", written)).good();
        assert_eq!(
            loaded.setup.buses[0].devices[1].poll,
            Some(Duration::from_millis(ms)),
            "{written}"
        );
    }
    for (written, milliamps) in [
        ("\"16A\"", 16_000),
        ("\"6.5 A\"", 6_500),
        ("\"10000 mA\"", 10_000),
    ] {
        let loaded = Site::new(&with(
            "max_current = \"16A\"",
            &format!("max_current = {written}"),
        ))
        .good();
        assert_eq!(
            loaded.setup.charge_points[0].evses[0].max_current,
            MilliAmps(milliamps)
        );
    }
}

#[test]
fn dropins_are_laid_over_in_the_order_of_their_names() {
    let site = Site::new(GOOD)
        .dropin("20-b.toml", "[gateway]\nlog_level = \"warn\"\n")
        .dropin("10-a.toml", "[gateway]\nlog_level = \"debug\"\nstate_dir = \"state\"\n[[fuse]]\nname = \"new\"\nmax_current = \"63A\"\nmembers = [\"CP-1\"]\n")
        .dropin("30-ignored.txt", "not even TOML =");
    let loaded = site.good();
    assert_eq!(loaded.log.level, "warn");
    assert_eq!(
        loaded.setup.state_dir,
        site.path("conf.d/state"),
        "relative to the file it is written in"
    );
    let fuses: Vec<&str> = loaded.setup.fuses.iter().map(|fuse| fuse.name.as_str()).collect();
    assert_eq!(fuses, ["new"], "lists replace");
}

#[test]
fn a_mistake_in_a_dropin_names_the_dropin() {
    let site = Site::new(GOOD).dropin("10-a.toml", "[gateway]\nlog_levl = \"debug\"\n");
    let issues = site.issues();
    let issue = issues
        .iter()
        .find(|issue| issue.key == "gateway.log_levl")
        .expect("told");
    assert!(issue.file.ends_with("conf.d/10-a.toml"), "{issue}");
    assert_eq!((issue.line, issue.column), (2, 1));
}

#[test]
fn the_environment_wins_over_the_files() {
    let site = Site::new(GOOD)
        .dropin("10-a.toml", "[gateway]\nlog_level = \"warn\"\n")
        .env("RETROVOLT__GATEWAY__LOG_LEVEL", "trace")
        .env("RETROVOLT__BUS__0__BAUD", "9600")
        .env("RETROVOLT__BUS__0__ECHO", "true")
        .env("RETROVOLT__DEVICE__1__POLL", "250ms")
        .env("RETROVOLT__CHARGE_POINT__0__OCPP16__HeartbeatInterval", "120")
        .env("OTHER__GATEWAY__LOG_LEVEL", "error");
    let loaded = site.good();
    assert_eq!(loaded.log.level, "trace");
    assert!(matches!(
        loaded.setup.buses[0].link,
        Link::Serial {
            baud: 9600,
            echo: true,
            ..
        }
    ));
    assert_eq!(
        loaded.setup.buses[0].devices[1].poll,
        Some(Duration::from_millis(250))
    );
    assert_eq!(loaded.setup.charge_points[0].keys["HeartbeatInterval"], "120");
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value, key, words) in [
        (
            "RETROVOLT__GATEWAY__LOG_LEVEL",
            "loud",
            "gateway.log_level",
            "is not known",
        ),
        (
            "RETROVOLT__GATEWAY__LOG",
            "debug",
            "gateway.log",
            "there is no such key",
        ),
        ("RETROVOLT__BUS__7__BAUD", "9600", "7__baud", "names no element"),
        (
            "RETROVOLT__BUS____BAUD",
            "9600",
            "RETROVOLT__BUS____BAUD",
            "does not name a setting",
        ),
    ] {
        let issues = Site::new(GOOD).env(name, value).issues();
        let issue = issues.iter().find(|issue| issue.file == "environment");
        let issue = issue.unwrap_or_else(|| panic!("{name}: {issues:#?}"));
        assert_eq!(issue.key, key);
        assert!(issue.problem.contains(words), "{issue}");
        assert_eq!(issue.line, 1);
    }
}

#[test]
fn a_charger_without_a_safe_fallback_needs_consent() {
    let board = with(
        "profile = \"heidelberg-energy-control\"",
        "profile = \"evse-wb-din\"",
    )
    .replace("watchdog_timeout = \"15s\"\n", "");
    let report = Site::new(&board).load().expect_err("no consent");
    assert_eq!(report.errors(), 1, "{}", report.human());
    let issue = report
        .issues
        .iter()
        .find(|issue| issue.severity == Severity::Error)
        .expect("an error");
    assert_eq!(issue.key, "device.accept_no_failsafe");
    assert!(issue.suggestion.contains("accept_no_failsafe = true"), "{issue}");
    let signed = board.replace(
        "profile = \"evse-wb-din\"",
        "profile = \"evse-wb-din\"\naccept_no_failsafe = true",
    );
    assert!(Site::new(&signed).good().setup.buses[0].devices[0].accept_no_failsafe);
}

/// What feeds a charger that takes its limit in watt, and what is told of it.
fn in_watts(max_current: &str, fuse: &str) -> (Supply, Vec<String>) {
    let text = with(
        "profile = \"keba-p30\"",
        "profile = \"goodwe-hca\"\naccept_no_failsafe = true",
    )
    .replace(
        "max_current = \"32A\"",
        &format!("max_current = \"{max_current}\""),
    )
    .replace("max_current = \"35A\"", &format!("max_current = \"{fuse}\""));
    let loaded = Site::new(&text).good();
    let (_, keba) = loaded.setup.device("keba").expect("on the second bus");
    let told = loaded.warnings.into_iter();
    let told = told.filter(|issue| issue.key == "charge_point.evse.max_current");
    let told = told.map(|issue| issue.problem).collect();
    (keba.supply.expect("it feeds an EVSE"), told)
}

#[test]
fn what_a_limit_in_watt_keeps_from_charging_is_told() {
    let supply = |spare| Supply {
        phases: 3,
        volts: 230,
        spare: MilliAmps(spare),
    };
    let all = in_watts("32A", "48A");
    assert_eq!(
        all,
        (supply(32_000), vec![]),
        "the fuse bears everybody, every phase all of the box"
    );

    let (narrow, told) = in_watts("16A", "48A");
    assert_eq!(narrow, supply(16_000));
    let never = "it charges from 18.261 A only, and max_current is 16 A: never (unless the box itself reports a rating of at most 16 A)";
    assert!(told.len() == 1 && told[0].ends_with(never), "{told:#?}");

    let (shared, told) = in_watts("32A", "35A");
    assert_eq!(shared, supply(0));
    assert!(
        told.len() == 1 && told[0].ends_with("it charges from 18.261 A only"),
        "{told:#?}"
    );
}

#[test]
fn chargers_that_fall_back_to_more_than_their_fuse_carries_are_refused() {
    for (keba, refused) in [("19A", false), ("20A", true)] {
        let text = GOOD
            .replace(
                "watchdog_timeout = \"15s\"",
                "watchdog_timeout = \"15s\"\nfailsafe_current = \"16A\"",
            )
            .replace(
                "unit = 255",
                &format!("unit = 255\nfailsafe_current = \"{keba}\""),
            );
        let issues = Site::new(&text).issues();
        let issue = issues.iter().find(|issue| issue.key == "fuse.max_current");
        assert_eq!(issue.is_some(), refused, "{issues:#?}");
        if let Some(issue) = issue {
            assert!(issue.problem.contains("fall back to 36 A"), "{issue}");
            assert!(issue.suggestion.contains("failsafe_current"), "{issue}");
        }
    }
}

/// What is configured does not count where the charger cannot be told.
#[test]
fn a_fallback_that_cannot_be_set_is_told_and_the_fuse_counts_the_chargers_own() {
    let text = GOOD
        .replace(
            "profile = \"keba-p30\"",
            "profile = \"weidmueller-ac-smart\"\nfailsafe_current = \"20A\"",
        )
        .replace(
            "watchdog_timeout = \"15s\"",
            "watchdog_timeout = \"15s\"\nfailsafe_current = \"16A\"",
        );
    let issues = Site::new(&text).issues();
    let told = issues.iter().find(|issue| issue.key == "device.failsafe_current");
    let told = told.unwrap_or_else(|| panic!("{issues:#?}"));
    assert!(
        told.problem.contains("falls back to 0 A") && told.severity == Severity::Warning,
        "{told}"
    );
    let summed = issues.iter().any(|issue| issue.key == "fuse.max_current");
    assert!(!summed, "16 A and none: {issues:#?}");
    let library = Library::builtin();
    for (id, counts) in [("alfen-eve-ng9xx", 6), ("heidelberg-energy-control", 0)] {
        let profile = library.get(id).expect("it is shipped");
        let own = profile.own_fallback(Some(MilliAmps::ZERO));
        assert_eq!(own, Some(MilliAmps::from_base(counts)), "{id}");
    }
}

#[test]
fn a_charger_that_falls_back_too_late_needs_consent() {
    let late = with(
        "profile = \"heidelberg-energy-control\"",
        "profile = \"alfen-eve-ng9xx\"",
    )
    .replace("watchdog_timeout = \"15s\"\n", "");
    let report = Site::new(&late).load().expect_err("no consent");
    let issue = report
        .issues
        .iter()
        .find(|issue| issue.key == "device.accept_no_failsafe")
        .expect("an error");
    assert!(issue.problem.contains("only after 300 s"), "{issue}");
}

#[test]
fn a_profile_of_the_user_is_found_and_its_mistakes_are_told() {
    let site = Site::new(&with("[gateway]\n", "[gateway]\ndevice_dir = \"mine\"\n"));
    let shipped = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices/eastron/sdm630.toml"),
    );
    let own = shipped
        .expect("a shipped profile")
        .replace("id = \"eastron-sdm630\"", "id = \"my-meter\"");
    site.write("mine/acme/meter.toml", &own);
    let text =
        with("[gateway]\n", "[gateway]\ndevice_dir = \"mine\"\n").replace("eastron-sdm630", "my-meter");
    site.write("retrovolt.toml", text);
    assert!(site.good().library.get("my-meter").is_some());
    site.write(
        "mine/acme/other.toml",
        own.replace("kind = \"meter\"", "kind = \"metre\""),
    );
    let report = site.load().expect_err("a bad profile");
    let issue = report
        .issues
        .iter()
        .find(|issue| issue.file.ends_with("mine/acme/other.toml"))
        .expect("told");
    assert!(
        issue.line > 1 && !issue.problem.is_empty() && !issue.suggestion.is_empty(),
        "{issue}"
    );
}

const CANARY: &str = "canary-Xq7-not-to-be-seen";

/// Places where a secret can be written, rightly and wrongly, each beside some mistake that shows the line.
fn planted() -> Vec<String> {
    let csms = "version = \"1.6\"\n";
    let basic = |lines: &str| with(csms, &format!("{csms}security = \"basic\"\n{lines}\n"));
    vec![
        basic(&format!("password = \"{CANARY}\"")),
        basic(&format!("pasword = \"{CANARY}\"")),
        basic(&format!("password = \"{CANARY}")),
        basic(&format!("password = {CANARY}")),
        basic(&format!("password: {CANARY}")),
        basic(&format!("password = [\"{CANARY}\"]")),
        basic(&format!(
            "password = \"\"\"\n{CANARY}\"\"\"\npassword_file = \"/nowhere\""
        )),
        with(csms, &format!("{csms}password = \"{CANARY}\"\n")),
        with("ws://localhost:9000", &format!("ws://me:{CANARY}@localhost:9000")),
        with(
            "HeartbeatInterval = 300",
            &format!("HeartbeatInterval = 300\nAuthorizationKey = \"{CANARY}\""),
        ),
        with(
            "HeartbeatInterval = 300",
            &format!("HeartbeatInterval = 300\nAuthorisationKey = \"{CANARY}\""),
        ),
    ]
}

#[test]
fn no_secret_is_ever_repeated() {
    for text in planted() {
        assert!(text.contains(CANARY));
        let site = Site::new(&text);
        let (human, _) = site.check(false, false);
        let (json, _) = site.check(true, false);
        assert!(!human.contains(CANARY), "{human}");
        assert!(!json.contains(CANARY), "{json}");
        if let Ok(loaded) = site.load() {
            assert!(!config::effective(&loaded.setup).contains(CANARY));
            assert!(!format!("{loaded:?}").contains(CANARY));
        }
    }
    let site = Site::new(&with(
        "version = \"1.6\"\n",
        "version = \"1.6\"\nsecurity = \"basic\"\n",
    ))
    .env("RETROVOLT__CHARGE_POINT__0__CSMS__0__PASSWORD", CANARY)
    .env("RETROVOLT__CHARGE_POINT__0__CSMS__0__PASWORD", CANARY);
    let (human, code) = site.check(false, false);
    assert_eq!(code, 78);
    assert!(!human.contains(CANARY), "{human}");
}

#[test]
fn a_password_comes_from_each_of_its_places() {
    let basic = |line: &str| {
        with(
            "version = \"1.6\"\n",
            &format!("version = \"1.6\"\nsecurity = \"basic\"\n{line}\n"),
        )
    };
    let password = |site: &Site| match &site.good().setup.charge_points[0].csms[0].security {
        Security::Basic { password } => password.clone(),
        other => panic!("{other:?}"),
    };
    let warned = |site: &Site, words: &str| site.issues().iter().any(|issue| issue.problem.contains(words));

    let site = Site::new(&basic(&format!("password = \"{CANARY}\"")));
    assert_eq!(password(&site), CANARY);
    assert!(warned(&site, "a password stands in the configuration"));

    let site = Site::new(&basic("password_file = \"secret\""));
    let file = site.write("secret", format!("{CANARY}\n"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("mode");
    assert_eq!(password(&site), CANARY);
    assert!(!warned(&site, "others may read"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("mode");
    assert!(warned(&site, "others may read"));

    let site = Site::new(&basic("password_credential = \"csms\""));
    assert!(site.load().is_err(), "no $CREDENTIALS_DIRECTORY");
    site.write("credentials/csms", CANARY);
    let folder = site.path("credentials").display().to_string();
    assert_eq!(password(&site.env("CREDENTIALS_DIRECTORY", &folder)), CANARY);

    let site = Site::new(&basic("")).env("RETROVOLT__CHARGE_POINT__0__CSMS__0__PASSWORD", CANARY);
    assert_eq!(password(&site), CANARY);
    assert!(!warned(&site, "a password stands in the configuration"));
}

#[test]
fn a_client_certificate_is_checked_for_being_one() {
    let client =
        "version = \"1.6\"\nsecurity = \"client\"\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n";
    let site = Site::new(&with("version = \"1.6\"\n", client).replace("ws://localhost", "wss://localhost"));
    site.write(
        "c.pem",
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    );
    let key = site.write(
        "k.pem",
        "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
    );
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("mode");
    assert!(matches!(
        site.good().setup.charge_points[0].csms[0].security,
        Security::Client { .. }
    ));
    site.write("c.pem", "nothing of the kind");
    let report = site.load().expect_err("no certificate");
    assert!(
        report.to_string().contains("the file holds no CERTIFICATE"),
        "{report}"
    );
}

#[test]
fn exit_codes() {
    let site = Site::new(GOOD);
    assert_eq!(site.check(false, false).1, 0);
    assert_eq!(site.check(false, true).1, 1, "the port is not there: a warning");
    assert_eq!(Site::new("nonsense = 1").check(false, false).1, 78);
    let missing = site.path("missing.toml");
    let (text, code) = config::check(std::slice::from_ref(&missing), false, false);
    assert_eq!(code, 66);
    assert!(
        text.contains("missing.toml:1:1: (file): cannot be read"),
        "{text}"
    );
    let (_, code) = config::check(&[site.path("retrovolt.toml"), missing], true, false);
    assert_eq!(code, 66);
}

/// Standard keys, ours, and one that is none.
const OCPP_KEYS: &[&str] = &[
    "AllowOfflineTxForUnknownId",
    "AuthorizationCacheEnabled",
    "AuthorizationKey",
    "AuthorizeRemoteTxRequests",
    "BlinkRepeat",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "ConnectorPhaseRotationMaxLength",
    "ConnectorSwitch3to1PhaseSupported",
    "CpoName",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LightIntensity",
    "LocalAuthListEnabled",
    "LocalAuthListMaxLength",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MaxChargingProfilesInstalled",
    "MaxEnergyOnInvalidId",
    "MessageTimeout",
    "MeterValueSampleInterval",
    "MeterValuesAlignedData",
    "MeterValuesAlignedDataMaxLength",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "MinimumStatusDuration",
    "NumberOfConnectors",
    "ReserveConnectorZeroSupported",
    "ResetRetries",
    "SecurityProfile",
    "SendLocalListMaxLength",
    "StopTransactionMaxMeterValues",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnAlignedDataMaxLength",
    "StopTxnSampledData",
    "StopTxnSampledDataMaxLength",
    "SupportedFeatureProfiles",
    "SupportedFeatureProfilesMaxLength",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
    "WebSocketPingInterval",
    "NoSuchKey",
];

/// Values at and beyond the edges of every kind of key.
const OCPP_VALUES: &[&str] = &[
    "",
    "true",
    "False",
    "0",
    "1",
    "10",
    "11",
    "100",
    "101",
    "3600",
    "3601",
    "86400",
    "86401",
    "1000000",
    "1000001",
    "-1",
    "+1",
    "4.5",
    " 60 ",
    "Voltage",
    "Voltage.L1,Voltage.L1-N",
    "Power.Offered",
    "Voltage.L4",
    "Energy.Active.Import.Register, SoC",
    "1.RST",
    "1.RST,0.Unknown",
    "2.RST",
    "1.XYZ",
    "1",
    "RST",
    "99999999999999999999",
];

#[test]
fn the_dialect_takes_the_same_keys() {
    for value in OCPP_VALUES {
        let keys: String = OCPP_KEYS
            .iter()
            .map(|name| format!("{name} = \"{value}\"\n"))
            .collect();
        let issues = Site::new(&with(
            "HeartbeatInterval = 300\nLocalPreAuthorize = true\n",
            &keys,
        ))
        .issues();
        for name in OCPP_KEYS {
            let refused = issues.iter().any(|issue| {
                issue.severity == Severity::Error && issue.key == format!("charge_point.ocpp16.{name}")
            });
            let dialect = retrovolt::ocpp::v16::keys::check(name, value);
            assert_eq!(
                refused,
                dialect.is_err(),
                "{name} = {value:?}: the dialect says {dialect:?}"
            );
        }
    }
}

#[test]
fn huge_and_deep_texts_are_answered_in_time() {
    for text in [
        "x = 1\n".repeat(100_000),
        (0..60_000).map(|number| format!("key{number} = 1\n")).collect(),
        "[".repeat(300_000),
        "a.".repeat(300_000),
        format!("a = {}", "{b=".repeat(100_000)),
        "= \n".repeat(200_000),
        "[[device]]\n".repeat(20_000),
    ] {
        let report = Site::new(&text).load().expect_err("nonsense");
        assert!(report.errors() > 0 && !report.human().is_empty());
    }
}

#[test]
fn json_is_one_object_with_a_schema_number() {
    let (text, code) = Site::new(&with("baud = 19200", "baud = 19300")).check(true, false);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, 78);
    assert_eq!(value["schema"], 1);
    assert_eq!(value["ok"], false);
    assert_eq!(value["errors"], 1);
    let issues = value["issues"].as_array().expect("a list");
    let issue = issues
        .iter()
        .find(|issue| issue["severity"] == "error")
        .expect("the error");
    assert_eq!(issue["line"], 10);
    assert_eq!(issue["key"], "bus.baud");
    for field in ["file", "column", "problem", "expected", "suggestion"] {
        assert!(!issue[field].is_null(), "{field}");
    }
}

#[test]
fn the_effective_configuration_loads_again_to_the_same() {
    let loaded = Site::new(GOOD).good();
    let text = config::effective(&loaded.setup);
    let again = Site::new(&text).good();
    assert_eq!(again.setup, loaded.setup, "{text}");
}

#[test]
fn foreign_bytes_are_told_with_their_place() {
    let site = Site::new("");
    site.write("retrovolt.toml", b"[gateway]\nlog_level = \"\xff\"\n");
    let report = site.load().expect_err("not UTF-8");
    assert_eq!((report.issues[0].line, report.issues[0].column), (2, 14));
    site.write("retrovolt.toml", vec![b'#'; 1_100_000]);
    assert!(
        site.load()
            .expect_err("too large")
            .to_string()
            .contains("too large")
    );
    assert_eq!(
        Site::new("").good().setup.charge_points.len(),
        0,
        "nothing to serve is a warning"
    );
}

/// The example and the reference are made from the declarations; `UPDATE_DOCS=1` writes them.
fn generated(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{name} is out of date; run: UPDATE_DOCS=1 cargo nextest run --test config"
    );
}

#[test]
fn the_reference_is_current() {
    generated("docs/configuration.md", &config::reference());
}

#[test]
fn sessions_are_routed_by_tags_of_the_list_and_the_file() {
    let site = Site::new(&with(
        "version = \"1.6\"",
        "version = \"1.6\"\ntags = [\"CARD-*\", \"!CARD-9\"]\ntags_file = \"company.tags\"",
    ));
    site.write("company.tags", "# the fleet\n04A1*\n\n  !04A1FF  \n");
    let loaded = site.good();
    let rule = &loaded.setup.charge_points[0].csms[0].tags;
    let takes = |text: &str| rule.takes(Some(&IdToken::new(text, TokenKind::Local)));
    let taken: Vec<bool> = ["CARD-1", "CARD-9", "04a1ee", "04A1FF", "FF00"]
        .map(takes)
        .to_vec();
    assert_eq!(taken, [true, false, true, false, false]);
    assert!(
        loaded
            .warnings
            .iter()
            .any(|w| w.problem.contains("reported to nobody")),
        "{:?}",
        loaded.warnings
    );
    let effective = config::effective(&loaded.setup);
    assert!(
        effective.contains("tags = [\"CARD-*\", \"04A1*\", \"!CARD-9\", \"!04A1FF\"]"),
        "{effective}"
    );

    site.write("company.tags", "04A1*\n04 B2\n");
    let told = site.load().expect_err("a blank in a pattern").human();
    assert!(
        told.contains("line 2 of")
            && told.contains("contains a blank")
            && told.contains("did you mean '04B2'"),
        "{told}"
    );
    site.write("company.tags", "# nobody yet\n");
    let told = site.load().expect_err("a file without a pattern").human();
    assert!(told.contains("every session would be told"), "{told}");
}

#[test]
fn the_example_is_current_and_passes() {
    let text = config::example();
    generated("config/retrovolt.toml", &text);
    let (told, code) = Site::new(&text).check(false, false);
    assert_eq!(code, 0, "{told}");
    // Every setting it shows commented out is valid too, unless it needs a file or excludes another one.
    let needs = [
        "trust_dir",
        "device_dir",
        "host",
        "gpio",
        "tcp_port",
        "framing",
        "reader",
        "contacts",
        "password",
        "certificate",
        "key_",
        "tags_file",
    ];
    let stanzas: Vec<&str> = text
        .split("\n\n")
        .filter(|stanza| !stanza.starts_with("# Variant"))
        .collect();
    let live: Vec<&str> = stanzas
        .iter()
        .flat_map(|stanza| stanza.lines())
        .map(|line| match line.strip_prefix('#') {
            Some(setting)
                if !setting.starts_with(' ') && !needs.iter().any(|key| setting.starts_with(key)) =>
            {
                setting
            }
            _ => line,
        })
        .collect();
    assert!(
        live.iter()
            .filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()))
            .count()
            > 40
    );
    let (told, code) = Site::new(&live.join("\n")).check(false, false);
    assert_eq!(code, 0, "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever somebody does to a file, it is answered: no panic, and every error with all its parts.
    #[test]
    fn a_mutated_file_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, any::<char>(), 0_usize..40), 1..6),
    ) {
        let mut letters: Vec<char> = GOOD.chars().collect();
        for (index, kind, letter, length) in edits {
            if letters.is_empty() {
                letters.push(letter);
            }
            let at = index.index(letters.len());
            let end = (at + length).min(letters.len());
            match kind {
                0 => letters.insert(at, letter),
                1 => letters[at] = letter,
                2 => { letters.drain(at..end); }
                3 => { let copy = letters[at..end].to_vec(); letters.splice(at..at, copy); }
                4 => letters[at] = ['"', '[', ']', '=', '\n', '{', '#', '\'', '.', '-'][length % 10],
                _ => letters.truncate(at.max(1)),
            }
        }
        let text: String = letters.into_iter().collect();
        let site = Site::new(&text);
        if let Err(report) = site.load() {
            prop_assert!(report.errors() > 0);
            for issue in &report.issues {
                prop_assert!(issue.line > 0 && issue.column > 0);
                prop_assert!(!issue.key.is_empty() && !issue.problem.is_empty(), "{}", issue);
                prop_assert!(!issue.expected.is_empty() && !issue.suggestion.is_empty(), "{}", issue);
                prop_assert!(!issue.render().is_empty());
            }
        }
    }
}

#[test]
fn firmware_is_signed_or_consented_to_and_never_both() {
    let declared = |lines: &str| {
        let text = format!("{GOOD}\n[firmware]\nspool = \"firmware\"\nkind = \"charger\"\n{lines}");
        let site = Site::new(&text);
        site.write("roots.pem", "certificates");
        site
    };
    for (lines, key) in [
        ("", "firmware.spool"),
        ("accept_unsigned = false\n", "firmware.spool"),
        (
            "roots_file = \"roots.pem\"\naccept_unsigned = true\n",
            "firmware.accept_unsigned",
        ),
        ("roots_file = \"nothing.pem\"\n", "firmware.roots_file"),
        ("accept_unsigned = true\nmax_mib = 0\n", "firmware.max_mib"),
    ] {
        let report = declared(lines).load().expect_err("a mistake");
        assert_eq!(report.errors(), 1, "{}", report.human());
        assert!(
            report.issues.iter().any(|issue| issue.key == key),
            "{}",
            report.human()
        );
    }
    let site = declared("roots_file = \"roots.pem\"\ninstall_timeout = \"5min\"\n");
    let loaded = site.good();
    for point in &loaded.setup.charge_points {
        let firmware = point.firmware.as_ref().expect("declared");
        assert_eq!(firmware.spool, site.path("firmware"));
        assert_eq!(firmware.roots, Some(site.path("roots.pem")));
        assert_eq!(firmware.max_bytes, 32 * 1024 * 1024);
        assert_eq!(firmware.install_timeout, Duration::from_secs(300));
        assert!(!firmware.waits_for_sessions);
    }
    let text = config::effective(&loaded.setup);
    let again = Site::new(&text).good();
    assert_eq!(again.setup, loaded.setup, "{text}");
    let open = declared("accept_unsigned = true\n").good();
    assert!(
        open.setup
            .charge_points
            .iter()
            .all(|p| p.firmware.as_ref().is_some_and(|f| f.roots.is_none()))
    );
    assert!(Site::new(GOOD).good().setup.charge_points[0].firmware.is_none());
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn an_edge_node_of_sparkplug_needs_names_and_a_broker() {
    let head = "[sparkplug]\ngroup = \"Depot North\"\nedge_node = \"gw-1\"\n";
    let url = "[[sparkplug.broker]]\nurl = \"mqtt://127.0.0.1\"\n";
    let tls = "[[sparkplug.broker]]\nurl = \"mqtts://broker.example.com\"\n";
    let declared = |lines: &str| {
        let site = Site::new(&format!("{GOOD}\n{lines}"));
        site.write("secret", "a-password-of-the-broker\n");
        site.write(
            "ca.pem",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        );
        site.write(
            "key.pem",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        );
        site
    };
    for (lines, key) in [
        (head.to_owned(), "sparkplug.group"),
        (
            format!("{}{url}", head.replace("Depot North", "Depot/North")),
            "sparkplug.group",
        ),
        (format!("{head}host_id = \"a+b\"\n{url}"), "sparkplug.host_id"),
        (format!("{head}commands = \"yes\"\n{url}"), "sparkplug.commands"),
        (
            format!("{head}reconnect_min = \"2min\"\n{url}"),
            "sparkplug.reconnect_min",
        ),
        (
            format!("{head}{}", url.replace("mqtt:", "http:")),
            "sparkplug.broker.url",
        ),
        (
            format!("{head}{}", url.replace("127.0.0.1", "me@127.0.0.1")),
            "sparkplug.broker.url",
        ),
        (
            format!("{head}{}", url.replace("127.0.0.1", "127.0.0.1/prefix")),
            "sparkplug.broker.url",
        ),
        (
            format!("{head}{url}password_file = \"secret\"\n"),
            "sparkplug.broker.user",
        ),
        (
            format!("{head}{url}user = \"gw\"\npassword_file = \"secret\"\npassword_credential = \"x\"\n"),
            "sparkplug.broker.password_credential",
        ),
        (
            format!("{head}{tls}ca_file = \"key.pem\"\n"),
            "sparkplug.broker.ca_file",
        ),
        (
            format!("{head}{tls}key_file = \"key.pem\"\n"),
            "sparkplug.broker.key_file",
        ),
        (
            format!("{head}{url}certificate_file = \"ca.pem\"\nkey_file = \"key.pem\"\n"),
            "sparkplug.broker.certificate_file",
        ),
    ] {
        let report = declared(&lines).load().expect_err(&lines);
        assert_eq!(report.errors(), 1, "{lines}\n{}", report.human());
        let found = report.issues.iter().any(|issue| issue.key == key);
        assert!(found, "{key}\n{}", report.human());
    }
    let second = "user = \"gw\"\npassword_file = \"secret\"\nca_file = \"ca.pem\"\ncertificate_file = \"ca.pem\"\nkey_file = \"key.pem\"\nprotocol = \"3.1.1\"\n";
    let site = declared(&format!("{head}host_id = \"scada\"\n{url}{tls}{second}"));
    let loaded = site.good();
    let setup = loaded.setup.sparkplug.as_ref().expect("declared");
    assert_eq!(
        (setup.group.as_str(), setup.edge_node.as_str()),
        ("Depot North", "gw-1")
    );
    assert_eq!(setup.host_id.as_deref(), Some("scada"));
    assert!(!setup.aliases && !setup.commands, "off by default");
    let [first, second] = setup.brokers.as_slice() else {
        panic!("two brokers")
    };
    assert_eq!(
        (first.host.as_str(), first.port, first.tls),
        ("127.0.0.1", 1883, false)
    );
    assert_eq!(first.client_id, "retrovolt-sparkplug-gw-1");
    assert_eq!((second.port, second.tls), (8883, true));
    assert!(second.identity.is_some() && second.ca_file.is_some());
    let password = second.password.as_ref().expect("from its file");
    assert_eq!(password.bytes(), b"a-password-of-the-broker");
    let text = config::effective(&loaded.setup);
    assert!(
        text.contains("password = \"***\"") && !text.contains("a-password"),
        "{text}"
    );
    let plain = declared(&format!("{head}{url}")).good();
    let text = config::effective(&plain.setup);
    let again = Site::new(&text).good();
    assert_eq!(again.setup, plain.setup, "{text}");
}
