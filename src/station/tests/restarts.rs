//! What survives a kill.

use super::*;

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
    assert!(b.rows.iter().all(|row| row.event.tx().is_none()));
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

/// What the charger was told since the last look.
fn told(b: &mut Bench) -> Vec<String> {
    let lines = b.look().into_iter();
    lines.filter(|line| line.starts_with("drive")).collect()
}

#[test]
fn a_session_goes_on_through_a_kill_without_a_pause() {
    let mut b = charging();
    b.run(60);
    b.look();
    b.restart(2);
    b.run(20);
    b.expect(
        "restart 2
         security StartupOfTheDevice
         status 0 Available
         status 1 SuspendedEVSE
         status 1 Charging
         drive 1 limit 16 A
         drive 1 enable
         changed 1 #2 ChargingStateChanged Charging",
    );
}

#[test]
fn until_vehicle_and_meter_are_seen_the_charger_is_left_as_it_is() {
    let mut b = charging();
    b.outlet(1).meter_answers = false;
    b.restart(2);
    b.act(Input::Tick);
    b.look();
    for seconds in 0..5 {
        assert_eq!(told(&mut b), Vec::<String>::new(), "after {seconds} s");
        assert!(b.show(1).waking && b.show(1).wants_current);
        assert!(b.outlet(1).offers());
        b.run(1);
    }
    assert_eq!(
        told(&mut b),
        ["drive 1 limit 6 A", "drive 1 enable"],
        "no meter: the least"
    );
    b.outlet(1).meter_answers = true;
    b.run(10);
    assert!(!b.show(1).waking);
    b.outlet(1).meter_answers = false;
    b.run(3);
    assert!(!b.show(1).waking, "it is looked for once");
}

#[test]
fn a_charger_that_is_not_heard_of_again_is_offered_nothing() {
    let mut b = charging();
    b.outlet(1).link = false;
    b.restart(2);
    b.act(Input::Link {
        evse: EvseId(1),
        role: Role::Charger,
        up: true,
        cause: None,
    });
    assert_eq!(told(&mut b), Vec::<String>::new());
    b.pass(5_000);
    b.act(Input::Tick);
    assert!(
        told(&mut b)
            .iter()
            .any(|line| line.starts_with("drive 1 limit 0 A"))
    );
}

#[test]
fn what_speaks_against_charging_needs_no_first_look() {
    let mut b = charging();
    b.outlet(1).meter_answers = false;
    b.outlet(1).fault = Some(FaultKind::GroundFailure);
    b.restart(2);
    b.look();
    b.run(1);
    assert!(
        told(&mut b).contains(&"drive 1 limit 0 A !".to_owned()),
        "a fault"
    );

    let mut b = charging();
    b.outlet(1).meter_answers = false;
    b.restart(2);
    b.run(1);
    b.look();
    let tx = b.tx(1).expect("a session");
    b.ask(Command::RemoteStop { tx });
    assert_eq!(
        told(&mut b),
        ["drive 1 limit 0 A !", "drive 1 disable !", "drive 1 unlock"],
        "a stop"
    );
}

/// A reload builds the station anew within one run, and the clock was set in between: the time it ran is known exactly.
#[test]
fn a_station_built_anew_in_one_run_knows_how_long_its_session_has_run() {
    for (quality, set_by_ms) in [(ClockQuality::Restored, 0), (ClockQuality::Csms, 86_400_000)] {
        let mut b = charging();
        b.now.wall.quality = quality;
        b.run(100);
        let before = b.show(1).tx.unwrap().seconds;
        b.now.wall.unix_ms += set_by_ms;
        let stored: Vec<(String, String)> = b.kv.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let (setup, params) = (b.setup.clone(), b.params.clone());
        b.station = Station::new(setup, params, b.seed, &stored, ReaderId::new("csms"));
        b.run(10);
        assert_eq!(b.show(1).tx.unwrap().seconds, before + 10, "{quality:?}");
    }
}
