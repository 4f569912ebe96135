//! A station on its bench. `!` in a transcript marks a drive that overtakes everything.

mod bench;
mod charging;
mod contacts;
mod drives;
mod journal;
mod local;
mod meters;
mod orders;
mod restarts;
mod sessions;
mod states;
mod walk;
mod words;

use super::*;
use crate::domain::*;
use bench::{Bench, NEW_YEAR, card, evse, setup};
use std::time::Duration;

fn bench(evses: u16) -> Bench {
    Bench::new(setup(evses)).ready()
}

/// One EVSE that charges for card `A`.
fn charging() -> Bench {
    let mut b = bench(1);
    b.plug(1);
    b.authorise("A");
    b.run(8);
    assert_eq!(b.show(1).status, ConnectorStatus::Charging);
    b.look();
    b
}

fn in_mode(auth: AuthMode) -> Bench {
    let mut s = setup(1);
    s.evses[0].auth = auth;
    Bench::new(s).ready()
}

fn amps(b: &Bench) -> i64 {
    b.show(1).applied.amps.0
}

fn profile(id: i32, purpose: ProfilePurpose, stack_level: u32, limit_milli: i64) -> ChargingProfile {
    ChargingProfile {
        id,
        stack_level,
        purpose,
        kind: ProfileKind::Relative,
        valid_from_ms: None,
        valid_to_ms: None,
        tx: None,
        schedule: Schedule {
            duration_s: None,
            start_ms: None,
            unit: RateUnit::Amps,
            periods: vec![SchedulePeriod {
                start_s: 0,
                limit_milli,
                phases: None,
            }],
            min_rate_milli: None,
        },
    }
}

fn set(b: &mut Bench, evse: Option<u16>, profile: ChargingProfile) -> bool {
    b.ask(Command::SetProfile {
        evse: evse.map(EvseId),
        profile,
    }) == Some(Outcome::Simple(Accepted::Yes))
}

fn clear(b: &mut Bench, which: ClearProfiles) -> bool {
    b.ask(Command::ClearProfiles(which)) == Some(Outcome::Simple(Accepted::Yes))
}

fn composite(b: &mut Bench, duration_s: u32, unit: Option<RateUnit>) -> Vec<(u32, i64)> {
    match b.ask(Command::GetComposite {
        evse: Some(EvseId(1)),
        duration_s,
        unit,
    }) {
        Some(Outcome::Composite(Ok(c))) => c.periods.iter().map(|p| (p.start_s, p.limit_milli)).collect(),
        other => panic!("{other:?}"),
    }
}
