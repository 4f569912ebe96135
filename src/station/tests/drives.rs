//! What a charger is told, in which order and how often, and when its lease is renewed.

use super::*;

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
        entry: Some(entry),
    });
    b.expect(
        "drive 1 limit 10 A !
         drive 1 safe !
         changed 1 #2 ChargingStateChanged SuspendedEVSE
         answer yes
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
        entry: Some(entry),
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
        entry: Some(entry),
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
