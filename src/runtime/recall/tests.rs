use super::*;
use crate::domain::*;
use crate::runtime::narrator::Narrator;
use crate::runtime::tests::charge_point;
use crate::station::{Input, Role, Station};
use crate::store::TokenNames;
use crate::telemetry::{Easel, Happening, Picture, View, What};
use std::sync::Arc;
use std::time::Duration;

const NOON: i64 = 1_772_000_000_000;

fn now(boot: u32, second: u64, unix_s: i64, quality: ClockQuality) -> Now {
    Now {
        boot: BootId(boot),
        mono: Mono(second * 1_000),
        wall: Wall {
            unix_ms: NOON + unix_s * 1_000,
            quality,
        },
    }
}

fn names() -> Pseudonyms {
    Pseudonyms::new(TokenNames::new(b"key"))
}

fn narrator(past: Past) -> (Narrator, View) {
    let easel = Arc::new(Easel::new(Picture::blank()));
    let view = easel.view();
    (
        Narrator::new(charge_point().id, easel, names(), Now::default(), past),
        view,
    )
}

/// What a station that is gone, or another run, leaves to the next narrator.
fn after(told: AllTold) -> Past {
    Past {
        told,
        epochs: Epochs::default(),
    }
}

fn told(view: &mut View) -> Vec<Happening> {
    std::iter::from_fn(|| view.happenings.try_recv().ok()).collect()
}

fn token() -> IdToken {
    IdToken::new("04A1", TokenKind::Central)
}

fn begin(at: Now) -> Batch {
    let begin = Begin {
        tx: TxId::new("tx-1"),
        evse: EvseId(1),
        token: Some(token()),
        group: None,
        meter: MilliWattHours(5_000_000),
        quality: Quality::Good,
        trigger: TxTrigger::Authorized,
        charging_state: ChargingState::EVConnected,
        remote_start_id: None,
        reservation_id: None,
        offline: false,
    };
    batch(at, Event::Began(begin))
}

fn batch(at: Now, event: Event) -> Batch {
    Batch {
        rows: vec![NewRow {
            cp: charge_point().id,
            at: at.stamp(),
            event,
        }],
        ..Batch::default()
    }
}

fn end(begun: Option<Now>, at: Now, ran_s: u64) -> Batch {
    let end = End {
        tx: TxId::new("tx-1"),
        tx_seq: 9,
        evse: EvseId(1),
        token: None,
        meter: MilliWattHours(12_000_000),
        quality: Quality::Good,
        reason: StopReason::EVDisconnected,
        data: Vec::new(),
        energy: MilliWattHours(7_000_000),
        offline: false,
    };
    let mut batch = batch(at, Event::Ended(end));
    batch.sessions = vec![SessionRecord {
        cp: charge_point().id,
        evse: EvseId(1),
        tx: TxId::new("tx-1"),
        begun: begun.map(Now::stamp),
        ended: at.stamp(),
        ran: Duration::from_secs(ran_s),
        meter_start: MilliWattHours(5_000_000),
        meter_stop: MilliWattHours(12_000_000),
        meter_raw: MilliWattHours(12_000_000),
        reason: StopReason::EVDisconnected,
        token: Some(token()),
        meter: None,
        flags: std::collections::BTreeSet::new(),
    }];
    batch
}

fn session(view: &mut View) -> crate::telemetry::Session {
    let sessions = told(view).into_iter().filter_map(|h| match h.what {
        What::Session(session) => Some(session),
        _ => None,
    });
    sessions.last().expect("a session")
}

fn vehicle(state: VehicleState) -> Input {
    Input::Observed {
        evse: EvseId(1),
        role: Role::Charger,
        observations: vec![Observation::Vehicle { state, raw: 0 }],
    }
}

/// A clock that is set in a session by a year and a half lengthens nothing, whichever way it goes.
#[test]
fn a_clock_that_is_set_within_a_session_changes_no_duration() {
    for (first, jump) in [
        (ClockQuality::Restored, 50_000_000),
        (ClockQuality::Csms, 7_200),
        (ClockQuality::Csms, -7_200),
    ] {
        let (mut narrator, mut view) = narrator(Past::default());
        let begun = now(1, 100, 0, first);
        narrator.read(begun, &mut begin(begun));
        let ended = now(1, 1_000, 900 + jump, ClockQuality::Ntp);
        narrator.read(ended, &mut end(Some(begun), ended, 0));
        let told = session(&mut view);
        assert_eq!(told.duration_s, Some(900), "{first:?}, {jump} s");
        assert_eq!(narrator.told().borrow().get(&EvseId(1)), None, "not shown yet");
        narrator.publish(ended);
        let shown = narrator.told().borrow()[&EvseId(1)].clone();
        assert_eq!(shown.totals.session_seconds, 900);
        assert_eq!(shown.session, told);
        // A begin that nobody vouched for is corrected; one that was believed stays as it was told everywhere.
        let late = if first.is_trusted() { 0 } else { jump };
        assert_eq!(told.started_at, Some(At(NOON + late * 1_000)), "{first:?}");
    }
}

#[test]
fn over_a_restart_a_session_lasted_as_long_as_clocks_can_tell() {
    let begun = now(1, 100, 0, ClockQuality::Ntp);
    let duration = |ended: Now, epochs: Epochs| {
        let told = AllTold::new();
        let (mut narrator, mut view) = narrator(Past { told, epochs });
        narrator.read(ended, &mut end(Some(begun), ended, 450));
        session(&mut view).duration_s
    };
    let believed = now(2, 30, 900, ClockQuality::Ntp);
    assert_eq!(duration(believed, Epochs::default()), Some(900));
    // Nobody knows how long it was off: what was counted.
    let blind = now(2, 30, 500, ClockQuality::Restored);
    assert_eq!(duration(blind, Epochs::default()), Some(450));
    // The run of the end was told of later, and the store knows.
    let known = Epochs::new([(BootId(2), NOON + 870_000)]);
    assert_eq!(duration(blind, known), Some(900));
}

#[tokio::test]
async fn the_last_session_outlives_the_process_and_its_times_are_corrected_when_a_clock_tells() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let (mut first, _view) = narrator(Past::default());
    let (begun, ended) = (
        now(1, 100, 0, ClockQuality::Unset),
        now(1, 1_000, 900, ClockQuality::Unset),
    );
    let mut rows = begin(begun);
    first.read(begun, &mut rows);
    store.commit(rows).await.unwrap();
    let mut rows = end(Some(begun), ended, 900);
    first.read(ended, &mut rows);
    assert!(
        !format!("{:?}", rows.puts).contains("04A1"),
        "the token is not kept"
    );
    store.commit(rows).await.unwrap();
    first.publish(ended);
    let shown = first.told().borrow()[&EvseId(1)].session.clone();

    let told = load(&store, &charge_point().id).await.unwrap();
    let (next, _view) = narrator(after(told.clone()));
    let again = next.told().borrow()[&EvseId(1)].session.clone();
    assert_eq!(again, shown);
    assert_eq!(
        (again.ended_at, again.energy_wh, again.duration_s),
        (Some(At(NOON + 900_000)), Some(7_000), Some(900))
    );
    assert_eq!(again.id_tag_hash, Some(names().of(&token())));

    let epochs = Epochs::new([(BootId(1), NOON + 50_000_000)]);
    let (knows, _view) = narrator(Past { told, epochs });
    let corrected = knows.told().borrow()[&EvseId(1)].session.clone();
    assert_eq!(corrected.started_at, Some(At(NOON + 50_100_000)));
    assert_eq!(corrected.duration_s, Some(900));
    store.close().await;
}

#[test]
fn a_station_that_is_built_anew_goes_on_counting_and_repeats_nothing() {
    let build = || Station::new(charge_point(), Params::default(), 1, &[], ReaderId::new("csms"));
    let observe = |station: &mut Station, narrator: &mut Narrator, at: Now, input: Input| {
        station.handle(at, input);
        while station.poll().is_some() {}
        narrator.look(at, station);
    };
    let (mut first, mut view) = narrator(Past::default());
    let mut station = build();
    let hot = VehicleState::Fault(FaultKind::HighTemperature);
    observe(
        &mut station,
        &mut first,
        now(1, 1, 1, ClockQuality::Ntp),
        vehicle(hot),
    );
    let ended = now(1, 2, 2, ClockQuality::Ntp);
    first.read(ended, &mut end(None, ended, 60));
    first.publish(ended);
    let before = told(&mut view);
    let last = before.last().unwrap().seq;
    assert!(last >= 3);

    let left = first.told().borrow().clone();
    let (mut next, mut view) = narrator(after(left.clone()));
    assert_eq!(*next.told().borrow(), left, "shown before anything is heard");
    let mut station = build();
    observe(
        &mut station,
        &mut next,
        now(1, 3, 3, ClockQuality::Ntp),
        Input::Tick,
    );
    assert_eq!(told(&mut view), [], "it knows nothing yet");
    observe(
        &mut station,
        &mut next,
        now(1, 4, 4, ClockQuality::Ntp),
        vehicle(hot),
    );
    assert_eq!(told(&mut view), [], "nothing has changed");
    let well = vehicle(VehicleState::Absent);
    observe(&mut station, &mut next, now(1, 5, 5, ClockQuality::Ntp), well);
    let happened = told(&mut view);
    assert_eq!(happened.first().map(|h| h.seq), Some(last + 1));
    assert!(happened.iter().any(|h| matches!(
        h.what,
        What::Status {
            from: Some(Status::Faulted),
            to: Status::Available
        }
    )));
    next.publish(now(1, 5, 5, ClockQuality::Ntp));
    assert_eq!(next.told().borrow()[&EvseId(1)].totals, left[&EvseId(1)].totals);
}

fn brief(wh: Option<i64>, serial: Option<&str>, anew: u32) -> Brief {
    Brief {
        evse: EvseId(1),
        status: ConnectorStatus::Available,
        error: ErrorCode::default(),
        applied: AppliedLimit {
            amps: MilliAmps::ZERO,
            source: LimitSource::NotAuthorised,
        },
        settled: true,
        in_tx: false,
        register: wh.map(MilliWattHours::from_base),
        anew,
        meter: MeterIdentity {
            device: DeviceId::new("meter"),
            profile: None,
            model: None,
            serial: serial.map(str::to_owned),
        },
    }
}

/// As the next run finds it.
fn stored(count: &Count) -> Count {
    serde_json::from_str(&serde_json::to_string(count).unwrap()).unwrap()
}

#[test]
fn a_swap_while_the_process_was_off_is_counted_once_however_it_shows() {
    let mut count = Count::default();
    assert_eq!(count.follow(&brief(Some(5_000), Some("A"), 0)), None);
    // A lower register, and then a serial number nobody has seen.
    let mut lower = stored(&count);
    let anew = lower.follow(&brief(Some(70), None, 0));
    assert_eq!(
        anew,
        Some(Anew {
            before_wh: Some(5_000),
            now_wh: Some(70)
        })
    );
    assert_eq!(lower.follow(&brief(Some(71), Some("B"), 0)), None);
    assert_eq!((lower.epoch, lower.shown_wh), (1, Some(71)));
    // The serial number first, and then a lower register.
    let mut named = stored(&count);
    assert!(named.follow(&brief(None, Some("B"), 0)).is_some());
    assert_eq!(named.follow(&brief(Some(70), Some("B"), 0)), None);
    assert_eq!((named.epoch, named.shown_wh), (1, Some(70)));
    // A higher register of the same meter is what it has counted since.
    let mut same = stored(&count);
    assert_eq!(same.follow(&brief(Some(9_000), None, 0)), None);
    assert_eq!(same.follow(&brief(Some(9_000), Some("A"), 0)), None);
    // And one of another meter is not.
    assert!(same.follow(&brief(Some(9_001), Some("C"), 0)).is_some());
    assert_eq!(stored(&same).epoch, 1);
}

#[test]
fn a_station_built_anew_counts_from_zero_and_its_register_is_not_read_at_once() {
    let mut count = Count::default();
    count.follow(&brief(Some(5_000), None, 0));
    assert!(count.follow(&brief(Some(9_000_000), None, 1)).is_some());
    count.new_station();
    assert_eq!(count.follow(&brief(None, None, 0)), None);
    assert_eq!(count.shown_wh, Some(9_000_000), "what was shown stays");
    assert!(
        count.follow(&brief(Some(30), None, 1)).is_some(),
        "one step, one swap"
    );
    assert_eq!(count.epoch, 2);
}

#[test]
fn another_meter_in_a_session_is_told_when_the_session_ends() {
    let mut count = Count::default();
    count.follow(&brief(Some(5_000), Some("A"), 0));
    let running = |wh, serial| Brief {
        in_tx: true,
        ..brief(Some(wh), Some(serial), 0)
    };
    let mut count = stored(&count);
    assert_eq!(count.follow(&running(5_100, "B")), None);
    assert_eq!(count.follow(&running(5_200, "B")), None);
    let anew = count.follow(&brief(Some(90), Some("B"), 1)).expect("one");
    assert_eq!((anew.before_wh, anew.now_wh), (Some(5_200), Some(90)));
    assert_eq!(count.follow(&brief(Some(90), Some("B"), 1)), None);
}
