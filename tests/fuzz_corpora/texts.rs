//! Texts that people and CSMSs write: configurations, profiles, OCPP messages.

use super::mistakes::{GOOD, MISTAKES};
use super::valid::{any, below, pick};
use retrovolt::domain::Rng;
use std::path::Path;
use std::sync::OnceLock;

/// Values that are right in one place and wrong in another.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "255",
    "256",
    "65535",
    "65536",
    "1000000",
    "1e400",
    "0.1",
    "-0.001",
    "nan",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"1s\"",
    "\"0s\"",
    "\"10ms\"",
    "\"16A\"",
    "\"0A\"",
    "\"99999A\"",
    "\"l1\"",
    "\"ws://x/\"",
    "\"http://x\"",
    "\"u16\"",
    "\"f32\"",
    "\"i64\"",
    "\"string\"",
    "\"slow\"",
    "\"rw\"",
    "\"w\"",
    "\"even\"",
    "[]",
    "{}",
    "[1, 2]",
    "[\"a\", \"a\"]",
    "[[0, 10]]",
    "{ at = 1 }",
    "\"kWh\"",
    "\"energy_import\"",
    "\"limit\"",
    "\"A\"",
    "\"wallbox\"",
    "\"CP-1\"",
    "\"modbus\"",
    "\"charger\"",
    "\"meter\"",
    "1979-05-27",
    "\"\\u00e4\"",
];

/// A file with some lines left out, repeated, moved, or given another key or value.
fn edited(text: &str, others: &[String], most: u64, rng: &mut Rng) -> Vec<u8> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..rng.below(most) {
        let at = below(rng, lines.len().max(1));
        let Some(line) = lines.get(at).cloned() else { break };
        let other: Vec<&str> = pick(rng, others)
            .map(|text| text.lines().collect())
            .unwrap_or_default();
        match (rng.below(7), line.split_once(" = ")) {
            (0, _) => drop(lines.remove(at)),
            (1, _) => lines.insert(at, line),
            (2, _) => {
                let to = below(rng, lines.len());
                lines.swap(at, to);
            }
            (3, _) => lines.insert(
                at,
                pick(rng, &other).map_or_else(String::new, |line| (*line).to_owned()),
            ),
            (4, Some((_, value))) => {
                let key = pick(rng, &other)
                    .and_then(|line| line.split_once(" = "))
                    .map_or("key", |pair| pair.0);
                lines[at] = format!("{key} = {value}");
            }
            (5, _) => lines[at] = inner(&line, rng),
            (_, Some((key, _))) => lines[at] = format!("{key} = {}", any(rng, VALUES)),
            (_, None) => lines[at] = line.replacen(['s', 'e', '['], any(rng, &["", "x", "[", "]"]), 1),
        }
    }
    (lines.join("\n") + "\n").into_bytes()
}

/// Another value somewhere within a line, as in an inline table.
fn inner(line: &str, rng: &mut Rng) -> String {
    let mut parts: Vec<String> = line.split(", ").map(str::to_owned).collect();
    let at = below(rng, parts.len());
    match (
        rng.below(3),
        parts[at].rsplit_once(" = ").map(|(key, _)| key.to_owned()),
    ) {
        (0, _) if parts.len() > 1 => drop(parts.remove(at)),
        (_, Some(key)) => {
            let close = if at + 1 == parts.len() && line.ends_with('}') {
                " }"
            } else {
                ""
            };
            parts[at] = format!("{key} = {}{close}", any(rng, VALUES));
        }
        _ => parts.push(any(rng, VALUES).to_owned()),
    }
    parts.join(", ")
}

/// The shipped profiles.
fn profiles() -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
        let inside = |folder: &Path| {
            let mut paths: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            paths.sort();
            paths
        };
        let files = inside(&folder)
            .into_iter()
            .filter(|path| path.is_dir())
            .flat_map(|vendor| inside(&vendor));
        let mut texts: Vec<String> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        // The shortest ones have the same rules in fewer bytes.
        texts.sort_by_key(String::len);
        texts.retain(|text| text.len() < 4_000);
        texts
    })
}

/// A shipped profile with mistakes.
pub fn profile(rng: &mut Rng) -> Vec<u8> {
    let text = pick(rng, profiles()).unwrap();
    edited(text, profiles(), 5, rng)
}

/// A good configuration with mistakes, seeded ones among them.
pub fn config(rng: &mut Rng) -> Vec<u8> {
    let mut text = GOOD.to_owned();
    for _ in 0..rng.below(3) {
        let mistake = pick(rng, MISTAKES).unwrap();
        text = text.replacen(&mistake.find.replace('«', ""), &mistake.put.replace('«', ""), 1);
    }
    edited(&text, &[GOOD.to_owned()], 4, rng)
}

/// What a CSMS asks, in either version, with payloads that are right, wrong and of the other version.
const ACTIONS: &[&str] = &[
    r#"CancelReservation",{"reservationId":1}"#,
    r#"CertificateSigned",{"certificateChain":"x"}"#,
    r#"ChangeAvailability",{"connectorId":1,"type":"Inoperative"}"#,
    r#"ChangeAvailability",{"operationalStatus":"Inoperative"}"#,
    r#"ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}"#,
    r#"ChangeConfiguration",{"key":"HeartbeatInterval","value":"-1"}"#,
    r#"ChangeConfiguration",{"key":"AuthorizationKey","value":"short"}"#,
    r#"ChangeConfiguration",{"key":"NumberOfConnectors","value":"2"}"#,
    r#"ChangeConfiguration",{"key":"Nonsense","value":"2"}"#,
    r#"ClearCache",{}"#,
    r#"ClearChargingProfile",{"id":1}"#,
    r#"ClearChargingProfile",{}"#,
    r#"ClearVariableMonitoring",{"id":[1]}"#,
    r#"CustomerInformation",{"requestId":1,"report":true,"clear":false}"#,
    r#"DataTransfer",{"vendorId":"x","messageId":"y","data":"z"}"#,
    r#"DeleteCertificate",{"certificateHashData":{"hashAlgorithm":"SHA256","issuerNameHash":"a","issuerKeyHash":"b","serialNumber":"c"}}"#,
    r#"ExtendedTriggerMessage",{"requestedMessage":"Heartbeat"}"#,
    r#"GetBaseReport",{"requestId":1,"reportBase":"FullInventory"}"#,
    r#"GetChargingProfiles",{"requestId":1,"chargingProfile":{}}"#,
    r#"GetCompositeSchedule",{"connectorId":1,"duration":60}"#,
    r#"GetCompositeSchedule",{"evseId":1,"duration":60}"#,
    r#"GetConfiguration",{"key":["HeartbeatInterval","x"]}"#,
    r#"GetDiagnostics",{"location":"ftp://x/"}"#,
    r#"GetInstalledCertificateIds",{"certificateType":"CentralSystemRootCertificate"}"#,
    r#"GetLocalListVersion",{}"#,
    r#"GetLog",{"logType":"SecurityLog","requestId":1,"log":{"remoteLocation":"http://x/"}}"#,
    r#"GetReport",{"requestId":1}"#,
    r#"GetTransactionStatus",{"transactionId":"x"}"#,
    r#"GetVariables",{"getVariableData":[{"component":{"name":"OCPPCommCtrlr"},"variable":{"name":"HeartbeatInterval"}}]}"#,
    r#"GetVariables",{"getVariableData":[]}"#,
    r#"InstallCertificate",{"certificateType":"CentralSystemRootCertificate","certificate":"x"}"#,
    r#"RemoteStartTransaction",{"idTag":"A","connectorId":1}"#,
    r#"RemoteStartTransaction",{"idTag":"123456789012345678901"}"#,
    r#"RemoteStopTransaction",{"transactionId":1}"#,
    r#"RequestStartTransaction",{"remoteStartId":1,"idToken":{"idToken":"A","type":"Central"},"evseId":1}"#,
    r#"RequestStopTransaction",{"transactionId":"x"}"#,
    r#"ReserveNow",{"connectorId":1,"expiryDate":"2030-01-01T00:00:00Z","idTag":"A","reservationId":1}"#,
    r#"ReserveNow",{"id":1,"expiryDateTime":"2030-01-01T00:00:00Z","idToken":{"idToken":"A","type":"Central"}}"#,
    r#"Reset",{"type":"Hard"}"#,
    r#"Reset",{"type":"Immediate"}"#,
    r#"Reset",{"type":"Soon"}"#,
    r#"SendLocalList",{"listVersion":1,"updateType":"Full","localAuthorizationList":[{"idTag":"A"},{"idTag":"A"}]}"#,
    r#"SendLocalList",{"listVersion":2,"updateType":"Differential"}"#,
    r#"SendLocalList",{"versionNumber":1,"updateType":"Full"}"#,
    r#"SetChargingProfile",{"connectorId":1,"csChargingProfiles":{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxDefaultProfile","chargingProfileKind":"Relative","chargingSchedule":{"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":0,"limit":6.0}]}}}"#,
    r#"SetChargingProfile",{"evseId":1,"chargingProfile":{"id":1,"stackLevel":0,"chargingProfilePurpose":"TxDefaultProfile","chargingProfileKind":"Relative","chargingSchedule":[{"id":1,"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":0,"limit":6.0}]}]}}"#,
    r#"SetNetworkProfile",{"configurationSlot":1,"connectionData":{}}"#,
    r#"SetVariables",{"setVariableData":[{"attributeValue":"60","component":{"name":"OCPPCommCtrlr"},"variable":{"name":"HeartbeatInterval"}}]}"#,
    r#"SetVariables",{"setVariableData":[{"attributeValue":"x","component":{"name":"Nothing"},"variable":{"name":"Nothing"}}]}"#,
    r#"SignedUpdateFirmware",{"requestId":1,"firmware":{"location":"x","retrieveDateTime":"2030-01-01T00:00:00Z","signingCertificate":"x","signature":"x"}}"#,
    r#"TriggerMessage",{"requestedMessage":"BootNotification"}"#,
    r#"TriggerMessage",{"requestedMessage":"MeterValues","connectorId":1}"#,
    r#"TriggerMessage",{"requestedMessage":"StatusNotification","connectorId":9}"#,
    r#"UnlockConnector",{"connectorId":1}"#,
    r#"UnlockConnector",{"evseId":1,"connectorId":1}"#,
    r#"UpdateFirmware",{"location":"ftp://x/","retrieveDate":"2030-01-01T00:00:00Z"}"#,
    r#"BootNotification",{}"#,
    r#"Nonsense",{}"#,
    r#"Reset",null"#,
    r#"Reset",[]"#,
    r#"",{}"#,
];

/// What a CSMS answers, and what it should not.
const ANSWERS: &[&str] = &[
    r#"[3,"$",{"status":"Accepted","currentTime":"2026-11-25T12:00:00Z","interval":300}]"#,
    r#"[3,"$",{"status":"Accepted","currentTime":"2026-11-25T12:00:00.123456789+02:00","interval":0}]"#,
    r#"[3,"$",{"status":"Pending","currentTime":"2026-11-25T12:00:00Z","interval":1}]"#,
    r#"[3,"$",{"status":"Rejected","currentTime":"1970-01-01T00:00:00Z","interval":4294967296}]"#,
    r#"[3,"$",{"status":"Accepted","currentTime":"no time","interval":-1}]"#,
    r#"[3,"$",{"currentTime":"2026-11-25T12:00:00Z"}]"#,
    r#"[3,"$",{}]"#,
    r#"[3,"$",null]"#,
    r#"[3,"$"]"#,
    r#"[3,"other",{}]"#,
    r#"[4,"$","InternalError","busy",{}]"#,
    r#"[4,"$","NotSupported","",{}]"#,
    r#"[4,"$","OccurenceConstraintViolation",null]"#,
    r#"[4,"$"]"#,
    r#"[4,"-1","FormationViolation","",{}]"#,
    r#"[5,"x",{}]"#,
    r#"[6,"x","NotifyEvent",{}]"#,
    r#"[2,1,"Reset",{}]"#,
    r#"[2,"","Reset",{"type":"Soft"}]"#,
    r#"[2.0,"x","Reset",{}]"#,
    r#"["2","x","Reset",{}]"#,
    r#"{"x":[2,"x","Reset",{}]}"#,
    "[2,\"\u{e4}\u{1f50c}\",\"Reset\",{\"type\":\"Soft\"}]",
];

/// What a CSMS says after the boot, one message a line.
pub fn ocpp(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    if rng.below(5) > 0 {
        out += ANSWERS[below(rng, 3)];
        out.push('\n');
    }
    for call in 0..=rng.below(5) {
        if rng.below(4) == 0 {
            out += any(rng, ANSWERS);
        } else {
            // Now and then an id that was there before.
            let id = if rng.below(8) == 0 { 0 } else { call };
            out += &format!("[2,\"{id}\",\"{}]", any(rng, ACTIONS));
        }
        out.push('\n');
    }
    out.into_bytes()
}
