//! Status, links, and the ordering law.

use super::*;

#[test]
fn a_station_that_comes_online_tells_every_status_connector_0_first() {
    let mut b = Bench::new(setup(2));
    b.poll_devices();
    b.run(1);
    b.look();
    b.act(Input::Online(true));
    b.expect(
        "status 0 Available
         status 1 Available
         status 2 Available",
    );
    b.act(Input::Online(false));
    b.expect("");
    b.act(Input::Online(true));
    b.expect(
        "status 0 Available
         status 1 Available
         status 2 Available",
    );
}

#[test]
fn a_charger_found_at_the_start_is_told_to_offer_nothing() {
    let mut b = Bench::new(setup(1));
    b.outlet(1).enabled = true;
    b.act(Input::Tick);
    b.expect(
        "security StartupOfTheDevice
         status 0 Available
         status 1 Unavailable",
    );
    b.poll_devices();
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         status 1 Available",
    );
    assert!(!b.outlet(1).offers());
}

#[test]
fn a_session_by_card_from_plug_to_unplug() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    b.accept();
    b.run(3);
    b.unplug(1);
    b.expect(
        "status 1 Preparing
         authorize 1 A
         began 1 A at 1000000 Wh by Authorized
         drive 1 limit 16 A
         drive 1 enable
         status 1 Charging
         changed 1 #1 ChargingStateChanged Charging
         drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 EVDisconnected with 9.198 Wh
         status 1 Available",
    );
}

#[test]
fn a_card_before_the_plug() {
    let mut b = bench(1);
    b.authorise("A");
    b.plug(1);
    b.expect(
        "authorize 1 A
         status 1 Preparing
         began 1 A at 1000000 Wh by CablePluggedIn
         drive 1 limit 16 A
         drive 1 enable",
    );
}

#[test]
fn a_card_whose_vehicle_does_not_come_is_let_go() {
    let mut b = bench(1);
    b.authorise("A");
    b.run(59);
    assert_eq!(b.show(1).status, ConnectorStatus::Preparing);
    b.look();
    b.run(2);
    b.expect("status 1 Available");
    b.plug(1);
    b.expect("status 1 Preparing");
}

#[test]
fn a_card_presented_twice_gives_up_waiting() {
    let mut b = bench(1);
    b.authorise("A");
    b.look();
    b.present("A");
    b.expect("status 1 Available");
}

#[test]
fn a_card_that_lies_on_the_reader_is_presented_once() {
    let mut b = bench(1);
    for token in [None, Some(card("A")), Some(card("A")), Some(card("A"))] {
        let observations = vec![Observation::Token(token)];
        b.act(Input::Observed {
            evse: EvseId(1),
            role: Role::Reader,
            observations,
        });
    }
    b.expect("authorize 1 A");
}

#[test]
fn a_card_shown_when_the_reader_is_first_heard_is_no_presentation() {
    let mut b = bench(1);
    let observations = vec![Observation::Token(Some(card("LAST")))];
    b.act(Input::Observed {
        evse: EvseId(1),
        role: Role::Reader,
        observations,
    });
    b.expect("");
}

#[test]
fn the_vehicle_that_is_full_suspends_the_session() {
    let mut b = charging();
    b.outlet(1).hungry = false;
    b.run(3);
    b.outlet(1).hungry = true;
    b.run(3);
    b.expect(
        "changed 1 #2 ChargingStateChanged SuspendedEV
         status 1 SuspendedEV
         changed 1 #3 ChargingStateChanged Charging
         status 1 Charging",
    );
}

#[test]
fn a_short_status_is_not_told_with_a_minimum_duration() {
    let params = Params {
        min_status_duration: Duration::from_secs(10),
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.run(11);
    b.look();
    b.plug(1);
    b.run(5);
    b.unplug(1);
    b.run(20);
    b.expect("");
    b.plug(1);
    b.run(11);
    b.expect("status 1 Preparing");
}

#[test]
fn a_device_fault_shows_with_its_code_and_goes_again() {
    let mut b = charging();
    b.outlet(1).fault = Some(FaultKind::GroundFailure);
    b.run(2);
    assert!(b.tx(1).is_some());
    b.outlet(1).fault = None;
    b.run(8);
    let log = b.look();
    assert!(
        log.contains(&"status 1 Faulted GroundFailure".to_owned()),
        "{log:?}"
    );
    assert!(log.contains(&"drive 1 limit 0 A !".to_owned()), "{log:?}");
    assert_eq!(log.last().unwrap(), "status 1 Charging");
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

#[test]
fn a_charger_that_is_lost_is_a_fault_and_the_transaction_goes_on() {
    let mut b = charging();
    let tx = b.tx(1);
    b.outlet(1).link = false;
    b.act(Input::Link {
        evse: EvseId(1),
        role: Role::Charger,
        up: false,
        cause: None,
    });
    b.expect("status 1 Faulted CommunicationLost");
    b.run(30);
    assert_eq!(b.tx(1), tx);
    b.outlet(1).link = true;
    b.outlet(1).enabled = false;
    b.act(Input::Link {
        evse: EvseId(1),
        role: Role::Charger,
        up: true,
        cause: None,
    });
    b.run(3);
    assert_eq!(b.tx(1), tx);
    assert!(b.outlet(1).offers(), "what was lost with its power is told again");
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

#[test]
fn a_meter_that_is_lost_lets_a_session_go_on_at_the_least_current() {
    let mut b = charging();
    b.outlet(1).meter_answers = false;
    b.run(7);
    b.expect(
        "drive 1 limit 6 A !
         status 1 Charging PowerMeterFailure",
    );
    let lease = b.outlet(1).lease;
    b.run(10);
    assert_eq!(b.outlet(1).lease, lease, "no lease without a meter");
    b.outlet(1).meter_answers = true;
    b.run(2);
    b.expect(
        "drive 1 limit 16 A
         status 1 Charging",
    );
    assert!(b.lease(1) > b.now.mono);
}

#[test]
fn no_transaction_begins_before_the_register_was_read() {
    let mut b = Bench::new(setup(1));
    b.outlet(1).meter_answers = false;
    b = b.ready();
    b.plug(1);
    b.authorise("A");
    b.run(120);
    b.expect(
        "status 1 Preparing
         authorize 1 A",
    );
    b.outlet(1).meter_answers = true;
    b.run(1);
    b.expect(
        "began 1 A at 1000000 Wh by Authorized
         drive 1 limit 16 A
         drive 1 enable",
    );
}

#[test]
fn a_charger_that_does_not_obey_is_put_to_its_safe_state_and_tried_again() {
    let mut b = charging();
    b.outlet(1).obeys = false;
    let entry = LimitEntry {
        amps: MilliAmps(10_000),
        source: LimitSource::Local,
        until: None,
    };
    b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry,
    });
    b.expect(
        "drive 1 limit 10 A !
         drive 1 safe !
         answer yes
         changed 1 #2 ChargingStateChanged SuspendedEVSE
         status 1 Faulted NotObeying",
    );
    b.outlet(1).obeys = true;
    b.run(45);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    assert_eq!(b.outlet(1).limit, MilliAmps(10_000));
}

#[test]
fn a_charger_that_forgot_its_limit_is_told_again() {
    let mut b = charging();
    let entry = LimitEntry {
        amps: MilliAmps(8_000),
        source: LimitSource::Local,
        until: None,
    };
    b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry,
    });
    b.run(5);
    b.look();
    b.outlet(1).limit = MilliAmps(32_000);
    b.run(2);
    b.expect("drive 1 limit 8 A !");
    assert_eq!(b.outlet(1).limit, MilliAmps(8_000));
}

#[test]
fn a_vehicle_that_draws_more_than_it_may_stops_the_charger() {
    let mut b = charging();
    for _ in 0..25 {
        b.run(1);
        let over = vec![b.reading(Quantity::Current, Phase::L1, 25_000)];
        b.act(Input::Observed {
            evse: EvseId(1),
            role: Role::Meter,
            observations: over,
        });
        b.outlet(1).meter_answers = false;
    }
    assert!(b.look().contains(&"drive 1 safe !".to_owned()));
}

/// What a fuse is told: a charger that is not fed climbs to its fallback, whatever it was told before.
#[test]
fn a_charger_that_is_not_heard_may_draw_what_it_falls_back_to() {
    let mut b = bench(1);
    b.act(Input::Failsafe {
        evse: EvseId(1),
        unguarded: None,
        fallback: Some(MilliAmps(6_000)),
    });
    b.run(30);
    assert_eq!(b.show(1).in_force, MilliAmps::ZERO);
    b.outlet(1).link = false;
    b.act(Input::Link {
        evse: EvseId(1),
        role: Role::Charger,
        up: false,
        cause: None,
    });
    assert_eq!(b.show(1).in_force, MilliAmps(6_000));
}

#[test]
fn a_charger_that_does_not_answer_gets_a_lease_on_trial_once_a_minute() {
    let mut b = bench(1);
    b.run(30);
    assert!(b.lease(1) > b.now.mono);
    b.outlet(1).link = false;
    b.act(Input::Link {
        evse: EvseId(1),
        role: Role::Charger,
        up: false,
        cause: None,
    });
    let before = b.outlet(1).leases;
    let mut leased = 0;
    for _ in 0..300 {
        b.run(1);
        leased += u64::from(b.lease(1) > b.now.mono);
    }
    assert_eq!(b.outlet(1).leases, before + 5);
    assert!(leased <= 60, "{leased} s of 300");
}

#[test]
fn a_charger_never_heard_of_gets_a_lease_so_that_it_can_be_asked() {
    let mut s = setup(1);
    s.evses[0].meter = None;
    let mut b = Bench::new(s);
    b.outlet(1).link = false;
    b.act(Input::Tick);
    assert!(b.lease(1) > b.now.mono, "without one nobody may ask it anything");
    b.run(30);
    assert!(b.lease(1) <= b.now.mono, "it is only a trial");
}

/// Charger and meter are lost together, as with the power of their line, and only the meter comes back.
#[test]
fn a_meter_that_is_heard_again_gives_its_charger_a_lease_on_trial_but_once_a_minute() {
    let mut b = bench(1);
    b.run(90);
    let link = |role, up| Input::Link {
        evse: EvseId(1),
        role,
        up,
        cause: None,
    };
    let mut granted = Vec::new();
    for _ in 0..3 {
        (b.outlet(1).link, b.outlet(1).meter_answers) = (false, false);
        b.act(link(Role::Charger, false));
        b.act(link(Role::Meter, false));
        b.run(20);
        let before = b.outlet(1).leases;
        b.outlet(1).meter_answers = true;
        b.run(1);
        granted.push(b.outlet(1).leases - before);
    }
    assert_eq!(granted, [1, 0, 0]);
}

#[test]
fn a_hung_store_ends_the_lease_but_never_holds_a_stop() {
    let mut b = charging();
    b.store = false;
    let tx = b.tx(1).unwrap();
    b.ask(Command::SetProfile {
        evse: None,
        profile: profile(1, ProfilePurpose::TxDefault, 0, 10_000),
    });
    b.run(60);
    assert!(b.lease(1) <= b.now.mono, "the lease has run out");
    b.look();
    b.ask(Command::RemoteStop { tx });
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !",
    );
    assert!(!b.outlet(1).offers());
}

#[test]
fn the_charger_is_enabled_only_once_the_begin_is_durable() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    b.store = false;
    b.accept();
    b.run(3);
    let log = b.look();
    assert!(
        !log.iter()
            .any(|l| l.starts_with("drive") || l.starts_with("began")),
        "{log:?}"
    );
    while !b.unanswered.is_empty() {
        b.commit();
        b.drain();
    }
    b.expect(
        "began 1 A at 1000000 Wh by Authorized
         drive 1 limit 16 A
         drive 1 enable",
    );
}

#[test]
fn a_more_that_waits_never_follows_a_less() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    b.store = false;
    b.accept();
    let tx = b.tx(1).unwrap();
    b.ask(Command::RemoteStop { tx });
    b.store = true;
    while !b.unanswered.is_empty() {
        b.commit();
        b.drain();
    }
    b.run(2);
    let log = b.look();
    assert!(!log.contains(&"drive 1 enable".to_owned()), "{log:?}");
    assert!(!log.contains(&"drive 1 limit 16 A".to_owned()), "{log:?}");
    assert!(!b.outlet(1).offers());
}

#[test]
fn a_less_than_was_never_sent_does_not_overtake_the_begin() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    b.store = false;
    b.accept();
    let entry = LimitEntry {
        amps: MilliAmps(10_000),
        source: LimitSource::Local,
        until: None,
    };
    b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry,
    });
    let log = b.look();
    assert!(!log.iter().any(|l| l.starts_with("drive")), "{log:?}");
    b.store = true;
    while !b.unanswered.is_empty() {
        b.commit();
        b.drain();
    }
    assert_eq!(b.outlet(1).limit, MilliAmps(10_000));
    assert!(b.outlet(1).offers());
}

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
