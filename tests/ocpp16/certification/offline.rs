//! Without a CSMS: 036, 037_1 to 037_3, 038, 039.

use crate::stack::Stack;

#[test]
fn a_session_goes_on_through_an_outage() {
    let mut s = Stack::charging();
    s.cut();
    s.run(30);
    assert!(s.offers(1));
    s.mend();
    s.run(5);
    s.expect("+32 link");
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000131 Local by A",
    );
}

#[test]
fn after_a_long_outage_everything_is_told_again() {
    let mut s = Stack::charging();
    s.cut();
    s.run(61);
    s.mend();
    s.run(5);
    s.expect(
        "+63 link
         +63 Status 0 Available
         +63 Status 1 Charging",
    );
}

/// A charge point that knows `A` from before and is offline now.
fn knows_a() -> Stack {
    let mut s = Stack::charging();
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.cut();
    s.look();
    s
}

#[test]
fn a_known_tag_starts_offline_and_the_start_is_told_with_its_own_time() {
    let mut s = knows_a();
    s.plug(1);
    s.present(1, "A");
    s.run(20);
    assert!(s.offers(1));
    s.mend();
    s.run(5);
    s.expect(
        "+22 link
         +22 Status 1 Charging
         +22 Start 1 A 1000024",
    );
    let at = s.csms.heard["StartTransaction"]["timestamp"].to_string();
    assert_eq!(at, "\"2026-09-21T12:00:18Z\"");
    s.present(1, "A");
    s.run(1);
    let told = s.look().concat();
    assert!(told.contains("Stop #2"), "the id that was given later: {told}");
}

#[test]
fn a_tag_that_turns_out_invalid_ends_the_session() {
    let mut s = knows_a();
    s.plug(1);
    s.present(1, "A");
    s.run(20);
    s.csms.judge("A", "Invalid");
    s.mend();
    s.run(5);
    s.expect(
        "+22 link
         +22 Status 1 Charging
         +22 Start 1 A 1000024
         +22 Status 1 Finishing
         +22 Stop #2 1000088 DeAuthorized",
    );
    assert!(!s.offers(1));
}

#[test]
fn a_tag_that_turns_out_invalid_ends_the_energy_where_the_session_is_to_go_on() {
    let mut s = Stack::charging();
    s.set("StopTransactionOnInvalidId", "false");
    s.present(1, "A");
    s.unplug(1);
    s.run(5);
    s.cut();
    s.look();
    s.plug(1);
    s.present(1, "A");
    s.run(20);
    assert!(s.offers(1));
    s.csms.judge("A", "Invalid");
    s.mend();
    s.run(5);
    s.expect(
        "+22 link
         +22 Status 1 Charging
         +22 Start 1 A 1000024
         +22 Status 1 SuspendedEVSE",
    );
    assert!(!s.offers(1));
    s.present(1, "A");
    s.run(1);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #2 1000091 Local by A",
    );
}

#[test]
fn a_session_that_ends_offline_is_told_later_with_its_own_time() {
    let mut s = Stack::charging();
    s.cut();
    s.run(10);
    s.present(1, "A");
    s.run(20);
    s.mend();
    s.run(5);
    s.expect(
        "+32 link
         +32 Status 1 Finishing
         +32 Stop #1 1000055 Local by A",
    );
    let at = s.csms.heard["StopTransaction"]["timestamp"].to_string();
    assert_eq!(at, "\"2026-09-21T12:00:23Z\"");
}

#[test]
fn a_session_wholly_offline_is_told_in_order() {
    let mut s = knows_a();
    s.plug(1);
    s.present(1, "A");
    s.run(20);
    s.present(1, "A");
    s.run(5);
    s.unplug(1);
    s.run(5);
    assert!(s.untold() >= 2);
    s.mend();
    s.run(5);
    s.expect(
        "+32 link
         +32 Start 1 A 1000024
         +32 Stop #2 1000085 Local by A",
    );
    assert_eq!(s.untold(), 0);
}

#[test]
fn an_unknown_tag_is_refused_offline_and_let_in_where_that_is_allowed() {
    let mut s = Stack::ready(1);
    s.cut();
    s.plug(1);
    s.present(1, "NEW");
    s.run(5);
    assert!(!s.offers(1));
    s.mend();
    s.run(5);
    s.set("AllowOfflineTxForUnknownId", "true");
    s.cut();
    s.present(1, "NEW");
    s.run(5);
    assert!(s.offers(1));
}

#[test]
fn a_transaction_message_that_is_refused_waits_longer_each_time() {
    let mut s = Stack::charging();
    s.csms.refuse("StopTransaction", "InternalError", 2);
    s.present(1, "A");
    s.run(200);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000024 Local by A
         +60 Stop #1 1000024 Local by A
         +180 Stop #1 1000024 Local by A",
    );
    assert_eq!(s.untold(), 0);
}

#[test]
fn a_transaction_message_is_given_up_after_its_attempts_and_the_next_goes_on() {
    let mut s = Stack::charging();
    s.set("TransactionMessageAttempts", "2");
    s.set("TransactionMessageRetryInterval", "10");
    s.csms.refuse("StopTransaction", "InternalError", 9);
    s.present(1, "A");
    s.run(5);
    s.unplug(1);
    s.run(1);
    s.plug(1);
    s.present(1, "B");
    s.run(10);
    s.expect(
        "+0 Status 1 Finishing
         +0 Stop #1 1000024 Local by A
         +5 Status 1 Available
         +6 Status 1 Preparing
         +6 Authorize B
         +7 Status 1 Charging
         +10 Stop #1 1000024 Local by A
         +10 Start 1 B 1000024",
    );
}
