//! What the journal is told of a session.

use super::*;

/// A device tells something of itself.
fn says(b: &mut Bench, role: Role, fact: DeviceFact, text: &str) {
    b.act(Input::Observed {
        evse: EvseId(1),
        role,
        observations: vec![Observation::Fact(fact, text.to_owned())],
    });
}

/// The flags of the only session that ended.
fn flags(b: &Bench) -> Vec<SessionFlag> {
    assert_eq!(b.sessions.len(), 1);
    b.sessions[0].flags.iter().copied().collect()
}

#[test]
fn a_plain_session_is_kept_with_its_registers_times_token_and_meter() {
    let mut b = bench(1);
    says(&mut b, Role::Meter, DeviceFact::Model, "SDM630");
    says(&mut b, Role::Meter, DeviceFact::SerialNumber, "4711");
    says(&mut b, Role::Charger, DeviceFact::SerialNumber, "not the meter");
    b.plug(1);
    b.authorise("A");
    b.run(30);
    b.unplug(1);
    let end = b.end();
    let kept = b.sessions[0].clone();
    assert_eq!(flags(&b), []);
    assert_eq!((kept.tx, kept.cp.as_str(), kept.evse), (end.tx, "CP1", EvseId(1)));
    assert_eq!(kept.meter_stop, end.meter);
    assert_eq!(kept.meter_stop - kept.meter_start, end.energy);
    assert_eq!(kept.meter_raw, kept.meter_stop);
    assert_eq!(kept.reason, end.reason);
    assert_eq!(kept.token.map(|token| token.text), Some("A".to_owned()));
    let rows = |wanted: fn(&Event) -> bool| b.rows.iter().find(|row| wanted(&row.event)).unwrap().at;
    assert_eq!(kept.begun, Some(rows(|e| matches!(e, Event::Began(_)))));
    assert_eq!(kept.ended, rows(|e| matches!(e, Event::Ended(_))));
    let meter = kept.meter.unwrap();
    assert_eq!(
        (meter.model.as_deref(), meter.serial.as_deref()),
        (Some("SDM630"), Some("4711"))
    );
}

#[test]
fn a_session_through_a_restart_says_so_and_keeps_its_begin() {
    let mut b = charging();
    b.run(120);
    b.restart(30);
    b.run(3);
    b.unplug(1);
    let kept = b.sessions[0].clone();
    assert!(kept.flags.contains(&SessionFlag::Resumed), "{:?}", kept.flags);
    let began = b
        .rows
        .iter()
        .find(|row| matches!(row.event, Event::Began(_)))
        .unwrap();
    assert_eq!(kept.begun, Some(began.at));
}

#[test]
fn an_end_that_nobody_saw_says_so() {
    let mut b = charging();
    b.run(120);
    b.outlet(1).plugged = false;
    b.restart(600);
    b.run(2);
    let kept = flags(&b);
    for flag in [SessionFlag::EndUnseen, SessionFlag::EndRegisterOld] {
        assert!(kept.contains(&flag), "{kept:?}");
    }
    assert!(!kept.contains(&SessionFlag::Resumed));
    assert_eq!(b.sessions[0].reason, StopReason::PowerLoss);
}

#[test]
fn another_meter_in_between_is_told_and_its_jump_is_not_billed() {
    let mut b = bench(1);
    says(&mut b, Role::Meter, DeviceFact::SerialNumber, "4711");
    b.plug(1);
    b.authorise("A");
    b.run(60);
    b.outlet(1).meter = 9_000_000_000;
    says(&mut b, Role::Meter, DeviceFact::SerialNumber, "4712");
    b.run(30);
    b.unplug(1);
    let kept = b.sessions[0].clone();
    for flag in [SessionFlag::RegisterJumped, SessionFlag::MeterSwapped] {
        assert!(kept.flags.contains(&flag), "{:?}", kept.flags);
    }
    assert_eq!(
        kept.meter.as_ref().and_then(|m| m.serial.as_deref()),
        Some("4711")
    );
    assert_ne!(kept.meter_raw, kept.meter_stop);
    assert!((kept.meter_stop - kept.meter_start).0 <= b.outlet(1).delivered);
}

#[test]
fn a_session_that_an_earlier_release_began_is_kept_without_its_begin() {
    let mut b = charging();
    b.run(5);
    let stored = b.kv.get_mut("tx/1").unwrap();
    let mut record: serde_json::Value = serde_json::from_str(stored).unwrap();
    let record_ = record.as_object_mut().unwrap();
    for later in ["begun", "meter", "flags"] {
        record_.remove(later);
    }
    *stored = record.to_string();
    b.restart(5);
    b.run(3);
    b.unplug(1);
    let kept = &b.sessions[0];
    assert_eq!(kept.begun, None);
    assert!(
        kept.flags.contains(&SessionFlag::BeginUnknown),
        "{:?}",
        kept.flags
    );
    assert!(kept.meter.is_some(), "the meter is known by now");
}

#[test]
fn the_clock_and_the_csms_of_begin_and_end_are_told() {
    let mut b = in_mode(AuthMode::Free(card("A")));
    b.now.wall.quality = ClockQuality::Unset;
    b.act(Input::Online(false));
    b.plug(1);
    b.run(30);
    b.now.wall.quality = ClockQuality::Csms;
    b.act(Input::Online(true));
    b.unplug(1);
    let kept = flags(&b);
    assert!(kept.contains(&SessionFlag::BeginClockUntrusted), "{kept:?}");
    assert!(kept.contains(&SessionFlag::BeginOffline), "{kept:?}");
    assert!(
        !kept.contains(&SessionFlag::EndClockUntrusted) && !kept.contains(&SessionFlag::EndOffline),
        "{kept:?}"
    );
}
