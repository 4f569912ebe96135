//! How sessions begin and end.

use super::*;

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
        "answer yes
         authorize 1 APP",
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
