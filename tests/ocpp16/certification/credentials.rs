//! Passwords, security profile and certificates: 073 to 077 and 083 to 085. What needs a handshake is told over sockets in
//! `tests/uplink/tls.rs` (078, 086, 087), and all of it at once by the real process in `tests/gateway/secure_csms.rs`.

use crate::stack::{Authority, Csms, GOOD, Stack, site};
use retrovolt::domain::{CpSetup, Security};
use serde_json::json;

const OLD: &str = "the-old-password";
const NEW: &str = "the-new-password";

/// A charge point with a password, and a CSMS that wants it.
fn with_password(url: &str) -> CpSetup {
    let mut cp = site(1);
    cp.csms[0].url = url.to_owned();
    cp.csms[0].security = Security::Basic {
        password: OLD.to_owned(),
    };
    cp.keys.insert("CpoName".into(), "Operator".into());
    cp
}

fn profile(number: u8) -> Stack {
    let url = if number == 1 { "ws" } else { "wss" };
    let mut s = Stack::new(with_password(&format!("{url}://localhost/CP1")));
    s.csms.password = Some(OLD.into());
    s.run(5);
    s.look();
    s
}

fn change(s: &mut Stack, key: &str, value: &str) {
    s.ask("ChangeConfiguration", json!({"key": key, "value": value}));
}

fn told(s: &mut Stack, key: &str) -> String {
    s.look();
    s.ask("GetConfiguration", json!({"key": [key]}));
    s.look().concat()
}

fn install(s: &mut Stack, usage: &str, pem: &str, status: &str) {
    let usage = format!("{usage}RootCertificate");
    s.look();
    s.ask(
        "InstallCertificate",
        json!({"certificateType": usage, "certificate": pem}),
    );
    let lines = s.look().concat();
    assert!(
        lines.contains(&format!("= InstallCertificate {status}")),
        "{lines}"
    );
}

/// What is installed, as the CSMS hears it.
fn installed(s: &mut Stack, usage: &str) -> Vec<serde_json::Value> {
    let usage = format!("{usage}RootCertificate");
    s.look();
    s.ask("GetInstalledCertificateIds", json!({"certificateType": usage}));
    let line = s.look().concat();
    let payload = line
        .split_once("GetInstalledCertificateIds ")
        .expect("an answer")
        .1;
    match serde_json::from_str::<serde_json::Value>(payload) {
        Ok(payload) => payload["certificateHashData"].as_array().expect("hashes").clone(),
        Err(_) => {
            assert_eq!(payload, "NotFound");
            Vec::new()
        }
    }
}

/// A request for a certificate, asked for by the CSMS.
fn csr(s: &mut Stack) -> String {
    s.look();
    s.ask(
        "ExtendedTriggerMessage",
        json!({"requestedMessage": "SignChargePointCertificate"}),
    );
    s.expect(
        "+0 = ExtendedTriggerMessage Accepted
         +0 SignCertificate",
    );
    s.csms.heard["SignCertificate"]["csr"]
        .as_str()
        .expect("a request")
        .to_owned()
}

#[test]
fn case_073_a_new_password_is_used_for_the_next_connection() {
    let mut s = profile(1);
    change(&mut s, "AuthorizationKey", NEW);
    s.csms.password = Some(NEW.into());
    s.run(5);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 link of profile 1
         +2 Security ReconfigurationOfSecurityParameters
         +2 Security ReconfigurationOfSecurityParameters",
    );
    s.restart(5);
    s.run(5);
    assert!(
        s.look().concat().contains("+5 link of profile 1"),
        "it outlives a restart"
    );
    let seen = s.csms.seen.clone().expect("a connection");
    assert_eq!(seen.password.expect("a password").bytes(), NEW.as_bytes());
}

#[test]
fn case_073_hexadecimal_digits_are_sent_as_the_bytes_they_stand_for() {
    let mut s = profile(2);
    change(&mut s, "authorizationkey", &"00fE".repeat(10));
    s.csms.password = Some([0x00, 0xfe].repeat(10));
    s.run(5);
    assert!(s.look().concat().contains("link of profile 2"));
}

#[test]
fn a_refused_new_password_is_given_up_for_the_old_one_and_work_goes_on() {
    let mut s = profile(1);
    change(&mut s, "AuthorizationKey", NEW);
    s.run(8);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 no link: 401
         +4 link of profile 1
         +4 Security ReconfigurationOfSecurityParameters
         +4 Security FailedToAuthenticateAtCentralSystem
         +4 Security ReconfigurationOfSecurityParameters",
    );
    s.charge(1, "A");
    s.restart(5);
    s.run(3);
    let lines = s.look().concat();
    assert!(
        lines.contains("link of profile 1") && !lines.contains("401"),
        "{lines}"
    );
}

#[test]
fn a_new_password_that_was_never_tried_is_tried_after_a_power_cut() {
    let mut s = profile(1);
    s.csms.password = Some(NEW.into());
    change(&mut s, "AuthorizationKey", NEW);
    s.restart(5);
    s.run(3);
    let lines = s.look().concat();
    assert!(
        lines.contains("link of profile 1") && !lines.contains("401"),
        "{lines}"
    );
}

#[test]
fn an_outage_does_not_decide_between_passwords() {
    let mut s = profile(1);
    change(&mut s, "AuthorizationKey", NEW);
    s.csms.password = Some(b"neither of the two".to_vec());
    s.run(30);
    s.csms.password = Some(NEW.into());
    s.run(5);
    assert!(s.look().concat().contains("link of profile 1"));
    let seen = s.csms.seen.clone().expect("a connection");
    assert_eq!(seen.password.expect("a password").bytes(), NEW.as_bytes());
}

#[test]
fn a_password_is_never_told_and_in_no_form_that_is_none_taken() {
    let mut s = profile(1);
    for bad in ["", "short", &"x".repeat(41), &"0".repeat(42), "fifteen letters"] {
        s.asked(
            "ChangeConfiguration",
            json!({"key": "AuthorizationKey", "value": bad}),
            "Rejected",
        );
    }
    assert_eq!(
        told(&mut s, "AuthorizationKey"),
        "+0 = GetConfiguration {\"unknownKey\":[\"AuthorizationKey\"]}"
    );
    s.look();
    s.ask("GetConfiguration", json!({}));
    let all = s.look().concat();
    assert!(!all.contains("AuthorizationKey") && !all.contains(OLD), "{all}");
}

#[test]
fn a_password_lies_in_a_file_of_its_own_and_nowhere_else() {
    let mut s = profile(1);
    s.csms.password = Some(NEW.into());
    change(&mut s, "AuthorizationKey", NEW);
    s.run(5);
    assert!(!s.on_disk().contains(NEW), "the ledger");
    let hex: String = NEW.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!s.on_disk().contains(&hex));
    assert!(!format!("{:?}", s.csms.seen).contains(NEW));
    assert!(!s.look().concat().contains(NEW));
}

#[test]
fn without_a_password_one_is_kept_for_the_profile_to_come() {
    let mut s = Stack::ready(1);
    s.asked(
        "ChangeConfiguration",
        json!({"key": "SecurityProfile", "value": "1"}),
        "Rejected",
    );
    s.asked(
        "ChangeConfiguration",
        json!({"key": "AuthorizationKey", "value": NEW}),
        "Accepted\n+0 Security ReconfigurationOfSecurityParameters",
    );
    s.csms.password = Some(NEW.into());
    s.csms.least_profile = 1;
    change(&mut s, "SecurityProfile", "1");
    s.run(5);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 link of profile 1
         +2 Security ReconfigurationOfSecurityParameters
         +2 Security ReconfigurationOfSecurityParameters",
    );
}

#[test]
fn case_083_a_higher_profile_is_reached_when_everything_it_needs_is_there() {
    let root = Authority::new("Root");
    let mut s = profile(1);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    change(&mut s, "SecurityProfile", "2");
    s.csms.least_profile = 2;
    s.run(5);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 link of profile 2
         +2 Security ReconfigurationOfSecurityParameters
         +2 Security ReconfigurationOfSecurityParameters",
    );
    assert_eq!(
        s.csms.seen.clone().expect("a connection").url,
        "wss://localhost/CP1"
    );
    assert!(told(&mut s, "SecurityProfile").contains("\"value\":\"2\""));
    s.restart(5);
    s.run(3);
    assert!(
        s.look().concat().contains("link of profile 2"),
        "it outlives a restart"
    );
    for lower in ["0", "1", "2"] {
        s.asked(
            "ChangeConfiguration",
            json!({"key": "SecurityProfile", "value": lower}),
            "Rejected",
        );
    }
}

#[test]
fn case_084_a_profile_that_lacks_something_is_rejected() {
    let mut s = profile(1);
    for (value, why) in [
        ("0", "lower"),
        ("1", "the same"),
        ("2", "no root"),
        ("3", "no certificate"),
        ("4", "none"),
    ] {
        s.look();
        change(&mut s, "SecurityProfile", value);
        assert_eq!(s.look(), ["+0 = ChangeConfiguration Rejected"], "{why}");
    }
    assert!(told(&mut s, "SecurityProfile").contains("\"value\":\"1\""));
    let root = Authority::new("Root");
    install(&mut s, "Manufacturer", &root.pem, "Accepted");
    s.asked(
        "ChangeConfiguration",
        json!({"key": "SecurityProfile", "value": "2"}),
        "Rejected",
    );
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    s.asked(
        "ChangeConfiguration",
        json!({"key": "SecurityProfile", "value": "3"}),
        "Rejected",
    );
    s.run(60);
    assert!(s.look().is_empty(), "the link stays");
}

#[test]
fn a_profile_that_does_not_come_about_is_given_up_for_the_old_one() {
    let root = Authority::new("Root");
    let mut s = profile(1);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    s.csms.no_tls = true;
    change(&mut s, "SecurityProfile", "2");
    s.run(8);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 no link: TLS
         +4 link of profile 1
         +4 Security ReconfigurationOfSecurityParameters
         +4 Security ReconfigurationOfSecurityParameters",
    );
    assert!(told(&mut s, "SecurityProfile").contains("\"value\":\"1\""));
    s.csms.no_tls = false;
    change(&mut s, "SecurityProfile", "2");
    s.run(5);
    assert!(
        s.look().concat().contains("link of profile 2"),
        "another try is free"
    );
}

#[test]
fn a_profile_that_was_reached_is_never_left_again() {
    let root = Authority::new("Root");
    let mut s = profile(1);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    change(&mut s, "SecurityProfile", "2");
    s.run(5);
    s.csms.no_tls = true;
    s.cut();
    s.mend();
    s.run(120);
    s.restart(5);
    s.run(60);
    let lines = s.look().concat();
    assert!(!lines.contains("link of profile 1"), "{lines}");
    assert!(s.csms.seen.clone().expect("an attempt").url.starts_with("wss:"));
}

#[test]
fn case_074_a_certificate_is_requested_signed_and_in_use_by_profile_3() {
    let root = Authority::new("Root");
    let mut s = profile(2);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let request = csr(&mut s);
    let signed = root.sign(&request, GOOD);
    s.asked(
        "CertificateSigned",
        json!({"certificateChain": signed}),
        "Accepted\n+0 Security ReconfigurationOfSecurityParameters",
    );
    change(&mut s, "SecurityProfile", "3");
    s.run(5);
    s.expect(
        "+0 = ChangeConfiguration Accepted
         +0 close 1000
         +2 link of profile 3
         +2 Security ReconfigurationOfSecurityParameters
         +2 Security ReconfigurationOfSecurityParameters",
    );
    assert_eq!(s.csms.seen.clone().expect("a connection").chain, Some(signed));
    s.asked(
        "ChangeConfiguration",
        json!({"key": "AuthorizationKey", "value": NEW}),
        "Rejected",
    );
    // The next one is used at once.
    let next = root.sign(&csr(&mut s), (2026, 2070));
    s.ask("CertificateSigned", json!({"certificateChain": next}));
    s.run(5);
    let lines = s.look().concat();
    assert!(
        lines.contains("CertificateSigned Accepted") && lines.contains("link of profile 3"),
        "{lines}"
    );
    assert_eq!(s.csms.seen.clone().expect("a connection").chain, Some(next));
}

#[test]
fn a_request_names_the_charge_point_and_the_operator() {
    let mut cp = with_password("ws://localhost/CP1");
    cp.serial = Some("SN-0815".into());
    let mut s = Stack::new(cp);
    s.csms.password = Some(OLD.into());
    s.run(5);
    let request = csr(&mut s);
    let params = rcgen::CertificateSigningRequestParams::from_pem(&request).expect("a request");
    let name = params.params.distinguished_name;
    let text = |kind| format!("{:?}", name.get(&kind).expect("a part of the name"));
    assert!(text(rcgen::DnType::CommonName).contains("SN-0815"));
    assert!(text(rcgen::DnType::OrganizationName).contains("Operator"));
    assert!(request.len() <= 5_500);
    s.set("CpoName", "");
    s.asked(
        "ExtendedTriggerMessage",
        json!({"requestedMessage": "SignChargePointCertificate"}),
        "Rejected",
    );
}

#[test]
fn case_077_a_signed_certificate_that_is_not_good_is_an_event_and_changes_nothing() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    let mut s = profile(2);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let refused = "Rejected\n+0 Security InvalidChargePointCertificate";
    s.asked(
        "CertificateSigned",
        json!({"certificateChain": root.pem}),
        refused,
    );
    let first = csr(&mut s);
    let second = csr(&mut s);
    for (bad, why) in [
        (stranger.sign(&second, GOOD), "an unknown authority"),
        (root.sign(&first, GOOD), "a key given up"),
        (root.sign(&second, (2020, 2026)), "expired"),
        ("nonsense".to_owned(), "no PEM"),
    ] {
        s.look();
        s.ask("CertificateSigned", json!({"certificateChain": bad}));
        let lines = s.look().concat();
        assert!(
            lines.contains("InvalidChargePointCertificate") && lines.contains("Rejected"),
            "{why}: {lines}"
        );
    }
    s.asked(
        "CertificateSigned",
        json!({"certificateChain": "x".repeat(10_001)}),
        "!PropertyConstraintViolation",
    );
    s.look();
    s.ask(
        "CertificateSigned",
        json!({"certificateChain": root.sign(&second, GOOD)}),
    );
    assert!(
        s.look().concat().contains("CertificateSigned Accepted"),
        "the key still waits"
    );
}

#[test]
fn a_new_certificate_that_the_csms_refuses_is_given_up_for_the_old_one() {
    let root = Authority::new("Root");
    let mut s = profile(2);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let first = root.sign(&csr(&mut s), GOOD);
    s.ask("CertificateSigned", json!({"certificateChain": first}));
    change(&mut s, "SecurityProfile", "3");
    s.run(5);
    s.csms.certificate = Some(first.clone());
    let second = root.sign(&csr(&mut s), GOOD);
    s.ask("CertificateSigned", json!({"certificateChain": second}));
    s.run(8);
    s.expect(
        "+0 = CertificateSigned Accepted
         +0 close 1000
         +2 no link: 401
         +4 link of profile 3
         +4 Security ReconfigurationOfSecurityParameters
         +4 Security FailedToAuthenticateAtCentralSystem
         +4 Security ReconfigurationOfSecurityParameters",
    );
    assert_eq!(s.csms.seen.clone().expect("a connection").chain, Some(first));
}

#[test]
fn a_certificate_that_begins_later_is_used_from_then_on() {
    let root = Authority::new("Root");
    let mut s = profile(2);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let first = root.sign(&csr(&mut s), GOOD);
    s.ask("CertificateSigned", json!({"certificateChain": first}));
    change(&mut s, "SecurityProfile", "3");
    s.run(5);
    let later = root.sign(&csr(&mut s), (2027, 2070));
    s.asked(
        "CertificateSigned",
        json!({"certificateChain": later}),
        "Accepted\n+0 Security ReconfigurationOfSecurityParameters",
    );
    s.cut();
    s.mend();
    s.run(5);
    assert_eq!(s.csms.seen.clone().expect("a connection").chain, Some(first));
    s.look();
    s.restart(120 * 24 * 3_600);
    s.run(3);
    assert_eq!(s.csms.seen.clone().expect("a connection").chain, Some(later));
}

#[test]
fn a_certificate_is_renewed_a_month_before_it_ends() {
    let root = Authority::new("Root");
    let mut s = profile(2);
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    // The story begins on 2026-09-21.
    let first = root.sign(&csr(&mut s), (2026, 2027));
    s.ask("CertificateSigned", json!({"certificateChain": first}));
    change(&mut s, "SecurityProfile", "3");
    s.run(60);
    assert!(!s.look().concat().contains("SignCertificate"), "there is time");
    s.restart(75 * 24 * 3_600);
    s.run(10);
    assert!(s.look().concat().contains("SignCertificate"));
    s.run(3_500);
    assert!(!s.look().concat().contains("SignCertificate"));
    s.run(120);
    assert!(s.look().concat().contains("SignCertificate"), "after an hour");
    s.run(7_000);
    assert!(!s.look().concat().contains("SignCertificate"), "then after two");
    let next = root.sign(
        s.csms.heard["SignCertificate"]["csr"]
            .as_str()
            .expect("a request"),
        GOOD,
    );
    s.ask("CertificateSigned", json!({"certificateChain": next}));
    s.run(20_000);
    let lines = s.look().concat();
    assert!(
        lines.contains("link of profile 3") && !lines.contains("SignCertificate"),
        "{lines}"
    );
}

#[test]
fn case_075_roots_of_both_kinds_are_installed_and_told() {
    let (manufacturer, root) = (Authority::new("Manufacturer"), Authority::new("Root"));
    let mut s = profile(1);
    assert!(installed(&mut s, "CentralSystem").is_empty());
    assert!(installed(&mut s, "Manufacturer").is_empty());
    install(&mut s, "Manufacturer", &manufacturer.pem, "Accepted");
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let told = installed(&mut s, "CentralSystem");
    assert_eq!(told.len(), 1, "the same one twice is one");
    assert_eq!(told[0]["hashAlgorithm"], "SHA256");
    assert_ne!(told, installed(&mut s, "Manufacturer"));
    s.restart(5);
    s.run(3);
    assert_eq!(installed(&mut s, "CentralSystem"), told);
}

#[test]
fn what_is_no_valid_root_is_rejected() {
    let root = Authority::new("Root");
    let mut s = profile(1);
    let old = Authority::valid("Old", (2020, 2026)).pem;
    let both = format!("{}{}", root.pem, Authority::new("Other").pem);
    for bad in ["", "nonsense", &root.below("Lower"), &old, &both] {
        install(&mut s, "CentralSystem", bad, "Rejected");
        install(&mut s, "Manufacturer", bad, "Rejected");
    }
    assert!(installed(&mut s, "CentralSystem").is_empty());
}

#[test]
fn there_is_room_for_ten_roots() {
    let mut s = profile(1);
    assert!(told(&mut s, "CertificateStoreMaxLength").contains("\"value\":\"10\""));
    for number in 0..10 {
        install(
            &mut s,
            "Manufacturer",
            &Authority::new(&format!("Root {number}")).pem,
            "Accepted",
        );
    }
    install(
        &mut s,
        "CentralSystem",
        &Authority::new("One more").pem,
        "Rejected",
    );
    assert_eq!(installed(&mut s, "Manufacturer").len(), 10);
}

#[test]
fn case_076_a_root_is_deleted_but_not_the_one_in_use() {
    let (root, other) = (Authority::new("Root"), Authority::new("Other"));
    let mut s = profile(2);
    s.csms.chain = vec![root.server("localhost")];
    install(&mut s, "CentralSystem", &other.pem, "Accepted");
    let unused = installed(&mut s, "CentralSystem").pop().expect("a hash");
    install(&mut s, "CentralSystem", &root.pem, "Accepted");
    let used = installed(&mut s, "CentralSystem")
        .into_iter()
        .find(|hash| *hash != unused)
        .expect("two hashes");
    s.cut();
    s.mend();
    s.run(5);
    let delete = |s: &mut Stack, hash: &serde_json::Value| {
        s.look();
        s.ask("DeleteCertificate", json!({"certificateHashData": hash}));
        s.look().concat()
    };
    assert!(delete(&mut s, &used).contains("DeleteCertificate Failed"));
    assert!(delete(&mut s, &unused).contains("DeleteCertificate Accepted"));
    assert!(delete(&mut s, &unused).contains("DeleteCertificate NotFound"));
    assert_eq!(installed(&mut s, "CentralSystem"), std::slice::from_ref(&used));
    let mut stranger = used;
    stranger["serialNumber"] = json!("ABC");
    assert!(delete(&mut s, &stranger).contains("DeleteCertificate NotFound"));
}

#[test]
fn case_085_a_wrong_password_is_an_event() {
    let mut s = Stack::new(with_password("ws://localhost/CP1"));
    s.csms.password = Some(NEW.into());
    s.run(5);
    s.csms.password = Some(OLD.into());
    s.run(5);
    let lines = s.look().concat();
    assert!(
        lines.contains("no link: 401") && lines.contains("link of profile 1"),
        "{lines}"
    );
    assert!(
        lines.contains("Security FailedToAuthenticateAtCentralSystem"),
        "{lines}"
    );
    assert_eq!(Csms::words(&retrovolt::uplink::ConnectError::Unauthorized), "401");
}
