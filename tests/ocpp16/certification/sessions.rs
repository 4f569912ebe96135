//! Starting and stopping: 003, 004_1, 004_2, 005_1 to 005_3, 007, 023, 061, 068, 069.

use crate::stack::{Stack, site};
use serde_json::json;

#[test]
fn plugged_in_first_and_then_authorised() {
    let mut s = Stack::ready(1);
    s.plug(1);
    s.run(5);
    s.present(1, "A");
    s.run(5);
    s.expect(
        "+0 Status 1 Preparing
         +5 Authorize A
         +5 Start 1 A 1000000
         +6 Status 1 Charging",
    );
}

#[test]
fn authorised_first_and_then_plugged_in() {
    let mut s = Stack::ready(1);
    s.present(1, "A");
    s.run(5);
    s.plug(1);
    s.run(5);
    s.expect(
        "+0 Authorize A
         +0 Status 1 Preparing
         +5 Start 1 A 1000000
         +6 Status 1 Charging",
    );
}

#[test]
fn authorised_and_never_plugged_in() {
    let mut s = Stack::ready(1);
    s.set("ConnectionTimeOut", "20");
    s.present(1, "A");
    s.run(30);
    s.plug(1);
    s.run(5);
    assert!(!s.offers(1));
    s.expect(
        "+0 Authorize A
         +0 Status 1 Preparing
         +20 Status 1 Available
         +30 Status 1 Preparing",
    );
}

#[test]
fn the_charger_is_stopped_before_the_end_is_told() {
    let mut s = Stack::charging();
    s.drives = true;
    s.present(1, "A");
    s.run(5);
    s.unplug(1);
    s.run(1);
    s.expect(
        "+0 ~ 1 limit 0 A
         +0 ~ 1 disable
         +0 ~ 1 unlock
         +0 Status 1 Finishing
         +0 Stop #1 1000024 Local by A
         +5 Status 1 Available",
    );
}

#[test]
fn unplugged_by_the_vehicle_the_session_ends_and_the_plug_is_released() {
    let mut s = Stack::charging();
    s.set("UnlockConnectorOnEVSideDisconnect", "true");
    s.unplug(1);
    s.run(5);
    s.expect(
        "+0 Status 1 Available
         +0 Stop #1 1000024 EVDisconnected",
    );
    assert_eq!(s.outlet(1).unlocks, 1);
}

#[test]
fn unplugged_by_the_vehicle_the_plug_stays_locked_where_that_is_wanted() {
    let mut s = Stack::charging();
    s.unplug(1);
    s.run(5);
    s.expect(
        "+0 Status 1 Available
         +0 Stop #1 1000024 EVDisconnected",
    );
    assert_eq!(s.outlet(1).unlocks, 0);
    // Whose cable it is gets it with his card, which may also be meant for the next vehicle.
    s.present(1, "B");
    s.run(1);
    assert_eq!(s.outlet(1).unlocks, 0);
    s.run(100);
    s.present(1, "A");
    s.run(1);
    assert_eq!(s.outlet(1).unlocks, 1);
    s.look();
    s.plug(1);
    s.run(2);
    let told = s.look().concat();
    assert!(told.contains("Start 1 A 1000024"), "{told}");
    // A vehicle that was plugged in meanwhile is the next one, and its plug stays where it is.
    s.unplug(1);
    s.plug(1);
    s.run(1);
    s.present(1, "A");
    s.run(8);
    assert_eq!(s.outlet(1).unlocks, 1);
    assert!(s.offers(1));
}

#[test]
fn unplugged_by_the_vehicle_the_session_goes_on_where_that_is_wanted() {
    let mut s = Stack::charging();
    s.set("StopTransactionOnEVSideDisconnect", "false");
    s.unplug(1);
    s.run(10);
    s.plug(1);
    s.run(5);
    s.present(1, "A");
    s.run(2);
    s.expect(
        "+0 Status 1 SuspendedEV (EV side disconnected)
         +10 Status 1 Charging
         +15 Status 1 Finishing
         +15 Stop #1 1000039 Local by A",
    );
}

#[test]
fn a_tag_that_is_refused_starts_nothing() {
    for status in ["Invalid", "Blocked", "Expired", "ConcurrentTx"] {
        let mut s = Stack::ready(1);
        s.csms.judge("X", status);
        s.plug(1);
        s.present(1, "X");
        s.run(10);
        s.expect(
            "+0 Status 1 Preparing
             +0 Authorize X",
        );
        assert!(!s.offers(1), "{status}");
    }
}

#[test]
fn a_cached_tag_starts_without_a_question() {
    let mut s = Stack::ready(1);
    s.set("LocalPreAuthorize", "true");
    s.charge(1, "A");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.look();
    s.plug(1);
    s.present(1, "A");
    s.run(2);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000024
         +1 Status 1 Charging",
    );
}

#[test]
fn a_cleared_cache_knows_nobody() {
    let mut s = Stack::ready(1);
    s.set("LocalPreAuthorize", "true");
    s.charge(1, "A");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.asked("ClearCache", json!({}), "Accepted");
    s.plug(1);
    s.present(1, "A");
    s.run(2);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000024
         +1 Status 1 Charging",
    );
    s.set("AuthorizationCacheEnabled", "false");
    s.asked("ClearCache", json!({}), "Rejected");
}

#[test]
fn the_cache_survives_a_power_cut() {
    let mut s = Stack::ready(1);
    s.set("LocalPreAuthorize", "true");
    s.charge(1, "A");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.restart(30);
    s.run(5);
    s.look();
    s.plug(1);
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000024
         +1 Status 1 Charging",
    );
}

#[test]
fn what_the_answer_to_a_stop_says_of_a_tag_is_cached_too() {
    let mut s = Stack::ready(1);
    s.charge(1, "A");
    s.csms.judge("A", "Blocked");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.cut();
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    assert!(!s.offers(1), "blocked by StopTransaction.conf");
}

#[test]
fn the_same_tag_stops_without_a_question() {
    let mut s = Stack::charging();
    s.present(1, "A");
    s.run(5);
    s.unplug(1);
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000024 Local by A
         +5 Status 1 Available",
    );
    assert_eq!(s.outlet(1).unlocks, 1, "the usual end releases the plug");
}

#[test]
fn a_tag_of_the_same_parent_stops_after_a_question() {
    let mut s = Stack::ready(1);
    s.csms.relate("A", "FAMILY");
    s.csms.relate("B", "FAMILY");
    s.charge(1, "A");
    s.present(1, "B");
    s.run(5);
    s.expect(
        "+0 Authorize B
         +0 Status 1 Finishing
         +0 Stop #1 1000024 Local by B",
    );
}

#[test]
fn a_stranger_stops_nothing() {
    let mut s = Stack::ready(1);
    s.csms.relate("A", "FAMILY");
    s.csms.relate("C", "OTHERS");
    s.charge(1, "A");
    s.present(1, "C");
    s.run(5);
    s.expect("+0 Authorize C");
    assert!(s.offers(1));
    // A parent is no tag of its own.
    s.present(1, "FAMILY");
    s.run(5);
    s.expect("+0 Authorize FAMILY");
    assert!(s.offers(1));
}

#[test]
fn a_refused_start_ends_the_session_and_the_plug_stays_locked() {
    let mut s = Stack::ready(1);
    s.set("LocalPreAuthorize", "true");
    s.charge(1, "A");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.csms.judge("A", "Invalid");
    s.look();
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    s.expect(
        "+0 Status 1 Preparing
         +0 Start 1 A 1000024
         +0 Status 1 Finishing
         +0 Stop #2 1000024 DeAuthorized",
    );
    assert_eq!(s.outlet(1).unlocks, 1, "the plug stays locked for the owner");
}

#[test]
fn a_refused_driver_gets_his_plug_back_with_his_own_card_even_after_a_power_cut() {
    let mut s = Stack::ready(1);
    s.csms.judge("X", "Invalid");
    s.plug(1);
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "X"}));
    s.run(5);
    let told = s.look().concat();
    assert!(told.contains("Stop #1 1000000 DeAuthorized"), "{told}");
    assert_eq!(s.outlet(1).unlocks, 0);
    s.restart(20);
    s.run(5);
    s.look();
    s.drives = true;
    s.present(1, "X");
    s.expect("+0 ~ 1 unlock");
    // From then on it is a card like any other.
    s.drives = false;
    s.present(1, "X");
    s.run(1);
    s.expect("+0 Authorize X");
}

#[test]
fn a_refused_start_that_does_not_stop_is_suspended_after_its_allowance() {
    let mut s = Stack::ready(1);
    s.set("StopTransactionOnInvalidId", "false");
    s.set("MaxEnergyOnInvalidId", "30");
    s.csms.judge("X", "Invalid");
    s.plug(1);
    s.look();
    s.ask("RemoteStartTransaction", json!({"connectorId": 1, "idTag": "X"}));
    s.run(20);
    assert!(!s.offers(1));
    s.present(1, "X");
    s.run(1);
    s.expect(
        "+0 = RemoteStartTransaction Accepted
         +0 Start 1 X 1000000
         +1 Status 1 Charging
         +10 Status 1 SuspendedEVSE
         +20 Status 1 Finishing
         +20 Stop #1 1000030 Local by X",
    );
}

#[test]
fn two_connectors_have_two_sessions_at_once() {
    let mut s = Stack::of(site(2));
    s.plug(1);
    s.present(1, "A");
    s.run(5);
    s.plug(2);
    s.present(2, "B");
    s.run(5);
    s.present(1, "A");
    s.run(5);
    s.unplug(2);
    s.run(1);
    s.expect(
        "+0 Status 1 Preparing
         +0 Authorize A
         +0 Start 1 A 1000000
         +1 Status 1 Charging
         +5 Status 2 Preparing
         +5 Authorize B
         +5 Start 2 B 1000000
         +6 Status 2 Charging
         +10 Status 1 Finishing
         +10 Stop #1 1000030 Local by A
         +15 Status 2 Available
         +15 Stop #2 1000030 EVDisconnected",
    );
}

#[test]
fn a_vehicle_that_pauses_shows_as_suspended_by_itself() {
    let mut s = Stack::charging();
    s.outlet(1).hungry = false;
    s.run(5);
    s.outlet(1).hungry = true;
    s.run(5);
    s.expect(
        "+1 Status 1 SuspendedEV
         +6 Status 1 Charging",
    );
}

#[test]
fn a_status_that_does_not_last_is_not_told() {
    let mut s = Stack::charging();
    s.set("MinimumStatusDuration", "5");
    s.outlet(1).hungry = false;
    s.run(3);
    s.outlet(1).hungry = true;
    s.run(10);
    s.expect("");
    s.outlet(1).hungry = false;
    s.run(10);
    s.expect("+6 Status 1 SuspendedEV");
}
