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
