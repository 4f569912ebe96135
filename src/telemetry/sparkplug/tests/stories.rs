//! What is promised, one story each.

use super::super::command::Wish;
use super::super::edge::{Effect, Input, Role};
use super::super::table::{ENABLED, LIMIT, MODE};
use super::super::wire::{Metric, Payload, Value};
use super::*;
use crate::domain::Thrift;

const NCMD: &str = "spBv1.0/site/NCMD/gw";
const DCMD: &str = "spBv1.0/site/DCMD/gw/cp-1";

fn command(bench: &Bench, metrics: Vec<Metric>) -> Vec<u8> {
    let now = u64::try_from(at(bench.ms).wall.unix_ms).unwrap();
    let stamped = |metric: Metric| Metric {
        timestamp: Some(now),
        ..metric
    };
    Payload {
        timestamp: Some(now),
        metrics: metrics.into_iter().map(stamped).collect(),
        ..Payload::default()
    }
    .to_bytes()
}

fn write(name: &str, value: Value) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        value: Some(value),
        ..Metric::default()
    }
}

fn rebirth(bench: &mut Bench) -> Vec<Effect> {
    let bytes = command(bench, vec![write("Node Control/Rebirth", Value::Boolean(true))]);
    bench.heard(NCMD, bytes)
}

fn obedient(servers: usize) -> Bench {
    let role = Role {
        host: Some("scada".to_owned()),
        servers,
        ..role()
    };
    Bench::new(role, 0)
}

fn audits(effects: &[Effect]) -> Vec<(String, Result<(), String>)> {
    let audit = |effect: &Effect| match effect {
        Effect::Audit(audit) => Some((audit.metric.clone(), audit.result.clone())),
        _ => None,
    };
    effects.iter().filter_map(audit).collect()
}

#[test]
fn births_come_first_and_then_only_what_changed() {
    let mut bench = Bench::new(role(), 3);
    let first = bench.show();
    assert!(matches!(
        first[..],
        [Effect::Keep(4), Effect::Connect { server: 0, .. }]
    ));
    let births = bench.give(Input::Connected);
    assert!(matches!(&births[0], Effect::Subscribe(all) if all == &[NCMD, "spBv1.0/site/DCMD/gw/+"]));
    assert_eq!(
        kinds(&births),
        ["NBIRTH", "DBIRTH cp-1", "DBIRTH cp-2", "DBIRTH grid"]
    );
    assert!(bench.show().is_empty(), "nothing changed");
    bench.ms = 1_000;
    let change = bench.change("cp-2", |point| point.state.power_w = Some(Milli(7_200_000)));
    assert_eq!(kinds(&change), ["DDATA cp-2"]);
    assert_eq!(bench.host.tag("cp-2", "Power").value, Some(Value::Double(7200.0)));
    assert_eq!(
        bench.host.tag("cp-2", "Power").timestamp,
        u64::try_from(EPOCH).unwrap() + 1_000
    );
    assert_eq!(
        bench.host.tag("", "Bus/rs485/CRC Errors").value,
        Some(Value::Long(0))
    );
}

#[test]
fn the_number_of_connections_wraps_and_goes_on_after_a_restart() {
    let mut bench = Bench::new(role(), 255);
    assert_eq!(bench.show()[0], Effect::Keep(0));
    bench.give(Input::Connected);
    bench.host.cut();
    bench.give(Input::Closed);
    assert_eq!(bench.pass(5_000)[0], Effect::Keep(1));
}

#[test]
fn a_device_dies_with_its_bus_and_is_born_again() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    assert_eq!(
        kinds(&bench.change("cp-1", |point| point.available = false)),
        ["DDEATH cp-1"]
    );
    assert!(
        bench
            .change("cp-1", |point| point.state.fault = Some("away".to_owned()))
            .is_empty()
    );
    assert_eq!(
        kinds(&bench.change("cp-1", |point| point.available = true)),
        ["DBIRTH cp-1"]
    );
    bench.picture.points.remove(&Slug::of("cp-2"));
    assert_eq!(kinds(&bench.show()), ["DDEATH cp-2"]);
}

#[test]
fn another_metric_is_another_birth() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    let change = bench.change("cp-1", |point| point.reach.max_a = Milli(16_000));
    assert_eq!(
        kinds(&change),
        ["DBIRTH cp-1"],
        "the range is part of the announcement"
    );
    bench.picture.buses.insert(Slug::of("lan"), BusState::default());
    assert_eq!(kinds(&bench.show())[0], "NBIRTH");
    assert_eq!(bench.host.births, 2);
}

#[test]
fn a_host_gets_births_again_but_not_in_a_row() {
    let mut bench = Bench::new(role(), 9);
    bench.online();
    assert_eq!(kinds(&rebirth(&mut bench))[0], "NBIRTH");
    bench.ms = 1_000;
    assert!(rebirth(&mut bench).is_empty(), "within five seconds");
    let change = bench.change("cp-1", |point| point.state.charging = true);
    assert!(change.is_empty(), "no data until the births");
    assert_eq!(bench.node.next_deadline(), Some((Mono(5_000), "rebirth")));
    let births = bench.pass(4_000);
    assert_eq!(
        kinds(&births),
        [
            "NBIRTH",
            "DBIRTH cp-1",
            "DBIRTH cp-2",
            "DBIRTH grid",
            "DDATA cp-1"
        ]
    );
    assert_eq!(bench.host.old.len(), 1, "nothing of the meantime is lost");
    assert_eq!(bench.host.births, 3);
}

#[test]
fn what_changed_without_a_connection_is_told_with_its_own_time() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    bench.host.cut();
    bench.give(Input::Closed);
    for (ms, power) in [(100, 1_000_000), (200, 2_000_000), (300, 3_000_000)] {
        bench.ms = ms;
        assert!(
            bench
                .change("cp-1", |point| point.state.power_w = Some(Milli(power)))
                .is_empty()
        );
    }
    bench.pass(5_000);
    bench.give(Input::Connected);
    let told: Vec<(u64, Option<Value>)> = bench
        .host
        .old
        .iter()
        .map(|old| (old.timestamp, old.value.clone()))
        .collect();
    let epoch = u64::try_from(EPOCH).unwrap();
    let expected = [(100, 1000.0), (200, 2000.0), (300, 3000.0)]
        .map(|(ms, power)| (epoch + ms, Some(Value::Double(power))));
    assert_eq!(told, expected);
    assert_eq!(bench.host.tag("cp-1", "Power").value, Some(Value::Double(3000.0)));
    assert_eq!(bench.node.snapshot().kept, (0, 0));
}

#[test]
fn a_value_that_went_away_is_stale_and_one_that_never_was_is_not() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    assert!(!bench.host.tag("cp-1", "Vehicle/SoC").stale);
    bench.change("cp-1", |point| point.state.power_w = None);
    assert!(bench.host.tag("cp-1", "Power").stale);
    rebirth(&mut bench);
    assert!(bench.host.tag("cp-1", "Power").stale, "in births too");
    bench.change("cp-1", |point| point.state.power_w = Some(Milli(5)));
    assert!(!bench.host.tag("cp-1", "Power").stale);
}

#[test]
fn births_wait_for_the_primary_host() {
    let mut bench = obedient(1);
    assert!(kinds(&bench.online()).is_empty());
    assert!(
        kinds(&bench.state(false, 100)).is_empty(),
        "there is no other server"
    );
    assert_eq!(bench.node.snapshot().stage, "waits for the primary host");
    assert!(
        kinds(&bench.state(true, 99)).is_empty(),
        "older than what was seen"
    );
    assert_eq!(kinds(&bench.state(true, 100))[0], "NBIRTH");
    assert!(
        bench.state(false, 99).is_empty(),
        "the will of an older connection"
    );
    let gone = bench.state(false, 100);
    assert_eq!(kinds(&gone), ["NDEATH"]);
    assert_eq!(gone.last(), Some(&Effect::Disconnect { with_will: true }));
    assert!(
        bench
            .change("cp-1", |point| point.state.charging = true)
            .is_empty()
    );
    bench.pass(60_000);
    bench.give(Input::Connected);
    assert_eq!(kinds(&bench.state(true, 200))[0], "NBIRTH");
    assert_eq!(bench.host.old.len(), 1);
}

#[test]
fn without_the_primary_host_the_next_server_is_tried() {
    let mut bench = obedient(2);
    bench.online();
    bench.state(true, 100);
    let gone = bench.state(false, 100);
    assert_eq!(kinds(&gone), ["NDEATH"]);
    assert!(
        matches!(gone.last(), Some(Effect::Connect { server: 1, .. })),
        "at once"
    );
    bench.give(Input::Connected);
    // The timestamps of the other server say nothing here.
    assert_eq!(kinds(&bench.state(true, 50))[0], "NBIRTH");
    bench.state(false, 50);
    bench.give(Input::Connected);
    let (due, why) = bench.node.next_deadline().unwrap();
    assert_eq!(why, "the primary host is silent");
    let silent = bench.pass(due.0 - bench.ms);
    assert_eq!(silent, [Effect::Disconnect { with_will: false }]);
    let (due, why) = bench.node.next_deadline().unwrap();
    assert_eq!(why, "connect");
    assert!(due.0 >= bench.ms + 1_000, "the whole list was tried");
    assert!(matches!(
        bench.pass(due.0 - bench.ms)[1],
        Effect::Connect { server: 1, .. }
    ));
    bench.give(Input::Connected);
    let next = bench.state(false, 60);
    assert!(matches!(next.last(), Some(Effect::Connect { server: 0, .. })));
}

#[test]
fn a_server_that_refuses_is_followed_by_the_next_and_the_list_by_a_wait() {
    let mut bench = Bench::new(Role { servers: 3, ..role() }, 0);
    bench.show();
    for server in [1, 2] {
        bench.host.cut();
        let next = bench.give(Input::Closed);
        assert!(matches!(next[1], Effect::Connect { server: s, .. } if s == server));
    }
    bench.host.cut();
    assert!(bench.give(Input::Closed).is_empty());
    let (due, why) = bench.node.next_deadline().unwrap();
    assert!(why == "connect" && due >= Mono(1_000));
}

#[test]
fn leave_is_taken_with_a_last_word() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    let last = bench.give(Input::Stop);
    assert_eq!(kinds(&last), ["NDEATH"]);
    assert_eq!(last.last(), Some(&Effect::Disconnect { with_will: true }));
    assert!(bench.pass(1_000_000).is_empty());
}

#[test]
fn a_write_becomes_an_order_and_its_answer_a_record() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    assert!(bench.host.tag("cp-1", LIMIT).writable);
    assert!(!bench.host.tag("cp-1", "Power").writable);
    let bytes = command(
        &bench,
        vec![
            write(LIMIT, Value::Double(10.0)),
            write(ENABLED, Value::Boolean(false)),
        ],
    );
    let orders = bench.heard(DCMD, bytes);
    let wishes: Vec<&Wish> = orders
        .iter()
        .filter_map(|effect| match effect {
            Effect::Order(order) => Some(&order.wish),
            _ => None,
        })
        .collect();
    assert_eq!(
        wishes,
        [&Wish::LimitCurrent(Milli(10_000)), &Wish::Enabled(false)]
    );
    let taken = bench.give(Input::Answered {
        id: 0,
        result: Ok(()),
    });
    assert_eq!(audits(&taken), [(LIMIT.to_owned(), Ok(()))]);
    assert_eq!(kinds(&taken), [""; 0], "what holds comes with the next picture");
    assert_eq!(
        kinds(&bench.show()),
        ["DDATA cp-1"],
        "even if it is what held before"
    );
    let refused = bench.give(Input::Answered {
        id: 1,
        result: Err("not now".to_owned()),
    });
    assert_eq!(
        audits(&refused),
        [(ENABLED.to_owned(), Err("not now".to_owned()))]
    );
    assert_eq!(kinds(&refused), ["DDATA cp-1"]);
    assert!(
        bench
            .give(Input::Answered {
                id: 1,
                result: Ok(())
            })
            .is_empty(),
        "answered once"
    );
}

#[test]
fn a_write_that_cannot_be_is_recorded_and_the_value_told_again() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    for (metric, told) in [
        (write(LIMIT, Value::Double(99.0)), true),
        (write(LIMIT, Value::String("16".to_owned())), true),
        (write("Power", Value::Double(1.0)), true),
        (write(MODE, Value::Int(1)), true),
        (write("No/Such", Value::Int(1)), false),
    ] {
        let bytes = command(&bench, vec![metric.clone()]);
        let answer = bench.heard(DCMD, bytes);
        assert!(audits(&answer)[0].1.is_err(), "{metric:?}");
        assert_eq!(kinds(&answer).len(), usize::from(told), "{metric:?}");
    }
    let bytes = command(&bench, vec![write(LIMIT, Value::Double(10.0))]);
    bench.ms += 30_001;
    assert!(audits(&bench.heard(DCMD, bytes.clone()))[0].1.is_err(), "too old");
    bench.ms -= 30_001;
    let input = Input::Heard {
        topic: DCMD.to_owned(),
        payload: bytes,
        retained: true,
    };
    assert!(audits(&bench.give(input))[0].1.is_err(), "retained");
    assert_eq!(audits(&bench.heard(DCMD, b"\xff".to_vec())).len(), 1);
}

#[test]
fn a_stop_does_not_wait_for_the_second_to_pass() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    for (metric, taken) in [
        (write(ENABLED, Value::Boolean(true)), true),
        (write(ENABLED, Value::Boolean(false)), true),
        (write(ENABLED, Value::Boolean(false)), false),
        (write(ENABLED, Value::Boolean(true)), false),
        (write(LIMIT, Value::Double(10.0)), true),
        (write(LIMIT, Value::Double(9.0)), false),
        (write(LIMIT, Value::Double(0.0)), true),
    ] {
        let bytes = command(&bench, vec![metric.clone()]);
        let effects = bench.heard(DCMD, bytes);
        let ordered = effects.iter().any(|effect| matches!(effect, Effect::Order(_)));
        assert_eq!(ordered, taken, "{metric:?}");
    }
}

#[test]
fn orders_that_wait_are_bounded() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    for n in 0..33 {
        let bytes = command(&bench, vec![write(LIMIT, Value::Double(10.0)); 2]);
        let effects = bench.heard(DCMD, bytes);
        let ordered = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Order(_)))
            .count();
        assert_eq!(ordered, usize::from(n < 32), "once in a second, and 32 at most");
        assert_eq!(audits(&effects).len(), 2 - ordered);
        bench.ms += 1_000;
    }
}

#[test]
fn without_commands_nothing_can_be_written() {
    let mut bench = Bench::new(
        Role {
            commands: false,
            ..role()
        },
        0,
    );
    let births = bench.online();
    assert!(matches!(&births[0], Effect::Subscribe(all) if all == &[NCMD]));
    assert!(!bench.host.tag("cp-1", LIMIT).writable);
    let bytes = command(&bench, vec![write(LIMIT, Value::Double(10.0))]);
    assert!(bench.heard(DCMD, bytes).is_empty());
}

#[test]
fn an_alias_stands_for_a_name_both_ways() {
    let mut bench = Bench::new(
        Role {
            aliases: true,
            ..role()
        },
        0,
    );
    bench.online();
    bench.change("cp-1", |point| point.state.charging = true);
    assert_eq!(
        bench.host.tag("cp-1", "Charging").value,
        Some(Value::Boolean(true))
    );
    let alias = bench.host.tag("cp-1", LIMIT).alias;
    let metric = Metric {
        alias,
        value: Some(Value::Long(16)),
        ..Metric::default()
    };
    let bytes = command(&bench, vec![metric]);
    let effects = bench.heard(DCMD, bytes);
    assert!(matches!(&effects[0], Effect::Order(order) if order.wish == Wish::LimitCurrent(Milli(16_000))));
    // The alias of another device is none of this one.
    let metric = Metric {
        alias: bench.host.tag("cp-2", LIMIT).alias,
        value: Some(Value::Long(16)),
        ..Metric::default()
    };
    let bytes = command(&bench, vec![metric]);
    assert!(audits(&bench.heard(DCMD, bytes))[0].1.is_err());
}

#[test]
fn a_meter_called_as_a_charge_point_gets_a_name_of_its_own() {
    let mut bench = Bench::new(role(), 0);
    let meter = bench.picture.meters[&Slug::of("grid")].clone();
    bench.picture.meters.insert(Slug::of("cp-1"), meter);
    bench.online();
    assert!(bench.host.alive.contains_key("cp-1-meter"));
    assert!(bench.host.alive["cp-1"].contains_key("Status"));
}

#[test]
fn near_the_budget_measured_values_take_their_turn_and_everything_else_is_told_at_once() {
    let mut bench = Bench::new(role(), 0);
    bench.online();
    bench.give(Input::Thrift(Thrift::Sparing));
    let power = |bench: &mut Bench, watts: i64| {
        bench.pass(10_000);
        bench.change("cp-1", |point| point.state.power_w = Some(Milli(watts * 1_000)))
    };
    for step in 1..30 {
        assert!(power(&mut bench, 1_000 + 100 * step).is_empty(), "{step}");
    }
    let status = bench.change("cp-1", |point| point.state.status = Some(Status::Charging));
    assert_eq!(kinds(&status), ["DDATA cp-1"]);
    let known = bench.host.tag("cp-1", "Power").value.clone();
    assert_eq!(known, Some(Value::Double(0.0)), "still what the birth said");
    assert_eq!(
        kinds(&power(&mut bench, 9_000)),
        ["DDATA cp-1"],
        "after five minutes it is its turn"
    );
    assert_eq!(
        bench.host.tag("cp-1", "Power").value,
        Some(Value::Double(9_000.0))
    );
    // That a value is known no longer, and a death, wait for no turn.
    let gone = bench.change("cp-1", |point| point.state.power_w = None);
    assert_eq!(kinds(&gone), ["DDATA cp-1"]);
    assert_eq!(
        kinds(&bench.change("cp-2", |point| point.available = false)),
        ["DDEATH cp-2"]
    );
    // Without a connection as few are kept.
    bench.host.cut();
    bench.give(Input::Closed);
    for step in 1..20 {
        bench.change("cp-1", |point| point.state.power_w = Some(Milli(step * 500_000)));
    }
    assert_eq!(bench.node.snapshot().kept.0, 1, "that it is known again");
    bench.give(Input::Thrift(Thrift::Free));
    power(&mut bench, 77);
    assert_eq!(bench.node.snapshot().kept.0, 2);
}
