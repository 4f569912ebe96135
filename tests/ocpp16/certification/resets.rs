//! Reset: 013 to 016.

use crate::stack::Stack;
use serde_json::json;

#[test]
fn a_hard_reset_without_a_session() {
    let mut s = Stack::ready(1);
    s.ask("Reset", json!({"type": "Hard"}));
    s.run(5);
    s.expect(
        "+0 = Reset Accepted
         +0 close 1001
         +2 link
         +2 BootNotification
         +2 Security ResetOrReboot
         +2 Status 0 Available
         +2 Status 1 Available",
    );
}

#[test]
fn a_soft_reset_without_a_session() {
    let mut s = Stack::ready(1);
    s.ask("Reset", json!({"type": "Soft"}));
    s.run(5);
    s.expect(
        "+0 = Reset Accepted
         +0 Security ResetOrReboot
         +0 close 1001
         +2 link
         +2 BootNotification
         +2 Status 0 Available
         +2 Status 1 Available",
    );
}

#[test]
fn a_hard_reset_tells_the_end_of_the_session_after_the_boot() {
    let mut s = Stack::charging();
    s.ask("Reset", json!({"type": "Hard"}));
    s.run(5);
    s.expect(
        "+0 = Reset Accepted
         +0 Status 1 Finishing
         +0 close 1001
         +2 link
         +2 BootNotification
         +2 Stop #1 1000024 HardReset
         +2 Status 0 Available
         +2 Security ResetOrReboot
         +2 Status 1 Finishing",
    );
    assert!(!s.offers(1));
}

#[test]
fn a_soft_reset_tells_the_end_of_the_session_first() {
    let mut s = Stack::charging();
    s.ask("Reset", json!({"type": "Soft"}));
    s.run(5);
    s.expect(
        "+0 = Reset Accepted
         +0 Status 1 Finishing
         +0 Stop #1 1000024 SoftReset
         +0 Security ResetOrReboot
         +0 close 1001
         +2 link
         +2 BootNotification
         +2 Status 0 Available
         +2 Status 1 Finishing",
    );
    assert!(!s.offers(1));
}

#[test]
fn a_connector_out_of_service_stays_so_over_a_reset() {
    let mut s = Stack::ready(1);
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 1, "type": "Inoperative"}),
    );
    s.ask("Reset", json!({"type": "Hard"}));
    s.run(5);
    let told = s.look();
    assert_eq!(
        told.last().map(String::as_str),
        Some("+2 Status 1 Unavailable"),
        "{told:?}"
    );
}
