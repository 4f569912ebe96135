//! Loss of power: 032_1, 032_2, 034.

use crate::stack::Stack;
use serde_json::json;

#[test]
fn a_vehicle_that_is_still_there_charges_on_in_the_same_session() {
    let mut s = Stack::charging();
    s.outlet(1).enabled = false;
    s.restart(60);
    s.run(5);
    s.expect(
        "+60 restart
         +60 link
         +60 BootNotification
         +60 Status 0 Available
         +60 Security StartupOfTheDevice
         +60 Status 1 SuspendedEVSE
         +61 Status 1 Preparing
         +62 Status 1 Charging",
    );
    assert!(s.offers(1));
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000036 Local by A",
    );
}

#[test]
fn a_vehicle_that_has_left_meanwhile_ends_the_session_with_what_was_stored() {
    let mut s = Stack::charging();
    s.run(60);
    s.look();
    s.outlet(1).enabled = false;
    s.outlet(1).plugged = false;
    s.restart(60);
    s.run(5);
    s.expect(
        "+60 restart
         +60 link
         +60 BootNotification
         +60 Status 0 Available
         +60 Security StartupOfTheDevice
         +60 Status 1 SuspendedEVSE
         +61 Status 1 Available
         +61 Stop #1 1000187 PowerLoss",
    );
}

#[test]
fn an_orderly_end_leaves_the_charger_safe_and_the_session_for_later() {
    let mut s = Stack::charging();
    s.drives = true;
    s.leave(10);
    assert!(!s.offers(1));
    s.run(5);
    s.expect(
        "+0 ~ 1 safe
         +0 Status 1 SuspendedEVSE
         +10 restart
         +10 link
         +10 BootNotification
         +10 Status 0 Available
         +10 Security StartupOfTheDevice
         +10 Status 1 SuspendedEVSE
         +11 ~ 1 limit 16 A
         +11 ~ 1 enable
         +11 Status 1 Preparing
         +12 Status 1 Charging",
    );
    assert!(s.offers(1));
}

#[test]
fn a_start_that_was_not_told_before_the_cut_is_told_before_the_stop() {
    let mut s = Stack::charging();
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.cut();
    s.plug(1);
    s.present(1, "A");
    s.run(10);
    s.look();
    s.outlet(1).plugged = false;
    s.outlet(1).enabled = false;
    s.restart(30);
    s.mend();
    s.run(5);
    s.expect(
        "+30 restart
         +32 link
         +32 BootNotification
         +32 Status 0 Available
         +32 Status 1 Available
         +32 Start 1 A 1000024
         +32 Security StartupOfTheDevice
         +32 Stop #2 1000027 PowerLoss",
    );
}

#[test]
fn out_of_service_outlives_a_loss_of_power() {
    let mut s = Stack::ready(2);
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 1, "type": "Inoperative"}),
    );
    s.look();
    s.restart(20);
    s.run(5);
    s.expect(
        "+20 restart
         +20 link
         +20 BootNotification
         +20 Status 0 Available
         +20 Security StartupOfTheDevice
         +20 Status 1 Unavailable
         +20 Status 2 Unavailable
         +21 Status 2 Available",
    );
    s.ask(
        "ChangeAvailability",
        json!({"connectorId": 0, "type": "Inoperative"}),
    );
    s.look();
    s.restart(20);
    s.run(5);
    let told = s.look();
    let unavailable = told.iter().filter(|line| line.ends_with("Unavailable")).count();
    assert_eq!(unavailable, 3, "{told:?}");
}
