use super::*;
use crate::domain::{BusId, IdToken, MilliAmps, Mono, Phase, Quality, Quantity, Reading, TokenKind};

fn device(name: &str) -> DeviceId {
    DeviceId::new(name)
}

fn observed(name: &str, observations: Vec<Observation>) -> FromBus {
    FromBus::Observed {
        bus: BusId::new("b"),
        device: device(name),
        observations,
    }
}

fn reading(quantity: Quantity, milli: i64) -> Observation {
    Observation::Reading(Reading {
        quantity,
        phase: Phase::L1,
        milli,
        quality: Quality::Good,
        taken_at: Mono(0),
    })
}

fn link(name: &str, up: bool) -> FromBus {
    FromBus::Link {
        bus: BusId::new("b"),
        device: device(name),
        up,
        cause: None,
    }
}

fn done(ticket: u64) -> FromBus {
    FromBus::Done {
        device: device("a"),
        ticket,
        result: Ok(()),
    }
}

fn all(outbox: &mut Outbox) -> Vec<FromBus> {
    std::iter::from_fn(|| outbox.pop()).collect()
}

#[test]
fn observations_are_merged_to_the_latest_of_each_kind() {
    let mut outbox = Outbox::default();
    let (old, new) = (reading(Quantity::Current, 1), reading(Quantity::Current, 2));
    let volts = reading(Quantity::Voltage, 230_000);
    outbox.push(observed("a", vec![old, volts.clone()]));
    outbox.push(observed("b", vec![Observation::Fault(None)]));
    outbox.push(observed(
        "a",
        vec![new.clone(), Observation::LimitReadBack(MilliAmps(6000))],
    ));
    let limit = Observation::LimitReadBack(MilliAmps(6000));
    assert_eq!(
        all(&mut outbox),
        [
            observed("a", vec![volts, new, limit]),
            observed("b", vec![Observation::Fault(None)])
        ]
    );
    assert!(outbox.is_empty());
}

#[test]
fn a_presented_card_survives_the_reading_of_no_card() {
    let mut outbox = Outbox::default();
    let card = Observation::Token(Some(IdToken::new("04AABB", TokenKind::Iso14443)));
    outbox.push(observed("a", vec![Observation::Token(None)]));
    outbox.push(observed("a", vec![card.clone()]));
    outbox.push(observed("a", vec![Observation::Token(None)]));
    outbox.push(observed("a", vec![Observation::Token(None)]));
    assert_eq!(
        all(&mut outbox),
        [observed("a", vec![card, Observation::Token(None)])]
    );
}

#[test]
fn every_end_of_a_command_is_kept_and_the_latest_state_of_a_link() {
    let mut outbox = Outbox::default();
    for ticket in 0..1000 {
        outbox.push(done(ticket));
        outbox.push(link("a", ticket % 2 == 0));
        outbox.push(observed("a", vec![reading(Quantity::Power, 5)]));
    }
    let events = all(&mut outbox);
    assert_eq!(events.len(), 1002);
    assert_eq!(events.last(), Some(&link("a", false)));
}

#[test]
fn a_consumer_hung_for_ever_costs_bounded_memory() {
    let mut outbox = Outbox::default();
    for ticket in 0..5000 {
        outbox.push(done(ticket));
    }
    let events = all(&mut outbox);
    assert_eq!(events.len(), MOST_DONE);
    assert_eq!(events.last(), Some(&done(4999)));
}
