//! What a CSMS is given when it asks for diagnostics or for the security log: one text file, without secrets.
//!
//! Diagnostics are what this process knows: its configuration, the state of the charge point, the figures of the ledger
//! and the last log lines of this run. The journal is not read: that needs another process or more rights. The security log is
//! the last thousand security events of the charge point, one JSON object a line.
//!
//! Masked are passwords and tokens, wherever they stand, and the name and password in any address.

use super::porter::Yard;
use super::ring::Line;
use crate::config;
use crate::domain::{AuthMode, Clock, CpSetup, Security, SiteSetup, masked};
use crate::ocpp::format_utc;
use crate::station::Snapshot;
use crate::store::{SecurityEntry, Store, StoreError};
use std::fmt::Write as _;
use std::time::Instant;

/// Security events in a support bundle, the latest.
const EVENTS: usize = 200;
/// Largest file.
const MOST_BYTES: usize = 1024 * 1024;

/// A record and how many entries of the time asked for are in it.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The text.
    pub text: String,
    /// Log lines or security events.
    pub entries: u64,
}

/// The time asked for, Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Nothing older.
    pub oldest_ms: Option<i64>,
    /// Nothing younger.
    pub latest_ms: Option<i64>,
}

impl Window {
    fn holds(self, unix_ms: i64) -> bool {
        self.oldest_ms.is_none_or(|oldest| unix_ms >= oldest)
            && self.latest_ms.is_none_or(|latest| unix_ms <= latest)
    }
}

/// Everything this process knows that helps to find a fault.
pub async fn diagnostics(
    cp: &CpSetup,
    snapshot: &Snapshot,
    yard: &Yard,
    store: &Store,
    clock: &dyn Clock,
    window: Window,
) -> Bundle {
    let now = clock.now();
    let unix_ms = now.wall.unix_ms;
    let mut text = format!(
        "Retrovolt {} diagnostics of charge point {}\nmade {} (clock: {:?}), run {}, {} s after its start\n",
        env!("CARGO_PKG_VERSION"),
        cp.id,
        format_utc(unix_ms),
        now.wall.quality,
        now.boot.0,
        now.mono.0 / 1_000,
    );
    let setup = yard.setup();
    section(&mut text, "configuration", &config::effective(&setup));
    section(&mut text, "state", &pretty(snapshot));
    let stats = match store.stats().await {
        Ok(stats) => pretty(&stats),
        Err(error) => error.to_string(),
    };
    section(&mut text, "ledger", &stats);
    let (lines, entries) = log_lines(&super::log::ring().all(), Instant::now(), unix_ms, window);
    section(&mut text, "log of this run", &lines);
    Bundle {
        text: bounded(without_secrets(&text, &setup), MOST_BYTES),
        entries,
    }
}

/// The security events of a charge point.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn security(
    cp: &CpSetup,
    yard: &Yard,
    store: &Store,
    window: Window,
) -> Result<Bundle, StoreError> {
    let mut bundle = Bundle::default();
    for event in store.security_log(&cp.id).await? {
        if window.holds(event.unix_ms) {
            bundle.entries += 1;
            bundle.text += &security_line(&event);
        }
    }
    bundle.text = bounded(without_secrets(&bundle.text, &yard.setup()), MOST_BYTES);
    Ok(bundle)
}

/// The latest events, one JSON object a line.
pub(super) fn security_lines(events: &[SecurityEntry]) -> String {
    let surplus = events.len().saturating_sub(EVENTS);
    events[surplus..].iter().map(security_line).collect()
}

fn security_line(event: &SecurityEntry) -> String {
    let SecurityEntry {
        n, cp, name, info, ..
    } = event;
    let line = serde_json::json!({
        "n": n, "cp": cp, "timestamp": format_utc(event.unix_ms), "certain": event.is_certain(),
        "type": name, "techInfo": info,
    });
    format!("{line}\n")
}

fn section(text: &mut String, name: &str, body: &str) {
    let _ = write!(text, "\n== {name} ==\n{}\n", body.trim_end());
}

fn pretty(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).map(hide_tokens);
    value.map_or_else(|error| error.to_string(), |value| format!("{value:#}"))
}

/// Tokens stand under `token`; what kind one is says nothing about it.
pub(super) fn hide_tokens(mut value: serde_json::Value) -> serde_json::Value {
    match &mut value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                *member = if name == "token" && !member.is_null() {
                    "***".into()
                } else {
                    hide_tokens(member.take())
                };
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                *item = hide_tokens(item.take());
            }
        }
        _ => {}
    }
    value
}

/// Lines of the window, each with the time its age comes to by the clock as it is now.
pub(super) fn log_lines(lines: &[Line], now: Instant, unix_ms: i64, window: Window) -> (String, u64) {
    let (mut text, mut entries) = (String::new(), 0);
    for line in lines {
        let age = i64::try_from(line.age(now).as_millis()).unwrap_or(i64::MAX);
        let at = unix_ms.saturating_sub(age);
        if window.holds(at) {
            entries += 1;
            let _ = writeln!(text, "{} {}", format_utc(at), line.shown());
        }
    }
    (text, entries)
}

pub(super) fn without_secrets(text: &str, setup: &SiteSetup) -> String {
    let secrets = secrets(setup);
    let lines = text.split('\n').map(|line| {
        let trimmed = line.trim_start();
        if let Some((key, _)) = trimmed.split_once(" = ").filter(|(key, _)| is_secret(key)) {
            return format!("{key} = \"***\"");
        }
        let mut line = line.to_owned();
        for secret in &secrets {
            line = line.replace(secret.as_str(), "***");
        }
        without_addresses(&line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a setting of this name is nobody else's business.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let plain = key
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "_\"".contains(letter));
    plain
        && ["id_token", "tags", "password", "authorizationkey", "secret"]
            .iter()
            .any(|word| key.contains(word))
}

/// Masks what stands in front of the host in every address of a line.
fn without_addresses(line: &str) -> String {
    let words = line.split_inclusive(char::is_whitespace).map(|word| {
        let Some(at) = word.find("://") else {
            return word.to_owned();
        };
        let begin = word[..at]
            .rfind(|letter: char| !letter.is_ascii_alphanumeric())
            .map_or(0, |place| place + 1);
        let end = word[at + 3..]
            .find(['"', '\'', '>', ')', ',', ';'])
            .map_or(word.trim_end().len(), |place| at + 3 + place);
        let end = end.max(at + 3);
        format!("{}{}{}", &word[..begin], masked(&word[begin..end]), &word[end..])
    });
    words.collect()
}

/// Passwords of CSMSs and brokers, and tokens, of the configuration. One of a letter or two would blot out half the text and is no secret.
fn secrets(setup: &SiteSetup) -> Vec<String> {
    let points = setup.charge_points.iter();
    let mut found = Vec::new();
    for point in points {
        for csms in &point.csms {
            if let Security::Basic { password } = &csms.security {
                found.push(password.clone());
            }
        }
        for evse in &point.evses {
            if let AuthMode::Free(token) | AuthMode::Charger(Some(token)) = &evse.auth {
                found.push(token.text.clone());
            }
        }
    }
    let brokers = setup.mqtt.iter().map(|mqtt| &mqtt.broker);
    let edge = setup.sparkplug.iter().flat_map(|sparkplug| &sparkplug.brokers);
    for password in brokers.chain(edge).filter_map(|broker| broker.password.as_ref()) {
        // What is no text cannot stand in one.
        found.extend(str::from_utf8(password.bytes()).map(str::to_owned));
    }
    found.retain(|secret| secret.len() > 3);
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

/// The begin says what it is about and the end what happened last: the middle goes.
pub(super) fn bounded(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let cut = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (head, tail) = (cut(most / 4), cut(text.len() - most / 2));
    format!("{}\n[...]\n{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BrokerSetup, CsmsSetup, HaSetup, MqttSetup, MqttVersion, Secret, SparkplugSetup};
    use std::time::Duration;

    #[test]
    fn addresses_lose_their_passwords() {
        for (line, shown) in [
            ("to ftp://u:p@h/d now", "to ftp://***@h/d now"),
            ("url = \"ws://u:p@h/ocpp\"", "url = \"ws://***@h/ocpp\""),
            ("(https://h/d?sig=1), then", "(https://h/d?***), then"),
            ("no address:// here", "no address:// here"),
            ("ends with ://", "ends with ://"),
        ] {
            assert_eq!(without_addresses(line), shown);
        }
    }

    #[test]
    fn the_latest_events_are_told_by_what_is_known_of_the_time() {
        let entry = |n: usize| SecurityEntry {
            n: i64::try_from(n).unwrap(),
            cp: crate::domain::CpId::new("CP1"),
            at: crate::domain::Stamp::default(),
            unix_ms: 1_790_000_000_000,
            name: "StartupOfTheDevice".to_owned(),
            info: None,
        };
        let text = security_lines(&(1..=EVENTS + 1).map(entry).collect::<Vec<_>>());
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((lines.len(), &lines[0]["n"]), (EVENTS, &2.into()));
        assert_eq!(lines[0]["timestamp"], "2026-09-21T14:13:20Z");
        assert_eq!(lines[0]["certain"], true);
        assert_eq!(security_lines(&[]), "");
    }

    #[test]
    fn settings_that_are_secrets_are_hidden() {
        for key in ["id_token", "tags", "password", "\"AuthorizationKey\""] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["url", "MeterValueSampleInterval", "the password of somebody"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn the_passwords_of_every_back_end_are_hidden_wherever_they_stand() {
        let broker = |password: &str| BrokerSetup {
            host: "broker".to_owned(),
            port: 1883,
            tls: false,
            client_id: "gw".to_owned(),
            user: Some("gw".to_owned()),
            password: Some(Secret::new(password)),
            ca_file: None,
            identity: None,
            version: MqttVersion::Auto,
            keep_alive: Duration::from_secs(30),
        };
        let mut cp = crate::runtime::tests::charge_point();
        cp.csms.push(CsmsSetup {
            security: Security::Basic {
                password: "of-the-csms".to_owned(),
            },
            ..crate::runtime::tests::csms()
        });
        let setup = SiteSetup {
            charge_points: vec![cp],
            mqtt: Some(MqttSetup {
                broker: broker("of-the-broker"),
                prefix: "retrovolt".to_owned(),
                gateway: "gw".to_owned(),
                refresh: Duration::from_secs(60),
                flat: false,
                keep_records: Duration::from_secs(86_400),
                commands: None,
                ha: HaSetup::default(),
            }),
            sparkplug: Some(SparkplugSetup {
                brokers: vec![broker("of-the-first-host"), broker("of-the-second-host")],
                group: "site".to_owned(),
                edge_node: "gw".to_owned(),
                host_id: None,
                aliases: false,
                commands: false,
                retry: (Duration::from_secs(1), Duration::from_secs(60)),
            }),
            ..SiteSetup::default()
        };
        for secret in ["csms", "broker", "first-host", "second-host"] {
            let line = format!("refused (user gw, password of-the-{secret})");
            assert_eq!(
                without_secrets(&line, &setup),
                "refused (user gw, password ***)",
                "{secret}"
            );
        }
    }

    #[test]
    fn tokens_in_a_state_are_hidden() {
        let value = serde_json::json!({"evses": [{"tx": {"token": {"text": "04A1B2"}, "id": "x"}}, {"tx": {"token": null}}]});
        let shown = hide_tokens(value).to_string();
        assert!(!shown.contains("04A1B2") && shown.contains("null"), "{shown}");
    }

    #[test]
    fn a_text_that_is_too_long_keeps_begin_and_end() {
        let text = format!("begin{}end", "ü".repeat(MOST_BYTES));
        let cut = bounded(text, MOST_BYTES);
        assert!(cut.len() <= MOST_BYTES && cut.starts_with("begin") && cut.ends_with("end"));
    }

    #[test]
    fn only_lines_of_the_window_count() {
        let ring = super::super::ring::Ring::new();
        ring.push(tracing::Level::INFO, "hello".to_owned());
        let all = ring.all();
        let now = Instant::now() + Duration::from_secs(10);
        let window = |oldest, latest| Window {
            oldest_ms: oldest,
            latest_ms: latest,
        };
        let day = 86_400_000_000;
        assert_eq!(log_lines(&all, now, day, window(None, None)).1, 1);
        assert_eq!(log_lines(&all, now, day, window(Some(day), None)).1, 0);
        assert_eq!(log_lines(&all, now, day, window(None, Some(day - 20_000))).1, 0);
        let (text, _) = log_lines(&all, now, day, window(Some(day - 11_000), Some(day)));
        assert!(text.contains("INFO  hello"), "{text}");
    }
}
