//! What back ends ask: availability, resets, unlocking, triggers.

use super::*;

#[test]
fn out_of_service_waits_for_the_transaction_and_shows_no_available_between() {
    let mut b = charging();
    let command = Command::ChangeAvailability {
        evse: Some(EvseId(1)),
        to: Availability::Inoperative,
    };
    assert_eq!(
        b.ask(command),
        Some(Outcome::Availability(AvailabilityOutcome::Scheduled))
    );
    b.look();
    b.unplug(1);
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 EVDisconnected with 24.528 Wh
         status 1 Unavailable",
    );
    b.restart(5);
    b.poll_devices();
    b.act(Input::Online(true));
    assert_eq!(b.show(1).status, ConnectorStatus::Unavailable, "it persists");
    let command = Command::ChangeAvailability {
        evse: Some(EvseId(1)),
        to: Availability::Operative,
    };
    assert_eq!(
        b.ask(command),
        Some(Outcome::Availability(AvailabilityOutcome::Accepted))
    );
    assert_eq!(b.show(1).status, ConnectorStatus::Available);
}

#[test]
fn connector_0_takes_all_out_of_service() {
    let mut b = bench(2);
    b.ask(Command::ChangeAvailability {
        evse: None,
        to: Availability::Inoperative,
    });
    b.expect(
        "answer Accepted
         status 0 Unavailable
         status 1 Unavailable
         status 2 Unavailable",
    );
    b.plug(1);
    b.present("A");
    b.expect("");
}

#[test]
fn a_reset_ends_transactions_and_then_restarts_the_session() {
    let mut b = charging();
    b.ask(Command::Reset {
        kind: ResetKind::Soft,
        evse: None,
    });
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 SoftReset with 24.528 Wh
         security ResetOrReboot
         answer Accepted
         status 1 Finishing
         reboot Soft",
    );
}

#[test]
fn a_reset_on_idle_waits() {
    let mut b = charging();
    let reset = Command::Reset {
        kind: ResetKind::OnIdle,
        evse: None,
    };
    assert_eq!(b.ask(reset), Some(Outcome::Reset(ResetOutcome::Scheduled)));
    b.run(10);
    b.look();
    b.unplug(1);
    assert_eq!(b.look().last().unwrap(), "reboot OnIdle");
}

#[test]
fn unlocking_ends_the_transaction_first() {
    let mut b = charging();
    let outcome = b.ask(Command::Unlock {
        evse: EvseId(1),
        running: RunningTx::Ends,
    });
    assert_eq!(outcome, Some(Outcome::Unlock(UnlockOutcome::Unlocked)));
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 UnlockCommand with 24.528 Wh
         drive 1 unlock
         status 1 Finishing
         answer Unlocked",
    );
    let outcome = b.ask(Command::Unlock {
        evse: EvseId(5),
        running: RunningTx::Ends,
    });
    assert_eq!(outcome, Some(Outcome::Unlock(UnlockOutcome::UnknownConnector)));
}

#[test]
fn unlocking_where_there_is_no_lock_leaves_the_transaction_alone() {
    let mut one = setup(1);
    one.evses[0].has_lock = false;
    let mut b = Bench::new(one).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    b.look();
    for running in [RunningTx::Ends, RunningTx::Keeps] {
        let evse = EvseId(1);
        let outcome = b.ask(Command::Unlock { evse, running });
        let expected = match running {
            RunningTx::Ends => UnlockOutcome::NotSupported,
            RunningTx::Keeps => UnlockOutcome::TransactionRunning,
        };
        assert_eq!(outcome, Some(Outcome::Unlock(expected)));
    }
    b.expect(
        "answer NotSupported
         answer TransactionRunning",
    );
    assert!(b.show(1).tx.is_some());
}

#[test]
fn unlocking_may_also_keep_away_from_a_transaction() {
    let mut b = charging();
    let unlock = Command::Unlock {
        evse: EvseId(1),
        running: RunningTx::Keeps,
    };
    let outcome = b.ask(unlock.clone());
    assert_eq!(outcome, Some(Outcome::Unlock(UnlockOutcome::TransactionRunning)));
    b.expect("answer TransactionRunning");
    b.unplug(1);
    assert_eq!(b.ask(unlock), Some(Outcome::Unlock(UnlockOutcome::Unlocked)));
}

#[test]
fn a_reset_on_idle_that_need_not_wait_is_a_reset_like_any_other() {
    let mut b = bench(1);
    let reset = Command::Reset {
        kind: ResetKind::OnIdle,
        evse: None,
    };
    assert_eq!(b.ask(reset), Some(Outcome::Reset(ResetOutcome::Accepted)));
    assert_eq!(b.look().last().unwrap(), "reboot Soft");
}

#[test]
fn rows_say_whether_the_csms_could_be_reached() {
    let mut b = charging();
    b.act(Input::Online(false));
    b.ask(Command::Trigger(Trigger::MeterValues {
        evse: None,
        within: Within::Either,
    }));
    let Event::Sampled { offline: true, .. } = &b.rows.last().unwrap().event else {
        panic!("{:?}", b.rows.last())
    };
    b.act(Input::Online(true));
    b.ask(Command::Trigger(Trigger::MeterValues {
        evse: None,
        within: Within::Either,
    }));
    let Event::Sampled { offline: false, .. } = &b.rows.last().unwrap().event else {
        panic!("{:?}", b.rows.last())
    };
}

#[test]
fn a_lock_that_does_not_answer_is_answered_for() {
    let mut b = bench(1);
    b.bus = false;
    assert_eq!(
        b.ask(Command::Unlock {
            evse: EvseId(1),
            running: RunningTx::Ends
        }),
        None
    );
    b.run(30);
    assert!(b.look().contains(&"answer Failed".to_owned()));
}
