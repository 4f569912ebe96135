//! Contacts of the site: emergency stop, tamper contact, dimming.

use super::*;
use crate::station::Input;
use GpioSignal::{Dimming, EmergencyStop, Tamper};

/// Some EVSEs, all with the contacts of one device.
fn wired(evses: u16, signals: &[GpioSignal]) -> CpSetup {
    let mut s = setup(evses);
    for evse in &mut s.evses {
        evse.contacts = vec![contacts("pins", signals)];
    }
    s
}

fn contacts(device: &str, signals: &[GpioSignal]) -> ContactSetup {
    ContactSetup {
        device: DeviceId::new(device),
        signals: signals.iter().copied().collect(),
    }
}

/// All contacts at rest.
fn at_rest(s: CpSetup) -> Bench {
    let mut b = Bench::new(s);
    for contacts in b.setup.evses.iter().flat_map(|evse| evse.contacts.clone()) {
        let idle = contacts.signals.into_iter().map(|signal| (signal, false));
        b.contacts.entry(contacts.device).or_default().extend(idle);
    }
    b.ready()
}

/// One EVSE that charges for card `A`.
fn wired_and_charging(signals: &[GpioSignal]) -> Bench {
    let mut b = at_rest(wired(1, signals));
    b.plug(1);
    b.authorise("A");
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    b.look();
    b
}

fn lose(b: &mut Bench, device: &str) {
    let device = DeviceId::new(device);
    b.contacts.remove(&device);
    b.act(Input::ContactsLost { device });
}

fn reasons(b: &Bench) -> Vec<StopReason> {
    let ends = b.rows.iter().filter_map(|row| match &row.event {
        Event::Ended(end) => Some(end.reason),
        _ => None,
    });
    ends.collect()
}

fn tampers(b: &Bench) -> usize {
    let rows = b.rows.iter();
    rows.filter(|row| matches!(&row.event, Event::Security(s) if s.name == "TamperDetectionActivated"))
        .count()
}

#[test]
fn the_charger_is_stopped_before_the_end_is_on_record() {
    let mut b = wired_and_charging(&[EmergencyStop]);
    b.store = false;
    b.contact("pins", EmergencyStop, true);
    b.expect("drive 1 limit 0 A !\ndrive 1 disable !");
    assert!(!b.outlet(1).offers());
    assert_eq!(reasons(&b), []);
    b.store = true;
    b.commit();
    b.drain();
    assert_eq!(reasons(&b), [StopReason::EmergencyStop]);
    let shown = b.show(1);
    assert_eq!(shown.status, ConnectorStatus::Faulted);
    assert_eq!(shown.error.info.as_deref(), Some("the emergency stop is pressed"));
}

#[test]
fn its_release_begins_nothing_and_a_new_card_does() {
    let mut b = wired_and_charging(&[EmergencyStop]);
    b.contact("pins", EmergencyStop, true);
    b.run(5);
    b.contact("pins", EmergencyStop, false);
    b.run(600);
    assert_eq!(b.show(1).status, ConnectorStatus::Finishing);
    assert!(b.tx(1).is_none() && !b.outlet(1).offers());
    b.authorise("A");
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    assert_eq!(reasons(&b), [StopReason::EmergencyStop]);
}

#[test]
fn where_nobody_is_asked_the_vehicle_must_leave_first() {
    for restart in [false, true] {
        let mut s = wired(1, &[EmergencyStop]);
        s.evses[0].auth = AuthMode::Free(card("FREE"));
        let mut b = at_rest(s);
        b.plug(1);
        b.run(8);
        assert_eq!(b.show(1).status, ConnectorStatus::Charging);
        b.contact("pins", EmergencyStop, true);
        b.run(1);
        if restart {
            b.restart(10);
            b.act(Input::Online(true));
            b.run(2);
        }
        b.contact("pins", EmergencyStop, false);
        b.run(60);
        assert!(b.tx(1).is_none() && !b.outlet(1).offers());
        b.unplug(1);
        b.plug(1);
        b.run(8);
        assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    }
}

#[test]
fn a_vehicle_that_came_while_it_was_pressed_gets_nothing_from_its_release() {
    for auth in [AuthMode::Free(card("FREE")), AuthMode::Charger(None)] {
        let mut s = wired(1, &[EmergencyStop]);
        s.evses[0].auth = auth;
        let mut b = at_rest(s);
        b.contact("pins", EmergencyStop, true);
        b.plug(1);
        b.run(5);
        b.contact("pins", EmergencyStop, false);
        b.run(30);
        assert!(b.tx(1).is_none() && !b.outlet(1).offers());
        b.unplug(1);
        b.plug(1);
        b.run(8);
        assert!(b.tx(1).is_some() && b.outlet(1).offers());
    }
}

#[test]
fn nothing_is_begun_by_an_act_of_before() {
    let mut b = at_rest(wired(1, &[EmergencyStop]));
    b.plug(1);
    b.present("A");
    b.contact("pins", EmergencyStop, true);
    assert!(!b.remote_start(Some(1), "APP"));
    b.contact("pins", EmergencyStop, false);
    // The CSMS answers only now.
    b.accept();
    b.run(30);
    assert!(b.tx(1).is_none() && !b.outlet(1).offers());
    assert!(b.remote_start(Some(1), "APP"));
    b.run(8);
    assert!(b.outlet(1).offers());
}

#[test]
fn one_stop_serves_those_that_name_it() {
    let mut s = setup(3);
    s.evses[0].contacts = vec![contacts("pins", &[EmergencyStop])];
    s.evses[1].contacts = vec![
        contacts("charger2", &[EmergencyStop]),
        contacts("pins", &[EmergencyStop]),
    ];
    s.evses[2].contacts = vec![contacts("pins", &[Tamper])];
    for evse in &mut s.evses {
        evse.auth = AuthMode::Free(card("FREE"));
    }
    let mut b = at_rest(s);
    for id in 1..=3 {
        b.plug(id);
    }
    b.run(8);
    b.contact("charger2", EmergencyStop, true);
    assert_eq!([1, 2, 3].map(|id| b.tx(id).is_some()), [true, false, true]);
    b.contact("pins", EmergencyStop, true);
    b.contact("charger2", EmergencyStop, false);
    assert_eq!([1, 2, 3].map(|id| b.tx(id).is_some()), [false, false, true]);
    assert_eq!(b.show(2).status, ConnectorStatus::Faulted);
    b.run(5);
    assert_eq!([1, 2, 3].map(|id| b.outlet(id).offers()), [false, false, true]);
}

#[test]
fn pressed_and_released_in_one_report_is_pressed() {
    let mut b = wired_and_charging(&[EmergencyStop]);
    b.act(Input::Contacts {
        device: DeviceId::new("pins"),
        levels: vec![(EmergencyStop, true), (EmergencyStop, false)],
    });
    b.run(30);
    assert_eq!(reasons(&b), [StopReason::EmergencyStop]);
    assert!(b.tx(1).is_none() && !b.outlet(1).offers());
}

#[test]
fn one_that_is_pressed_at_the_start_ends_what_was_running() {
    let mut b = wired_and_charging(&[EmergencyStop]);
    b.restart(10);
    b.contact("pins", EmergencyStop, true);
    b.act(Input::Online(true));
    b.run(5);
    assert_eq!(reasons(&b), [StopReason::EmergencyStop]);
}

#[test]
fn without_its_emergency_stop_in_sight_a_session_waits() {
    let mut b = wired_and_charging(&[EmergencyStop]);
    lose(&mut b, "pins");
    assert!(!b.outlet(1).offers() && b.tx(1).is_some());
    assert_eq!(b.show(1).status, ConnectorStatus::Faulted);
    b.contact("pins", EmergencyStop, false);
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    assert_eq!(reasons(&b), []);
    // After a start it has not been seen yet.
    b.contacts.clear();
    b.restart(10);
    b.act(Input::Online(true));
    b.run(30);
    assert!(!b.outlet(1).offers() && b.tx(1).is_some());
    b.contact("pins", EmergencyStop, false);
    b.run(8);
    assert!(b.outlet(1).offers());
}

#[test]
fn nothing_begins_before_the_emergency_stop_was_seen() {
    let mut b = Bench::new(wired(1, &[EmergencyStop])).ready();
    b.plug(1);
    assert!(!b.remote_start(Some(1), "APP"));
    b.contact("pins", EmergencyStop, false);
    assert!(b.remote_start(Some(1), "APP"));
    b.run(8);
    assert!(b.outlet(1).offers());
}

#[test]
fn a_housing_is_told_of_once_per_opening() {
    let mut b = at_rest(wired(2, &[Tamper]));
    assert_eq!(tampers(&b), 0);
    b.contact("pins", Tamper, true);
    b.run(30);
    assert_eq!(tampers(&b), 1, "one for both EVSEs");
    let told = b.rows.iter().find_map(|row| match &row.event {
        Event::Security(s) if s.name == "TamperDetectionActivated" => s.info.clone(),
        _ => None,
    });
    assert!(told.is_some_and(|info| info.contains("pins")));
    // Lines that come back show the same opening.
    lose(&mut b, "pins");
    b.contact("pins", Tamper, true);
    assert_eq!(tampers(&b), 1);
    b.contact("pins", Tamper, false);
    b.contact("pins", Tamper, true);
    assert_eq!(tampers(&b), 2);
}

#[test]
fn an_open_housing_is_an_opening_at_the_start_but_not_at_a_change_of_the_configuration() {
    let mut b = at_rest(wired(1, &[Tamper]));
    b.contact("pins", Tamper, true);
    let run = b.now.boot;
    b.restart(1);
    b.now.boot = run;
    b.run(2);
    assert_eq!(tampers(&b), 1, "a station built anew");
    b.restart(1);
    b.run(2);
    assert_eq!(tampers(&b), 2, "the process started anew");
    b.contact("pins", Tamper, false);
    b.restart(1);
    b.run(2);
    assert_eq!(tampers(&b), 2);
    assert!(b.kv.keys().all(|key| !key.starts_with("tamper/")));
}

#[test]
fn dimmed_it_gets_what_is_left_and_the_rest_once_the_contact_opens() {
    let mut b = wired_and_charging(&[Dimming]);
    assert_eq!(amps(&b), 16_000);
    b.contact("pins", Dimming, true);
    b.expect("drive 1 limit 6 A !");
    assert_eq!(b.show(1).applied.source, LimitSource::GridOperator);
    assert_eq!(composite(&mut b, 3600, None), [(0, 6_000)]);
    assert!(set(
        &mut b,
        None,
        profile(1, ProfilePurpose::ChargePointMax, 0, 10_000)
    ));
    assert_eq!(amps(&b), 6_000);
    b.contact("pins", Dimming, false);
    b.run(8);
    assert_eq!(b.outlet(1).limit, MilliAmps(10_000));
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

#[test]
fn dimmed_to_nothing_it_pauses() {
    let mut s = wired(1, &[Dimming]);
    s.evses[0].dimmed_current = MilliAmps::ZERO;
    let mut b = at_rest(s);
    b.plug(1);
    b.authorise("A");
    b.run(8);
    b.contact("pins", Dimming, true);
    b.run(5);
    assert_eq!(b.show(1).status, ConnectorStatus::SuspendedEVSE);
    assert!(b.tx(1).is_some() && !b.outlet(1).offers());
    b.contact("pins", Dimming, false);
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
}

#[test]
fn without_the_contact_in_sight_it_is_dimmed() {
    let mut b = wired_and_charging(&[Dimming]);
    lose(&mut b, "pins");
    assert_eq!(b.outlet(1).limit, MilliAmps(6_000));
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    b.contact("pins", Dimming, false);
    b.run(8);
    assert_eq!(b.outlet(1).limit, MilliAmps(16_000));

    let mut b = Bench::new(wired(1, &[Dimming])).ready();
    b.plug(1);
    b.authorise("A");
    b.run(8);
    assert_eq!(b.outlet(1).limit, MilliAmps(6_000));
}
