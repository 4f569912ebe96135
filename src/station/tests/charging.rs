//! Limits and charging profiles.

use super::*;

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

fn share(milli: i64) -> Option<Share> {
    Some(Share {
        amps: MilliAmps(milli),
        number: 1,
    })
}

#[test]
fn a_share_of_a_fuse_and_a_local_limit_with_an_end() {
    let mut b = charging();
    b.act(Input::SharedFuse {
        evse: EvseId(1),
        share: share(12_000),
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
        entry: Some(entry),
    });
    assert_eq!(amps(&b), 7_000);
    assert_eq!(composite(&mut b, 60, None), [(0, 7_000), (30, 12_000)]);
    b.run(31);
    assert_eq!(amps(&b), 12_000);
    b.act(Input::SharedFuse {
        evse: EvseId(1),
        share: None,
    });
    assert_eq!(amps(&b), 16_000);
    let foreign = LimitEntry {
        source: LimitSource::Installation,
        ..entry
    };
    let refused = b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry: Some(foreign),
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

#[test]
fn a_raise_that_may_be_on_the_wire_counts_until_less_is_confirmed() {
    let mut b = charging();
    let give = |b: &mut Bench, amps: i64| {
        b.act(Input::SharedFuse {
            evse: EvseId(1),
            share: share(amps * 1_000),
        });
    };
    give(&mut b, 8);
    b.run(6);
    assert_eq!(b.show(1).in_force, MilliAmps(8_000));
    b.bus = false;
    give(&mut b, 16);
    give(&mut b, 10);
    assert_eq!(b.drives.len(), 2, "a raise and less again, both on their way");
    let (_, raise, _) = b.drives.pop_front().expect("the raise");
    b.act(Input::Driven {
        ticket: raise,
        result: Err(DriveError::Superseded),
    });
    assert_eq!(
        b.show(1).in_force,
        MilliAmps(16_000),
        "the other members of a fuse must not be given what may still be drawn"
    );
    b.drive();
    assert_eq!(b.show(1).in_force, MilliAmps(10_000));
}

#[test]
fn charging_is_not_allowed_while_the_current_that_goes_with_it_is_held_back() {
    let mut b = charging();
    b.unplug(1);
    assert_eq!(b.outlet(1).limit, MilliAmps::ZERO);
    b.act(Input::SharedFuse {
        evse: EvseId(1),
        share: share(10_000),
    });
    b.outlet(1).plugged = true;
    b.poll_devices();
    b.look();
    b.authorise("B");
    b.run(7);
    let log = b.look();
    let at = |line: &str| log.iter().position(|l| l == line);
    let (limit, enable) = (at("drive 1 limit 10 A"), at("drive 1 enable"));
    assert!(limit.is_some() && enable > limit, "{log:?}");
}
