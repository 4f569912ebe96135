//! Diagnostics 045_1/2 and the logs of the whitepaper, 079 (N01).

use crate::stack::Stack;
use retrovolt::domain::TransferError;
use serde_json::{Value, json};

const NAME: &str = "CP1-diagnostics-20260921T120005Z.txt";
const SECURITY: &str = "CP1-security-20260921T120005Z.txt";

fn broken() -> Option<TransferError> {
    Some(TransferError::Broken("connection reset".to_owned()))
}

fn get_log(kind: &str, id: i32) -> Value {
    json!({
        "logType": kind, "requestId": id, "retries": 1, "retryInterval": 10,
        "log": {"remoteLocation": "ftp://op:secret@logs.example.com/in/"}
    })
}

#[test]
fn diagnostics_are_uploaded() {
    let mut s = Stack::ready(1);
    s.ask(
        "GetDiagnostics",
        json!({"location": "ftp://op:secret@logs.example.com/in/"}),
    );
    s.run(10);
    s.expect(&format!(
        "+0 > collect {NAME}
         +0 = GetDiagnostics {{\"fileName\":\"{NAME}\"}}
         +0 > upload {NAME} to ftp://***@logs.example.com/in/
         +0 Diagnostics Uploading
         +3 > drop {NAME}
         +3 Diagnostics Uploaded"
    ));
}

#[test]
fn an_upload_that_fails_is_tried_as_often_as_asked_and_then_told() {
    let mut s = Stack::ready(1);
    s.porter.goes.extend([broken(), broken(), broken()]);
    s.ask(
        "GetDiagnostics",
        json!({"location": "ftp://logs.example.com/in/", "retries": 2, "retryInterval": 20}),
    );
    s.run(60);
    s.expect(&format!(
        "+0 > collect {NAME}
         +0 = GetDiagnostics {{\"fileName\":\"{NAME}\"}}
         +0 > upload {NAME} to ftp://logs.example.com/in/
         +0 Diagnostics Uploading
         +23 > upload {NAME} to ftp://logs.example.com/in/
         +46 > upload {NAME} to ftp://logs.example.com/in/
         +49 > drop {NAME}
         +49 Diagnostics UploadFailed"
    ));
}

#[test]
fn a_retry_that_succeeds_makes_it_good() {
    let mut s = Stack::ready(1);
    s.porter.goes.extend([broken(), None]);
    s.ask("GetLog", get_log("DiagnosticsLog", 7));
    s.run(30);
    s.expect(&format!(
        "+0 > collect {NAME}
         +0 = GetLog {{\"filename\":\"{NAME}\",\"status\":\"Accepted\"}}
         +0 > upload {NAME} to ftp://***@logs.example.com/in/
         +0 Log #7 Uploading
         +13 > upload {NAME} to ftp://***@logs.example.com/in/
         +16 > drop {NAME}
         +16 Log #7 Uploaded"
    ));
}

#[test]
fn the_window_is_kept_and_an_empty_one_has_no_file() {
    let mut s = Stack::ready(1);
    s.ask(
        "GetDiagnostics",
        json!({
            "location": "ftp://logs.example.com/",
            "startTime": "2026-09-21T12:00:01Z", "stopTime": "2026-09-21T12:00:04Z"
        }),
    );
    let first = &s.look()[0];
    assert_eq!(*first, format!("+0 > collect {NAME} from 1 to 4"));
    s.run(5);
    s.look();
    s.porter.entries = 0;
    let window = json!({
        "location": "ftp://logs.example.com/", "stopTime": "2020-01-01T00:00:00Z"
    });
    s.ask("GetDiagnostics", window);
    let lines = s.look();
    assert_eq!(lines[2], "+0 = GetDiagnostics {}", "{lines:?}");
    let mut window = get_log("SecurityLog", 8);
    window["log"]["latestTimestamp"] = json!("2020-01-01T00:00:00Z");
    s.ask("GetLog", window);
    let lines = s.look();
    assert_eq!(lines[2], "+0 = GetLog Rejected", "{lines:?}");
    s.run(10);
    s.expect("");
}

#[test]
fn the_security_log_is_uploaded_under_its_number() {
    let mut s = Stack::ready(1);
    s.ask("GetLog", get_log("SecurityLog", 123));
    s.run(5);
    s.expect(&format!(
        "+0 > collect {SECURITY}
         +0 = GetLog {{\"filename\":\"{SECURITY}\",\"status\":\"Accepted\"}}
         +0 > upload {SECURITY} to ftp://***@logs.example.com/in/
         +0 Log #123 Uploading
         +3 > drop {SECURITY}
         +3 Log #123 Uploaded"
    ));
}

#[test]
fn a_newer_request_takes_the_place_of_the_one_under_way() {
    let mut s = Stack::ready(1);
    s.porter.takes = 60_000;
    s.ask("GetLog", get_log("DiagnosticsLog", 1));
    s.run(5);
    s.look();
    s.ask("GetLog", get_log("SecurityLog", 2));
    s.run(61);
    let name = SECURITY.replace("05Z", "10Z");
    s.expect(&format!(
        "+0 > drop {NAME}
         +0 > collect {name}
         +0 Log #1 UploadFailure
         +0 = GetLog {{\"filename\":\"{name}\",\"status\":\"AcceptedCanceled\"}}
         +0 > upload {name} to ftp://***@logs.example.com/in/
         +0 Log #2 Uploading
         +60 > drop {name}
         +60 Log #2 Uploaded"
    ));
}

#[test]
fn why_it_failed_is_told_in_the_words_of_the_whitepaper() {
    let text = || "said the server".to_owned();
    for (error, told) in [
        (
            TransferError::Scheme("gopher".to_owned()),
            "NotSupportedOperation",
        ),
        (TransferError::Unsupported(text()), "NotSupportedOperation"),
        (TransferError::Location(text()), "BadMessage"),
        (TransferError::Protocol(text()), "BadMessage"),
        (TransferError::Denied(text()), "PermissionDenied"),
        (TransferError::Unreachable(text()), "UploadFailure"),
        (TransferError::Missing(text()), "UploadFailure"),
    ] {
        let mut s = Stack::ready(1);
        s.porter.goes.extend([Some(error.clone()), Some(error)]);
        s.ask("GetLog", get_log("SecurityLog", 5));
        s.run(30);
        let last = s.look().pop().expect("a line");
        assert!(last.ends_with(&format!("Log #5 {told}")), "{last}");
    }
}

#[test]
fn statuses_of_an_outage_are_told_after_it_in_order() {
    let mut s = Stack::ready(1);
    s.ask("GetLog", get_log("SecurityLog", 9));
    s.run(1);
    s.look();
    s.cut();
    s.run(60);
    s.mend();
    s.run(5);
    let told: Vec<String> = s.look().into_iter().filter(|line| line.contains("Log")).collect();
    assert_eq!(told, ["+62 Log #9 Uploaded"]);
    assert_eq!(s.untold(), 0);
}

#[test]
fn what_was_under_way_at_a_kill_is_told_as_failed() {
    let mut s = Stack::ready(1);
    s.ask("GetLog", get_log("SecurityLog", 9));
    s.run(1);
    s.look();
    s.restart(5);
    s.run(5);
    let told = s.look().join("\n");
    assert!(told.contains("Log #9 UploadFailure"), "{told}");
    s.restart(5);
    s.run(5);
    let told = s.look().join("\n");
    assert!(!told.contains("Log #9"), "told once: {told}");
}

#[test]
fn triggered_statuses_tell_the_truth() {
    let mut s = Stack::ready(1);
    let diagnostics = || json!({"requestedMessage": "DiagnosticsStatusNotification"});
    let log = || json!({"requestedMessage": "LogStatusNotification"});
    s.asked("TriggerMessage", diagnostics(), "Accepted\n+0 Diagnostics Idle");
    s.asked("ExtendedTriggerMessage", log(), "Accepted\n+0 Log Idle");
    s.ask("GetLog", get_log("DiagnosticsLog", 4));
    s.run(1);
    s.asked(
        "TriggerMessage",
        diagnostics(),
        "Accepted\n+0 Diagnostics Uploading",
    );
    s.asked("ExtendedTriggerMessage", log(), "Accepted\n+0 Log #4 Uploading");
    s.run(5);
    s.asked("TriggerMessage", diagnostics(), "Accepted\n+0 Diagnostics Idle");
    s.asked("ExtendedTriggerMessage", log(), "Accepted\n+0 Log Idle");
}

#[test]
fn charging_goes_on_and_a_csms_without_the_message_holds_no_session_up() {
    let mut s = Stack::charging();
    s.csms.refuse("LogStatusNotification", "NotImplemented", 9);
    s.ask("GetLog", get_log("SecurityLog", 3));
    s.run(10);
    assert!(s.offers(1));
    s.unplug(1);
    s.run(2);
    let told = s.look().join("\n");
    assert!(told.contains("Stop #1"), "{told}");
    assert_eq!(s.untold(), 0);
}
