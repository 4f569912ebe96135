//! Meter values and the billing register.

use super::*;

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
        stop_sample_interval: Duration::from_secs(10),
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
fn what_is_kept_for_the_stop_message_has_intervals_of_its_own() {
    let count = |kept: u64, aligned: u64| {
        let params = Params {
            sample_interval: Duration::from_secs(30),
            stop_sampled: vec![Measurand::all(Quantity::EnergyImport)],
            stop_aligned: vec![Measurand::all(Quantity::Power)],
            stop_sample_interval: Duration::from_secs(kept),
            stop_aligned_interval: Duration::from_secs(aligned),
            ..Params::default()
        };
        let mut b = sampling(params);
        b.run(600);
        let told = b.look().iter().filter(|line| line.contains("Periodic")).count();
        assert_eq!(told, 20, "what is told does not depend on what is kept");
        b.unplug(1);
        let of = |context| b.end().data.iter().filter(|s| s.context == context).count();
        (of(SampleContext::Periodic), of(SampleContext::Clock))
    };
    assert_eq!(count(0, 0), (0, 0));
    assert_eq!(count(60, 0), (10, 0));
    assert_eq!(count(0, 200), (0, 3));
    assert_eq!(count(100, 300), (6, 2));
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
    b.ask(Command::Trigger(Trigger::MeterValues {
        evse: Some(EvseId(2)),
        within: Within::Either,
    }));
    b.expect(
        "sample 2 Trigger of 5
         answer yes",
    );
    let values = |within| Command::Trigger(Trigger::MeterValues { evse: None, within });
    b.ask(values(Within::Transaction));
    b.expect("answer no: nothing was measured yet");
    b.ask(Command::Trigger(Trigger::Status(None)));
    b.expect(
        "answer yes
         status 0 Available
         status 1 Available
         status 2 Available",
    );
}

#[test]
fn values_asked_for_apart_from_a_transaction_take_no_number_of_it() {
    let mut b = sampling(Params {
        sample_interval: Duration::ZERO,
        ..Params::default()
    });
    let values = |within| Command::Trigger(Trigger::MeterValues { evse: None, within });
    let outcome = b.ask(values(Within::Apart));
    b.expect(
        "sample 1 Trigger of 1
         answer yes",
    );
    let running = b.show(1).tx.expect("a transaction").id;
    let session = Session {
        tx: running.clone(),
        token: Some(card("A")),
    };
    assert_eq!(outcome, Some(Outcome::Sampled(vec![Some(session)])));
    let Event::Sampled { tx: None, beside, .. } = &b.rows.last().unwrap().event else {
        panic!("{:?}", b.rows.last())
    };
    assert_eq!(
        beside.as_ref(),
        Some(&running),
        "it may be told to whom the transaction is told"
    );
    b.ask(values(Within::Transaction));
    b.expect(
        "sample 1 #2 Trigger of 5
         answer yes",
    );
}

#[test]
fn a_security_event_from_around_is_recorded_in_order() {
    let mut b = charging();
    b.act(Input::Security(SecurityEvent::new("SettingSystemTime", None)));
    b.present("A");
    let told = b.look();
    let place = |start: &str| told.iter().position(|line| line.starts_with(start));
    assert_eq!(place("security SettingSystemTime"), Some(0), "{told:?}");
    assert!(place("ended") > Some(0), "{told:?}");
}

fn anew(b: &Bench) -> u32 {
    b.station.briefs().next().unwrap().anew
}

#[test]
fn outside_a_session_another_register_is_shown_as_it_is_and_counted_once() {
    let mut b = bench(1);
    b.run(5);
    for (meter, count) in [(90_000_000_000, 1), (12_000_000, 2), (0, 3)] {
        b.outlet(1).meter = meter;
        b.run(5);
        assert_eq!(
            b.show(1).register,
            Some(MilliWattHours(meter)),
            "what its display says"
        );
        assert_eq!(anew(&b), count);
    }
    b.run(60);
    assert_eq!(anew(&b), 3);
}

#[test]
fn a_register_that_is_swapped_in_a_session_begins_anew_at_its_end() {
    let mut b = charging();
    b.run(60);
    b.outlet(1).meter = 9_000_000_000;
    b.run(60);
    assert_eq!(anew(&b), 0, "the session's register goes on");
    b.unplug(1);
    assert_eq!(anew(&b), 1);
    b.plug(1);
    b.authorise("B");
    b.run(10);
    b.unplug(1);
    assert_eq!(anew(&b), 1);
}

#[test]
fn another_serial_number_is_another_register_even_where_its_value_fits() {
    let serial = |b: &mut Bench, text: &str| {
        let observations = vec![Observation::Fact(DeviceFact::SerialNumber, text.to_owned())];
        b.act(Input::Observed {
            evse: EvseId(1),
            role: Role::Meter,
            observations,
        });
    };
    let mut b = bench(1);
    serial(&mut b, "4711");
    b.run(5);
    serial(&mut b, "4711");
    assert_eq!(anew(&b), 0);
    serial(&mut b, "4712");
    assert_eq!((anew(&b), b.show(1).register), (1, None), "not read yet");
    b.outlet(1).meter = 5;
    b.run(2);
    assert_eq!((anew(&b), b.show(1).register), (1, Some(MilliWattHours(5))));
    b.plug(1);
    b.authorise("A");
    b.run(5);
    serial(&mut b, "4713");
    b.run(5);
    assert_eq!(anew(&b), 1);
    b.unplug(1);
    assert_eq!(anew(&b), 2);
}
