//! Stories of a station, as transcripts. `!` marks a drive that overtakes everything.

use super::bench::{Bench, NEW_YEAR, card, evse, setup};
use super::*;
use crate::domain::*;
use std::time::Duration;

fn bench(evses: u16) -> Bench {
    Bench::new(setup(evses)).ready()
}

/// One EVSE that charges for card `A`.
fn charging() -> Bench {
    let mut b = bench(1);
    b.plug(1);
    b.authorise("A");
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    b.look();
    b
}

fn in_mode(auth: AuthMode) -> Bench {
    let mut s = setup(1);
    s.evses[0].auth = auth;
    Bench::new(s).ready()
}

fn amps(b: &Bench) -> i64 {
    b.show(1).applied.amps.0
}

// ---- status ----

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
        "status 0 Available
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

// ---- links ----

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

#[test]
fn a_lease_is_given_only_while_the_charger_answers() {
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
    b.run(300);
    assert_eq!(b.outlet(1).leases, before);
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

// ---- the ordering law ----

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

// ---- ends ----

#[test]
fn the_same_card_stops() {
    let mut b = charging();
    b.present("a");
    b.run(1);
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 Local with 24.528 Wh
         drive 1 unlock
         status 1 Finishing",
    );
    b.unplug(1);
    b.expect("status 1 Available");
}

#[test]
fn another_card_does_not_stop() {
    let mut b = charging();
    b.present("B");
    b.run(2);
    b.expect("");
}

#[test]
fn a_card_of_the_same_group_stops() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    let family = TokenInfo {
        group: Some("FAMILY".to_owned()),
        ..TokenInfo::of(AuthStatus::Accepted)
    };
    b.judge(Some(family.clone()));
    b.run(5);
    b.look();
    b.present("B");
    b.expect("authorize 1 B");
    b.judge(Some(family));
    assert!(b.look().iter().any(|l| l.starts_with("ended 1 #2 Local")));
}

#[test]
fn a_remote_stop_is_answered_once_the_end_is_durable() {
    let mut b = charging();
    let tx = b.tx(1).unwrap();
    b.ask(Command::RemoteStop { tx: tx.clone() });
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 Remote with 24.528 Wh
         drive 1 unlock
         answer yes
         status 1 Finishing",
    );
    b.ask(Command::RemoteStop { tx });
    b.expect("answer no: no such transaction is running");
}

#[test]
fn an_unplugged_vehicle_may_leave_the_transaction_open() {
    let params = Params {
        stop_on_ev_disconnect: false,
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    b.look();
    b.unplug(1);
    b.run(2);
    b.plug(1);
    b.run(3);
    b.expect(
        "changed 1 #2 ChargingStateChanged Idle
         status 1 SuspendedEV (EV side disconnected)
         changed 1 #3 ChargingStateChanged Charging
         status 1 Charging",
    );
}

#[test]
fn a_refused_token_ends_the_transaction() {
    let mut b = charging();
    let tx = b.tx(1).unwrap();
    b.act(Input::Verdict {
        tx,
        info: TokenInfo::of(AuthStatus::Blocked),
    });
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 DeAuthorized with 24.528 Wh
         status 1 Finishing",
    );
}

#[test]
fn a_refused_token_may_only_suspend() {
    let params = Params {
        stop_on_invalid_id: false,
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    b.look();
    let tx = b.tx(1).unwrap();
    b.act(Input::Verdict {
        tx,
        info: TokenInfo::of(AuthStatus::Invalid),
    });
    b.run(1);
    b.expect(
        "drive 1 limit 0 A !
         changed 1 #2 Deauthorized Charging
         changed 1 #3 ChargingStateChanged SuspendedEVSE
         status 1 SuspendedEVSE",
    );
    assert_eq!(b.show(1).applied.source, LimitSource::NotAuthorised);
}

#[test]
fn a_refused_token_may_have_some_energy_to_drive_home() {
    let params = Params {
        max_energy_on_invalid_id: MilliWattHours::from_base(100),
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    let tx = b.tx(1).unwrap();
    b.act(Input::Verdict {
        tx,
        info: TokenInfo::of(AuthStatus::Invalid),
    });
    b.run(20);
    assert!(b.tx(1).is_some());
    b.run(20);
    assert!(b.tx(1).is_none());
    assert!(
        b.look()
            .iter()
            .any(|l| l.starts_with("ended 1 #3 DeAuthorized with 12"))
    );
}

// ---- remote start ----

#[test]
fn a_remote_start_before_the_plug() {
    let mut b = bench(1);
    assert!(b.remote_start(Some(1), "APP"));
    b.plug(1);
    b.expect(
        "answer yes
         status 1 Preparing
         began 1 APP at 1000000 Wh by RemoteStart
         drive 1 limit 16 A
         drive 1 enable",
    );
}

#[test]
fn a_remote_start_nobody_plugs_in_for_is_let_go() {
    let mut b = bench(1);
    assert!(b.remote_start(Some(1), "APP"));
    b.run(61);
    b.expect(
        "answer yes
         status 1 Preparing
         status 1 Available",
    );
}

#[test]
fn a_remote_start_without_an_evse_takes_the_one_where_a_vehicle_waits() {
    let mut b = bench(3);
    b.plug(2);
    assert!(b.remote_start(None, "APP"));
    assert!(b.tx(2).is_some());
    assert!(b.remote_start(None, "APP2"));
    b.plug(1);
    assert!(b.tx(1).is_some());
}

#[test]
fn a_remote_start_is_refused_where_it_cannot_be_done() {
    let mut b = charging();
    assert!(!b.remote_start(Some(1), "B"));
    assert!(!b.remote_start(Some(9), "B"));
    assert!(!b.remote_start(None, "B"));
    let mut b = bench(1);
    b.ask(Command::ChangeAvailability {
        evse: Some(EvseId(1)),
        to: Availability::Inoperative,
    });
    assert!(!b.remote_start(Some(1), "B"));
}

#[test]
fn a_remote_start_may_have_to_be_authorised() {
    let params = Params {
        authorize_remote_start: true,
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.look();
    assert!(b.remote_start(Some(1), "APP"));
    b.expect(
        "authorize 1 APP
         answer yes",
    );
    b.judge(Some(TokenInfo::of(AuthStatus::Blocked)));
    b.run(1);
    b.expect("");
}

#[test]
fn a_remote_start_brings_its_own_profile() {
    let mut b = bench(1);
    b.plug(1);
    let start = RemoteStart {
        evse: Some(EvseId(1)),
        token: card("APP"),
        remote_start_id: None,
        profile: Some(profile(4, ProfilePurpose::Tx, 0, 9_000)),
        group: None,
    };
    b.ask(Command::RemoteStart(start));
    assert_eq!(
        b.show(1).applied,
        AppliedLimit {
            amps: MilliAmps(9_000),
            source: LimitSource::TxProfile
        }
    );
    assert!(b.kv.keys().any(|k| k.starts_with("profile/")));
    b.unplug(1);
    assert!(
        !b.kv.keys().any(|k| k.starts_with("profile/")),
        "it dies with its transaction"
    );
}

// ---- offline ----

#[test]
fn offline_a_known_card_charges_and_an_unknown_one_does_not() {
    let mut b = charging();
    b.unplug(1);
    b.act(Input::Online(false));
    b.plug(1);
    b.look();
    b.present("B");
    b.expect("");
    b.present("A");
    let log = b.look();
    assert_eq!(log[0], "began 1 A at 1000024.528 Wh by Authorized offline");
}

#[test]
fn offline_an_unknown_card_may_be_let_in() {
    let params = Params {
        allow_offline_unknown: true,
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.act(Input::Online(false));
    b.plug(1);
    b.present("X");
    assert!(b.tx(1).is_some());
}

#[test]
fn a_csms_that_does_not_answer_is_as_good_as_none() {
    let mut b = charging();
    b.unplug(1);
    b.plug(1);
    b.look();
    b.present("A");
    b.run(40);
    let log = b.look();
    assert_eq!(log[0], "authorize 1 A");
    assert!(log[1].starts_with("began 1 A"), "the cache decides: {log:?}");
}

#[test]
fn the_cache_survives_a_restart() {
    let mut b = charging();
    b.unplug(1);
    b.restart(10);
    b.poll_devices();
    b.plug(1);
    b.present("A");
    assert!(b.tx(1).is_some(), "offline, by the cache");
}

#[test]
fn with_pre_authorisation_a_known_card_need_not_wait() {
    let params = Params {
        local_pre_authorize: true,
        sample_interval: Duration::ZERO,
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.authorise("A");
    b.unplug(1);
    b.plug(1);
    b.look();
    b.present("A");
    assert!(b.look()[0].starts_with("began 1 A"));
    assert_eq!(b.ask(Command::ClearCache), Some(Outcome::Simple(Accepted::Yes)));
    assert!(!b.kv.keys().any(|k| k.starts_with("cache/")));
}

// ---- modes ----

#[test]
fn in_free_mode_the_vehicle_is_enough_and_one_session_is_one_visit() {
    let mut b = in_mode(AuthMode::Free(IdToken::new("FREE", TokenKind::Local)));
    b.plug(1);
    b.expect(
        "began 1 FREE at 1000000 Wh by CablePluggedIn
         drive 1 limit 16 A
         drive 1 enable
         status 1 Preparing",
    );
    let tx = b.tx(1).unwrap();
    b.ask(Command::RemoteStop { tx });
    b.run(60);
    assert!(b.tx(1).is_none());
    b.restart(5);
    b.run(5);
    assert!(b.tx(1).is_none(), "stopped is stopped, over a restart too");
    b.unplug(1);
    b.plug(1);
    assert!(b.tx(1).is_some());
}

#[test]
fn in_remote_mode_cards_mean_nothing() {
    let mut b = in_mode(AuthMode::Remote);
    b.plug(1);
    b.look();
    b.present("A");
    b.expect("");
    assert!(b.remote_start(Some(1), "APP"));
    assert!(b.tx(1).is_some());
}

#[test]
fn in_charger_mode_the_charger_decides_and_its_card_is_recorded() {
    let mut b = in_mode(AuthMode::Charger(Some(IdToken::new("BOX", TokenKind::Local))));
    assert!(b.outlet(1).enabled, "the charger may go its own way");
    for token in [None, Some(card("RFID"))] {
        let observations = vec![Observation::Token(token)];
        b.act(Input::Observed {
            evse: EvseId(1),
            role: Role::Charger,
            observations,
        });
    }
    b.plug(1);
    let log = b.look();
    assert!(
        log.contains(&"began 1 RFID at 1000000 Wh by Authorized".to_owned()),
        "{log:?}"
    );
    let tx = b.tx(1).unwrap();
    b.ask(Command::RemoteStop { tx });
    assert!(!b.outlet(1).offers(), "a remote stop holds against the charger");
    b.run(10);
    assert!(b.tx(1).is_none());
    b.unplug(1);
    b.run(6);
    assert!(b.outlet(1).offers());
}

#[test]
fn one_reader_serves_all_evses_and_picks_the_one_with_a_vehicle() {
    let mut b = bench(2);
    b.plug(2);
    b.look();
    b.present("A");
    b.expect("authorize 2 A");
    b.accept();
    assert!(b.tx(2).is_some() && b.tx(1).is_none());
    b.present("A");
    assert!(b.tx(2).is_none(), "and stops it there");
}

// ---- availability, reset, unlock ----

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
    let outcome = b.ask(Command::Unlock { evse: EvseId(1) });
    assert_eq!(outcome, Some(Outcome::Unlock(UnlockOutcome::Unlocked)));
    b.expect(
        "drive 1 limit 0 A !
         drive 1 disable !
         ended 1 #2 UnlockCommand with 24.528 Wh
         drive 1 unlock
         status 1 Finishing
         answer Unlocked",
    );
    let outcome = b.ask(Command::Unlock { evse: EvseId(5) });
    assert_eq!(outcome, Some(Outcome::Unlock(UnlockOutcome::UnknownConnector)));
}

#[test]
fn a_lock_that_does_not_answer_is_answered_for() {
    let mut b = bench(1);
    b.bus = false;
    assert_eq!(b.ask(Command::Unlock { evse: EvseId(1) }), None);
    b.run(30);
    assert!(b.look().contains(&"answer Failed".to_owned()));
}

// ---- meter values ----

fn sampling(params: Params) -> Bench {
    let mut b = Bench::with(setup(1), params).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    b.look();
    b
}

#[test]
fn periodic_samples_run_from_the_begin() {
    let params = Params {
        sample_interval: Duration::from_secs(60),
        ..Params::default()
    };
    let mut b = sampling(params);
    b.run(120);
    b.expect(
        "sample 1 #2 Periodic of 5
         sample 1 #3 Periodic of 5",
    );
    let Event::Sampled { points, .. } = &b.rows.last().unwrap().event else {
        panic!()
    };
    assert_eq!(points[0].quantity, Quantity::EnergyImport);
    assert!(
        points.iter().filter(|p| p.quantity == Quantity::Current).count() == 3,
        "every phase there is"
    );
}

#[test]
fn aligned_samples_lie_on_the_grid_in_and_outside_of_transactions() {
    let params = Params {
        sample_interval: Duration::ZERO,
        aligned_interval: Duration::from_secs(900),
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.run(1_000);
    b.expect("sample 1 Clock of 1");
    let at = b.rows.last().unwrap().at;
    assert_eq!(
        at.wall.unix_ms,
        NEW_YEAR + 43_200_000 + 900_000,
        "the exact second"
    );
    b.plug(1);
    b.authorise("A");
    b.run(900);
    assert!(b.look().contains(&"sample 1 #2 Clock of 1".to_owned()));
}

#[test]
fn there_are_no_aligned_samples_without_a_trusted_clock() {
    let params = Params {
        sample_interval: Duration::ZERO,
        aligned_interval: Duration::from_secs(60),
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params);
    b.now.wall = Wall {
        unix_ms: NEW_YEAR,
        quality: ClockQuality::Restored,
    };
    b = b.ready();
    b.run(300);
    b.expect("");
    b.now.wall.quality = ClockQuality::Csms;
    b.run(61);
    b.expect("sample 1 Clock of 1");
}

#[test]
fn a_clock_that_jumps_makes_no_burst_of_samples() {
    let params = Params {
        sample_interval: Duration::ZERO,
        aligned_interval: Duration::from_secs(60),
        ..Params::default()
    };
    let mut b = Bench::with(setup(1), params).ready();
    b.now.wall.unix_ms += 10 * 365 * 86_400_000;
    b.run(2);
    b.now.wall.unix_ms -= 20 * 365 * 86_400_000;
    b.run(2);
    assert!(b.look().len() <= 1);
}

#[test]
fn the_stop_message_carries_begin_and_end_and_a_thinned_middle() {
    let params = Params {
        sample_interval: Duration::from_secs(10),
        stop_sampled: vec![Measurand::all(Quantity::EnergyImport)],
        ..Params::default()
    };
    let mut b = sampling(params);
    b.run(3_000);
    assert!(b.kv.keys().filter(|k| k.starts_with("data/")).count() <= 64);
    b.unplug(1);
    assert_eq!(b.kv.keys().filter(|k| k.starts_with("data/")).count(), 0);
    let end = b.end();
    assert!(end.data.len() > 30 && end.data.len() <= 64);
    assert_eq!(end.data[0].context, SampleContext::TransactionBegin);
    assert_eq!(end.data.last().unwrap().context, SampleContext::TransactionEnd);
    assert_eq!(end.data[0].points[0].milli, 1_000_000_000);
    assert_eq!(end.data.last().unwrap().points[0].milli, end.meter.0);
}

#[test]
fn the_stop_message_is_empty_when_nothing_is_wanted_there() {
    let mut b = charging();
    b.unplug(1);
    let end = b.end();
    assert!(end.data.is_empty());
}

#[test]
fn meter_values_come_when_asked_for() {
    let mut b = bench(2);
    b.ask(Command::Trigger(Trigger::MeterValues(Some(EvseId(2)))));
    b.expect(
        "sample 2 Trigger of 5
         answer yes",
    );
    b.ask(Command::Trigger(Trigger::Status(None)));
    b.expect(
        "answer yes
         status 0 Available
         status 1 Available
         status 2 Available",
    );
}

// ---- limits and profiles ----

pub(super) fn profile(
    id: i32,
    purpose: ProfilePurpose,
    stack_level: u32,
    limit_milli: i64,
) -> ChargingProfile {
    ChargingProfile {
        id,
        stack_level,
        purpose,
        kind: ProfileKind::Relative,
        valid_from_ms: None,
        valid_to_ms: None,
        tx: None,
        schedule: Schedule {
            duration_s: None,
            start_ms: None,
            unit: RateUnit::Amps,
            periods: vec![SchedulePeriod {
                start_s: 0,
                limit_milli,
                phases: None,
            }],
            min_rate_milli: None,
        },
    }
}

fn set(b: &mut Bench, evse: Option<u16>, profile: ChargingProfile) -> bool {
    b.ask(Command::SetProfile {
        evse: evse.map(EvseId),
        profile,
    }) == Some(Outcome::Simple(Accepted::Yes))
}

fn clear(b: &mut Bench, which: ClearProfiles) -> bool {
    b.ask(Command::ClearProfiles(which)) == Some(Outcome::Simple(Accepted::Yes))
}

fn composite(b: &mut Bench, duration_s: u32, unit: Option<RateUnit>) -> Vec<(u32, i64)> {
    match b.ask(Command::GetComposite {
        evse: Some(EvseId(1)),
        duration_s,
        unit,
    }) {
        Some(Outcome::Composite(Ok(c))) => c.periods.iter().map(|p| (p.start_s, p.limit_milli)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_of_the_csms_arrives_at_the_charger() {
    let mut b = charging();
    set(&mut b, Some(1), profile(1, ProfilePurpose::Tx, 0, 10_000));
    b.expect(
        "drive 1 limit 10 A !
         answer yes",
    );
    assert_eq!(
        b.show(1).applied,
        AppliedLimit {
            amps: MilliAmps(10_000),
            source: LimitSource::TxProfile
        }
    );
}

#[test]
fn less_is_at_once_and_more_settles() {
    let mut b = charging();
    set(&mut b, Some(1), profile(1, ProfilePurpose::Tx, 0, 10_000));
    set(&mut b, Some(1), profile(1, ProfilePurpose::Tx, 0, 14_000));
    b.run(3);
    b.expect(
        "drive 1 limit 10 A !
         answer yes
         answer yes",
    );
    b.run(3);
    b.expect("drive 1 limit 14 A");
}

#[test]
fn a_limit_below_the_least_current_pauses_and_the_session_goes_on() {
    let mut b = charging();
    set(&mut b, Some(1), profile(1, ProfilePurpose::Tx, 0, 5_900));
    b.run(2);
    b.expect(
        "drive 1 limit 0 A !
         changed 1 #2 ChargingStateChanged SuspendedEVSE
         answer yes
         status 1 SuspendedEVSE",
    );
    clear(
        &mut b,
        ClearProfiles {
            id: Some(1),
            ..ClearProfiles::default()
        },
    );
    b.run(5);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

#[test]
fn stacking_follows_the_levels_and_the_purposes() {
    let mut b = charging();
    set(&mut b, None, profile(1, ProfilePurpose::TxDefault, 0, 8_000));
    assert_eq!(amps(&b), 8_000, "level 0 works");
    set(&mut b, None, profile(2, ProfilePurpose::TxDefault, 3, 12_000));
    assert_eq!(amps(&b), 12_000, "the higher level wins");
    set(&mut b, Some(1), profile(3, ProfilePurpose::TxDefault, 3, 11_000));
    assert_eq!(amps(&b), 11_000, "the connector's own hides that of connector 0");
    set(&mut b, Some(1), profile(4, ProfilePurpose::Tx, 0, 15_000));
    assert_eq!(amps(&b), 15_000, "Tx overrules TxDefault");
    set(&mut b, None, profile(5, ProfilePurpose::ChargePointMax, 0, 9_000));
    assert_eq!(b.show(1).applied.source, LimitSource::ChargePointMaxProfile);
    assert_eq!(amps(&b), 9_000, "the charge point bounds both");
    set(
        &mut b,
        None,
        profile(6, ProfilePurpose::ChargePointMax, 0, 13_000),
    );
    assert_eq!(amps(&b), 13_000, "same purpose and level replaces");
    assert!(
        !clear(
            &mut b,
            ClearProfiles {
                id: Some(5),
                ..ClearProfiles::default()
            }
        ),
        "it is gone"
    );
    assert!(clear(
        &mut b,
        ClearProfiles {
            purpose: Some(ProfilePurpose::Tx),
            ..ClearProfiles::default()
        }
    ));
    assert_eq!(amps(&b), 11_000);
    assert!(clear(&mut b, ClearProfiles::default()));
    assert_eq!(amps(&b), 16_000);
    assert!(!clear(&mut b, ClearProfiles::default()));
}

#[test]
fn profiles_persist_and_so_does_their_removal() {
    let mut b = bench(1);
    set(&mut b, None, profile(1, ProfilePurpose::TxDefault, 0, 8_000));
    set(&mut b, None, profile(2, ProfilePurpose::TxDefault, 1, 7_000));
    clear(
        &mut b,
        ClearProfiles {
            id: Some(2),
            ..ClearProfiles::default()
        },
    );
    b.restart(60);
    b.act(Input::Online(true));
    b.run(2);
    b.plug(1);
    b.authorise("A");
    assert_eq!(amps(&b), 8_000);
}

#[test]
fn a_tx_profile_needs_its_transaction() {
    let mut b = bench(1);
    assert!(!set(&mut b, Some(1), profile(1, ProfilePurpose::Tx, 0, 8_000)));
    assert!(!set(&mut b, None, profile(1, ProfilePurpose::Tx, 0, 8_000)));
    assert!(!set(
        &mut b,
        Some(1),
        profile(1, ProfilePurpose::ChargePointMax, 0, 8_000)
    ));
    assert!(!set(
        &mut b,
        Some(7),
        profile(1, ProfilePurpose::TxDefault, 0, 8_000)
    ));
    let mut b = charging();
    let mut other = profile(1, ProfilePurpose::Tx, 0, 8_000);
    other.tx = Some(TxId::new("another"));
    assert!(!set(&mut b, Some(1), other));
}

#[test]
fn the_next_period_is_enforced_to_the_second() {
    let mut b = bench(1);
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 16_000);
    p.schedule.periods.push(SchedulePeriod {
        start_s: 30,
        limit_milli: 7_000,
        phases: None,
    });
    p.schedule.duration_s = Some(60);
    set(&mut b, None, p);
    b.plug(1);
    b.authorise("A");
    let begun = b.now.mono;
    let mut seen = Vec::new();
    for _ in 0..70 {
        b.run(1);
        if seen.last().is_none_or(|(_, a)| *a != amps(&b)) {
            seen.push((b.now.mono.since(begun).as_secs(), amps(&b)));
        }
    }
    assert_eq!(seen, [(1, 16_000), (30, 7_000), (60, 16_000)]);
}

#[test]
fn the_announced_schedule_is_the_enforced_one() {
    let mut b = charging();
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 14_000);
    p.kind = ProfileKind::Recurring(Recurrency::Daily);
    p.schedule.start_ms = Some(NEW_YEAR);
    p.schedule.periods.push(SchedulePeriod {
        start_s: 43_200 + 100,
        limit_milli: 8_000,
        phases: None,
    });
    p.schedule.periods.push(SchedulePeriod {
        start_s: 43_200 + 200,
        limit_milli: 3_000,
        phases: None,
    });
    p.schedule.periods.push(SchedulePeriod {
        start_s: 43_200 + 300,
        limit_milli: 12_000,
        phases: None,
    });
    set(&mut b, None, p);
    let announced = composite(&mut b, 400, Some(RateUnit::Amps));
    assert_eq!(
        announced.iter().map(|(_, a)| *a).collect::<Vec<_>>(),
        [14_000, 8_000, 0, 12_000]
    );
    let start = b.now;
    for second in 0..400u32 {
        let expected = announced.iter().rev().find(|(s, _)| *s <= second).unwrap().1;
        assert_eq!(amps(&b), expected, "after {second} s");
        b.run(1);
    }
    assert_eq!(b.now.mono.since(start.mono).as_secs(), 400);
}

#[test]
fn watts_are_shared_over_the_phases_that_are_there() {
    let mut b = charging();
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 6_900_000);
    p.schedule.unit = RateUnit::Watts;
    set(&mut b, None, p.clone());
    assert_eq!(amps(&b), 10_000);
    assert_eq!(composite(&mut b, 10, Some(RateUnit::Watts)), [(0, 6_900_000)]);
    assert_eq!(composite(&mut b, 10, Some(RateUnit::Amps)), [(0, 10_000)]);
    assert_eq!(
        composite(&mut b, 10, None),
        [(0, 6_900_000)],
        "in the unit of the profile"
    );
    let mut s = setup(1);
    s.evses[0].phases = 1;
    let mut b = Bench::new(s).ready();
    p.schedule.periods[0].limit_milli = 3_450_000;
    set(&mut b, None, p);
    b.plug(1);
    b.authorise("A");
    assert_eq!(amps(&b), 15_000, "all of it on the one phase");
}

#[test]
fn an_absolute_profile_waits_for_its_start_and_a_gap_falls_to_the_level_below() {
    let mut b = charging();
    set(&mut b, None, profile(1, ProfilePurpose::TxDefault, 0, 9_000));
    let mut p = profile(2, ProfilePurpose::TxDefault, 5, 7_000);
    p.kind = ProfileKind::Absolute;
    p.schedule.start_ms = Some(b.now.wall.unix_ms + 20_000);
    p.schedule.duration_s = Some(20);
    set(&mut b, None, p);
    assert_eq!(
        composite(&mut b, 60, None),
        [(0, 9_000), (20, 7_000), (40, 9_000)]
    );
    b.run(25);
    assert_eq!(amps(&b), 7_000);
    b.run(20);
    assert_eq!(amps(&b), 9_000);
}

#[test]
fn validity_begins_and_ends() {
    let mut b = charging();
    let mut p = profile(2, ProfilePurpose::TxDefault, 5, 7_000);
    p.valid_from_ms = Some(b.now.wall.unix_ms + 10_000);
    p.valid_to_ms = Some(b.now.wall.unix_ms + 30_000);
    set(&mut b, None, p);
    assert_eq!(
        composite(&mut b, 60, None),
        [(0, 16_000), (10, 7_000), (30, 16_000)]
    );
}

#[test]
fn without_a_clock_an_absolute_profile_holds_by_its_lowest_period() {
    let mut b = Bench::new(setup(1));
    b.now.wall = Wall {
        unix_ms: 0,
        quality: ClockQuality::Unset,
    };
    b = b.ready();
    let mut p = profile(2, ProfilePurpose::TxDefault, 0, 14_000);
    p.kind = ProfileKind::Absolute;
    p.schedule.start_ms = Some(NEW_YEAR);
    p.schedule.periods.push(SchedulePeriod {
        start_s: 3_600,
        limit_milli: 8_000,
        phases: None,
    });
    set(&mut b, None, p);
    b.plug(1);
    b.authorise("A");
    assert_eq!(amps(&b), 8_000);
}

#[test]
fn nonsense_profiles_are_refused() {
    let mut b = charging();
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 8_000);
    p.schedule.periods[0].start_s = 5;
    assert!(!set(&mut b, None, p));
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 8_000);
    p.schedule.periods.clear();
    assert!(!set(&mut b, None, p));
    assert!(!set(&mut b, None, profile(1, ProfilePurpose::TxDefault, 0, -1)));
    let mut p = profile(1, ProfilePurpose::TxDefault, 0, 8_000);
    p.kind = ProfileKind::Recurring(Recurrency::Daily);
    assert!(!set(&mut b, None, p));
}

#[test]
fn the_ceiling_of_the_charge_point_is_shared_by_its_evses() {
    let mut b = bench(2);
    set(
        &mut b,
        None,
        profile(1, ProfilePurpose::ChargePointMax, 0, 20_000),
    );
    b.plug(1);
    b.authorise("A");
    b.run(8);
    assert_eq!(b.outlet(1).limit, MilliAmps(16_000));
    b.plug(2);
    b.authorise("B");
    for _ in 0..20 {
        b.run(1);
        let sum = b.outlet(1).limit.0
            + if b.outlet(2).offers() {
                b.outlet(2).limit.0
            } else {
                0
            };
        assert!(sum <= 20_000, "{sum}");
    }
    assert_eq!(
        (b.outlet(1).limit, b.outlet(2).limit),
        (MilliAmps(10_000), MilliAmps(10_000))
    );
    set(
        &mut b,
        None,
        profile(1, ProfilePurpose::ChargePointMax, 0, 10_000),
    );
    b.run(10);
    assert_eq!(
        (b.outlet(1).limit, b.outlet(2).limit),
        (MilliAmps(10_000), MilliAmps(0)),
        "one pauses"
    );
    b.unplug(1);
    b.run(10);
    assert_eq!(b.outlet(2).limit, MilliAmps(10_000));
}

#[test]
fn a_share_of_a_fuse_and_a_local_limit_with_an_end() {
    let mut b = charging();
    b.act(Input::SharedFuse {
        evse: EvseId(1),
        amps: Some(MilliAmps(12_000)),
    });
    assert_eq!(b.show(1).applied.source, LimitSource::SharedFuse);
    let until = Some(b.now.mono.plus(Duration::from_secs(30)));
    let entry = LimitEntry {
        amps: MilliAmps(7_000),
        source: LimitSource::Local,
        until,
    };
    b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry,
    });
    assert_eq!(amps(&b), 7_000);
    assert_eq!(composite(&mut b, 60, None), [(0, 7_000), (30, 12_000)]);
    b.run(31);
    assert_eq!(amps(&b), 12_000);
    b.act(Input::SharedFuse {
        evse: EvseId(1),
        amps: None,
    });
    assert_eq!(amps(&b), 16_000);
    let foreign = LimitEntry {
        source: LimitSource::Installation,
        ..entry
    };
    let refused = b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry: foreign,
    });
    assert!(matches!(refused, Some(Outcome::Simple(Accepted::No(_)))));
}

#[test]
fn a_session_that_begins_paused_is_not_enabled() {
    let mut b = bench(1);
    set(&mut b, None, profile(1, ProfilePurpose::TxDefault, 0, 0));
    b.plug(1);
    b.look();
    b.authorise("A");
    b.run(12);
    let log = b.look();
    assert!(!log.contains(&"drive 1 enable".to_owned()), "{log:?}");
    assert_eq!(b.show(1).status, ConnectorStatus::SuspendedEVSE);
    clear(&mut b, ClearProfiles::default());
    b.run(3);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

// ---- restarts ----

#[test]
fn a_killed_gateway_takes_the_session_up_again() {
    let mut b = charging();
    b.run(120);
    let tx = b.tx(1);
    b.look();
    b.restart(30);
    b.run(3);
    assert_eq!(b.tx(1), tx);
    b.run(5);
    b.unplug(1);
    let end = b.end();
    assert_eq!(end.reason, StopReason::EVDisconnected);
    assert_eq!(
        end.energy.0,
        b.outlet(1).delivered,
        "what flowed meanwhile is counted"
    );
}

#[test]
fn a_killed_gateway_whose_vehicle_left_ends_the_session_with_the_last_stored_register() {
    let mut b = charging();
    b.run(120);
    b.outlet(1).plugged = false;
    b.restart(600);
    b.run(2);
    let end = b.end();
    assert_eq!(end.reason, StopReason::PowerLoss);
    assert!(end.energy.0 > 0 && end.energy.0 <= b.outlet(1).delivered);
    b.restart(5);
    b.run(2);
    let ends = b
        .rows
        .iter()
        .filter(|r| matches!(r.event, Event::Ended(_)))
        .count();
    assert_eq!(ends, 1, "and only once");
}

#[test]
fn a_kill_before_the_begin_is_durable_leaves_nothing_behind() {
    let mut b = bench(1);
    b.plug(1);
    b.present("A");
    b.store = false;
    b.accept();
    b.restart(5);
    b.store = true;
    b.run(10);
    assert!(b.rows.is_empty());
    assert!(b.tx(1).is_none());
    assert!(!b.outlet(1).offers());
}

#[test]
fn a_kill_before_the_end_is_durable_goes_on_with_the_session() {
    let mut b = charging();
    let tx = b.tx(1).unwrap();
    b.store = false;
    b.ask(Command::RemoteStop { tx: tx.clone() });
    assert_eq!(b.answers.len(), 0, "nothing was promised");
    b.restart(5);
    b.store = true;
    b.run(10);
    assert_eq!(b.tx(1), Some(tx));
    b.unplug(1);
    let ends = b
        .rows
        .iter()
        .filter(|r| matches!(r.event, Event::Ended(_)))
        .count();
    assert_eq!(ends, 1);
}

#[test]
fn an_orderly_end_leaves_the_session_to_the_next_run() {
    let mut b = charging();
    b.act(Input::Leaving);
    b.expect(
        "drive 1 safe !
         changed 1 #2 ChargingStateChanged SuspendedEVSE
         status 1 SuspendedEVSE",
    );
    assert!(!b.remote_start(None, "X"));
    b.run(20);
    assert!(b.lease(1) <= b.now.mono, "no more leases");
    let tx = b.tx(1);
    b.restart(3);
    b.run(5);
    assert_eq!(b.tx(1), tx);
    assert!(b.outlet(1).offers());
}

#[test]
fn a_session_whose_evse_is_not_configured_any_more_is_ended() {
    let mut b = bench(2);
    b.plug(2);
    b.authorise("A");
    b.run(5);
    b.setup.evses.truncate(1);
    b.outlets.remove(&EvseId(2));
    b.restart(5);
    b.run(2);
    let end = b.end();
    assert_eq!((end.evse, end.reason), (EvseId(2), StopReason::PowerLoss));
    assert!(!b.kv.contains_key("tx/2"));
}

#[test]
fn a_meter_reset_in_a_session_costs_nobody_anything() {
    let mut b = charging();
    b.run(60);
    b.outlet(1).meter = 0;
    b.run(60);
    b.unplug(1);
    let end = b.end();
    assert!(end.energy.0 <= b.outlet(1).delivered);
    assert!(end.energy.0 > b.outlet(1).delivered * 9 / 10);
    assert_eq!(end.meter, MilliWattHours(1_000_000_000) + end.energy);
    b.plug(1);
    b.authorise("B");
    let Some(Event::Began(begin)) = b.rows.last().map(|r| r.event.clone()) else {
        panic!()
    };
    assert_eq!(begin.meter.0, b.outlet(1).meter, "the raw register again");
}

#[test]
fn transactions_never_share_an_id() {
    let mut b = bench(1);
    let mut ids = std::collections::BTreeSet::new();
    for round in 0..20 {
        b.plug(1);
        b.present("A");
        if b.tx(1).is_none() {
            b.accept();
        }
        assert!(ids.insert(b.tx(1).unwrap()));
        b.unplug(1);
        if round % 3 == 0 {
            b.restart(2);
            b.run(2);
        }
    }
}

#[test]
fn a_charger_that_is_its_own_meter_needs_no_other() {
    let mut s = setup(1);
    s.evses[0] = EvseSetup {
        meter: None,
        ..evse(1)
    };
    let mut b = Bench::new(s);
    b.outlet(1).meter_answers = false;
    b = b.ready();
    let register = vec![b.reading(Quantity::EnergyImport, Phase::Total, 5_000)];
    b.act(Input::Observed {
        evse: EvseId(1),
        role: Role::Charger,
        observations: register,
    });
    b.plug(1);
    b.authorise("A");
    assert!(b.tx(1).is_some());
}

#[test]
fn deadlines_say_why() {
    let b = charging();
    let (at, why) = b.station.next_deadline().unwrap();
    assert!(at > b.now.mono && !why.is_empty());
}
