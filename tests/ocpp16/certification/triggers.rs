//! Triggered messages: 054, 055, and the extended ones of the whitepaper.

use crate::stack::Stack;
use serde_json::json;

#[test]
fn what_is_accepted_is_sent_behind_the_answer() {
    let mut s = Stack::ready(1);
    for (message, said) in [
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "Status 1 Available"),
        ("MeterValues", "Meter 1 Trigger 4"),
    ] {
        for action in ["TriggerMessage", "ExtendedTriggerMessage"] {
            let wanted = json!({"requestedMessage": message, "connectorId": 1});
            s.asked(action, wanted, &format!("Accepted\n+0 {said}"));
        }
    }
}

#[test]
fn without_a_connector_every_connector_is_told() {
    let mut s = Stack::ready(2);
    s.asked(
        "TriggerMessage",
        json!({"requestedMessage": "StatusNotification"}),
        "Accepted\n+0 Status 0 Available\n+0 Status 1 Available\n+0 Status 2 Available",
    );
    s.asked(
        "ExtendedTriggerMessage",
        json!({"requestedMessage": "StatusNotification", "connectorId": 0}),
        "Accepted\n+0 Status 0 Available",
    );
    s.asked(
        "TriggerMessage",
        json!({"requestedMessage": "MeterValues"}),
        "Accepted\n+0 Meter 1 Trigger 4\n+0 Meter 2 Trigger 4",
    );
}

#[test]
fn in_a_session_triggered_values_belong_to_it() {
    let mut s = Stack::charging();
    s.asked(
        "ExtendedTriggerMessage",
        json!({"requestedMessage": "MeterValues", "connectorId": 1}),
        "Accepted\n+0 Meter 1 #1 Trigger 4",
    );
}

#[test]
fn a_connector_that_is_not_there_is_rejected() {
    let mut s = Stack::ready(1);
    for action in ["TriggerMessage", "ExtendedTriggerMessage"] {
        for connector in [2, -1] {
            for message in ["StatusNotification", "MeterValues"] {
                let wanted = json!({"requestedMessage": message, "connectorId": connector});
                s.asked(action, wanted, "Rejected");
            }
            // It does not matter here, and is passed over (5.17).
            let wanted = json!({"requestedMessage": "Heartbeat", "connectorId": connector});
            s.asked(action, wanted, "Accepted\n+0 Heartbeat");
            let absent = json!({"requestedMessage": "FirmwareStatusNotification", "connectorId": connector});
            s.asked(action, absent, "NotImplemented");
        }
    }
}

#[test]
fn what_is_not_there_is_not_implemented_and_a_boot_is_refused_once_registered() {
    let mut s = Stack::ready(1);
    s.asked(
        "TriggerMessage",
        json!({"requestedMessage": "FirmwareStatusNotification"}),
        "NotImplemented",
    );
    s.asked(
        "ExtendedTriggerMessage",
        json!({"requestedMessage": "FirmwareStatusNotification"}),
        "NotImplemented",
    );
    for action in ["TriggerMessage", "ExtendedTriggerMessage"] {
        s.asked(
            action,
            json!({"requestedMessage": "BootNotification"}),
            "Rejected",
        );
    }
}
