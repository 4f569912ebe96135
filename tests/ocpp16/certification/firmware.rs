//! Firmware 044_1/2/3, and the signed one of the whitepaper, 080 and 081 (L01).

use crate::stack::{Stack, site};
use retrovolt::domain::{FirmwareKind, FirmwareSetup, InstallerSaid, TransferError};
use serde_json::{Value, json};
use std::time::Duration;

/// A site with firmware; `signed`: only with a signature.
fn ready(signed: bool, waits_for_sessions: bool) -> Stack {
    let mut cp = site(1);
    cp.firmware = Some(FirmwareSetup {
        spool: "/spool".into(),
        kind: FirmwareKind::Charger,
        roots: signed.then(|| "/roots.pem".into()),
        max_bytes: 1_000_000,
        waits_for_sessions,
        install_timeout: Duration::from_secs(600),
    });
    Stack::of(cp)
}

fn order(retrieve: &str) -> Value {
    json!({
        "location": "ftp://op:secret@files.example.com/fw.bin", "retrieveDate": retrieve,
        "retries": 1, "retryInterval": 10
    })
}

fn signed(id: i32, retrieve: &str, install: Option<&str>) -> Value {
    let mut firmware = json!({
        "location": "https://files.example.com/fw.bin", "retrieveDateTime": retrieve,
        "signingCertificate": "-----BEGIN CERTIFICATE-----", "signature": "c2lnbmVk"
    });
    if let Some(install) = install {
        firmware["installDateTime"] = json!(install);
    }
    json!({"requestId": id, "retries": 0, "firmware": firmware})
}

const PAST: &str = "2026-09-21T11:00:00Z";

#[test]
fn firmware_is_fetched_handed_over_and_installed() {
    let mut s = ready(false, false);
    s.ask("UpdateFirmware", order(PAST));
    s.run(30);
    s.expect(
        "+0 = UpdateFirmware {}
         +0 > download CP1-1 from ftp://***@files.example.com/fw.bin
         +0 Firmware Downloading
         +3 > hand over CP1-1
         +3 Firmware Downloaded
         +4 Firmware Installing
         +23 > discard CP1-1
         +23 Security FirmwareUpdated
         +23 Firmware Installed",
    );
}

#[test]
fn a_download_waits_for_its_date_and_is_told_as_failed_after_its_repeats() {
    let mut s = ready(false, false);
    let gone = || Some(TransferError::Missing("550".to_owned()));
    s.porter.goes.extend([gone(), gone()]);
    s.ask("UpdateFirmware", order("2026-09-21T12:01:05Z"));
    s.run(120);
    s.expect(
        "+0 = UpdateFirmware {}
         +60 > download CP1-1 from ftp://***@files.example.com/fw.bin
         +60 Firmware Downloading
         +73 > download CP1-1 from ftp://***@files.example.com/fw.bin
         +76 > discard CP1-1
         +76 Firmware DownloadFailed",
    );
}

#[test]
fn an_installation_that_fails_or_says_nothing_is_told_as_failed() {
    let mut s = ready(false, false);
    s.porter.installer = vec![(5_000, InstallerSaid::Failed("no".to_owned()))];
    s.ask("UpdateFirmware", order(PAST));
    s.run(20);
    s.expect(
        "+0 = UpdateFirmware {}
         +0 > download CP1-1 from ftp://***@files.example.com/fw.bin
         +0 Firmware Downloading
         +3 > hand over CP1-1
         +3 Firmware Downloaded
         +8 > discard CP1-1
         +8 Firmware Installing
         +8 Firmware InstallationFailed",
    );
    s.porter.installer = Vec::new();
    s.ask("UpdateFirmware", order(PAST));
    s.run(700);
    s.expect(
        "+0 = UpdateFirmware {}
         +0 > download CP1-2 from ftp://***@files.example.com/fw.bin
         +0 Firmware Downloading
         +3 > hand over CP1-2
         +3 Firmware Downloaded
         +603 > discard CP1-2
         +603 Firmware InstallationFailed",
    );
}

#[test]
fn a_signed_update_is_checked_before_and_after_the_download() {
    let mut s = ready(true, false);
    s.ask("SignedUpdateFirmware", signed(80, PAST, None));
    s.run(30);
    s.expect(
        "+0 > check certificate
         +0 = SignedUpdateFirmware Accepted
         +0 > download CP1-1 from https://files.example.com/fw.bin
         +0 SignedFirmware #80 Downloading
         +3 > verify CP1-1
         +3 SignedFirmware #80 Downloaded
         +3 > hand over CP1-1
         +3 SignedFirmware #80 SignatureVerified
         +4 SignedFirmware #80 Installing
         +23 > discard CP1-1
         +23 Security FirmwareUpdated
         +23 SignedFirmware #80 Installed",
    );
}

#[test]
fn a_bad_signature_ends_it_and_is_a_security_event() {
    let mut s = ready(true, false);
    s.porter.refuses_signature = true;
    s.ask("SignedUpdateFirmware", signed(81, PAST, None));
    s.run(30);
    s.expect(
        "+0 > check certificate
         +0 = SignedUpdateFirmware Accepted
         +0 > download CP1-1 from https://files.example.com/fw.bin
         +0 SignedFirmware #81 Downloading
         +3 > verify CP1-1
         +3 SignedFirmware #81 Downloaded
         +3 > discard CP1-1
         +3 SignedFirmware #81 InvalidSignature
         +3 Security InvalidFirmwareSignature",
    );
}

#[test]
fn a_certificate_of_nobody_we_trust_is_refused_and_is_a_security_event() {
    let mut s = ready(true, false);
    s.porter.refuses_certificate = true;
    s.ask("SignedUpdateFirmware", signed(82, PAST, None));
    s.run(30);
    s.expect(
        "+0 > check certificate
         +0 = SignedUpdateFirmware InvalidCertificate
         +0 Security InvalidFirmwareSigningCertificate",
    );
}

#[test]
fn both_dates_of_a_signed_update_are_kept_over_a_restart() {
    let mut s = ready(true, false);
    let order = signed(5, "2026-09-21T12:00:35Z", Some("2026-09-21T12:02:05Z"));
    s.ask("SignedUpdateFirmware", order);
    s.run(10);
    s.restart(1);
    s.run(40);
    let told: Vec<String> = s
        .look()
        .into_iter()
        .filter(|line| line.contains("Firmware"))
        .collect();
    assert_eq!(
        told,
        [
            "+0 = SignedUpdateFirmware Accepted",
            "+0 SignedFirmware #5 DownloadScheduled",
            "+30 SignedFirmware #5 Downloading",
            "+33 SignedFirmware #5 Downloaded",
            "+33 SignedFirmware #5 SignatureVerified",
            "+33 SignedFirmware #5 InstallScheduled",
        ]
    );
    s.restart(4);
    s.run(100);
    let told: Vec<String> = s
        .look()
        .into_iter()
        .filter(|line| line.contains("Firmware"))
        .collect();
    assert_eq!(
        told,
        [
            "+70 SignedFirmware #5 Installing",
            "+89 Security FirmwareUpdated",
            "+89 SignedFirmware #5 Installed",
        ]
    );
}

#[test]
fn an_installation_goes_on_over_a_restart_and_an_outage() {
    let mut s = ready(false, false);
    s.ask("UpdateFirmware", order(PAST));
    s.run(10);
    s.look();
    s.cut();
    s.restart(5);
    s.run(30);
    let lines = s.look();
    assert!(
        lines.iter().any(|line| line.ends_with("> watch CP1-1")),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|line| line.contains(" Firmware ")), "{lines:?}");
    s.mend();
    s.run(5);
    let told: Vec<String> = s
        .look()
        .into_iter()
        .filter(|line| line.contains("Firmware "))
        .collect();
    assert_eq!(told, ["+2 Firmware Installed"]);
    assert_eq!(s.untold(), 0);
}

#[test]
fn a_kill_in_a_download_begins_it_anew() {
    let mut s = ready(false, false);
    s.porter.takes = 30_000;
    s.ask("UpdateFirmware", order(PAST));
    s.run(5);
    s.look();
    s.restart(5);
    s.run(40);
    let told: Vec<String> = s
        .look()
        .into_iter()
        .filter(|line| line.contains("CP1-1") || line.contains("Firmware "))
        .collect();
    assert_eq!(
        told,
        [
            "+5 > download CP1-1 from ftp://***@files.example.com/fw.bin",
            "+35 > hand over CP1-1",
            "+35 Firmware Downloaded",
            "+36 Firmware Installing",
        ]
    );
}

#[test]
fn a_newer_update_takes_the_place_of_one_that_is_not_installed_yet() {
    let mut s = ready(true, false);
    s.porter.takes = 30_000;
    s.ask("SignedUpdateFirmware", signed(1, PAST, None));
    s.run(5);
    s.look();
    s.ask("SignedUpdateFirmware", signed(2, PAST, None));
    s.run(32);
    s.expect(
        "+0 > check certificate
         +0 > discard CP1-1
         +0 = SignedUpdateFirmware AcceptedCanceled
         +0 > download CP1-2 from https://files.example.com/fw.bin
         +0 SignedFirmware #2 Downloading
         +30 > verify CP1-2
         +30 SignedFirmware #2 Downloaded
         +30 > hand over CP1-2
         +30 SignedFirmware #2 SignatureVerified
         +31 SignedFirmware #2 Installing",
    );
    s.asked("SignedUpdateFirmware", signed(3, PAST, None), "Rejected");
    let mut s = ready(false, false);
    s.ask("UpdateFirmware", order(PAST));
    s.run(5);
    s.look();
    s.asked("UpdateFirmware", order(PAST), "!GenericError");
}

#[test]
fn charging_goes_on_unless_the_site_has_it_that_it_must_not() {
    let mut s = ready(false, false);
    s.charge(1, "A");
    s.ask("UpdateFirmware", order(PAST));
    s.run(30);
    let told = s.look().join("\n");
    assert!(told.contains("Firmware Installed") && s.offers(1), "{told}");

    let mut s = ready(false, true);
    s.charge(1, "A");
    s.ask("UpdateFirmware", order(PAST));
    s.run(10);
    s.expect(
        "+0 = UpdateFirmware {}
         +0 > download CP1-1 from ftp://***@files.example.com/fw.bin
         +0 Firmware Downloading
         +3 Firmware Downloaded",
    );
    assert!(s.offers(1));
    s.unplug(1);
    s.run(3);
    let told = s.look();
    let place = |what: &str| told.iter().position(|line| line.contains(what));
    assert!(place("Stop #1") < place("Firmware Installing"), "{told:?}");
    assert!(
        place("Stop #1").is_some() && place("> hand over").is_some(),
        "{told:?}"
    );
    assert!(place("Status 1 Unavailable").is_some(), "{told:?}");
    s.asked(
        "RemoteStartTransaction",
        json!({"connectorId": 1, "idTag": "B"}),
        "Rejected",
    );
    s.run(30);
    let told = s.look().join("\n");
    assert!(
        told.contains("Firmware Installed") && told.contains("Status 1 Available"),
        "{told}"
    );
    s.charge(1, "B");
}

#[test]
fn triggered_statuses_tell_the_truth() {
    let plain = || json!({"requestedMessage": "FirmwareStatusNotification"});
    let mut s = ready(false, false);
    s.asked("TriggerMessage", plain(), "Accepted\n+0 Firmware Idle");
    s.asked("ExtendedTriggerMessage", plain(), "NotImplemented");
    s.ask("UpdateFirmware", order(PAST));
    s.run(1);
    s.asked("TriggerMessage", plain(), "Accepted\n+0 Firmware Downloading");
    s.run(30);
    s.asked("TriggerMessage", plain(), "Accepted\n+0 Firmware Idle");

    let mut s = ready(true, false);
    s.asked(
        "ExtendedTriggerMessage",
        plain(),
        "Accepted\n+0 SignedFirmware Idle",
    );
    s.ask("SignedUpdateFirmware", signed(7, PAST, None));
    s.run(1);
    s.asked(
        "ExtendedTriggerMessage",
        plain(),
        "Accepted\n+0 SignedFirmware #7 Downloading",
    );
    s.asked("TriggerMessage", plain(), "Accepted\n+0 Firmware Downloading");
    s.run(30);
    s.asked(
        "ExtendedTriggerMessage",
        plain(),
        "Accepted\n+0 SignedFirmware Idle",
    );
    s.porter.refuses_signature = true;
    s.ask("SignedUpdateFirmware", signed(8, PAST, None));
    s.run(10);
    s.asked(
        "ExtendedTriggerMessage",
        plain(),
        "Accepted\n+0 SignedFirmware #8 InvalidSignature",
    );
    s.restart(5);
    s.run(5);
    s.asked(
        "ExtendedTriggerMessage",
        plain(),
        "Accepted\n+0 SignedFirmware #8 InvalidSignature",
    );
}

#[test]
fn what_the_site_has_not_declared_is_not_supported_and_not_advertised() {
    let profiles = json!({"key": ["SupportedFeatureProfiles"]});
    let told = |s: &mut Stack| {
        s.ask("GetConfiguration", profiles.clone());
        s.look().concat().contains("FirmwareManagement")
    };
    let mut s = Stack::ready(1);
    s.asked("UpdateFirmware", order(PAST), "!NotSupported");
    s.asked("SignedUpdateFirmware", signed(1, PAST, None), "!NotSupported");
    assert!(!told(&mut s));
    let mut s = ready(true, false);
    s.asked("UpdateFirmware", order(PAST), "!NotSupported");
    assert!(told(&mut s));
    let mut s = ready(false, false);
    s.asked("SignedUpdateFirmware", signed(1, PAST, None), "!NotSupported");
    assert!(told(&mut s));
}
